// A recording to compare with, read here: one that is too large is never sent.
export function render({ model }) {
  const make = (tag, options, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const file = make("input", { type: "file", accept: model.endings.join(",") });
  const boxes = {};
  const rows = model.fields.map(({ name, label, like }) => {
    const id = `recording-${name}`;
    boxes[name] = make("input", { type: "text", id, placeholder: like, autocomplete: "off", spellcheck: "false", maxlength: "2000" });
    return make("div", { class: "row" }, make("label", { for: id }, label), boxes[name]);
  });
  const show = make("button", { type: "button" }, "Compare with it");
  const away = make("button", { type: "button" }, "Take the recording away");
  const content = one => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(one);
  });
  show.onclick = async () => {
    const one = file.files[0];
    if (!one) return model.send_msg({ fault: "Choose the file of a recording first." });
    if (one.size > model.most) {
      const size = (one.size / 1e6).toFixed(1), most = model.most / 1e6;
      return model.send_msg({ fault: `The file must be at most ${most} MB, but has ${size} MB: name it at the command line (--recording).` });
    }
    try {
      const words = Object.fromEntries(Object.entries(boxes).map(([name, box]) => [name, box.value]));
      model.send_msg({ name: one.name, content: await content(one), words });
    } catch (error) {
      model.send_msg({ fault: "The browser could not read the file: choose it again." });
    }
  };
  away.onclick = () => model.send_msg({ away: true });
  const mark = () => { away.hidden = !model.there; };
  model.on("there", mark);
  mark();
  return make("div", { class: "form" },
    make("label", {}, "A recording to compare with (CSV, TSV, NPZ, NWB, or netCDF of largen) ", file),
    make("details", {}, make("summary", {}, "What the file holds, where it does not say so"), make("div", { class: "words" }, ...rows)),
    make("div", { class: "buttons" }, show, away));
}
