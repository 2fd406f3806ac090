/*
 * Metrics over stored runs as SVG from the JSON block of the page: points, levels, changes, gaps.
 *
 * Runs stand at equal distances, labelled by date and revision. A figure is drawn when it comes
 * near the screen, so that hundreds of them open at once. All text is set as text, never as HTML.
 */
const Trends = (() => {
  const HEIGHT = 190;
  const MARGIN = { top: 16, right: 14, bottom: 36, left: 62 };
  const PAPER_WIDTH = 350; // two in a row
  const LABEL_PIXELS = 74;
  const LETTER = 6.2; // mean width of one in a flag
  const ROOM = 0.08; // shown at least on both sides of the levels: noise must not look like news
  const AT_ONCE = 12; // drawn with the page: the worst come first
  const AHEAD = "600px"; // of the screen
  const { element, html } = Charts;
  const { words, tickWords, ticksOf } = Scales;
  const KNOWN = new Set(["ns", "bytes", "s", "per_s", "cores", "count"]);

  function say(value, unit) {
    if (unit === "share") return `${words(value * 100, "count")} %`;
    return KNOWN.has(unit) ? words(value, unit) : `${words(value, "count")} ${unit}`;
  }

  class Trend {
    constructor(data, set, figure) {
      Object.assign(this, { data, set, figure, plot: figure.querySelector(".plot") });
      this.count = set.names.length;
    }

    draw(width = Math.max(300, this.plot.clientWidth || 500)) {
      const inner = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
      const [low, high] = this.range();
      const step = (inner.right - inner.left) / this.count;
      const x = (index) => inner.left + (index + 0.5) * step;
      const y = (value) => inner.bottom - ((value - low) / (high - low)) * (inner.bottom - inner.top);
      Object.assign(this, { inner, step, width, x, y });
      const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", tabindex: 0, "aria-label": `${this.data.title} over ${this.count} runs. Arrow keys read the values.` });
      this.drawAxes(svg, low, high);
      this.drawMarks(svg);
      this.drawPoints(svg);
      this.cursor = element("g", {}, svg);
      element("rect", { class: "hit", x: inner.left, y: inner.top, width: inner.right - inner.left, height: inner.bottom - inner.top }, svg);
      this.listen(svg);
      this.plot.replaceChildren(svg);
      this.tip = null;
      this.figure.dataset.drawn = this.data.values.filter((value) => value !== null).length;
    }

    range() {
      const values = this.data.values.filter((value) => value !== null);
      const levels = this.data.levels.map((level) => level[2]);
      let low = Math.min(...values, ...levels.map((level) => level * (1 - ROOM)));
      let high = Math.max(...values, ...levels.map((level) => level * (1 + ROOM)));
      if (!(high > low)) high = low + (Math.abs(low) * ROOM || 1);
      const room = (high - low) * 0.05;
      return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
    }

    drawAxes(svg, low, high) {
      const { inner, x, y } = this;
      for (const tick of ticksOf({ scale: "linear", unit: this.data.unit }, low, high, (inner.bottom - inner.top) / 30)) {
        element("line", { class: "grid", x1: inner.left, x2: inner.right, y1: y(tick), y2: y(tick) }, svg);
        element("text", { x: inner.left - 7, y: y(tick) + 4, "text-anchor": "end" }, svg, this.tickWords(tick));
      }
      element("line", { class: "frame", x1: inner.left, x2: inner.right, y1: inner.bottom, y2: inner.bottom }, svg);
      const every = Math.max(1, Math.ceil((LABEL_PIXELS * this.count) / (inner.right - inner.left)));
      for (let index = (this.count - 1) % every; index < this.count; index += every) {
        element("line", { class: "grid", x1: x(index), x2: x(index), y1: inner.bottom, y2: inner.bottom + 4 }, svg);
        const at = Math.min(x(index), inner.right - LABEL_PIXELS / 4);
        element("text", { x: at, y: inner.bottom + 15, "text-anchor": "middle" }, svg, this.set.dates[index].slice(0, 10));
        element("text", { x: at, y: inner.bottom + 28, "text-anchor": "middle" }, svg, this.set.revisions[index]);
      }
    }

    tickWords(tick) {
      const { unit } = this.data;
      if (unit === "share") return `${Number((tick * 100).toPrecision(6))} %`;
      return tickWords(tick, KNOWN.has(unit) ? unit : "count");
    }

    drawMarks(svg) {
      const { inner, x, step } = this;
      let taken = inner.left;
      for (const mark of this.data.marks) {
        const at = x(mark.index) - step / 2;
        element("line", { class: `change ${mark.tone}`, x1: at, x2: at, y1: inner.top, y2: inner.bottom }, svg);
        const length = mark.text.length * LETTER;
        const start = Math.min(at - 2, inner.right - length);
        if (start < taken) continue; // no room: the pointer tells
        taken = start + length + 8;
        element("text", { class: `flag ${mark.tone}`, x: start, y: inner.top - 5 }, svg, mark.text);
      }
    }

    drawPoints(svg) {
      const { inner, x, y, step, set } = this;
      const radius = Math.max(1.5, Math.min(3, step / 3));
      for (const [first, last, level] of this.data.levels) {
        element("path", { class: "level", d: `M${(x(first) - step / 2).toFixed(1)} ${y(level).toFixed(1)}H${(x(last) + step / 2).toFixed(1)}` }, svg);
      }
      set.gaps.forEach((reason, index) => {
        if (!reason) return;
        const at = x(index);
        const bottom = inner.bottom - 5;
        element("path", { class: "gap", d: `M${at - 3} ${bottom - 3}l6 6m0 -6l-6 6` }, svg);
      });
      this.points = this.data.values.map((value, index) =>
        value === null ? null : element("circle", { class: "point", cx: x(index).toFixed(1), cy: y(value).toFixed(1), r: radius }, svg),
      );
    }

    listen(svg) {
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        const pixel = ((event.clientX - box.left) / box.width) * this.width;
        this.show(Math.floor((pixel - this.inner.left) / this.step));
      });
      svg.addEventListener("pointerleave", () => this.hide());
      svg.addEventListener("blur", () => this.hide());
      svg.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (event.key === "Escape") this.hide();
        if (!move) return;
        event.preventDefault();
        this.show((this.at ?? this.count - (move > 0 ? 1 : 0)) + move);
      });
    }

    show(wanted) {
      const index = Math.min(Math.max(wanted, 0), this.count - 1);
      if (index === this.at) return;
      this.hide();
      this.at = index;
      const { inner, x, set } = this;
      element("line", { class: "cursor", x1: x(index), x2: x(index), y1: inner.top, y2: inner.bottom }, this.cursor);
      this.points[index]?.classList.add("here");
      this.tip = html("div", "tip", this.plot);
      html("div", "at", this.tip, set.names[index]);
      html("div", "at", this.tip, `${set.dates[index]} ${set.revisions[index]}`.trim());
      const value = this.data.values[index];
      html("strong", "", this.tip, value === null ? set.gaps[index] || "no data" : say(value, this.data.unit));
      const mark = this.data.marks.find((one) => one.index === index);
      if (mark) html("div", "", this.tip, `from here: ${mark.text}`);
      const share = x(index) / this.width;
      this.tip.style.left = share < 0.5 ? `calc(${share * 100}% + 14px)` : "auto";
      this.tip.style.right = share < 0.5 ? "auto" : `calc(${(1 - share) * 100}% + 14px)`;
    }

    hide() {
      this.points[this.at]?.classList.remove("here");
      this.cursor.replaceChildren();
      this.tip?.remove();
      this.tip = null;
      this.at = undefined;
    }
  }

  function drawAll(sets) {
    const byFigure = new Map();
    for (const set of sets) {
      for (const data of set.trends) {
        const figure = document.getElementById(`trend-${data.id}`);
        byFigure.set(figure, new Trend(data, set, figure));
      }
    }
    const watch = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (!entry.isIntersecting) continue;
          watch.unobserve(entry.target);
          byFigure.get(entry.target).draw();
        }
      },
      { rootMargin: AHEAD },
    );
    [...byFigure].forEach(([figure, trend], place) => (place < AT_ONCE ? trend.draw() : watch.observe(figure)));
    addEventListener("beforeprint", () => byFigure.forEach((trend) => trend.draw(PAPER_WIDTH)));
    addEventListener("afterprint", () => byFigure.forEach((trend) => trend.draw()));
    let wait = 0;
    addEventListener("resize", () => {
      clearTimeout(wait);
      wait = setTimeout(() => byFigure.forEach((trend, figure) => figure.dataset.drawn && trend.draw()), 150);
    });
  }

  return { drawAll };
})();
