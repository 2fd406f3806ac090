"""Flame graphs in a real headless browser: zoom, search, fold, keys, paper, size and speed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.model.profile import Metric, Profile
from reports.pages.model import Page, Section
from reports.pages.profile.flames import FlameWords, differential_flame_graph
from reports.render.html import render_page
from reports.writing import render_run_report
from tests.reports.browser import Browser
from tests.reports.profile.made_passes import large_profile, made_profile, write_profiled_run

LOAD_CPU_MS_MAX = 2_000
SIZE_MAX_BYTES = 4_000_000
_LARGE = 10_000  # stacks: twice those of the reference, start-up included
_CPU = "document.querySelector('#flame-cpu')"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a made run with both twins."""
    folder = tmp_path_factory.mktemp("pages")
    path = folder / "report.html"
    path.write_text(render_run_report(write_profiled_run(folder / "run")), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, report: Path) -> Browser:
    """The page, fresh."""
    browser.open(report)
    return browser


def act(browser: Browser, script: str) -> Any:
    """Run *script* with `figure`, `svg`, `frames` and `frame(label)` of the CPU graph at hand."""
    return browser.evaluate(
        f"""(() => {{
            const figure = {_CPU};
            const svg = figure.querySelector("svg[role=application]");
            const drawn = [...svg.querySelectorAll("g")];
            const frames = drawn.map((g) => g.node.label);
            const frame = (label) => drawn.find((g) => g.node.label === label);
            {script}
        }})()"""
    )


def key(browser: Browser, name: str, text: str = "") -> None:
    """One press of a key, where the focus is."""
    kind = "keyDown" if text or name == "Enter" else "rawKeyDown"
    more = {"text": text} if text else {}
    browser.call("Input.dispatchKeyEvent", type=kind, key=name, **more)
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=name)


def click(browser: Browser, label: str) -> None:
    """A real click on the frame of that label."""
    x, y = act(
        browser,
        f"figure.scrollIntoView({{behavior: 'instant'}});"
        f"const box = frame({json.dumps(label)}).querySelector('rect').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];",
    )
    browser.mouse("mouseMoved", x, y)
    browser.mouse("mousePressed", x, y, is_down=True)
    browser.mouse("mouseReleased", x, y)


def tip(browser: Browser) -> dict[str, str]:
    """The rows of what is said of the frame that is pointed at."""
    found: dict[str, str] = act(
        browser,
        "return Object.fromEntries([...figure.querySelectorAll('.tip:not([hidden]) tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent)));",
    )
    return found


def search(browser: Browser, text: str) -> str:
    """Type *text* into the search box; what it says then."""
    said: str = act(
        browser,
        f"const input = figure.querySelector('input'); input.value = {json.dumps(text)};"
        "input.dispatchEvent(new Event('input'));"
        "return figure.querySelector('output').textContent;",
    )
    return said


def test_the_page_opens_without_a_complaint_or_a_request(opened: Browser, report: Path) -> None:
    """All graphs drawn, nothing logged, nothing fetched."""
    assert opened.complaints() == []
    assert opened.requests() == [report.as_uri()]
    assert opened.evaluate("document.documentElement.dataset.flamesDrawn") == "3"


def test_a_frame_is_as_wide_as_its_cost(opened: Browser) -> None:
    """Reserve is 24 % of the whole, so it is 24 % of the width; nothing overlaps its parent."""
    width, whole = act(
        opened,
        "return [frame('Service.reserve'), frame('all')]"
        ".map((g) => g.querySelector('rect').getBoundingClientRect().width);",
    )

    assert width / whole == pytest.approx(0.24, abs=0.002)


def test_pointing_at_a_frame_says_its_figures(opened: Browser) -> None:
    """CPU of an operation, by itself and with what it calls, share, samples."""
    x, y = act(
        opened,
        "figure.scrollIntoView({behavior: 'instant'});"
        "const box = frame('Service.reserve').getBoundingClientRect();"
        "return [box.x + 9, box.y + 9];",
    )

    opened.mouse("mouseMoved", x, y)

    assert tip(opened) == {
        "cumulative": "267 µs an operation",
        "self": "0 ns an operation",
        "share": "24.0 %",
        "samples": "960",
    }
    assert "shop.service" in act(opened, "return figure.querySelector('.tip').textContent;")
    opened.mouse("mouseMoved", 2, 2)
    assert tip(opened) == {}


def test_a_click_zooms_and_reset_undoes_it(opened: Browser) -> None:
    """What was clicked fills the width, its callers stay above it, the rest is gone."""
    before = act(opened, "return frames.length;")

    click(opened, "Service.reserve")
    zoomed = act(opened, "return frames;")
    widths = act(
        opened,
        "return ['all', 'main', 'Service.reserve'].map((label) =>"
        " Math.round(frame(label).querySelector('rect').getBoundingClientRect().width));",
    )
    act(
        opened,
        "figure.querySelectorAll('.flame-bar button').forEach((b) => {"
        " if (b.textContent === 'reset zoom') b.click(); });",
    )

    assert "Thread.run" not in zoomed
    assert {"Machine.apply", "encode"} <= set(zoomed)
    assert len(set(widths)) == 1
    assert act(opened, "return frames.length;") == before


def test_search_takes_a_regular_expression_and_says_the_share(opened: Browser) -> None:
    """Matches inside matches count once; a zoom asks of what is shown; a bad one is said."""
    assert search(opened, "^shop.*(reserve|apply)") == "matched 30.0 % of all · 333 µs an operation"
    assert act(opened, "return svg.querySelectorAll('.unmatched').length > 0;")
    click(opened, "Service.reserve")
    said = act(opened, "return figure.querySelector('output').textContent;")
    assert said == "matched 100 % of what is shown · 267 µs an operation"
    assert search(opened, "(") == "not a regular expression"
    assert search(opened, "") == ""
    assert act(opened, "return svg.querySelectorAll('.unmatched').length;") == 0


