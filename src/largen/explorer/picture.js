// The model as a picture: what is clicked is opened beside it; a second click shows all again.
export function render({ model }) {
  const root = document.createElement("div");
  root.className = "picture";
  const mark = () => {
    for (const one of root.querySelectorAll("[data-pick]")) {
      one.setAttribute("aria-pressed", String(one.dataset.pick === model.picked));
    }
  };
  const draw = () => {
    const active = root.getRootNode().activeElement?.dataset?.pick;
    root.innerHTML = model.svg;
    if (active) root.querySelector(`[data-pick="${CSS.escape(active)}"]`)?.focus();
    mark();
  };
  const choose = event => {
    const one = event.target.closest?.("[data-pick]");
    if (!one) return;
    event.preventDefault();
    model.send_msg({ pick: one.dataset.pick === model.picked ? "" : one.dataset.pick });
  };
  root.addEventListener("click", choose);
  root.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") choose(event); });
  model.on("svg", draw);
  model.on("picked", mark);
  draw();
  document.getElementById("first-picture")?.remove();  // that of the page's opening, which this one continues
  return root;
}
