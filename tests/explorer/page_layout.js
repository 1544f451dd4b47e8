// What is wrong with the layout of a page: parts over each other or out of it, words cut off, sideways scrolling.
() => {
  const wrong = [], most = document.documentElement.clientWidth;
  const parent = e => e.parentElement ?? e.getRootNode().host ?? null;
  const inside = (outer, e) => { for (; e; e = parent(e)) if (e === outer) return true; return false; };
  const name = e => `${e.tagName.toLowerCase()}.${e.className.baseVal ?? e.className} "${(e.innerText || e.ariaLabel || "").slice(0, 40)}"`;
  const seen = e => {  // what of an element is inside all boxes that cut off what stands out of them
    const one = e.getBoundingClientRect(), box = { left: one.left, right: one.right, top: one.top, bottom: one.bottom };
    for (let up = parent(e); up; up = parent(up)) {
      const look = getComputedStyle(up);
      if (up === document.body || up === document.documentElement) break;
      const cut = up.getBoundingClientRect();
      if (look.overflowX !== "visible") {
        box.left = Math.max(box.left, cut.left); box.right = Math.min(box.right, cut.right);
      }
      if (look.overflowY !== "visible") {
        box.top = Math.max(box.top, cut.top); box.bottom = Math.min(box.bottom, cut.bottom);
      }
    }
    return box;
  };
  const parts = "button, input, select, textarea, summary, label, p, pre, h1, h2, th, td, a, svg, progress, .bk-Figure";
  const boxes = [];
  const walk = root => { for (const e of root.querySelectorAll("*")) {
    if (e.matches(parts) && !e.matches(".skip, .bk-spin-btn") && e.checkVisibility({ visibilityProperty: true, opacityProperty: false })) {
      const box = seen(e);
      if (box.right - box.left > 1 && box.bottom - box.top > 1) boxes.push([e, box]);
      const look = getComputedStyle(e);
      if (!e.matches("input, textarea, .bk-Figure, svg") && look.overflowX !== "auto" && look.overflowX !== "scroll"
          && e.scrollWidth > e.clientWidth + 2 && e.clientWidth && look.overflowX !== "visible") wrong.push(["clipped", name(e)]);
      if (e.matches("button, select, summary, th, td, label") && look.display !== "inline"
          && e.scrollWidth > e.clientWidth + 2 && e.clientWidth) wrong.push(["text stands out", name(e), e.scrollWidth, e.clientWidth]);
    }
    if (e.shadowRoot && !e.matches(".bk-Figure")) walk(e.shadowRoot);
  } };
  walk(document.body);
  if (document.documentElement.scrollWidth > most) wrong.push(["scrolls sideways", document.documentElement.scrollWidth]);
  for (const [e, box] of boxes) if (box.right > most + 1 || box.left < -1) wrong.push(["out of the page", name(e), box.left, box.right]);
  boxes.forEach(([e, a], k) => { for (const [f, b] of boxes.slice(k + 1)) {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 2 && !inside(e, f) && !inside(f, e)) wrong.push(["overlap", name(e), name(f), wide, high]);
  } });
  return wrong;
}
