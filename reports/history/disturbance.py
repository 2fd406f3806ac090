"""
Runs that a disturbance hit, as all metrics of a setting show together.

Pure. A neighbour on the machine or a busy disk moves most metrics of one run, each its own way; a
change of the code stays. So a run is held against the one before it: how far the other metrics
stepped between the two, in units of what their steps usually are. Two runs of which one was
disturbed differ; two runs after a change do not, however many metrics it moved. That is why steps
are asked, not distances from a level: a change that moves everything looks like a disturbance in
its first run alone, and confirms itself in its second.

Squares are clipped at 3 standard deviations, so that nothing is excused by more than 3, and the
metric in question is left out, so that it excuses nothing itself. Few metrics say little: as in
reports.statistics.session there is a prior with the weight of 10 metrics. Up to 1.5 it is chance.
"""

import math
from collections.abc import Sequence

from reports.statistics.change_points import SIGMA_MIN
from reports.statistics.series_noise import step_spread

_WINDOW_COUNT = 40  # points that the usual step is taken from
_COUNT_MIN = 10  # points before a metric says anything
_REFIT_COUNT = 5  # points after which the usual step is taken anew
_PRIOR_COUNT = 10  # metrics
_SQUARE_MAX = 9.0
_CHANCE_MAX = 1.5


def disturbances(columns: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """
    For each metric and run, how disturbed the other metrics say that the run is: 1 is not, 3 most.

    Args:
        columns: The values of each metric, one for each run, oldest first. What is no positive
            number is left out.
    """
    squares = [_squares(values) for values in columns]
    runs = [[square for square in run if square is not None] for run in zip(*squares, strict=True)]
    totals, counts = [sum(run) for run in runs], [len(run) for run in runs]
    return [
        [
            _ratio(total - (square or 0.0), count - (square is not None))
            for square, total, count in zip(column, totals, counts, strict=True)
        ]
        for column in squares
    ]


def _ratio(total: float, count: int) -> float:
    ratio = math.sqrt((_PRIOR_COUNT + total) / (_PRIOR_COUNT + count))
    return ratio if ratio > _CHANCE_MAX else 1.0


def _squares(values: Sequence[float | None]) -> list[float | None]:
    """The clipped squares of a metric's steps, each held against the steps before it."""
    found: list[float | None] = []
    points: list[float] = []
    variance = math.inf
    for value in values:
        if value is None or not 0.0 < value < math.inf:
            found.append(None)
            continue
        point = math.log(value)
        if len(points) < _COUNT_MIN:
            found.append(None)
        else:
            if len(points) % _REFIT_COUNT == 0:
                variance = max(step_spread(points[-_WINDOW_COUNT:]), SIGMA_MIN) ** 2
            found.append(min((point - points[-1]) ** 2 / (2.0 * variance), _SQUARE_MAX))
        points.append(point)
    return found
