"""
The noise of a series of stored results, from a few dozen of its points. Pure.

Plain floats and lists: at this size they are several times faster than arrays.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_MEAN_TO_SIGMA = 1.2533  # likewise, of the mean absolute value
_CLIP = 2.5
_CLIPPED_VARIANCE = 0.955  # of a normal variable clipped at 2.5 standard deviations
_CORRELATION_CLIP = 3.0
_CORRELATION_MAX = 0.8  # beyond it a series is a walk, which no level describes


def median(values: Sequence[float]) -> float:
    """The median of *values*, of which there is at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2.0


def spread(residuals: Sequence[float]) -> float:
    """
    The standard deviation of *residuals* from their middle, outliers clipped.

    Nearly as precise as the standard deviation where there are no outliers; the median of the
    absolute residuals, which sets the clip, would alone need three times the points.
    """
    sizes = [abs(value) for value in residuals]
    scale = _MAD_TO_SIGMA * median(sizes) or _MEAN_TO_SIGMA * sum(sizes) / len(sizes)
    clip = _CLIP * scale
    total = sum([min(size, clip) ** 2 for size in sizes])
    return math.sqrt(total / (_CLIPPED_VARIANCE * max(len(sizes) - 1, 1)))


def step_spread(values: Sequence[float]) -> float:
    """
    The standard deviation that the steps from point to point show.

    Unlike that of the values themselves it hardly sees slow drifts, and sees a sawtooth in full.
    """
    steps = [after - before for before, after in pairwise(values)]
    return spread(steps) / math.sqrt(2.0)


def correlation(residuals: Sequence[float], sigma: float) -> float:
    """How much of a residual the next one inherits (lag 1, clipped, never negative)."""
    clip = _CORRELATION_CLIP * sigma
    clipped = [max(-clip, min(clip, value)) for value in residuals]
    square = sum([value * value for value in clipped])
    if square <= 0.0:
        return 0.0
    product = sum([before * after for before, after in pairwise(clipped)])
    bias = 1.0 / len(residuals)  # the estimate is too low by about this (Marriott and Pope 1954)
    return max(0.0, min(_CORRELATION_MAX, product / square + bias))
