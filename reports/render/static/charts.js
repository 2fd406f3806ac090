/*
 * Line charts as SVG from the JSON block of the page: hover, zoom by dragging, a key to hide lines.
 *
 * Knows no metric: axes say their unit and scale. Colours come from the style sheet. Charts with
 * the same `link` share their x range and their cursor. All text is set as text, never as HTML.
 */
const Charts = (() => {
  const HEIGHT = 250;
  const MARGIN = { top: 8, right: 14, bottom: 40, left: 62 };
  const PAPER_WIDTH = 700; // of the whole page; other figures stand two in a row
  const WIDE_FIGURES = ":only-child, :first-child:nth-last-child(odd)"; // as in the style sheet
  const ZOOM_PIXELS_MIN = 6;
  const SVG = "http://www.w3.org/2000/svg";
  const { SCALES, words, tickWords, ticksOf } = Scales;

  /* ---- small tools ---- */

  function element(name, attributes, parent, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  function html(name, className, parent, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  function extent(values) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  function nearest(xs, at) {
    let low = 0;
    let high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= at) low = middle;
      else high = middle;
    }
    return Math.abs(xs[low] - at) <= Math.abs(xs[high] - at) ? low : high;
  }

  /* ---- one chart ---- */

  class Chart {
    constructor(data, figure, siblings) {
      this.data = data;
      this.siblings = siblings; // charts with the same link, this one included
      this.isOnScreen = true;
      this.hidden = new Set();
      this.range = null; // of x, null: all
      this.yScale = data.y_axis.scale;
      this.plot = figure.querySelector(".plot");
      this.figure = figure;
      this.legend = html("div", "legend");
      this.plot.before(this.legend);
      this.buildLegend();
      this.draw();
    }

    buildLegend() {
      for (const series of this.data.series) {
        const key = html("button", `key c-${series.colour}`, this.legend);
        key.type = "button";
        key.setAttribute("aria-pressed", "true");
        const sample = element("svg", { width: 20, height: 8, "aria-hidden": "true" }, key);
        element("line", { x1: 0, x2: 20, y1: 4, y2: 4, "stroke-width": 2.2, "stroke-dasharray": series.dashed ? "5 3" : "none" }, sample);
        key.append(series.name);
        key.addEventListener("click", () => {
          if (!this.hidden.delete(series.name)) this.hidden.add(series.name);
          key.setAttribute("aria-pressed", String(!this.hidden.has(series.name)));
          this.draw();
        });
      }
      html("span", "space", this.legend);
      if (this.data.y_axis.unit !== "share" && this.positive()) {
        this.scaleButton = html("button", "control", this.legend);
        this.scaleButton.type = "button";
        this.scaleButton.addEventListener("click", () => {
          this.yScale = this.yScale === "log" ? "linear" : "log";
          this.draw();
        });
      }
      this.resetButton = html("button", "control", this.legend, "reset zoom");
      this.resetButton.type = "button";
      this.resetButton.hidden = true;
      this.resetButton.addEventListener("click", () => this.zoom(null));
    }

    positive() {
      return this.data.series.every((series) => series.y.every((value) => value === null || value > 0));
    }

    zoom(range) {
      for (const chart of this.siblings) {
        chart.range = range;
        chart.resetButton.hidden = range === null;
        chart.draw();
      }
    }

    /* The ranges to show: x as zoomed or all, y as far as the visible points go. */
    ranges() {
      const shown = this.data.series.filter((series) => !this.hidden.has(series.name));
      const [low, high] = this.range || extent(this.data.series.flatMap((series) => series.x));
      const ys = [];
      for (const ribbon of this.data.ribbons) {
        ribbon.x.forEach((x, i) => {
          if (x >= low && x <= high && ribbon.low[i] !== null) ys.push(ribbon.low[i], ribbon.high[i]);
        });
      }
      for (const series of shown) {
        series.x.forEach((x, i) => {
          if (x >= low && x <= high && series.y[i] !== null) ys.push(series.y[i]);
        });
      }
      let [bottom, top] = ys.length ? extent(ys) : [1, 10];
      if (this.yScale === "log") {
        bottom /= 1.15;
        top *= 1.15;
      } else {
        const room = (top - bottom) * 0.06 || Math.abs(top) * 0.1 || 1;
        // A linear axis starts at zero, or small changes would look large.
        bottom = bottom >= 0 ? 0 : bottom - room;
        top += room;
      }
      return { shown, x: [low, high], y: [bottom, top] };
    }

    draw(width = Math.max(300, this.plot.clientWidth || 600)) {
      const { shown, x, y } = this.ranges();
      const inner = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
      const xMap = this.mapping(this.data.x_axis.scale, x, inner.left, inner.right);
      const yMap = this.mapping(this.yScale, y, inner.bottom, inner.top);
      this.view = { shown, x, inner, xMap, yMap };
      const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", tabindex: 0, "aria-label": this.label() });
      this.drawAxes(svg, inner, width, x, y);
      const points = this.drawLines(svg, shown, inner);
      this.cursor = element("g", {}, svg);
      this.selection = element("rect", { class: "zoom", y: inner.top, height: inner.bottom - inner.top, width: 0 }, svg);
      element("rect", { class: "hit", x: inner.left, y: inner.top, width: inner.right - inner.left, height: inner.bottom - inner.top }, svg);
      this.listen(svg);
      this.tip = null;
      this.plot.replaceChildren(svg);
      if (this.scaleButton) this.scaleButton.textContent = this.yScale === "log" ? "log scale" : "linear scale";
      this.drawnWidth = width;
      this.figure.dataset.drawn = points;
    }

    /* A page is narrower than a screen: drawn for its width, the text keeps its size. */
    drawForPaper() {
      this.isOnScreen = false;
      this.draw(this.figure.matches(WIDE_FIGURES) ? PAPER_WIDTH : PAPER_WIDTH / 2);
    }

    label() {
      return `${this.data.title}: ${this.data.y_axis.title} over ${this.data.x_axis.title}. Arrow keys read the values.`;
    }

    mapping(scale, [low, high], from, to) {
      const forward = SCALES[scale].forward;
      const start = forward(low);
      const span = forward(high) - start || 1;
      const map = (value) => from + ((forward(value) - start) / span) * (to - from);
      map.inverse = (pixel) => {
        const place = start + ((pixel - from) / (to - from)) * span;
        return scale === "percentile" ? 1 - 10 ** -place : scale === "log" ? 10 ** place : place;
      };
      return map;
    }

    drawAxes(svg, inner, width, x, y) {
      const { x_axis: xAxis, y_axis: yAxis } = this.data;
      const { xMap, yMap } = this.view;
      for (const band of this.data.bands) {
        const start = Math.max(band.start, x[0]);
        const end = Math.min(band.end, x[1]);
        if (end <= start) continue;
        const left = xMap(start);
        element("rect", { class: "band", x: left, y: inner.top, width: xMap(end) - left, height: inner.bottom - inner.top }, svg);
        if (xMap(end) - left > 44) element("text", { x: left + 4, y: inner.top + 11 }, svg, band.name);
      }
      const yTicks = ticksOf({ scale: this.yScale, unit: yAxis.unit }, y[0], y[1], (inner.bottom - inner.top) / 36);
      for (const tick of yTicks) {
        const at = yMap(tick);
        element("line", { class: "grid", x1: inner.left, x2: inner.right, y1: at, y2: at }, svg);
        element("text", { x: inner.left - 7, y: at + 4, "text-anchor": "end" }, svg, tickWords(tick, yAxis.unit));
      }
      let free = -Infinity;
      for (const tick of ticksOf(xAxis, x[0], x[1], (inner.right - inner.left) / 70)) {
        const at = xMap(tick);
        const text = xAxis.unit === "s" ? String(Number(tick.toPrecision(6))) : tickWords(tick, xAxis.unit);
        const half = text.length * 3.2 + 4;
        if (at - half < free) continue;
        free = at + half;
        element("line", { class: "grid", x1: at, x2: at, y1: inner.top, y2: inner.bottom }, svg);
        element("text", { x: at, y: inner.bottom + 15, "text-anchor": "middle" }, svg, text);
      }
      element("line", { class: "frame", x1: inner.left, x2: inner.right, y1: inner.bottom, y2: inner.bottom }, svg);
      const units = { s: " [s]", per_s: " [1/s]", cores: " [cores]" };
      element("text", { class: "axis-title", x: (inner.left + inner.right) / 2, y: HEIGHT - 7, "text-anchor": "middle" }, svg, xAxis.title + (units[xAxis.unit] || ""));
      const middle = (inner.top + inner.bottom) / 2;
      const unit = units[yAxis.unit] && !yAxis.title.startsWith("cores") ? units[yAxis.unit] : "";
      element("text", { class: "axis-title", x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, svg, yAxis.title + unit);
    }

    drawLines(svg, shown, inner) {
      const { xMap, yMap, x } = this.view;
      const clip = `clip-${this.data.id}`;
      const box = element("clipPath", { id: clip }, element("defs", {}, svg));
      element("rect", { x: inner.left, y: inner.top - 2, width: inner.right - inner.left, height: inner.bottom - inner.top + 3 }, box);
      const layer = element("g", { "clip-path": `url(#${clip})` }, svg);
      const accepts = SCALES[this.yScale].accepts;
      for (const ribbon of this.data.ribbons) {
        if (shown.some((series) => series.colour === ribbon.colour)) this.drawRibbon(layer, ribbon, accepts);
      }
      let points = 0;
      for (const series of [...shown].reverse()) { // the first of the key lies on top
        let path = "";
        let open = false;
        series.x.forEach((at, i) => {
          const value = series.y[i];
          if (value === null || !accepts(value)) {
            open = false;
            return;
          }
          path += `${open ? "L" : "M"}${xMap(at).toFixed(1)} ${yMap(value).toFixed(1)}`;
          if (!open && (series.y[i + 1] ?? null) === null) path += "h0.01"; // a lone point shows as a dot
          open = true;
          if (at >= x[0] && at <= x[1]) points += 1;
        });
        element("path", { class: `line c-${series.colour}${series.dashed ? " dashed" : ""}`, d: path }, layer);
      }
      return points;
    }

    drawRibbon(layer, ribbon, accepts) {
      const { xMap, yMap } = this.view;
      const at = ribbon.x.map((x, i) => i).filter((i) => ribbon.low[i] !== null && accepts(ribbon.low[i]));
      if (at.length < 2) return;
      const point = (i, value) => `${xMap(ribbon.x[i]).toFixed(1)} ${yMap(value).toFixed(1)}`;
      const above = at.map((i) => point(i, ribbon.high[i]));
      const below = at.map((i) => point(i, ribbon.low[i])).reverse();
      element("path", { class: `ribbon c-${ribbon.colour}`, d: `M${[...above, ...below].join("L")}Z` }, layer);
    }

    /* ---- pointer and keys ---- */

    listen(svg) {
      let start = null;
      const xAt = (event) => {
        const box = svg.getBoundingClientRect();
        const pixel = ((event.clientX - box.left) / box.width) * this.drawnWidth;
        return Math.min(Math.max(pixel, this.view.inner.left), this.view.inner.right);
      };
      svg.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || event.pointerType === "touch") return;
        start = xAt(event);
        svg.setPointerCapture(event.pointerId);
      });
      svg.addEventListener("pointermove", (event) => {
        const at = xAt(event);
        if (start !== null) {
          this.selection.setAttribute("x", Math.min(start, at));
          this.selection.setAttribute("width", Math.abs(at - start));
        }
        this.point(this.view.xMap.inverse(at));
      });
      svg.addEventListener("pointerup", (event) => {
        if (start === null) return;
        const pixels = [start, xAt(event)].sort((a, b) => a - b);
        start = null;
        this.selection.setAttribute("width", 0);
        if (pixels[1] - pixels[0] >= ZOOM_PIXELS_MIN) this.zoom(pixels.map(this.view.xMap.inverse));
      });
      svg.addEventListener("pointerleave", () => this.unpoint());
      svg.addEventListener("dblclick", () => this.zoom(null));
      svg.addEventListener("blur", () => this.unpoint());
      svg.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      if (event.key === "Escape") {
        this.zoom(null);
        this.unpoint();
        return;
      }
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const first = this.view.shown[0];
      if (!move || !first) return;
      event.preventDefault();
      const from = this.at === undefined ? 0 : nearest(first.x, this.at) + move;
      this.point(first.x[Math.min(Math.max(from, 0), first.x.length - 1)]);
    }

    point(at) {
      for (const chart of this.siblings) chart.showCursor(at, chart === this);
    }

    unpoint() {
      for (const chart of this.siblings) {
        chart.cursor.replaceChildren();
        chart.tip?.remove();
        chart.tip = null;
        chart.at = undefined;
      }
    }

    showCursor(at, withTip) {
      const { shown, inner, xMap, yMap, x } = this.view;
      this.cursor.replaceChildren();
      this.at = at;
      const rows = [];
      let anchor = null;
      for (const series of shown) {
        if (!series.x.length || at > series.x[series.x.length - 1] + (x[1] - x[0]) * 0.02) continue;
        const i = nearest(series.x, at);
        const value = series.y[i];
        anchor ??= series.x[i];
        if (value === null) continue;
        rows.push([series, value]);
        if (SCALES[this.yScale].accepts(value) && series.x[i] >= x[0] && series.x[i] <= x[1]) {
          element("circle", { class: `dot c-${series.colour}`, cx: xMap(series.x[i]), cy: yMap(value), r: 3.6 }, this.cursor);
        }
      }
      if (anchor === null) return;
      const pixel = xMap(anchor);
      this.cursor.prepend(element("line", { class: "cursor", x1: pixel, x2: pixel, y1: inner.top, y2: inner.bottom }));
      if (withTip) this.showTip(anchor, rows, pixel);
    }

    showTip(at, rows, pixel) {
      this.tip ??= html("div", "tip", this.plot);
      const unit = this.data.x_axis.unit;
      const table = html("table");
      const body = html("tbody", "", table);
      for (const [series, value] of rows) {
        const row = html("tr", `c-${series.colour}`, body);
        const sample = element("svg", { width: 14, height: 8 }, html("td", "", row));
        element("line", { class: "line", x1: 0, x2: 14, y1: 4, y2: 4, "stroke-dasharray": series.dashed ? "4 3" : "none" }, sample);
        html("td", "", row, series.name);
        html("td", "", row, words(value, this.data.y_axis.unit));
      }
      const heading = html("div", "at", null, unit === "s" ? `at ${Number(at.toPrecision(5))} s` : words(at, unit));
      this.tip.replaceChildren(heading, table);
      const share = pixel / this.drawnWidth;
      this.tip.style.left = share < 0.5 ? `calc(${share * 100}% + 14px)` : "auto";
      this.tip.style.right = share < 0.5 ? "auto" : `calc(${(1 - share) * 100}% + 14px)`;
    }
  }

  /* ---- all charts of the page ---- */

  function drawAll(documents) {
    const linked = new Map();
    const charts = documents.map((data) => {
      const siblings = data.link ? linked.get(data.link) || [] : [];
      if (data.link) linked.set(data.link, siblings);
      const figure = document.getElementById(`chart-${data.id}`);
      const chart = new Chart(data, figure, siblings);
      siblings.push(chart);
      return chart;
    });
    let pending = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => {
        for (const chart of charts) {
          if (chart.isOnScreen && Math.abs(chart.plot.clientWidth - chart.drawnWidth) > 1) chart.draw();
        }
      });
    }).observe(document.querySelector("main"));
    addEventListener("beforeprint", () => {
      for (const chart of charts) chart.drawForPaper();
    });
    addEventListener("afterprint", () => {
      for (const chart of charts) {
        chart.isOnScreen = true;
        chart.draw();
      }
    });
    return charts;
  }

  return { drawAll, element, html };
})();
