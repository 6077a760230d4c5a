// The embedding: cells, streams or arrows over them, legend, pointing, zoom.

const map = (() => {
  if (!page.embedding) return null;
  const canvas = byId("map-canvas"), tip = byId("map-tip"), root = document.documentElement;
  const given = page.embedding;
  const xs = numbers(given.x), ys = numbers(given.y);
  const arrows = given.arrows && given.arrows.map(numbers);
  const streams = given.streams && { x: numbers(given.streams.x), y: numbers(given.streams.y), speed: numbers(given.streams.speed), starts: given.streams.starts, fastest: given.streams.speed.hi };
  const grid = given.grid && { x: numbers(given.grid.x), y: numbers(given.grid.y), u: numbers(given.grid.u), v: numbers(given.grid.v) };
  const modes = [streams && ["streams", "Streamlines"], grid && ["grid", "Grid"], arrows && ["cells", "Cells"], ["none", "None"]].filter(Boolean);
  const [x0, x1] = extent([xs], 0.04), [y0, y1] = extent([ys], 0.04);

  let colouring = colourings[0], colours = paint(colouring, nCells), mode = modes[0][0], chosen = -1, dimmed = null;
  let view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom: 1 };
  let surface = null, unit = 1, queued = false, hovered = -1;
  const sx = new Float32Array(nCells), sy = new Float32Array(nCells);

  function place() {
    const width = canvas.clientWidth;
    const wanted = width * (y1 - y0) / (x1 - x0);
    const height = Math.round(Math.min(Math.max(wanted, 0.62 * width), 1.1 * width, Math.max(320, 0.82 * window.innerHeight)));
    surface = prepare(canvas, height);
    unit = Math.min(width / (x1 - x0), height / (y1 - y0)) * view.zoom;
  }
  const px = (x) => surface.width / 2 + (x - view.x) * unit;
  const py = (y) => surface.height / 2 - (y - view.y) * unit;

  function draw() {
    queued = false;
    const began = performance.now();
    place();
    const ox = surface.width / 2 - view.x * unit, oy = surface.height / 2 + view.y * unit;
    for (let i = 0; i < nCells; i++) { sx[i] = xs[i] * unit + ox; sy[i] = oy - ys[i] * unit; }
    blank(surface);
    const some = colouring && colouring.known;
    const area = surface.width * surface.height;
    const radius = Math.min(7, Math.max(1.1, Math.sqrt(0.42 * area / (nCells * Math.PI)) * 0.8) * Math.min(3, Math.sqrt(view.zoom)));
    const faint = mode === "none" ? 0.9 : 0.6;
    if (some) {
      // A gene is known in some cells: the others are the ground on which these are seen.
      discs(surface, sx, sy, ground(), mixedOrder, radius, 0.5, null);
      const larger = radius * Math.min(1.7, Math.sqrt(nCells / some.length));
      discs(surface, sx, sy, colours, colouring.order, larger, 0.9, null);
    } else discs(surface, sx, sy, colours, mixedOrder, radius, faint, dimmed);
    settle(surface);
    if (mode === "streams") drawStreams();
    if (mode === "grid") drawGrid();
    if (mode === "cells") drawCells();
    if (colouring && colouring.kind === "groups" && colouring.categories.length <= 24) drawNames();
    drawCorner();
    if (hovered >= 0) ring(hovered);
    root.dataset.drawMs = (performance.now() - began).toFixed(1);
    root.dataset.colouring = colouring ? colouring.name : "";
    root.dataset.arrows = mode;
  }
  function redraw() {
    if (!queued) { queued = true; requestAnimationFrame(draw); }
  }

  const grounds = new Map();
  function ground() {
    const shade = parseInt(css("--plot").slice(1, 3), 16) > 127 ? 222 : 62;
    if (!grounds.has(shade)) grounds.set(shade, new Uint8Array(3 * nCells).fill(shade));
    return grounds.get(shade);
  }

  function drawStreams() {
    const { context: c } = surface;
    const width = (speed) => 0.8 + 1.5 * Math.round(Math.sqrt(speed / streams.fastest) * 5) / 5;
    const all = new Path2D(), heads = new Path2D(), byWidth = new Map();
    for (let k = 0; k + 1 < streams.starts.length; k++) {
      const from = streams.starts[k], to = streams.starts[k + 1];
      let total = 0;
      for (let i = from + 1; i < to; i++) {
        const key = width(streams.speed[i]);
        if (!byWidth.has(key)) byWidth.set(key, new Path2D());
        const path = byWidth.get(key);
        const [ax, ay, bx, by] = [px(streams.x[i - 1]), py(streams.y[i - 1]), px(streams.x[i]), py(streams.y[i])];
        path.moveTo(ax, ay); path.lineTo(bx, by);
        all.moveTo(ax, ay); all.lineTo(bx, by);
        total += Math.hypot(bx - ax, by - ay);
      }
      const n = Math.max(1, Math.round(total / 190));
      let walked = 0, wanted = total / n / 2;
      for (let i = from + 1; i < to; i++) {
        const dx = px(streams.x[i]) - px(streams.x[i - 1]), dy = py(streams.y[i]) - py(streams.y[i - 1]), step = Math.hypot(dx, dy);
        walked += step;
        if (walked >= wanted && step > 0) {
          const size = 6.5 + 1.8 * width(streams.speed[i]);
          head(heads, px(streams.x[i]) + 0.5 * size * dx / step, py(streams.y[i]) + 0.5 * size * dy / step, dx / step, dy / step, size);
          wanted += total / n;
        }
      }
    }
    c.lineCap = c.lineJoin = "round";
    c.strokeStyle = css("--stream-edge"); c.lineWidth = 3.4; c.stroke(all);
    c.strokeStyle = c.fillStyle = css("--stream");
    for (const [w, path] of byWidth) { c.lineWidth = w; c.stroke(path); }
    c.fill(heads);
  }

  function arrow(shafts, heads, x, y, dx, dy, largest) {
    const length = Math.hypot(dx, dy);
    if (!(length > 0.5)) return;
    const size = Math.min(largest, 0.7 * length);
    shafts.moveTo(x, y);
    shafts.lineTo(x + dx * (1 - 0.7 * size / length), y + dy * (1 - 0.7 * size / length));
    head(heads, x + dx, y + dy, dx / length, dy / length, size);
  }

  function drawGrid() {
    const { context: c } = surface, shafts = new Path2D(), heads = new Path2D(), columns = grid.x.length;
    let longest = 0;
    for (let i = 0; i < grid.u.length; i++) { const s = Math.hypot(grid.u[i], grid.v[i]); if (s > longest) longest = s; }
    const fine = columns > 1 ? (grid.x[1] - grid.x[0]) * unit : 10;
    // Of a fine grid every second place or fewer: arrows need room to be read.
    const fineY = grid.y.length > 1 ? (grid.y[1] - grid.y[0]) * unit : 10;
    const [across, up] = [fine, fineY].map((step) => Math.max(1, Math.round(17 / step)));
    const scale = 1.35 * Math.max(Math.min(fine * across, fineY * up), 8) / (longest || 1);
    for (let i = 0; i < grid.u.length; i++) if (i % columns % across === 0 && Math.floor(i / columns) % up === 0) arrow(shafts, heads, px(grid.x[i % columns]), py(grid.y[Math.floor(i / columns)]), grid.u[i] * scale, -grid.v[i] * scale, 6.5);
    c.strokeStyle = c.fillStyle = css("--stream"); c.lineCap = "round"; c.lineWidth = 1.2;
    c.stroke(shafts); c.fill(heads);
  }

  // Length that few arrows exceed.
  let long = 0;
  function longArrow() {
    if (!long) {
      const lengths = arrows[0].map((u, i) => Math.hypot(u, arrows[1][i])).filter(Number.isFinite).sort();
      long = lengths[Math.floor(0.95 * (lengths.length - 1))] || 1;
    }
    return long;
  }

  function drawCells() {
    const { context: c } = surface, shafts = new Path2D(), heads = new Path2D(), taken = new Set();
    const scale = 26 / longArrow();
    for (const i of mixedOrder) {
      if (!(sx[i] > 0 && sy[i] > 0 && sx[i] < surface.width && sy[i] < surface.height) || Number.isNaN(arrows[0][i])) continue;
      const key = Math.floor(sx[i] / 16) + 4096 * Math.floor(sy[i] / 16);
      if (taken.has(key)) continue;
      taken.add(key);
      arrow(shafts, heads, sx[i], sy[i], arrows[0][i] * scale, -arrows[1][i] * scale, 7);
    }
    c.strokeStyle = c.fillStyle = css("--stream"); c.lineCap = "round"; c.lineWidth = 1.1;
    c.stroke(shafts); c.fill(heads);
  }

  // Medians of the cells of each group.
  const known = new Map();
  function middles(of) {
    if (!known.has(of)) {
      const groups = of.categories.map(() => [[], []]);
      for (let i = 0; i < nCells; i++) {
        const group = groups[of.data[i]];
        if (group && !Number.isNaN(xs[i])) { group[0].push(xs[i]); group[1].push(ys[i]); }
      }
      const median = (list) => Float32Array.from(list).sort()[list.length >> 1];
      known.set(of, groups.flatMap((group, k) => (group[0].length ? [{ name: of.categories[k], x: median(group[0]), y: median(group[1]) }] : [])));
    }
    return known.get(of);
  }

  // Names of the groups, moved apart where they meet.
  function drawNames() {
    const { context: c } = surface;
    c.font = `650 13px ${FACE}`; c.textAlign = "center"; c.textBaseline = "middle"; c.lineJoin = "round";
    const labels = [];
    for (const { name, x, y } of middles(colouring)) labels.push({ name, x: px(x), y: py(y), w: c.measureText(name).width });
    for (let round = 0; round < 40; round++) {
      for (const a of labels) for (const b of labels) {
        if (a === b || Math.abs(a.x - b.x) >= (a.w + b.w) / 2 + 4 || Math.abs(a.y - b.y) >= 17) continue;
        const push = (17 - Math.abs(a.y - b.y)) / 2 + 0.1, up = a.y < b.y || (a.y === b.y && labels.indexOf(a) < labels.indexOf(b));
        a.y += up ? -push : push; b.y += up ? push : -push;
      }
    }
    c.strokeStyle = css("--plot"); c.lineWidth = 4; c.fillStyle = css("--ink");
    for (const { name, x, y, w } of labels) {
      const inside = Math.min(Math.max(x, w / 2 + 4), surface.width - w / 2 - 4);
      c.strokeText(name, inside, y); c.fillText(name, inside, y);
    }
  }

  function drawCorner() {
    const { context: c, height } = surface, x = 26, y = height - 24, long = 44;
    c.strokeStyle = c.fillStyle = css("--soft"); c.lineWidth = 1;
    c.beginPath(); c.moveTo(x, y - long); c.lineTo(x, y); c.lineTo(x + long, y); c.stroke();
    c.beginPath(); head(c, x + long + 4, y, 1, 0, 7); head(c, x, y - long - 4, 0, -1, 7); c.fill();
    c.font = `11.5px ${FACE}`; c.textAlign = "left"; c.textBaseline = "top"; c.fillText(`${given.basis} 1`, x, y + 5);
    c.save(); c.translate(x - 6, y); c.rotate(-Math.PI / 2); c.textBaseline = "bottom"; c.fillText(`${given.basis} 2`, 0, 0); c.restore();
  }

  function ring(i) {
    const { context: c } = surface;
    c.beginPath(); c.arc(sx[i], sy[i], 6.5, 0, 2 * Math.PI);
    c.strokeStyle = css("--plot"); c.lineWidth = 4; c.stroke(); c.strokeStyle = css("--ink"); c.lineWidth = 2; c.stroke();
  }

  // --- pointing ---

  function nearest(x, y, reach) {
    let best = -1, near = reach * reach;
    for (let i = 0; i < nCells; i++) {
      const far = (sx[i] - x) ** 2 + (sy[i] - y) ** 2;
      if (far < near) { near = far; best = i; }
    }
    return best;
  }

  function point(x, y) {
    const cell = nearest(x, y, 14);
    if (cell !== hovered) { hovered = cell; redraw(); }
    tip.hidden = cell < 0;
    if (cell < 0) return;
    const lines = colourings.slice(0, 8).map((c) => element("span", { textContent: `${c.name}: ${valueOf(c, cell)}` }));
    if (colouring && !colourings.includes(colouring)) lines.unshift(element("span", { textContent: `${colouring.name}: ${valueOf(colouring, cell)}` }));
    tip.replaceChildren(element("b", { textContent: page.names[cell] }), ...lines);
    const left = x + 16 + tip.offsetWidth > surface.width ? x - tip.offsetWidth - 16 : x + 16;
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${Math.max(0, Math.min(y + 12, surface.height - tip.offsetHeight - 4))}px`;
  }

  function zoomBy(factor, x = surface.width / 2, y = surface.height / 2) {
    const zoom = Math.min(60, Math.max(0.6, view.zoom * factor));
    const kx = view.x + (x - surface.width / 2) / unit, ky = view.y - (y - surface.height / 2) / unit;
    const share = view.zoom / zoom;
    view = { x: kx + (view.x - kx) * share, y: ky + (view.y - ky) * share, zoom };
    redraw();
  }
  function pan(dx, dy) { view.x -= dx / unit; view.y += dy / unit; redraw(); }
  function reset() { view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom: 1 }; redraw(); }

  const pointers = new Map();
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, at(event));
    if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
    else point(...at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event), before = pointers.get(event.pointerId);
    if (!before) { if (event.pointerType === "mouse") point(...now); return; }
    if (pointers.size === 2) {
      const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)[1];
      const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      zoomBy(gap(now) / gap(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (event.pointerType === "mouse") {
      canvas.classList.add("dragging"); tip.hidden = true;
      pan(now[0] - before[0], now[1] - before[1]);
    }
    pointers.set(event.pointerId, now);
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => { pointers.delete(event.pointerId); canvas.classList.remove("dragging"); });
  canvas.addEventListener("pointerleave", () => { if (!pointers.size) { tip.hidden = true; if (hovered >= 0) { hovered = -1; redraw(); } } });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * 0.0025), ...at(event));
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoomBy(1.8, ...at(event)));
  canvas.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => pan(40, 0), ArrowRight: () => pan(-40, 0), ArrowUp: () => pan(0, 40), ArrowDown: () => pan(0, -40), "+": () => zoomBy(1.3), "=": () => zoomBy(1.3), "-": () => zoomBy(1 / 1.3), 0: reset };
    if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); keys[event.key](); }
  });
  byId("zoom-in").onclick = () => zoomBy(1.4);
  byId("zoom-out").onclick = () => zoomBy(1 / 1.4);
  byId("zoom-reset").onclick = reset;

  // --- legend ---

  function choose(group) {
    chosen = chosen === group ? -1 : group;
    dimmed = chosen < 0 ? null : Uint8Array.from(colouring.data, (code) => (code === chosen ? 0 : 1));
    legend(); redraw();
  }

  function legend() {
    const box = byId("legend"), title = element("h3", { textContent: colouring ? colouring.name : "" });
    if (!colouring) { box.replaceChildren(); return; }
    if (colouring.kind === "groups") {
      const counts = new Uint32Array(colouring.categories.length);
      for (const code of colouring.data) if (code < counts.length) counts[code]++;
      const entries = element("div", { className: "entries" }, ...colouring.categories.map((name, k) => {
        const dot = element("i"); dot.style.background = colouring.colours[k];
        const button = element("button", { type: "button", onclick: () => choose(k), title: "Show these cells alone" }, dot, element("span", { className: "name", textContent: name }), element("span", { className: "count", textContent: counts[k].toLocaleString("en") }));
        button.setAttribute("aria-pressed", String(k === chosen));
        return button;
      }));
      const focused = chosen >= 0 && box.contains(document.activeElement);
      box.replaceChildren(title, entries);
      if (focused) entries.children[chosen].focus();
    } else box.replaceChildren(title, ...bar(colouring));
  }

  function show_by(next) {
    colouring = next; chosen = -1; dimmed = null;
    colours = paint(colouring, nCells);
    canvas.setAttribute("aria-label", `${nCells} cells on ${given.basis}, coloured by ${colouring ? colouring.name : "nothing"}`);
    legend(); redraw();
  }

  const select = byId("arrows");
  select.append(...modes.map(([value, name]) => element("option", { value, textContent: name })));
  select.onchange = () => { mode = select.value; redraw(); };
  return { draw, redraw, show_by, get colouring() { return colouring; } };
})();

// A colour bar with its ends.
function bar(colouring) {
  const strip = element("div", { className: "bar" });
  strip.style.background = `linear-gradient(to right, ${page.scales[colouring.scale].join(", ")})`;
  const [low, high] = colouring.beyond;
  const ends = element("div", { className: "bar-ends" }, element("span", { textContent: (low ? "≤ " : "") + show(colouring.lo) }), element("span", { textContent: (high ? "≥ " : "") + show(colouring.hi) }));
  const grey = element("i"); grey.style.background = page.missing;
  const gaps = colouring.data.some((v) => Number.isNaN(v));
  return gaps ? [strip, ends, element("div", { className: "key" }, grey, element("span", { textContent: "unknown" }))] : [strip, ends];
}
