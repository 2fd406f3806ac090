"""
Percentile curves of both sides, each with the band in which another set of runs would put it.

Pure. The line is the quantile of all runs of a side together, the band the middle 95 % of what
whole runs drawn with replacement give (as the interval of reports.statistics.tail_ratio): samples
of one run are alike, and a band from pooled samples would be many times too narrow. One run has
none.
"""

from collections.abc import Sequence

import numpy as np

from harness.model.metrics import ALL_KINDS, VISIBLE
from harness.model.record import is_embedded
from harness.model.text import Unit, plain
from reports.figures.run_evidence import Family, RunEvidence
from reports.figures.samples import RunSamples
from reports.pages.model import Axis, Chart, Ribbon, Scale, Series
from reports.pages.percentile_chart import SHARE_AXIS, curve, drawn

SIDE_COLOURS = {"baseline": "run-a", "candidate": "run-b"}
_DRAW_COUNT = 400
_SEED = 20_260_101
_GRID_COUNT = 600
_CURVE_COUNT_MAX = 12
_BAND = (2.5, 97.5)
_TITLES = {"response_ns": "Response", "visible_ns": "Visible"}


def side_curves(
    baseline: Sequence[RunEvidence], candidate: Sequence[RunEvidence]
) -> tuple[Chart, ...]:
    """
    A chart for each kind of operation that either side has, all operations first.

    Nothing of visible latencies with the embedded broker, which mostly are its own polling.
    """
    families = dict.fromkeys(
        family
        for run in (*baseline, *candidate)
        for family in run.samples
        if family[1] in _TITLES and not (family[1] == VISIBLE and is_embedded(run.record))
    )
    ordered = sorted(
        families, key=lambda item: (item[1] != "response_ns", item[0] != ALL_KINDS, item)
    )
    charts = (_chart(family, baseline, candidate) for family in ordered[:_CURVE_COUNT_MAX])
    return tuple(chart for chart in charts if chart.series)


def _chart(
    family: Family, baseline: Sequence[RunEvidence], candidate: Sequence[RunEvidence]
) -> Chart:
    kind, name = family
    lines: list[Series] = []
    ribbons: list[Ribbon] = []
    for side, runs in (("baseline", baseline), ("candidate", candidate)):
        samples = [run.samples[family] for run in runs if family in run.samples]
        if not samples:
            continue
        (line, *_) = (*drawn((_line(side, samples),)), None)
        if line is not None:
            lines.append(line)
            if len(samples) > 1:
                ribbons.append(_ribbon(line, samples))
    return Chart(
        id=f"curve-{name.removesuffix('_ns')}-{plain(kind)}",
        title=f"{_TITLES[name]}: {'all operations' if kind == ALL_KINDS else plain(kind)}",
        explanation="All runs of a side together; the band is where as many other runs would put"
        " the line, 95 times in 100.",
        x_axis=SHARE_AXIS,
        y_axis=Axis(title=_TITLES[name].lower(), unit=Unit.NS, scale=Scale.LOG),
        series=tuple(lines),
        ribbons=tuple(ribbons),
    )


def _line(side: str, samples: Sequence[RunSamples]) -> Series:
    pooled = np.concatenate([run.ordered for run in samples]).astype(np.int64)
    return curve(
        side,
        SIDE_COLOURS[side],
        pooled,
        unanswered_count=sum(run.unanswered_count for run in samples),
        dashed=side == "candidate",
    )


def _ribbon(line: Series, samples: Sequence[RunSamples]) -> Ribbon:
    counts = np.array([run.count for run in samples], np.float64)
    pooled = np.sort(np.concatenate([run.ordered for run in samples]))
    tail = np.geomspace(0.95, 1.0 / len(pooled), _GRID_COUNT)
    grid = np.unique(pooled[np.minimum((len(pooled) * (1.0 - tail)).astype(int), len(pooled) - 1)])
    below = np.array([np.searchsorted(run.ordered, grid, side="right") for run in samples])
    chance = np.random.default_rng(_SEED)
    weights = chance.multinomial(
        len(samples), np.full(len(samples), 1.0 / len(samples)), size=_DRAW_COUNT
    ).astype(np.float64)
    shares = (weights @ below) / (weights @ counts)[:, None]
    drawn_again = np.array([np.interp(line.x, row, grid) for row in shares])
    low, high = np.percentile(drawn_again, _BAND, axis=0)
    return Ribbon(
        colour=line.colour,
        x=line.x,
        low=tuple(round(float(value), 1) for value in low),
        high=tuple(round(float(value), 1) for value in high),
    )
