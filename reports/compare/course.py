"""
What happened when, on both sides: the middle of the runs, and how far apart they were. Pure.

Runs of one schedule have the same seconds. The line is the median of the runs at each of them, the
ribbon reaches from the least to the most: a bend that every run has is the schedule's or the
service's, one that a single run has is chance.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reports.compare.curves import SIDE_COLOURS
from reports.compare.evidence import RunEvidence
from reports.view.model import Chart, Ribbon, Series

# Of the lines of a run's charts over time, those that tell two sides apart.
_LINES = (
    ("response-over-time", "p50"),
    ("response-over-time", "p99"),
    ("rate-over-time", "done"),
    ("in-flight-over-time", ""),
    ("cpu-cores", "service"),
    ("rss-bytes", "service"),
)
_BIN_WIDTH_MIN = 1.0  # of the unit of x, seconds
_BIN_COUNT_MAX = 300


def side_courses(
    baseline: Sequence[RunEvidence], candidate: Sequence[RunEvidence]
) -> tuple[Chart, ...]:
    """A chart for each line, with both sides on it; none that neither side has."""
    sides = {"baseline": baseline, "candidate": candidate}
    charts = [_chart(chart_id, name, sides) for chart_id, name in _LINES]
    return tuple(chart for chart in charts if chart is not None and chart.series)


def _chart(chart_id: str, name: str, sides: Mapping[str, Sequence[RunEvidence]]) -> Chart | None:
    lines: list[Series] = []
    ribbons: list[Ribbon] = []
    base: Chart | None = None
    for side, runs in sides.items():
        charts = [chart for run in runs for chart in run.charts if chart.id == chart_id]
        own = [
            line
            for chart in charts
            for line in chart.series
            if line.x and (not name or line.name == name)
        ]
        if not own:
            continue
        base = base or charts[0]
        line, ribbon = _middle(side, own)
        lines.append(line)
        if len(own) > 1:
            ribbons.append(ribbon)
    if base is None:
        return None
    return Chart(
        id=f"course-{base.id}{f'-{name}' if name else ''}",
        title=f"{base.title}: {name}" if name else base.title,
        explanation="",
        x_axis=base.x_axis,
        y_axis=base.y_axis,
        series=tuple(lines),
        bands=base.bands,
        ribbons=tuple(ribbons),
        link=base.link,
    )


def _middle(side: str, lines: Sequence[Series]) -> tuple[Series, Ribbon]:
    """The median of *lines* in bins that all share, and the range that they span there."""
    start = min(line.x[0] for line in lines)
    span = max(line.x[-1] for line in lines) - start
    width = max(_BIN_WIDTH_MIN, span / _BIN_COUNT_MAX)
    bins: dict[int, list[float]] = {}
    for line in lines:
        for place, value in _binned(line, width).items():
            bins.setdefault(place, []).append(value)
    places = tuple(sorted(bins))
    xs = tuple(round((place + 0.5) * width, 3) for place in places)
    colour = SIDE_COLOURS[side]
    return (
        Series(
            name=side,
            colour=colour,
            x=xs,
            y=tuple(float(np.median(bins[place])) for place in places),
            dashed=side == "candidate",
        ),
        Ribbon(
            colour=colour,
            x=xs,
            low=tuple(min(bins[place]) for place in places),
            high=tuple(max(bins[place]) for place in places),
        ),
    )


def _binned(line: Series, width: float) -> dict[int, float]:
    """The highest value in each bin: peaks are what a reader looks for."""
    found: dict[int, float] = {}
    for x, y in zip(line.x, line.y, strict=True):
        if y is not None:
            place = math.floor(x / width)
            found[place] = max(y, found.get(place, y))
    return found
