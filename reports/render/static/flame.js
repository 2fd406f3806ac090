/*
 * Flame graphs as SVG from the JSON block of the page: zoom, search, fold, keys, paper.
 *
 * Roots are at the top and callers above what they call; a frame is as wide as its cost. Knows no
 * profiler: the data says its unit, and colours come from the style sheet by the names of groups.
 * Only frames that can be seen are drawn. All text is set as text, never as HTML.
 */
const Flames = (() => {
  const ROW = 19;
  const LETTER = 6.3; // mean width of one at the font size of the style sheet
  const LABEL_PIXELS_MIN = 26;
  const FRAME_PIXELS_MIN = 0.7;
  const PAPER = { width: 700, rows: 18 };
  const SHADES = 5; // of red and of blue, in the style sheet
  const SHADE_FULL = 0.5; // of a frame's own cost: a change as large has the deepest shade
  const { element, html } = Charts;
  const { words } = Scales;

  const percent = (share) => `${words(share * 100, "count")} %`;

  /* ---- one graph ---- */

  class Flame {
    constructor(data, figure) {
      this.data = data;
      this.figure = figure;
      this.plot = figure.querySelector(".flame");
      this.folded = new Set(data.groups.flatMap((group, number) => (group.is_folded ? [number] : [])));
      this.pattern = null;
      this.isOnScreen = true;
      this.buildControls();
      this.build();
      this.draw();
      this.listen();
    }

    get isDifferential() {
      return this.data.base_own.length > 0;
    }

    /* ---- controls ---- */

    buildControls() {
      const bar = html("div", "flame-bar");
      this.plot.before(bar);
      const box = html("label", "flame-search", bar, "search ");
      this.input = html("input", "", box);
      this.input.type = "search";
      this.input.placeholder = "regular expression";
      this.input.spellcheck = false;
      this.input.addEventListener("input", () => this.search());
      this.input.addEventListener("keydown", (event) => this.searchKey(event));
      this.found = html("output", "flame-found", bar);
      html("span", "space", bar);
      this.data.groups.forEach((group, number) => {
        if (!group.is_foldable) return;
        const button = html("button", "control", bar, `fold ${group.name}`);
        button.type = "button";
        button.setAttribute("aria-pressed", String(group.is_folded));
        button.addEventListener("click", () => {
          if (!this.folded.delete(number)) this.folded.add(number);
          button.setAttribute("aria-pressed", String(this.folded.has(number)));
          this.build();
          this.draw();
        });
      });
      this.resetButton = html("button", "control", bar, "reset zoom");
      this.resetButton.type = "button";
      this.resetButton.disabled = true;
      this.resetButton.addEventListener("click", () => this.zoom(this.root));
      this.buildKey();
    }

    buildKey() {
      const { groups, group_of: groupOf, function_of: functionOf, own } = this.data;
      const key = html("div", "flame-key");
      this.plot.before(key);
      if (this.isDifferential) {
        for (const [shade, text] of [["less-5", "costs less"], ["same", "unchanged"], ["more-5", "costs more"]]) {
          html("i", `f-${shade}`, html("span", "", key)).after(text);
        }
        return;
      }
      const sums = groups.map(() => 0);
      own.forEach((weight, node) => { sums[groupOf[functionOf[node]]] += weight; });
      const whole = sums.reduce((a, b) => a + b, 0) || 1;
      groups.forEach((group, number) => {
        html("i", `f-${group.colour}`, html("span", "", key)).after(`${group.name} ${percent(sums[number] / whole)}`);
      });
    }

    /* ---- the tree: as stored, or with the frames of folded groups as one ---- */

    build() {
      const { parents, function_of: functionOf, group_of: groupOf, names, modules } = this.data;
      const root = this.node(null, "all", -1, -1);
      const nodes = [];
      const stored = []; // the node that shows each stored one
      parents.forEach((parentIndex, index) => {
        const parent = parentIndex < 0 ? root : stored[parentIndex];
        const fn = functionOf[index];
        const group = groupOf[fn];
        const isFolded = this.folded.has(group);
        let node = isFolded && parent.isFolded && parent.group === group ? parent : null;
        if (!node) {
          const key = isFolded ? `group ${group}` : fn;
          node = parent.children.get(key);
          if (!node) {
            const label = isFolded ? `[${this.data.groups[group].name}]` : names[fn] === "<module>" ? modules[fn] : names[fn];
            node = this.node(parent, label, group, isFolded ? -1 : fn);
            node.isFolded = isFolded;
            parent.children.set(key, node);
            nodes.push(node);
          }
        }
        this.take(node, index);
        stored[index] = node;
      });
      for (const node of [...nodes].reverse()) {
        node.parent.total += node.total;
        node.parent.base += node.base;
        node.parent.samples += node.samples;
        node.parent.width += node.width;
      }
      for (const node of [root, ...nodes]) {
        node.below = [...node.children.values()].sort((a, b) => b.width - a.width);
      }
      this.root = root;
      this.stored = stored;
      this.zoomed = this.current = root;
      this.resetButton.disabled = true;
      this.mark();
    }

    node(parent, label, group, fn) {
      return { parent, label, group, fn, depth: parent ? parent.depth + 1 : 0, children: new Map(), total: 0, own: 0, base: 0, baseOwn: 0, samples: 0, width: 0, isFolded: false };
    }

    take(node, index) {
      const { own, base_own: baseOwn, samples } = this.data;
      const base = baseOwn[index] || 0;
      node.own += own[index];
      node.total += own[index];
      node.baseOwn += base;
      node.base += base;
      node.samples += samples[index] || 0;
      node.width += this.isDifferential ? Math.max(this.cost(own[index]), this.baseCost(base)) : own[index];
    }

    cost(weight) {
      return weight / (this.data.operation_count || 1);
    }

    baseCost(weight) {
      return weight / (this.data.base_operation_count || 1);
    }

    /* ---- search: shares are of the stored tree, so that folding does not change them ---- */

    search() {
      const text = this.input.value;
      try {
        this.pattern = text ? new RegExp(text, "i") : null;
        this.input.removeAttribute("aria-invalid");
      } catch {
        this.pattern = null;
        this.input.setAttribute("aria-invalid", "true");
        this.found.textContent = "not a regular expression";
        this.mark(false);
        this.draw();
        return;
      }
      this.mark();
      this.draw();
    }

    mark(says = true) {
      const { names, modules, parents, function_of: functionOf, own, base_own: baseOwn } = this.data;
      const hits = names.map((name, fn) => this.pattern !== null && this.pattern.test(modules[fn] ? `${modules[fn]}:${name}` : name));
      this.matching = new Set();
      const isInside = [];
      const isShown = this.under(this.zoomed);
      let matched = 0;
      let matchedBase = 0;
      parents.forEach((parent, index) => {
        const isHit = hits[functionOf[index]];
        isInside[index] = isHit || (parent >= 0 && isInside[parent]);
        if (isHit) this.matching.add(this.stored[index]);
        if (!isInside[index] || !isShown(this.stored[index])) return;
        matched += own[index];
        matchedBase += baseOwn[index] || 0;
      });
      this.figure.dataset.matched = this.pattern ? matched / (this.zoomed.total || 1) : "";
      if (!says) return;
      this.found.textContent = this.pattern ? this.foundWords(matched, matchedBase) : "";
    }

    foundWords(matched, matchedBase) {
      if (this.isDifferential) {
        const [before, after] = [this.baseCost(matchedBase), this.cost(matched)];
        return `matched: before ${this.costWords(before)}, change ${this.changeWords(before, after)}`;
      }
      const part = this.zoomed === this.root ? "of all" : "of what is shown";
      return `matched ${percent(matched / (this.zoomed.total || 1))} ${part} · ${this.costWords(this.cost(matched))}`;
    }

    under(top) {
      const known = new Map([[this.root, top === this.root], [top, true]]);
      const isUnder = (node) => {
        let answer = known.get(node);
        if (answer === undefined) {
          answer = isUnder(node.parent);
          known.set(node, answer);
        }
        return answer;
      };
      return isUnder;
    }

    searchKey(event) {
      if (event.key !== "Escape" && event.key !== "Enter") return;
      event.preventDefault();
      if (event.key === "Escape") {
        this.input.value = "";
        this.search();
      }
      this.svg.focus();
    }

    /* ---- drawing ---- */

    draw(width = Math.max(280, this.plot.clientWidth || 600), rowsMax = Infinity) {
      const shown = this.visible(width, rowsMax);
      const height = (Math.max(...shown.map(({ node }) => node.depth)) + 1) * ROW;
      const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "application", tabindex: 0, "aria-label": this.label() });
      this.places = new Map();
      for (const place of shown) {
        const { node, x, w, isAbove } = place;
        const shade = this.pattern && !this.matching.has(node) ? " unmatched" : "";
        const group = element("g", { class: `frame f-${this.colour(node)}${shade}${isAbove ? " above" : ""}` }, svg);
        const rect = element("rect", { x: x.toFixed(2), y: node.depth * ROW, width: Math.max(0.5, w - 0.6).toFixed(2), height: ROW - 1 }, group);
        if (w >= LABEL_PIXELS_MIN) element("text", { x: (x + 4).toFixed(2), y: node.depth * ROW + 13 }, group, this.fit(node.label, w));
        this.places.set(node, { ...place, rect });
        group.node = node;
      }
      const hadFocus = this.svg === document.activeElement && this.svg;
      this.svg?.remove();
      this.plot.prepend(svg);
      this.svg = svg;
      if (hadFocus) svg.focus({ preventScroll: true });
      this.tip ??= html("div", "tip", this.plot);
      this.tip.setAttribute("role", "status");
      this.hideTip();
      this.drawnWidth = width;
      this.figure.dataset.drawn = shown.length;
      this.figure.dataset.zoomed = this.zoomed.label;
    }

    /* Callers of what is zoomed over the whole width, then what it calls, as far as can be seen. */
    visible(width, rowsMax) {
      const shown = [];
      for (let node = this.zoomed.parent; node; node = node.parent) shown.push({ node, x: 0, w: width, isAbove: true });
      const scale = width / (this.zoomed.width || 1);
      const pending = [{ node: this.zoomed, x: 0 }];
      while (pending.length) {
        const { node, x } = pending.pop();
        const w = node.width * scale;
        if (w < FRAME_PIXELS_MIN || node.depth >= rowsMax) continue;
        shown.push({ node, x, w, isAbove: false });
        let at = x;
        for (const child of node.below) {
          pending.push({ node: child, x: at });
          at += child.width * scale;
        }
      }
      return shown;
    }

    colour(node) {
      if (node === this.root) return "root";
      if (!this.isDifferential) return this.data.groups[node.group].colour;
      const change = this.cost(node.total) - this.baseCost(node.base);
      const share = Math.abs(change) / (Math.max(this.cost(node.total), this.baseCost(node.base)) || 1);
      const shade = Math.min(SHADES, Math.round((share / SHADE_FULL) * SHADES));
      return shade ? `${change > 0 ? "more" : "less"}-${shade}` : "same";
    }

    fit(text, width) {
      const room = Math.floor((width - 7) / LETTER);
      return text.length <= room ? text : room < 3 ? "" : `${text.slice(0, room - 1)}…`;
    }

    /* A page is narrower than a screen and can't be zoomed: the first rows, for its width. */
    drawForPaper() {
      this.isOnScreen = false;
      this.draw(PAPER.width, PAPER.rows);
    }

    label() {
      return `${this.data.title}. Arrow keys move between frames, Enter zooms, Escape shows all, slash searches.`;
    }

    /* ---- pointer and keys ---- */

    listen() {
      this.plot.addEventListener("pointermove", (event) => {
        const node = event.target.closest("g")?.node;
        if (node) this.point(node, event.clientX);
        else this.hideTip();
      });
      this.plot.addEventListener("pointerleave", () => this.hideTip());
      this.plot.addEventListener("click", (event) => {
        const node = event.target.closest("g")?.node;
        if (node) this.zoom(node);
      });
      this.plot.addEventListener("keydown", (event) => this.key(event));
      this.plot.addEventListener("focusout", () => this.hideTip());
    }

    zoom(node) {
      this.zoomed = this.current = node;
      this.resetButton.disabled = node === this.root;
      this.mark();
      this.draw();
    }

    key(event) {
      const { key } = event;
      if (key === "Escape") this.zoom(this.root);
      else if (key === "Enter") this.zoom(this.current);
      else if (key.startsWith("Arrow")) this.current = this.step(key);
      else return;
      event.preventDefault();
      this.point(this.current);
    }

    step(key) {
      const now = this.current;
      const isDrawn = (node) => node && this.places.has(node);
      if (key === "ArrowUp") return now.parent || now;
      if (key === "ArrowDown") return isDrawn(now.below[0]) ? now.below[0] : now;
      const siblings = now.parent ? now.parent.below.filter(isDrawn) : [now];
      const place = siblings.indexOf(now) + (key === "ArrowRight" ? 1 : -1);
      return siblings[Math.min(Math.max(place, 0), siblings.length - 1)];
    }

    point(node, clientX) {
      const place = this.places.get(node);
      if (!place) return;
      this.pointed?.classList.remove("pointed");
      this.pointed = place.rect;
      place.rect.classList.add("pointed");
      this.fillTip(node);
      const box = this.plot.getBoundingClientRect();
      const x = clientX === undefined ? (place.x / this.drawnWidth) * box.width : clientX - box.left;
      const isLeft = x < box.width / 2;
      this.tip.style.left = isLeft ? `${x + 14}px` : "auto";
      this.tip.style.right = isLeft ? "auto" : `${box.width - x + 14}px`;
      this.tip.style.top = `${(node.depth + 1) * ROW + 6}px`;
      this.tip.hidden = false;
    }

    hideTip() {
      this.pointed?.classList.remove("pointed");
      this.pointed = null;
      if (this.tip) this.tip.hidden = true;
    }

    fillTip(node) {
      const heading = html("div", "name", null, node === this.root ? "all" : node.label);
      const module = node.fn >= 0 && this.data.modules[node.fn];
      const where = html("div", "at", null, module || (node.isFolded ? "folded frames" : ""));
      const table = html("table");
      const body = html("tbody", "", table);
      for (const [name, value] of this.rows(node)) {
        const row = html("tr", "", body);
        html("td", "", row, name);
        html("td", "", row, value);
      }
      this.tip.replaceChildren(heading, where, table);
    }

    rows(node) {
      const { root, zoomed } = this;
      if (this.isDifferential) {
        const [base, now] = [this.baseCost(node.base), this.cost(node.total)];
        const [ownBase, ownNow] = [this.baseCost(node.baseOwn), this.cost(node.own)];
        return [
          ["before", this.costWords(base)],
          ["after", this.costWords(now)],
          ["change", this.changeWords(base, now)],
          ["change of its own", this.changeWords(ownBase, ownNow)],
        ];
      }
      const rows = [
        ["cumulative", this.costWords(this.cost(node.total))],
        ["self", this.costWords(this.cost(node.own))],
        ["share", percent(node.total / (root.total || 1))],
      ];
      if (zoomed !== root) rows.push(["of what is shown", percent(node.total / (zoomed.total || 1))]);
      if (this.data.samples.length) rows.push(["samples", node.samples.toLocaleString("en-US")]);
      else if (this.data.operation_count) rows.push(["in all", words(node.total, this.data.unit)]);
      return rows;
    }

    costWords(cost) {
      return words(cost, this.data.unit) + (this.data.operation_count ? " an operation" : "");
    }

    changeWords(before, after) {
      const change = after - before;
      if (!change) return "none";
      const share = before ? ` (${change > 0 ? "+" : "−"}${percent(Math.abs(change) / before)})` : "";
      return `${change > 0 ? "+" : "−"}${this.costWords(Math.abs(change))}${share}`;
    }
  }

  /* ---- all graphs of the page ---- */

  function nearestTo(flames, focused) {
    const holding = flames.find((flame) => flame.figure.contains(focused));
    if (holding) return holding;
    const distance = (flame) => Math.abs(flame.figure.getBoundingClientRect().top);
    return flames.reduce((best, flame) => (distance(flame) < distance(best) ? flame : best));
  }

  function drawAll(documents) {
    const flames = documents.map((data) => new Flame(data, document.getElementById(`flame-${data.id}`)));
    if (!flames.length) return flames;
    let pending = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => {
        for (const flame of flames) {
          if (flame.isOnScreen && Math.abs(flame.plot.clientWidth - flame.drawnWidth) > 1) flame.draw();
        }
      });
    }).observe(document.querySelector("main"));
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, [contenteditable]")) return;
      event.preventDefault();
      nearestTo(flames, document.activeElement).input.focus();
    });
    addEventListener("beforeprint", () => {
      for (const flame of flames) flame.drawForPaper();
    });
    addEventListener("afterprint", () => {
      for (const flame of flames) {
        flame.isOnScreen = true;
        flame.draw();
      }
    });
    return flames;
  }

  return { drawAll };
})();
