/*
 * Strips: every run of two sides as a dot on one line each, over the range that counts as unchanged.
 *
 * One path a side, however many runs: a page of 200 metrics and 200 runs stays quick.
 */
const Strips = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 208;
  const HEIGHT = 30;
  const EDGE = 5;
  const ROWS = [["a", "run-a", 9], ["b", "run-b", 21]];

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  }

  function middleOf(values) {
    const ordered = [...values].sort((x, y) => x - y);
    const half = ordered.length >> 1;
    return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
  }

  function draw(holder, strip) {
    const known = { a: strip.a.filter((value) => value !== null), b: strip.b.filter((value) => value !== null) };
    const all = [...known.a, ...known.b];
    if (!all.length) return;
    let low = Infinity;
    let high = -Infinity;
    for (const value of strip.low === null ? all : [...all, strip.low, strip.high]) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const span = high - low || Math.abs(high) || 1;
    const place = (value) => (high === low ? WIDTH / 2 : EDGE + ((value - low) / span) * (WIDTH - 2 * EDGE));
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, holder);
    if (strip.low !== null) {
      const left = place(strip.low);
      element("rect", { class: "margin", x: left, y: 0, width: Math.max(1, place(strip.high) - left), height: HEIGHT }, svg);
    }
    for (const [side, colour, y] of ROWS) {
      if (!known[side].length) continue;
      const dots = known[side].map((value) => `M${place(value).toFixed(1)} ${y}h.01`).join("");
      element("path", { class: `dots c-${colour}`, d: dots }, svg);
      const at = place(middleOf(known[side])).toFixed(1);
      element("line", { class: `middle c-${colour}`, x1: at, x2: at, y1: y - 6, y2: y + 6 }, svg);
    }
  }

  function drawAll(strips) {
    document.querySelectorAll(".strip").forEach((holder, place) => draw(holder, strips[place]));
  }

  return { drawAll };
})();