def test_folding_merges_a_package_and_changes_no_sum(opened: Browser) -> None:
    """The event loop becomes one frame; what it calls stays below it, and shares stay the same."""
    act(
        opened,
        "[...figure.querySelectorAll('button')]"
        ".find((b) => b.textContent === 'fold asyncio').click();",
    )

    assert act(opened, "return frames.includes('[asyncio]') && !frames.includes('Runner.run');")
    assert act(opened, "return frames.includes('Service.reserve');")
    assert search(opened, "Runner.run") == "matched 80.0 % of all · 889 µs an operation"


def test_keys_alone_are_enough(opened: Browser) -> None:
    """Slash searches, Enter goes to the graph, arrows move, Enter zooms, Escape shows all."""
    opened.evaluate(f"{_CPU}.scrollIntoView({{behavior: 'instant'}})")
    key(opened, "/", "/")
    assert act(opened, "return document.activeElement === figure.querySelector('input');")
    key(opened, "Enter", "\r")
    assert act(opened, "return document.activeElement === svg;")
    for name in ("ArrowDown", "ArrowDown", "ArrowDown"):
        key(opened, name)
    assert tip(opened)["share"] == "24.0 %"
    key(opened, "ArrowRight")
    assert tip(opened)["share"] == "10.0 %"
    key(opened, "ArrowLeft")
    key(opened, "Enter", "\r")
    assert act(opened, "return figure.dataset.zoomed;") == "Service.reserve"
    assert act(opened, "return document.activeElement === svg;")
    key(opened, "Escape")
    assert act(opened, "return figure.dataset.zoomed;") == "all"


def test_paper_has_the_graph_without_its_controls(opened: Browser) -> None:
    """Drawn for the paper's width, a bounded number of rows deep."""
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.call("Emulation.setEmulatedMedia", media="print")
    box = act(opened, "return svg.getAttribute('viewBox').split(' ').map(Number);")
    shown = act(opened, "return getComputedStyle(figure.querySelector('.flame-bar')).display;")
    opened.call("Emulation.setEmulatedMedia", media="")
    opened.evaluate("dispatchEvent(new Event('afterprint'))")

    assert box[2] == 700
    assert 0 < box[3] <= 18 * 19
    assert shown == "none"


def test_a_difference_is_red_where_it_is_dearer_and_blue_where_cheaper(
    browser: Browser, tmp_path: Path
) -> None:
    """Per operation: twice the operations at twice the cost is no change."""
    words = FlameWords(id="cpu", title="Difference", explanation="")
    base, candidate = made_profile(segment_count=2), made_profile(segment_count=4)
    slower = _with_apply_slower(candidate)
    for name, pair in {"same": (base, candidate), "slower": (base, slower)}.items():
        graph = differential_flame_graph([pair[0]], [pair[1]], words)
        page = Page(
            title=name,
            subtitle="",
            verdict_groups=(),
            notices=(),
            sections=(Section(id="diff", title="Difference", flames=(graph,)),),
        )
        (tmp_path / f"{name}.html").write_text(render_page(page), encoding="utf-8")

    browser.open(tmp_path / "same.html")
    same = act(
        browser, "return [...svg.querySelectorAll('g')].map((g) => g.getAttribute('class'));"
    )
    browser.open(tmp_path / "slower.html")
    dearer = act(browser, "return frame('Machine.apply').getAttribute('class');")
    cheaper = act(browser, "return frame('Journal.write').getAttribute('class');")
    said = search(browser, "Machine.apply")

    assert set(same) == {"frame f-root", "frame f-same"}
    assert dearer == "frame f-more-5"
    assert cheaper == "frame f-less-5"
    assert said == ("matched: before 289 µs an operation, change +578 µs an operation (+200 %)")
    assert browser.complaints() == []


def test_a_graph_fits_a_narrow_screen(browser: Browser, report: Path) -> None:
    """On a telephone's width nothing scrolls sideways."""
    size = {"height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", width=390, **size)
    browser.open(report)
    overrun = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
    browser.call("Emulation.setDeviceMetricsOverride", width=1400, **size | {"height": 1000})

    assert overrun <= 0


def test_large_profiles_are_small_and_fast(browser: Browser, tmp_path: Path) -> None:
    """At most 4 MB, and drawn within two seconds of CPU time."""
    run = write_profiled_run(
        tmp_path / "large",
        cpu=(large_profile(Metric.CPU_NS, stack_count=_LARGE),),
        memory=tuple(
            large_profile(metric, stack_count=_LARGE)
            for metric in (Metric.HIGH_WATER_BYTES, Metric.ALLOCATED_BYTES)
        ),
    )
    path = tmp_path / "large.html"
    path.write_text(render_run_report(run), encoding="utf-8")

    assert path.stat().st_size <= SIZE_MAX_BYTES
    assert browser.load_cpu_ms(path) < LOAD_CPU_MS_MAX
    assert browser.evaluate("document.documentElement.dataset.flamesDrawn") == "3"


def _with_apply_slower(profile: Profile) -> Profile:
    """*profile* with Machine.apply three times as dear and Journal.write a tenth."""
    names = [profile.frames[stack[-1]].function for stack in profile.stacks]
    factors = {"Machine.apply": 3.0, "Journal.write": 0.1}
    segments = tuple(
        replace(
            segment,
            weights={
                number: round(weight * factors.get(names[number], 1.0))
                for number, weight in segment.weights.items()
            },
        )
        for segment in profile.segments
    )
    return replace(profile, segments=segments)
