// Drawing: points as pixels (fast at tens of thousands), lines and words as canvas paths.

const FACE = 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';

// A canvas as large as its box allows, in device pixels; drawing is in CSS pixels.
function prepare(canvas, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height, ratio };
}

// Coverage of a disc, 0 to 256, at sixteen offsets within a pixel.
const stencils = new Map();
function stencil(radius) {
  const key = radius.toFixed(2);
  if (stencils.has(key)) return stencils.get(key);
  const reach = Math.ceil(radius + 0.5), side = 2 * reach + 2, out = [];
  for (let phase = 0; phase < 16; phase++) {
    const fx = (phase % 4) / 4, fy = (phase >> 2) / 4;
    const cover = new Uint16Array(side * side);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const far = Math.hypot(x - reach - fx, y - reach - fy);
        cover[y * side + x] = Math.round(256 * Math.min(1, Math.max(0, radius + 0.5 - far)));
      }
    }
    out.push(cover);
  }
  const made = { reach, side, out };
  stencils.set(key, made);
  return made;
}

// The pixels of a surface, empty: discs are blended into them before anything else is drawn.
function blank(surface) {
  const { width: w, height: h } = surface.context.canvas;
  const image = surface.context.createImageData(w, h);
  const [red, green, blue] = rgb(css("--plot"));
  new Uint32Array(image.data.buffer).fill(((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
  surface.image = image;
}

// Puts the pixels on the canvas; lines and words come after.
function settle(surface) {
  surface.context.putImageData(surface.image, 0, 0);
}

// Blends discs: places in CSS pixels, colours as triples of bytes; cells marked in `dimmed` are all but gone.
function discs(surface, xs, ys, colours, order, radius, opacity, dimmed) {
  const { ratio, image } = surface;
  const { width: w, height: h, data } = image;
  const { reach, side, out } = stencil(radius * ratio);
  const full = Math.round(256 * opacity), faint = 18, n = order.length;
  for (let k = 0; k < n; k++) {
    const i = order[k];
    const x = xs[i] * ratio - 0.5, y = ys[i] * ratio - 0.5;
    if (!(x > -reach && y > -reach && x < w + reach && y < h + reach)) continue;
    const left = Math.floor(x), top = Math.floor(y);
    const cover = out[((x - left) * 4 | 0) + 4 * ((y - top) * 4 | 0)];
    const strength = dimmed !== null && dimmed[i] === 1 ? faint : full;
    const red = colours[3 * i], green = colours[3 * i + 1], blue = colours[3 * i + 2];
    const fromX = Math.max(0, reach - left), toX = Math.min(side, w - left + reach);
    const fromY = Math.max(0, reach - top), toY = Math.min(side, h - top + reach);
    for (let dy = fromY; dy < toY; dy++) {
      let at = 4 * ((top + dy - reach) * w + left + fromX - reach) | 0, inside = dy * side + fromX | 0;
      for (let dx = fromX; dx < toX; dx++, at += 4, inside++) {
        const a = cover[inside] * strength >> 8;
        if (a > 0) {
          data[at] += (red - data[at]) * a >> 8;
          data[at + 1] += (green - data[at + 1]) * a >> 8;
          data[at + 2] += (blue - data[at + 2]) * a >> 8;
        }
      }
    }
  }
}

function extent(lists, margin) {
  let [lo, hi] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const v of list) {
      if (v < lo) lo = v;
      if (v > hi) hi = v;
    }
  }
  if (lo > hi) return [0, 1];
  if (hi === lo) return [lo - 0.5, hi + 0.5];
  return [lo - margin * (hi - lo), hi + margin * (hi - lo)];
}

function ticks([lo, hi], about) {
  const rough = (hi - lo) / Math.max(1, about);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= 0.75 * rough) ?? 10 * power;
  const out = [];
  for (let i = Math.ceil(lo / step - 1e-9); i <= Math.floor(hi / step + 1e-9) && out.length < 50; i++) out.push(+(i * step).toPrecision(12));
  return out;
}

// Axes with ticks and names; returns the map from numbers to places.
function axes(surface, x, y, names) {
  const { context: c, width, height } = surface;
  const yTicks = ticks(y, Math.max(2, Math.round(height / 48)));
  c.font = `11.5px ${FACE}`;
  const widest = Math.max(...yTicks.map((v) => c.measureText(show(v)).width), 8);
  const box = { left: Math.ceil(widest) + 32, top: 10, right: width - 10, bottom: height - 42 };
  const px = (v) => box.left + ((v - x[0]) / (x[1] - x[0])) * (box.right - box.left);
  const py = (v) => box.bottom - ((v - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
  const xTicks = ticks(x, Math.max(2, Math.round((box.right - box.left) / 75)));
  const draw = () => {
    c.strokeStyle = css("--soft"); c.fillStyle = css("--soft"); c.lineWidth = 1;
    c.font = `11.5px ${FACE}`;
    c.beginPath(); c.moveTo(box.left, box.top); c.lineTo(box.left, box.bottom); c.lineTo(box.right, box.bottom);
    for (const v of xTicks) { c.moveTo(px(v), box.bottom); c.lineTo(px(v), box.bottom + 4); }
    for (const v of yTicks) { c.moveTo(box.left, py(v)); c.lineTo(box.left - 4, py(v)); }
    c.stroke();
    c.textAlign = "center"; c.textBaseline = "top";
    for (const v of xTicks) c.fillText(show(v), px(v), box.bottom + 7);
    c.textAlign = "right"; c.textBaseline = "middle";
    for (const v of yTicks) c.fillText(show(v), box.left - 7, py(v));
    c.fillStyle = css("--ink"); c.font = `12.5px ${FACE}`; c.textAlign = "center"; c.textBaseline = "bottom";
    c.fillText(names[0], (box.left + box.right) / 2, height - 2);
    c.save(); c.translate(14, (box.top + box.bottom) / 2); c.rotate(-Math.PI / 2); c.fillText(names[1], 0, 0); c.restore();
  };
  return { px, py, box, draw };
}

function line(surface, frame, xs, ys, style, width = 2, dashes = []) {
  const { context: c } = surface, { box } = frame;
  c.save();
  c.beginPath(); c.rect(box.left, box.top - 4, box.right - box.left + 4, box.bottom - box.top + 4); c.clip();
  c.beginPath();
  let pen = false;
  for (let i = 0; i < xs.length; i++) {
    const ok = Number.isFinite(xs[i]) && Number.isFinite(ys[i]) && xs[i] !== null && ys[i] !== null;
    if (ok && pen) c.lineTo(frame.px(xs[i]), frame.py(ys[i]));
    else if (ok) c.moveTo(frame.px(xs[i]), frame.py(ys[i]));
    pen = ok;
  }
  c.lineJoin = "round"; c.lineCap = dashes.length ? "butt" : "round";
  c.setLineDash(dashes); c.strokeStyle = style; c.lineWidth = width; c.stroke();
  c.restore();
}

// An arrowhead with its tip at (x, y) along the unit vector (dx, dy).
function head(c, x, y, dx, dy, size) {
  const half = 0.42 * size;
  c.moveTo(x, y);
  c.lineTo(x - size * dx - half * dy, y - size * dy + half * dx);
  c.lineTo(x - 0.75 * size * dx, y - 0.75 * size * dy);
  c.lineTo(x - size * dx + half * dy, y - size * dy - half * dx);
  c.closePath();
}
