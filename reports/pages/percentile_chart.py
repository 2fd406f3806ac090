"""
Percentile curves: latency over the share of operations that were faster.

The axis is log(1 / (1 - share)), so that each further nine takes the same room. A curve ends where
the samples end: a point is drawn only if its quantile would be shown in a table too
(harness.model.quantiles), and the first that would not ends the curve.
"""

import numpy as np
from numpy.typing import NDArray

from harness.model.quantiles import HEADLINE_QUANTILES, quantile
from harness.model.text import Unit
from reports.pages.model import Axis, Scale, Series

_NINES_MAX = 6
_POINTS_A_NINE = 24
_SHARE_MIN = 0.05  # the fast end says nothing about a service; the axis starts here

SHARE_AXIS = Axis(
    title="share of operations at most this slow", unit=Unit.SHARE, scale=Scale.PERCENTILE
)
LATENCY_AXIS = Axis(title="latency", unit=Unit.NS, scale=Scale.LOG)


def curve(
    name: str,
    colour: str,
    samples_ns: NDArray[np.int64],
    *,
    unanswered_count: int = 0,
    dashed: bool = False,
) -> Series:
    """
    The curve of *samples_ns*, any order; too few samples for a single point give none.

    Operations without an answer are slower than all samples: the curve ends where they begin.
    """
    ordered = np.sort(samples_ns)
    points: list[tuple[float, float]] = []
    for share in _SHARES:
        value_ns = quantile(ordered, share, unanswered_count).value
        if value_ns is not None:
            points.append((share, float(value_ns)))
        elif share > 0.5:
            break
    return Series(
        name=name,
        colour=colour,
        x=tuple(share for share, _ in points),
        y=tuple(value for _, value in points),
        dashed=dashed,
    )


def drawn(curves: tuple[Series, ...]) -> tuple[Series, ...]:
    """The curves that have a line to show."""
    return tuple(item for item in curves if len(item.x) > 1)


def _shares() -> tuple[float, ...]:
    nines = np.arange(0, _NINES_MAX * _POINTS_A_NINE + 1) / _POINTS_A_NINE
    spaced = (round(float(1 - 10**-nine), 8) for nine in nines)
    return tuple(sorted({share for share in spaced if share >= _SHARE_MIN} | {*HEADLINE_QUANTILES}))


_SHARES = _shares()
