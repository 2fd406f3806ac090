"""
The page of two runs side by side: both sets of verdicts, what differs, every metric, every chart.

Pure. Each line of a run's charts gets a chart of its own with A and B on it: two lines can be told
apart, eight can't. Claims nothing about significance, and says so where the ratios are.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

from reports.compare.fitness import Difference, differences
from reports.compare.rows import ComparisonRow, compare_rows
from reports.load import RunTables
from reports.view import glossary
from reports.view.model import (
    Cell,
    Chart,
    Column,
    Fact,
    Notice,
    Page,
    Section,
    Series,
    Table,
    Tone,
)
from reports.view.run import notices, view_run
from reports.view.verdicts import verdict_group
from reports.view.words import DASH, NO_DATA, plain

NO_CLAIM = (
    "No significance is claimed: these are two single runs. A ratio other than 1 may be chance,"
    " and only repeated runs can tell."
)
_COLOURS = ("run-a", "run-b")
_GROUP_TITLES = {
    "rate": "Rate and outcomes",
    "latency": "Latency",
    "lateness": "Lateness of the generator",
    "resources": "Resources",
}


def view_comparison(a: RunTables, b: RunTables) -> Page:
    """The page of the runs *a* and *b*."""
    found = differences(a.record, b.record)
    return Page(
        title=f"A {plain(a.record.run_id)} · B {plain(b.record.run_id)}",
        subtitle="Two runs side by side. " + NO_CLAIM,
        verdict_groups=tuple(
            replace(verdict_group(run.record), run_name=f"{name} · {plain(run.record.run_id)}")
            for name, run in (("A", a), ("B", b))
        ),
        notices=(*_comparability(found), *_named_notices(a, b)),
        sections=(
            _differences_section(found),
            *_metric_sections(compare_rows(a.record, b.record)),
            *_chart_sections(view_run(a), view_run(b)),
            _repeat(a, b),
        ),
    )


def overlaid(a: Chart | None, b: Chart | None) -> tuple[Chart, ...]:
    """A chart for each line that *a* or *b* has, with both runs on it."""
    present = [chart for chart in (a, b) if chart is not None]
    names = dict.fromkeys(line.name for chart in present for line in chart.series)
    base = present[0]
    return tuple(
        replace(
            base,
            id=f"{base.id}-{place}",
            title=base.title if len(names) == 1 else f"{base.title}: {name}",
            explanation="",
            note="",
            series=tuple(
                replace(line, name=run, colour=colour, dashed=run == "B")
                for run, colour, chart in zip("AB", _COLOURS, (a, b), strict=True)
                if (line := _line(chart, name)) is not None
            ),
        )
        for place, name in enumerate(names)
    )


def _line(chart: Chart | None, name: str) -> Series | None:
    return next((line for line in chart.series if line.name == name), None) if chart else None


def _comparability(found: tuple[Difference, ...]) -> tuple[Notice, ...]:
    obstacles = [item.name for item in found if item.is_obstacle]
    if not obstacles:
        return ()
    shown = ", ".join(obstacles[:6]) + (" and more" if len(obstacles) > 6 else "")
    return (
        Notice(
            tone=Tone.WARNING,
            text=f"Not the same in both runs: {shown}. The ratios below may come from that and not"
            " from the service.",
        ),
    )


def _named_notices(a: RunTables, b: RunTables) -> tuple[Notice, ...]:
    return tuple(
        replace(notice, text=f"{name}: {notice.text}")
        for name, run in (("A", a), ("B", b))
        for notice in notices(run)
    )


def _differences_section(found: tuple[Difference, ...]) -> Section:
    return Section(
        id="differences",
        title="Differences",
        lead="What is not the same in both runs, besides the figures.",
        tables=(
            Table(
                id="differences-table",
                title="Scenario, schedule, machine, settings",
                columns=tuple(
                    Column(title=title, is_number=False) for title in ("what", "A", "B", "means")
                ),
                rows=tuple(
                    (
                        Cell(text=item.name),
                        Cell(text=item.a),
                        Cell(text=item.b),
                        Cell(text="may explain a ratio", tone=Tone.WARNING)
                        if item.is_obstacle
                        else Cell(text="for information"),
                    )
                    for item in found
                ),
                absence="None: same scenario, schedule, seed, machine and settings.",
            ),
        ),
    )


def _metric_sections(rows: tuple[ComparisonRow, ...]) -> Iterable[Section]:
    for group, members in groupby(rows, key=lambda row: row.group):
        yield Section(
            id=f"metrics-{group}",
            title=_GROUP_TITLES[group],
            lead=NO_CLAIM,
            tables=(
                Table(
                    id=f"metrics-{group}-table",
                    title="A, B and B / A",
                    columns=(
                        Column(title="metric", is_number=False),
                        Column(title="A"),
                        Column(title="B"),
                        Column(title="B / A"),
                        Column(title="better is", is_number=False),
                    ),
                    rows=tuple(_metric_row(row) for row in members),
                ),
            ),
            terms=(
                glossary.RESPONSE,
                glossary.SERVICE,
                glossary.VISIBLE,
                glossary.LATENESS,
                glossary.PERCENTILE,
            ),
        )


def _metric_row(row: ComparisonRow) -> tuple[Cell, ...]:
    wanted = {True: "more", False: "less", None: DASH}[row.more_is_better]
    return (
        Cell(text=plain(row.metric)),
        NO_DATA if row.a is None else Cell(text=row.a_text),
        NO_DATA if row.b is None else Cell(text=row.b_text),
        Cell(text=row.ratio_text),
        Cell(text=wanted),
    )


def _chart_sections(a: Page, b: Page) -> Iterable[Section]:
    for one, other in zip(a.sections, b.sections, strict=True):
        charts = {chart.id: chart for chart in other.charts}
        both = tuple(chart for own in one.charts for chart in overlaid(own, charts.get(own.id)))
        if one.charts:
            yield Section(
                id=f"charts-{one.id}",
                title=f"{one.title}, charts",
                lead="" if both else "no data in either run",
                charts=both,
            )


def _repeat(a: RunTables, b: RunTables) -> Section:
    return Section(
        id="repeat",
        title="Repeat these runs",
        facts=tuple(
            Fact(name=name, cell=Cell(text=plain(run.record.command)))
            for name, run in (("A", a), ("B", b))
        ),
    )
