"""
What happened when, on both sides: the middle of the runs, and how far apart they were. Pure.

Runs of one schedule have the same seconds. The line is the median of the runs at each of them, the
ribbon reaches from the least to the most: a bend that every run has is the schedule's or the
service's, one that a single run has is chance.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reports.figures.run_evidence import RunEvidence
from reports.figures.timelines import TimeSeries
from reports.pages.compare.percentile_bands import SIDE_COLOURS
from reports.pages.model import Axis, Band, Chart, Ribbon, Series
from reports.pages.run.timeline import RATE_AXIS, RESPONSE_AXIS, TIME_AXIS, TIME_LINK, phase_bands
from reports.pages.run.usage import CPU_AXIS, IN_FLIGHT_AXIS, MEMORY_AXIS

# Of the lines of a run over time (reports.figures.timelines): id and title of the chart, its axis.
_CHARTS: Mapping[str, tuple[str, str, Axis]] = {
    "response-p50": ("response-over-time-p50", "Response over time: p50", RESPONSE_AXIS),
    "response-p99": ("response-over-time-p99", "Response over time: p99", RESPONSE_AXIS),
    "rate-done": ("rate-over-time-done", "Rate over time: done", RATE_AXIS),
    "in-flight": ("in-flight-over-time", "In flight over time", IN_FLIGHT_AXIS),
    "service-cpu": ("cpu-cores-service", "CPU: service", CPU_AXIS),
    "service-memory": ("rss-bytes-service", "Memory: service", MEMORY_AXIS),
}
_BIN_WIDTH_MIN = 1.0  # of the unit of x, seconds
_BIN_COUNT_MAX = 300


def side_timelines(
    baseline: Sequence[RunEvidence], candidate: Sequence[RunEvidence]
) -> tuple[Chart, ...]:
    """A chart for each line, with both sides on it; none that neither side has."""
    sides = {"baseline": baseline, "candidate": candidate}
    return tuple(
        _chart(name, sides)
        for name in _CHARTS
        if any(name in run.timelines for runs in sides.values() for run in runs)
    )


def _chart(name: str, sides: Mapping[str, Sequence[RunEvidence]]) -> Chart:
    lines: list[Series] = []
    ribbons: list[Ribbon] = []
    bands: tuple[Band, ...] = ()
    for side, runs in sides.items():
        own = [run.timelines[name] for run in runs if name in run.timelines]
        if not own:
            continue
        bands = bands or phase_bands(runs[0].record)
        line, ribbon = _middle(side, own)
        lines.append(line)
        if len(own) > 1:
            ribbons.append(ribbon)
    chart_id, title, axis = _CHARTS[name]
    return Chart(
        id=f"course-{chart_id}",
        title=title,
        explanation="",
        x_axis=TIME_AXIS,
        y_axis=axis,
        series=tuple(lines),
        bands=bands,
        ribbons=tuple(ribbons),
        link=TIME_LINK,
    )


def _middle(side: str, lines: Sequence[TimeSeries]) -> tuple[Series, Ribbon]:
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


def _binned(line: TimeSeries, width: float) -> dict[int, float]:
    """The highest value in each bin: peaks are what a reader looks for."""
    found: dict[int, float] = {}
    for x, y in zip(line.x, line.y, strict=True):
        if y is not None:
            place = math.floor(x / width)
            found[place] = max(y, found.get(place, y))
    return found
