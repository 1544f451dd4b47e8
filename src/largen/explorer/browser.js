// What only the browser can do: its history, keys, clipboard, and names for those who do not see the figures.
export function render({ model }) {
  const root = document.createElement("span");
  const here = () => window.location.pathname;
  window.history.replaceState({ session: model.session, place: 0 }, "", window.location.href);
  model.on("msg:custom", event => {
    const data = event.data ?? event;
    if (data.do === "push" || data.do === "replace") {
      const url = here() + data.search;
      const kept = { session: model.session, place: data.place };
      if (data.do === "push") window.history.pushState(kept, "", url); else window.history.replaceState(kept, "", url);
    } else if (data.do === "copy") {
      navigator.clipboard?.writeText(data.text).then(() => model.send_msg({ copied: true }),
                                                     () => model.send_msg({ copied: false }))
        ?? model.send_msg({ copied: false });
    } else if (data.do === "lecture") {
      const large = document.body.classList.toggle("lecture", data.on ?? undefined);
      if (large) document.documentElement.requestFullscreen?.().catch(() => {});  // large type alone, where it may not
      else if (document.fullscreenElement) document.exitFullscreen();
    }
  });
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement) document.body.classList.remove("lecture");
  });
  document.querySelector("a.theme")?.addEventListener("click", event => {  // with the parameters of the address
    event.preventDefault();
    const query = new URLSearchParams(window.location.search);
    query.set("theme", new URL(event.currentTarget.href).searchParams.get("theme"));
    window.location.search = query;
  });
  window.addEventListener("popstate", event => {
    const mine = event.state && event.state.session === model.session;
    model.send_msg({ went: mine ? event.state.place : null, search: window.location.search });
  });
  window.addEventListener("keydown", event => {
    let field = document.activeElement;
    while (field && field.shadowRoot && field.shadowRoot.activeElement) field = field.shadowRoot.activeElement;
    const writing = field && (["TEXTAREA", "SELECT"].includes(field.tagName) || (field.tagName === "INPUT" && field.type === "text"));
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y") && !(writing && field.dataset.dirty)) {
      event.preventDefault();
      model.send_msg({ key: key === "y" || event.shiftKey ? "redo" : "undo" });
    } else if (model.lecture && !writing && (key === "arrowright" || key === "arrowleft")) {
      if (field && (field.type === "range" || field.getAttribute?.("role") === "slider")) return;
      model.send_msg({ key: key === "arrowright" ? "next" : "back" });
    }
  });
  const name = () => {
    for (const view of Object.values(window.Bokeh?.index ?? {})) walk(view);
  };
  const walk = view => {
    const title = view.model?.title?.text;
    if (title && view.canvas_view && view.el) {
      if (view.el.getAttribute("aria-label") !== title) {
        view.el.setAttribute("role", "img");
        view.el.setAttribute("aria-label", title);
      }
    }
    for (const child of view.child_views ?? []) walk(child);
  };
  setInterval(name, 1000);
  return root;
}
