// The page as a whole: colourings, training curves, changes of size and of theme.

function drawLosses() {
  if (!page.losses.length) return;
  const surface = prepare(byId("chart-losses"), 300);
  blank(surface);
  settle(surface);
  const steps = extent(page.losses.map((curve) => curve.steps.filter((v) => v !== null)), 0);
  const frame = axes(surface, steps, page.lossRange, ["step", "loss"]);
  frame.draw();
  const colours = ["--spliced", "--unspliced", "--good", "--curve-1", "--caution", "--curve-2", "--curve-3", "--soft"];
  const keys = page.losses.map((curve, i) => {
    const colour = css(colours[i % colours.length]), dashed = curve.name.includes("valid");
    line(surface, frame, curve.steps, curve.values, colour, 2, dashed ? [6, 4] : []);
    const mark = element("i", { className: dashed ? "dash" : "solid" });
    mark.style.borderColor = colour;
    return element("div", { className: "key" }, mark, element("span", { className: "name", textContent: curve.name }));
  });
  byId("losses-legend").replaceChildren(...keys);
}

function redrawAll() {
  map?.redraw(); genes?.redraw(); drawLosses();
}

const select = byId("colour");
select.append(...colourings.map((colouring, i) => element("option", { value: String(i), textContent: colouring.name })));
select.onchange = () => {
  const next = colourings[Number(select.value)];
  if (!next) return;
  for (const button of document.querySelectorAll(".gene-colour button")) button.setAttribute("aria-pressed", "false");
  select.querySelector("option[value=gene]")?.remove();
  map?.show_by(next);
  genes?.shade_by(next);
};

map?.show_by(colourings[0]);
drawLosses();

let width = window.innerWidth;
window.addEventListener("resize", () => {
  // A phone's bars come and go without a change of width.
  if (window.innerWidth !== width) { width = window.innerWidth; redrawAll(); }
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

// Paper is white, and what is folded cannot be unfolded on it.
let folded = [];
window.addEventListener("beforeprint", () => {
  document.documentElement.dataset.theme = "light";
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
  map?.draw(); genes?.redraw(); drawLosses();
});
window.addEventListener("afterprint", () => {
  delete document.documentElement.dataset.theme;
  folded.forEach((details) => { details.open = false; });
  redrawAll();
});
