/*
 * Numbers as words and places on an axis: units, ticks, scales. Draws nothing.
 *
 * The words follow the same rules as view/words.py: 3 significant digits and a unit.
 */
"use strict";

const Scales = (() => {
  const STEPS = {
    ns: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]],
    bytes: [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]],
  };
  const SUFFIX = { s: " s", per_s: "/s", cores: " cores", count: "" };

  function significant(value) {
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(3));
    const magnitude = Math.floor(Math.log10(Math.abs(rounded)));
    const digits = Math.max(0, 2 - magnitude);
    return rounded.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function words(value, unit) {
    if (unit === "share") return percentileName(value);
    if (unit === "per_s" && value >= 1000) return Math.round(value).toLocaleString("en-US") + "/s";
    const steps = STEPS[unit];
    if (!steps) return significant(value) + SUFFIX[unit];
    if (value === 0) return "0 " + steps[steps.length - 1][1];
    const [factor, name] = steps.find(([size]) => Number((value / size).toPrecision(3)) >= 1) || steps[steps.length - 1];
    return `${significant(value / factor)} ${name}`;
  }

  function percentileName(share) {
    const nines = Math.max(0, Math.ceil(-Math.log10(1 - share) - 1e-9));
    return "p" + Number((share * 100).toFixed(Math.max(1, nines)));
  }

  /* A tick needs no digits that its neighbours don't need. */
  function tickWords(value, unit) {
    return words(value, unit).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "").replace("/s", "").replace(" cores", "");
  }

  /* ---- scales: forward maps a value onto a line on which distance is screen distance ---- */

  const SCALES = {
    linear: { forward: (value) => value, accepts: () => true },
    log: { forward: Math.log10, accepts: (value) => value > 0 },
    percentile: { forward: (share) => -Math.log10(1 - share), accepts: (share) => share < 1 },
  };

  function linearTicks(low, high, room, unit) {
    const base = STEPS[unit] ? STEPS[unit].find(([size]) => high >= size)?.[0] || 1 : 1;
    const rough = (high - low) / base / Math.max(2, room);
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power * base;
    if (unit === "count" || unit === "s") step = Math.max(step, unit === "count" ? 1 : 0);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
    return ticks;
  }

  function logTicks(low, high, room) {
    const decades = Math.log10(high / low);
    const factors = decades < 1.2 ? [1, 2, 3, 5, 7] : decades * 3 <= room ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil((decades * factors.length) / (room * 1.8)));
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      if (power % every) continue;
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  }

  function percentileTicks(low, high) {
    const shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 0.999999];
    return shares.filter((share) => share >= low && share <= high);
  }

  function ticksOf(axis, low, high, room) {
    if (axis.scale === "percentile") return percentileTicks(low, high);
    return axis.scale === "log" ? logTicks(low, high, room) : linearTicks(low, high, room, axis.unit);
  }

  return { SCALES, words, tickWords, ticksOf };
})();
