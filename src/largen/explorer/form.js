// Sliders, boxes and lists made from rows; every change is sent, every value and error comes back.
const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "html") made.innerHTML = value; else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};
const short = value => Number(Number(value).toPrecision(12));

export function render({ model }) {
  const root = make("div", { class: "form" });
  let parts = {};
  let serial = model.heard;
  const send = (name, text) => {  // until it is heard, what the server says of this row is older than what is shown
    if (parts[name]) parts[name].serial = ++serial;
    model.send_msg({ name, text: String(text), serial });
  };

  function numberRow(row) {
    const id = `${model.prefix}-${row.name}`;
    const typed = make("input", {
      type: "text", inputmode: "decimal", id, autocomplete: "off", "aria-describedby": `${id}-error`, spellcheck: "false",
    });
    const error = make("p", { class: "error", id: `${id}-error`, role: "alert" });
    const help = make("p", { class: "help", id: `${id}-help`, hidden: "", html: row.help });
    const ask = make("button", {
      type: "button", class: "ask", "aria-label": `What is ${row.name}?`, "aria-expanded": "false", "aria-controls": `${id}-help`,
    }, "?");
    ask.onclick = () => { help.hidden = !help.hidden; ask.setAttribute("aria-expanded", String(!help.hidden)); };
    const label = make("label", { for: id, html: row.label });
    const box = make("div", { class: "row" }, label, ask);
    typed.oninput = () => { typed.dataset.dirty = "yes"; };  // what is typed and not sent yet is undone by the browser
    typed.onchange = () => { delete typed.dataset.dirty; send(row.name, typed.value); };
    const part = { row, typed, error, box };
    if (row.low !== null) {
      const range = part.range = make("input", { type: "range", step: "any", "aria-label": row.words, class: "slider" });
      part.at = row.log ? value => Math.log10(value) : Number;  // where a value stands on the slider
      part.low = row.low; part.high = row.high;
      range.min = part.at(row.low); range.max = part.at(row.high);
      const go = value => {
        const kept = short(Math.min(Math.max(value, part.low), part.high));
        range.value = part.at(kept); typed.value = kept;
        range.setAttribute("aria-valuetext", `${kept} ${row.unit}`.trim());
        send(row.name, kept);
      };
      range.oninput = () => {
        if (!row.log) return go(Math.round(range.value / row.step) * row.step);
        const value = 10 ** range.value, step = 10 ** Math.max(Math.floor(Math.log10(value)) - 1, 0);
        go(Math.round(value / step) * step);
      };
      range.onkeydown = event => {
        const count = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
        if (count === undefined) return;
        event.preventDefault();
        const step = row.log ? 10 ** Math.max(Math.floor(Math.log10(Number(typed.value))) - 1, 0) : row.step;
        go(short(Number(typed.value) + count * step));
      };
      box.append(range);
    }
    box.append(typed, error, help);
    return part;
  }

  function choiceRow(row) {
    const id = `${model.prefix}-${row.name}`;
    const typed = make("select", { id }, ...row.options.map(word => make("option", { value: word }, word)));
    const error = make("p", { class: "error", role: "alert" });
    typed.onchange = () => send(row.name, typed.value);
    const box = make("div", { class: "row choice" }, make("label", { for: id, html: row.label }), typed, error);
    return { row, typed, error, box };
  }

  function build() {
    parts = {};
    const open = new Set([...root.querySelectorAll("details[open]")].map(one => one.dataset.name));
    root.replaceChildren(...model.groups.map((group, k) => {
      const rows = group.rows.map(row => parts[row.name] = row.kind === "choice" ? choiceRow(row) : numberRow(row));
      const boxes = rows.map(part => part.box);
      if (!group.name) return make("div", { class: "plain" }, ...boxes);
      const details = make("details", { "data-name": group.name }, make("summary", { html: group.title }), ...boxes);
      details.open = open.has(group.name) || (!open.size && k < 2);
      return details;
    }));
    fill(); say(); pick();
  }

  function fill() {
    for (const [name, part] of Object.entries(parts)) {
      const value = model.values[name];
      if (value === undefined || model.errors[name] || part.serial > model.heard) continue;
      if (part.range) {
        if (part.low > value) { part.low = value; part.range.min = part.at(value); }
        if (part.high < value) { part.high = value; part.range.max = part.at(value); }
        if (Number(part.range.value) !== part.at(value)) part.range.value = part.at(value);
        part.range.setAttribute("aria-valuetext", `${value} ${part.row.unit}`.trim());
      }
      if (part.typed.value !== String(value)) part.typed.value = String(value);
    }
  }

  function say() {
    for (const [name, part] of Object.entries(parts)) {
      const words = model.errors[name] || "";
      if (part.error.textContent !== words) part.error.textContent = words;
      part.typed.setAttribute("aria-invalid", String(Boolean(words)));
    }
  }

  function pick() {
    const picked = model.picked;
    for (const details of root.querySelectorAll("details")) {
      let any = false;
      for (const part of Object.values(parts)) {
        if (!details.contains(part.box)) continue;
        part.box.hidden = Boolean(picked) && !picked.split("|").some(word => part.row.name.includes(word));
        any = any || !part.box.hidden;
      }
      details.hidden = !any;
      if (picked && any) details.open = true;
    }
  }

  model.on("groups", build);
  model.on("values", fill);
  model.on("heard", fill);
  model.on("errors", () => { say(); fill(); });
  model.on("picked", pick);
  build();
  return root;
}
