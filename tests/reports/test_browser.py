"""The pages in a real headless browser: no error, no request, charts drawn and alive."""

from pathlib import Path

import pytest

from harness.storage.run_folder import StoredRun
from reports.compare.comparison import SideInput, compared_sides, rules_of
from reports.reading.run_folder import read_evidence
from reports.writing import render_run_report, write_comparison
from tests.reports.browser import Browser

LOAD_CPU_MS_MAX = 2_000
_CHART = "document.querySelector('#chart-response-over-time')"


@pytest.fixture(scope="module")
def report(full_run: StoredRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the full run."""
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(render_run_report(full_run), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def comparison(
    full_run: StoredRun, small_run: StoredRun, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of two runs."""
    a, b = (
        SideInput(name=run.folder.name, runs=(read_evidence(run),)) for run in (full_run, small_run)
    )
    dossier = compared_sides(a, b, rules_of(None))
    return write_comparison(dossier, tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_opens_without_a_complaint_or_a_request(
    name: str, browser: Browser, request: pytest.FixtureRequest
) -> None:
    """The browser logs nothing, and asks for the file itself and for nothing else."""
    path: Path = request.getfixturevalue(name)

    browser.open(path)

    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.evaluate("document.documentElement.dataset.requests") == "0"


@pytest.mark.parametrize(("name", "charts_min"), [("report", 11), ("comparison", 12)])
def test_every_chart_is_drawn(
    name: str, charts_min: int, browser: Browser, request: pytest.FixtureRequest
) -> None:
    """Each figure that has data holds lines with a length, on axes with words."""
    browser.open(request.getfixturevalue(name))

    drawn = browser.evaluate(
        """[...document.querySelectorAll("[data-chart]")].map((figure) => ({
            chart: figure.dataset.chart,
            points: Number(figure.dataset.drawn),
            length: Math.max(...[...figure.querySelectorAll("path.line")]
                .map((line) => line.getTotalLength())),
            labels: figure.querySelectorAll("svg text").length,
        }))"""
    )

    assert len(drawn) >= charts_min
    assert [chart for chart in drawn if chart["points"] < 2] == []
    assert [chart for chart in drawn if chart["length"] < 100] == []
    assert [chart for chart in drawn if chart["labels"] < 5] == []


def test_a_chart_says_its_values_under_the_pointer(browser: Browser, report: Path) -> None:
    """Hovering shows every line's value there, with units, and leaving takes it away."""
    browser.open(report)
    x, y, width = _plot(browser)

    browser.mouse("mouseMoved", x + width / 2, y + 60)
    shown = browser.evaluate(f"{_CHART}.querySelector('.tip').innerText")
    browser.mouse("mouseMoved", 5, 5)

    assert shown.startswith("at ")
    assert [word for word in ("p50", "p99", "max") if word in shown] == ["p50", "p99", "max"]
    assert "ms" in shown or "µs" in shown
    assert browser.evaluate(f"{_CHART}.querySelector('.tip')") is None


def test_dragging_zooms_all_charts_of_one_axis_and_reset_undoes_it(
    browser: Browser, report: Path
) -> None:
    """A drag over a chart over time zooms every chart over time; one press brings all back."""
    browser.open(report)
    x, y, width = _plot(browser)
    points = (
        "[...document.querySelectorAll('[data-drawn]')].map((one) => Number(one.dataset.drawn))"
    )
    before = browser.evaluate(points)

    browser.mouse("mousePressed", x + width * 0.4, y + 60, is_down=True)
    browser.mouse("mouseMoved", x + width * 0.6, y + 60, is_down=True)
    browser.mouse("mouseReleased", x + width * 0.6, y + 60)
    zoomed = browser.evaluate(points)
    browser.evaluate(
        f"[...{_CHART}.querySelectorAll('button')].find((b) => b.innerText == 'reset zoom').click()"
    )

    assert sum(one < other for one, other in zip(zoomed, before, strict=True)) == 7
    assert browser.evaluate(points) == before


def test_the_page_follows_the_theme(browser: Browser, report: Path) -> None:
    """Dark by the system's wish, light by the button's, and always light on paper."""
    background = "getComputedStyle(document.body).backgroundColor"
    dark = {"name": "prefers-color-scheme", "value": "dark"}

    browser.call("Emulation.setEmulatedMedia", features=[dark])
    browser.open(report)
    system = browser.evaluate(background)
    browser.evaluate("document.getElementById('theme').click()")
    chosen = browser.evaluate(background)
    browser.open(report, "?theme=dark")
    browser.call("Emulation.setEmulatedMedia", media="print", features=[dark])
    paper = browser.evaluate(background)
    hidden = browser.evaluate(
        "[...document.querySelectorAll('.control, .contents')]"
        ".every((one) => getComputedStyle(one).display == 'none')"
    )
    browser.call("Emulation.setEmulatedMedia", media="", features=[])

    assert system == "rgb(20, 23, 28)"
    assert chosen == paper == "rgb(255, 255, 255)"
    assert hidden


def test_a_page_does_not_run_over_a_narrow_screen(browser: Browser, report: Path) -> None:
    """On a telephone's width nothing but tables in their own frames scrolls sideways."""
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    browser.open(report)

    overrun = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=1400,
        height=1000,
        deviceScaleFactor=1,
        mobile=False,
    )

    assert overrun <= 0


def test_a_page_is_there_within_two_seconds(browser: Browser, report: Path) -> None:
    """Of CPU time, from the start of loading to charts drawn."""
    assert browser.load_cpu_ms(report) < LOAD_CPU_MS_MAX


def _plot(browser: Browser) -> tuple[float, float, float]:
    """Left edge, top and width of the chart's plot, scrolled into view."""
    browser.evaluate(f"{_CHART}.scrollIntoView({{behavior: 'instant'}})")
    box = browser.evaluate(
        f"(({{x, y, width}}) => [x, y, width])({_CHART}.querySelector('svg[role=img]')"
        ".getBoundingClientRect())"
    )
    return tuple(box)
