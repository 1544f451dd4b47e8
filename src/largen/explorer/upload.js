// A model file, read here: one that is too large is never sent.
export function render({ model }) {
  const root = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".yaml,.yml,.json";
  label.textContent = "Load a model file (YAML) ";
  label.append(input);
  input.onchange = async () => {
    const file = input.files[0];
    if (!file) return;
    if (file.size > model.most) {
      model.send_msg({ fault: `The file must be at most 1 MB, but has ${(file.size / 1e6).toFixed(1)} MB.` });
    } else {
      try {
        const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
        model.send_msg({ text });
      } catch (error) {
        model.send_msg({ fault: "The file is not a text in UTF-8." });
      }
    }
    input.value = "";
  };
  root.append(label);
  return root;
}
