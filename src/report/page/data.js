// Unpacking: what stands in the page as base64 becomes typed arrays.

const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

const codes16 = (text) => new Uint16Array(bytes(text).buffer);
const codes32 = (text) => new Uint32Array(bytes(text).buffer);

// Two bytes per number between lo and hi; 65535 is a missing value.
function numbers(packed) {
  if (!packed) return null;
  const codes = codes16(packed.data);
  const out = new Float32Array(codes.length);
  const step = (packed.hi - packed.lo) / 65534;
  for (let i = 0; i < codes.length; i++) out[i] = codes[i] === 65535 ? NaN : packed.lo + codes[i] * step;
  return out;
}

const rgb = (hex) => [parseInt(hex.slice(1, 3), 16), parseInt(hex.slice(3, 5), 16), parseInt(hex.slice(5, 7), 16)];
const missing = rgb(page.missing);

// 256 colours between the stops of a scale.
function ramp(stops) {
  const known = stops.map(rgb);
  const out = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (known.length - 1);
    const below = Math.min(Math.floor(place), known.length - 2);
    const part = place - below;
    for (let k = 0; k < 3; k++) out[3 * i + k] = Math.round(known[below][k] * (1 - part) + known[below + 1][k] * part);
  }
  return out;
}
const ramps = { sequential: ramp(page.scales.sequential), diverging: ramp(page.scales.diverging) };

// A number for people: four significant digits, a minus that is one.
function show(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  let text = size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4));
  return text.replace("-", "−").replace("e−", "·10^−").replace("e+", "·10^").replace("e-", "·10^−");
}

// Lowest and highest of the middle 98 %, or all where tails are short: as in the figures.
function spread(values, diverging) {
  const known = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  if (!known.length) return { lo: 0, hi: 1, beyond: [false, false] };
  const at = (q) => known[Math.round(q * (known.length - 1))];
  let [lo, hi] = [at(0.01), at(0.99)];
  const slack = 0.15 * (hi - lo), first = known[0], last = known[known.length - 1];
  if (first >= lo - slack) lo = first;
  if (last <= hi + slack) hi = last;
  if (diverging) { hi = Math.max(Math.abs(lo), Math.abs(hi)); lo = -hi; }
  if (hi <= lo) { lo -= 0.5; hi += 0.5; }
  return { lo, hi, beyond: [first < lo, last > hi] };
}

// What cells can be coloured by. Codes or values are unpacked when first asked for.
const colourings = page.colourings.map((given) => ({
  name: given.name, kind: given.kind, categories: given.categories, colours: given.colours,
  scale: given.scale, lo: given.lo, hi: given.hi, beyond: given.beyond,
  get data() {
    const data = given.kind === "groups" ? codes16(given.codes) : numbers(given.values);
    Object.defineProperty(this, "data", { value: data });
    return data;
  },
}));

// Red, green and blue of every cell under a colouring.
function paint(colouring, n) {
  const out = new Uint8Array(3 * n);
  const table = colouring && colouring.kind === "groups" ? colouring.colours.map(rgb) : null;
  const scale = colouring && !table ? ramps[colouring.scale] : null;
  for (let i = 0; i < n; i++) {
    let colour = missing, at = 0;
    if (table) colour = table[colouring.data[i]] || missing;
    else if (scale) {
      const value = colouring.data[i];
      if (!Number.isNaN(value)) {
        const share = (value - colouring.lo) / (colouring.hi - colouring.lo);
        at = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
        colour = scale;
      }
    }
    out[3 * i] = colour[at]; out[3 * i + 1] = colour[at + 1]; out[3 * i + 2] = colour[at + 2];
  }
  return out;
}

// What a cell's value is called.
function valueOf(colouring, cell) {
  if (colouring.kind === "groups") return colouring.categories[colouring.data[cell]] ?? "–";
  return show(colouring.data[cell]);
}

const nCells = page.names.length;
const geneCells = codes32(page.geneCells);
const cellTime = numbers(page.time);

// An order that no group and no value decides (the same mix as in the figures is not needed, only a fixed one).
const mixedOrder = (() => {
  const order = new Uint32Array(nCells);
  for (let i = 0; i < nCells; i++) order[i] = i;
  let state = 12345;
  for (let i = nCells - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 4294967296) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
})();
const orderAmong = (n) => (n === nCells ? mixedOrder : mixedOrder.filter((i) => i < n));

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// An element with properties and children; text is never read as HTML.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
