/*
 * The page around the charts: theme, copy buttons, where we are, paper. Writes what it did into
 * data attributes of the root element, so that a test can see charts drawn and requests made.
 */
(() => {
  const root = document.documentElement;

  const THEMES = ["auto", "light", "dark"];
  const themeButton = document.getElementById("theme");
  function useTheme(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    themeButton.textContent = `theme: ${theme}`;
  }
  const asked = new URLSearchParams(location.search).get("theme");
  useTheme(THEMES.includes(asked) ? asked : "auto");
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const now = THEMES.indexOf(root.dataset.theme || "auto");
    useTheme(THEMES[(now + 1) % THEMES.length]);
  });

  function selectText(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "copied";
      } catch {
        selectText(source); // no permission for the clipboard: one key press is left to the reader
        button.textContent = "selected: press Ctrl+C";
      }
    });
  }

  const charts = Charts.drawAll(JSON.parse(document.getElementById("charts-data").textContent));
  const strips = document.getElementById("strips-data");
  if (strips) Strips.drawAll(JSON.parse(strips.textContent));
  const flamesData = document.getElementById("flames-data");
  const flames = flamesData ? Flames.drawAll(JSON.parse(flamesData.textContent)) : [];
  const trends = document.getElementById("trends-data");
  if (trends) Trends.drawAll(JSON.parse(trends.textContent));

  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id));
  function markPlace() {
    const here = sections.findLast((section) => section.getBoundingClientRect().top < 120) || sections[0];
    for (const [id, link] of links) link.classList.toggle("here", id === here.id);
  }
  addEventListener("scroll", markPlace, { passive: true });
  markPlace();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });

  root.dataset.chartsDrawn = charts.filter((chart) => Number(chart.figure.dataset.drawn) > 0).length;
  root.dataset.flamesDrawn = flames.filter((flame) => Number(flame.figure.dataset.drawn) > 0).length;
  root.dataset.requests = performance.getEntriesByType("resource").length;
})();
