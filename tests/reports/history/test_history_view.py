"""The page of a history: what a reader must see, and the same bytes for the same runs."""

import json
import random
from dataclasses import replace
from pathlib import Path

from reports.history.document import history_to_json
from reports.history.events import Commits, Gathered, History, history_of
from reports.history.runs import Skipped
from reports.pages.history.page import view_history
from reports.pages.model import Page, Tone
from reports.render.html import render_page
from tests.reports.browser import Browser
from tests.reports.history.made import CPU, P50, accepted, history, nights, run, stepped

LOAD_CPU_MS_MAX = 2_000


def opened() -> History:
    """An open event of two metrics, a gap, a skipped folder."""
    runs = nights(stepped(30, 12, 1.08), names=(CPU, P50))
    runs[20] = run(20, {}, unfit=("it is INVALID",))
    gathered = Gathered(
        runs=tuple(runs),
        skipped=(Skipped(place="runs/<b>torn</b>", reason="can't be read"),),
        interrupted_count=2,
    )
    return history_of(gathered, ("*",))


def page_of(found: History) -> Page:
    """With commits behind the event."""
    commits = Commits(lines=("abc1234 make it <slow>",), sentence="1 commit")
    return view_history(found, {event.id: commits for i in found.settings for event in i.events})


def texts(page: Page) -> str:
    """Every word of the page."""
    return render_page(page)


def test_an_open_event_is_the_first_thing_said() -> None:
    """The verdict names metric, size and both runs; the tone is bad; commits stand beside it."""
    page = page_of(opened())
    (verdict,) = page.verdict_groups[0].verdicts

    assert (verdict.word, verdict.tone) == ("WORSE", Tone.BAD)
    assert "% worse and 1 more metric, between run-029 and run-030" in verdict.reasons[0]
    assert "make it &lt;slow&gt;" in texts(page)
    assert "<slow>" not in texts(page)


def test_what_is_no_point_and_what_is_not_used_is_said() -> None:
    """The gap with its reason, the skipped folder, the interrupted runs."""
    page = page_of(opened())
    setting = next(section for section in page.sections if section.trends)
    assert setting.trends is not None

    assert "run-020 is no point: it is INVALID" in setting.remarks
    assert setting.trends.gaps[20] == "it is INVALID"
    assert setting.trends.trends[0].values[20] is None
    assert [notice.text for notice in page.notices][:2] == [
        "Could not be used: 1 folder; see the end.",
        "2 interrupted runs left out.",
    ]
    assert page.sections[-1].id == "skipped"


def test_an_accepted_change_names_who_and_why() -> None:
    """The page is green, and says by whom."""
    page = page_of(history(nights(stepped(30, 12, 1.08)), accepted("run-030")))

    assert page.verdict_groups[0].verdicts[0].word == "NOTHING OPEN"
    assert "by ada, 2026-11-25: durable" in texts(page)


def test_what_is_accepted_in_part_is_not_shown_as_accepted() -> None:
    """One of two metrics: the event is open, and says that a part of it is not."""
    runs = nights(stepped(30, 12, 1.08), names=(CPU, P50))

    assert "in part accepted by ada" in texts(page_of(history(runs, accepted("run-030", P50))))


def test_too_little_is_not_green() -> None:
    """NOT PROVEN, with the reason."""
    (verdict,) = page_of(history(nights([1e6] * 5))).verdict_groups[0].verdicts

    assert (verdict.word, verdict.tone) == ("NOT PROVEN", Tone.UNKNOWN)
    assert "5 good runs" in verdict.reasons[0]


def test_same_runs_same_bytes() -> None:
    """No clock, no chance, no order of reading."""
    found = opened()
    again = history_of(
        Gathered(
            runs=tuple(reversed([run for item in found.settings for run in item.runs])),
            skipped=found.skipped,
            interrupted_count=2,
        ),
        ("*",),
    )

    assert render_page(page_of(found)) == render_page(page_of(again))


def test_page_and_json_have_the_same_numbers() -> None:
    """Points and levels of the charts are those of history.json, which is strict JSON."""
    found = opened()
    document = history_to_json(found, {})
    trends = next(s.trends for s in page_of(found).sections if s.trends)
    (setting,) = document["settings"]

    json.dumps(document, allow_nan=False)
    assert [list(trend.values) for trend in trends.trends] == [
        series["values"] for series in setting["series"]
    ]
    assert [[level[2] for level in trend.levels] for trend in trends.trends] == [
        [level["level_value"] for level in series["levels"]] for series in setting["series"]
    ]
    assert document["exit_code"] == 1


def test_a_page_of_many_metrics_opens_at_once(browser: Browser, tmp_path: Path) -> None:
    """200 metrics of 200 runs: little CPU time, drawn when seen, the pointer reads."""
    chance = random.Random(3)
    names = [f"kind{i}.response_ns.p50" for i in range(200)]
    runs = [
        replace(item, figures=run(0, {n: 1e6 * chance.gauss(1, 0.01) for n in names}).figures)
        for item in nights([1e6] * 200)
    ]
    path = tmp_path / "history.html"
    path.write_text(render_page(view_history(history(runs), {})), encoding="utf-8")
    took_ms = browser.load_cpu_ms(path)
    drawn = browser.evaluate(
        """new Promise((done) => {
            const look = () => {
                const count = document.querySelectorAll(".trend[data-drawn]").length;
                count > 0 ? done(count) : requestAnimationFrame(look);
            };
            look();
        })"""
    )
    box = browser.evaluate(
        "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
        "(document.querySelector('.trend svg').getBoundingClientRect())"
    )
    browser.mouse("mouseMoved", *box)
    tip = browser.evaluate("document.querySelector('.trend .tip').textContent")

    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]
    assert took_ms < LOAD_CPU_MS_MAX
    assert drawn < 200
    assert tip.startswith("run-")
    assert "ms" in tip
