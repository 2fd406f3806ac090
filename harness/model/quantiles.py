"""
Quantiles that say how sure they are, or are withheld.

All samples, never averages of percentiles. The interval of a quantile is the distribution-free one
from order statistics: the number of samples below the true quantile is binomial(n, q), so the ranks
n q -+ z sqrt(n q (1 - q)) enclose it (Conover, Practical Nonparametric Statistics, 3rd ed., 3.2).

A quantile is withheld below the sample count at which it is a guess: p99 needs 662, p99.9 6,636,
p99.99 66,381 (the published table of MLPerf LoadGen's early stopping, 99 % confidence). For others
the normal approximation of the same rule, z^2 q / (1 - q), is used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964
_Z_99_SQUARED = 6.6349
_NEEDED_COUNT_MIN = 10  # below this even a median says nothing
_NEEDED_PUBLISHED = {0.99: 662, 0.999: 6_636, 0.9999: 66_381}

HEADLINE_QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


def needed_count(q: float) -> int:
    """How many samples the quantile *q* (0 < q < 1) needs before it may be shown."""
    published = _NEEDED_PUBLISHED.get(q)
    if published is not None:
        return published
    tail = min(q, 1.0 - q)
    return max(_NEEDED_COUNT_MIN, math.ceil(_Z_99_SQUARED * (1.0 - tail) / tail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """The value at *q* with its 95 % interval; None where too few samples make it a guess."""

    q: float
    value: int | None
    low: int | None
    high: int | None
    needed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What is said of a set of samples (nanoseconds unless the holder's name says otherwise)."""

    count: int
    mean: float | None
    max: int | None
    min: int | None
    quantiles: tuple[Quantile, ...]

    def at(self, q: float) -> int | None:
        """The value of the quantile *q*, None where withheld or never asked for."""
        return next((item.value for item in self.quantiles if item.q == q), None)


def quantile(ordered: NDArray[np.int64], q: float) -> Quantile:
    """The quantile *q* of samples sorted ascending (nearest rank: the smallest with share >= q)."""
    count, needed = len(ordered), needed_count(q)
    if count < needed:
        return Quantile(q=q, value=None, low=None, high=None, needed_count=needed)
    spread = Z_95 * (count * q * (1.0 - q)) ** 0.5
    rank = int(np.ceil(count * q)) - 1
    low = max(0, int(np.floor(count * q - spread)) - 1)
    high = min(count - 1, int(np.ceil(count * q + spread)))
    return Quantile(
        q=q,
        value=int(ordered[rank]),
        low=int(ordered[low]),
        high=int(ordered[high]),
        needed_count=needed,
    )


def distribution(
    samples: NDArray[np.int64], quantiles: Sequence[float] = HEADLINE_QUANTILES
) -> Distribution:
    """The distribution of *samples*, any order; none at all gives count 0 and every value None."""
    if len(samples) == 0:
        withheld = tuple(
            Quantile(q=q, value=None, low=None, high=None, needed_count=needed_count(q))
            for q in quantiles
        )
        return Distribution(count=0, mean=None, max=None, min=None, quantiles=withheld)
    ordered = np.sort(samples)
    return Distribution(
        count=len(ordered),
        mean=float(ordered.mean()),
        max=int(ordered[-1]),
        min=int(ordered[0]),
        quantiles=tuple(quantile(ordered, q) for q in quantiles),
    )
