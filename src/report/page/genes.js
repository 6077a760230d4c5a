// Finding a gene, and what is known of it.

const genes = (() => {
  if (!page.genes.length) return null;
  const search = byId("gene-search"), list = byId("gene-list"), root = document.documentElement;
  const MOST = 200, HEIGHT = 290;
  const unpacked = new Map();
  let found = [], active = 0, gene = -1, shade = colourings[0];

  function cells(g) {
    if (!unpacked.has(g)) {
      const data = page.genes[g].data;
      unpacked.set(g, data && {
        s: numbers(data.s), u: numbers(data.u), v: numbers(data.v), fs: numbers(data.fs), fu: numbers(data.fu),
        t: numbers(data.t) || (cellTime && Float32Array.from(geneCells, (c) => cellTime[c])),
        course: data.course.map((line) => ({ name: line.name, s: numbers(line.s), u: numbers(line.u), t: numbers(line.t) })),
      });
    }
    return unpacked.get(g);
  }

  // --- the list ---

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    const rank = (name) => (name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2);
    found = page.genes.map((_, g) => g).filter((g) => page.genes[g].name.toLowerCase().includes(wanted));
    // Stable: within each kind of match genes stay in the order of their rank.
    if (wanted) found.sort((a, b) => rank(page.genes[a].name.toLowerCase()) - rank(page.genes[b].name.toLowerCase()));
    active = Math.max(0, wanted ? 0 : found.indexOf(gene));
    const count = found.length.toLocaleString("en");
    const listed = found.length > MOST ? `; the first ${MOST} are listed` : "";
    const beside = page.statistics.length ? `. Beside the name: ${page.statistics[0]}.` : ".";
    byId("gene-count").textContent = `${count} ${found.length === 1 ? "gene" : "genes"}${listed}${beside}`;
    list.replaceChildren(...found.slice(0, MOST).map((g, i) => {
      const first = page.genes[g].values[0];
      const more = !page.genes[g].data ? "no cells" : page.genes[g].velocityGene === false ? "not used" : show(first);
      const item = element("li", { id: `gene-${i}`, onclick: () => pick(g) }, element("span", { className: "name", textContent: page.genes[g].name }), element("span", { className: "more", textContent: more }));
      item.setAttribute("role", "option");
      return item;
    }));
    mark();
  }

  function mark() {
    [...list.children].forEach((item, i) => {
      item.classList.toggle("active", i === active);
      item.setAttribute("aria-selected", String(found[i] === gene));
    });
    const item = list.children[active];
    search.setAttribute("aria-activedescendant", item ? item.id : "");
    // Scrolls the list, never the page.
    if (item) {
      if (item.offsetTop < list.scrollTop + list.offsetTop) list.scrollTop = item.offsetTop - list.offsetTop;
      const below = item.offsetTop + item.offsetHeight - list.offsetTop - list.clientHeight;
      if (below > list.scrollTop) list.scrollTop = below;
    }
  }

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    const last = Math.min(found.length, MOST) - 1;
    const move = { ArrowDown: Math.min(active + 1, last), ArrowUp: Math.max(active - 1, 0) }[event.key];
    if (move !== undefined) { event.preventDefault(); active = move; mark(); }
    if (event.key === "Enter" && found[active] !== undefined) { event.preventDefault(); pick(found[active]); }
    if (event.key === "Escape" && search.value) { search.value = ""; filter(); }
  });

  // --- one gene ---

  function pick(g) {
    gene = g;
    const entry = page.genes[g], data = cells(g);
    root.dataset.gene = entry.name;
    byId("gene-name").textContent = entry.name;
    byId("gene-status").textContent = entry.velocityGene === null ? "" : entry.velocityGene ? "velocity gene" : `not a velocity gene${entry.whyNot ? `: ${entry.whyNot}` : ""}`;
    byId("gene-missing").hidden = Boolean(data);
    byId("gene-table").replaceChildren(element("tbody", {}, ...page.statistics.map((name, i) => {
      const head = element("th", { textContent: name }); head.scope = "row";
      return element("tr", {}, head, element("td", { textContent: show(entry.values[i]) }));
    })));
    buttons(entry, data);
    mark();
    redraw();
  }

  // The map in the colours of a gene: known in the cells of genes, nowhere else.
  function asColouring(entry, what, values, scale) {
    const data = new Float32Array(nCells).fill(NaN);
    geneCells.forEach((cell, i) => { data[cell] = values[i]; });
    const all = geneCells.length === nCells;
    const known = all ? null : geneCells;
    const inside = new Uint8Array(nCells);
    geneCells.forEach((cell) => { inside[cell] = 1; });
    return { name: `${entry.name}, ${what}`, kind: "numbers", scale, data, known, order: all ? mixedOrder : mixedOrder.filter((i) => inside[i]), ...spread(values, scale === "diverging") };
  }

  function buttons(entry, data) {
    const box = document.querySelector(".gene-colour");
    box.replaceChildren();
    if (!map || !data) return;
    const kinds = [["spliced", data.s, "sequential"], ["unspliced", data.u, "sequential"], ["velocity", data.v, "diverging"]].filter(([, values]) => values);
    box.append("Colour the map by ", ...kinds.map(([what, values, scale]) => {
      const button = element("button", { type: "button", textContent: what });
      button.setAttribute("aria-pressed", "false");
      button.onclick = () => {
        for (const other of box.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
        byGene(asColouring(entry, what, values, scale));
      };
      return button;
    }));
  }

  // Lists the gene among the colourings, in place of the gene before.
  function byGene(colouring) {
    const select = byId("colour");
    select.querySelector("option[value=gene]")?.remove();
    select.append(element("option", { value: "gene", textContent: colouring.name }));
    select.value = "gene";
    map.show_by(colouring);
  }

  function plot(id, x, y, names, points, lines) {
    const canvas = byId(id), surface = prepare(canvas, HEIGHT);
    blank(surface);
    const frame = axes(surface, x, y, names);
    for (const { xs, ys, colours, radius, opacity } of points) {
      const n = xs.length, px = new Float32Array(n), py = new Float32Array(n);
      for (let i = 0; i < n; i++) { px[i] = frame.px(xs[i]); py[i] = frame.py(ys[i]); }
      discs(surface, px, py, colours, orderAmong(n), radius, opacity, null);
    }
    settle(surface);
    frame.draw();
    for (const { xs, ys } of lines) line(surface, frame, xs, ys, css("--stream-edge"), 4.6);
    for (const { xs, ys, colour, dashes } of lines) line(surface, frame, xs, ys, colour, 2.2, dashes);
  }

  // What lines and dots mean, beside the caption: nothing is hidden by it.
  function keys(id, entries) {
    const caption = byId(id).closest("figure").querySelector("figcaption");
    caption.querySelector(".keys")?.remove();
    caption.append(element("span", { className: "keys" }, ...entries.map(([name, colour, kind]) => {
      const mark = element("i", { className: kind });
      mark.style.borderColor = colour;
      if (kind === "dot") mark.style.background = colour;
      return element("span", {}, mark, name);
    })));
  }

  const solid = (name, n) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = css(name);
    const colour = rgb(probe.fillStyle), out = new Uint8Array(3 * n);
    for (let i = 0; i < out.length; i++) out[i] = colour[i % 3];
    return out;
  };

  function redraw() {
    const data = gene >= 0 && cells(gene);
    for (const id of ["chart-phase", "chart-time", "chart-velocity"]) byId(id).closest("figure").hidden = true;
    if (!data) return;
    const reveal = (id) => { byId(id).closest("figure").hidden = false; };
    const all = paint(shade, nCells), n = geneCells.length, colours = new Uint8Array(3 * n);
    for (let i = 0; i < n; i++) for (let k = 0; k < 3; k++) colours[3 * i + k] = all[3 * geneCells[i] + k];
    const radius = n > 1500 ? 2 : 2.8;
    const dashes = (i) => (i % 2 ? [7, 4] : []);

    reveal("chart-phase");
    const limits = (own, part) => {
      const [, hi] = extent([own], 0), most = hi * 1.6;
      return extent([own, ...data.course.map((line) => line[part].filter((v) => v <= most))], 0.04);
    };
    const fit = !data.course.length && data.fs && data.fu ? [{ xs: data.fs, ys: data.fu, colours: solid("--curve-0", n), radius: 1.2, opacity: 0.8 }] : [];
    plot("chart-phase", limits(data.s, "s"), limits(data.u, "u"), ["spliced (Ms)", "unspliced (Mu)"],
      [{ xs: data.s, ys: data.u, colours, radius, opacity: 0.75 }, ...fit],
      data.course.map((line, i) => ({ xs: line.s, ys: line.u, colour: css(`--curve-${i % 4}`), dashes: dashes(i) })));
    keys("chart-phase", data.course.map((line, i) => [line.name, css(`--curve-${i % 4}`), i % 2 ? "dash" : "solid"]).concat(fit.length ? [["fit", css("--curve-0"), "dot"]] : []));

    const time = data.t;
    if (time) {
      reveal("chart-time");
      const most = (list) => extent([list], 0)[1] || 1, [ms, mu] = [most(data.s), most(data.u)];
      const share = (list, top) => list.map((v) => v / top);
      const lines = data.course.filter((line) => line.t).flatMap((line) => [
        { xs: line.t, ys: share(line.u, mu), colour: css("--unspliced"), dashes: [] }, { xs: line.t, ys: share(line.s, ms), colour: css("--spliced"), dashes: [] }]);
      const dots = [[data.u, mu, "--unspliced"], [data.s, ms, "--spliced"]].map(([list, top, colour]) => ({ xs: time, ys: share(list, top), colours: solid(colour, n), radius: radius * 0.8, opacity: 0.4 }));
      plot("chart-time", extent([time], 0.02), [-0.03, 1.05], ["time", "share of the largest value"], dots, lines);
      keys("chart-time", [["unspliced", css("--unspliced"), "dot"], ["spliced", css("--spliced"), "dot"]]);
    }
    if (data.v) {
      reveal("chart-velocity");
      const against = time || data.s;
      byId("velocity-caption").textContent = time ? "Velocity along time" : "Velocity against spliced abundance";
      const x = extent([against], 0.02), y = extent([data.v, [0]], 0.06);
      plot("chart-velocity", x, y, [time ? "time" : "spliced (Ms)", "velocity (ds/dt)"], [{ xs: against, ys: data.v, colours, radius, opacity: 0.75 }],
        [{ xs: x, ys: [0, 0], colour: css("--soft"), dashes: [3, 4] }]);
    }
  }

  filter();
  const first = page.genes.findIndex((entry) => entry.velocityGene !== false && entry.data);
  pick(Math.max(0, first));
  return { redraw, shade_by(next) { shade = next; redraw(); } };
})();
