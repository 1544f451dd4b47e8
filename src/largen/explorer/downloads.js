// Buttons that save files: what the server makes comes as a message, and never as a page of its own.
export function render({ model }) {
  const root = document.createElement("div");
  root.className = "buttons";
  for (const label of model.labels) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.onclick = () => model.send_msg({ label });
    root.append(button);
  }
  model.on("msg:custom", event => {
    const { name, content } = event.data ?? event;
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return root;
}
