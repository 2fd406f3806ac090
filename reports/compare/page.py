"""
The page of two runs side by side: both sets of verdicts, what differs, every metric, every chart.

Pure. Each line of a run's charts gets a chart of its own with A and B on it: two lines can be told
apart, eight can't. Claims nothing about significance, and says so where the ratios are.
"""

from collections.abc import Iterable
from dataclasses import replace

from reports.compare.fitness import Difference, differences
from reports.compare.rows import ComparisonRow, compare_rows
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
from reports.view.source import RunTables
from reports.view.verdicts import verdict_group
from reports.view.words import NO_DATA, plain

NO_CLAIM = (
    "No significance is claimed: these are two single runs. A ratio other than 1 may be chance,"
    " and only repeated runs can tell."
)
_COLOURS = ("run-a", "run-b")

# Which parts of the metrics stand in which section of a run's page, and under which title.
_PARTS = {
    "rate": {"rate": "Rate", "operations": "Operations that ended otherwise than acknowledged"},
    "latency": {"response_ns": "Response by kind", "service_ns": "Service by kind"},
    "lateness-section": {"lateness_ns": "Lateness of the generator"},
    "visible-section": {"visible_ns": "Visible by kind"},
    "resources": {"resources": "Use over the measured phase"},
}


def view_comparison(a: RunTables, b: RunTables) -> Page:
    """The page of the runs *a* and *b*."""
    found = differences(a.record, b.record)
    return Page(
        title=f"A {plain(a.record.run_id)} · B {plain(b.record.run_id)}",
        subtitle="Two runs side by side",
        verdict_groups=tuple(
            replace(verdict_group(run.record), run_name=f"{name} · {plain(run.record.run_id)}")
            for name, run in (("A", a), ("B", b))
        ),
        notices=(
            Notice(tone=Tone.UNKNOWN, text=NO_CLAIM),
            *_comparability(found),
            *_named_notices(a, b),
        ),
        sections=(
            _differences_section(found),
            *_metric_sections(compare_rows(a.record, b.record), view_run(a), view_run(b)),
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
            bands=base.bands if len({chart.bands for chart in present}) == 1 else (),
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


def _metric_sections(rows: tuple[ComparisonRow, ...], a: Page, b: Page) -> Iterable[Section]:
    """The sections of a run's page that measure something, with both runs in each."""
    for one, other in zip(a.sections, b.sections, strict=True):
        tables = tuple(
            table
            for part, title in _PARTS.get(one.id, {}).items()
            for table in _tables(part, title, rows)
        )
        others = {chart.id: chart for chart in other.charts}
        charts = tuple(chart for own in one.charts for chart in overlaid(own, others.get(own.id)))
        if tables or one.charts:
            yield Section(
                id=one.id,
                title=one.title,
                lead="" if tables or charts else "no data in either run",
                charts=charts,
                tables=tables,
                terms=one.terms,
            )


def _tables(part: str, title: str, rows: tuple[ComparisonRow, ...]) -> Iterable[Table]:
    """One line a subject, and for each of its figures A, B and the ratio; none without rows."""
    chosen = [row for row in rows if row.part == part]
    if not chosen:
        return
    figures = tuple(dict.fromkeys(row.figure for row in chosen))
    by_name = {(row.subject, row.figure): row for row in chosen}
    yield Table(
        id=f"{part}-compared",
        title=title,
        columns=(
            Column(title="", is_number=False),
            *(
                Column(title=heading, group=figure)
                for figure in figures
                for heading in ("A", "B", "B / A")
            ),
        ),
        rows=tuple(
            (
                Cell(text=plain(subject)),
                *(
                    entry
                    for figure in figures
                    for entry in _entries(by_name.get((subject, figure)))
                ),
            )
            for subject in dict.fromkeys(row.subject for row in chosen)
        ),
    )


def _entries(row: ComparisonRow | None) -> tuple[Cell, Cell, Cell]:
    if row is None:
        return (NO_DATA, NO_DATA, NO_DATA)
    return (
        Cell(text=row.a_text, is_missing=row.a is None),
        Cell(text=row.b_text, is_missing=row.b is None),
        Cell(text=row.ratio_text),
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
