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
    """
    The value at *q* with its 95 % interval; None where too few samples make it a guess.

    Also None where the quantile falls among operations that were never answered
    (*is_unanswered*): it has no value then, and is worse than any that was seen.
    """

    q: float
    value: int | None
    low: int | None
    high: int | None  # None beside a value: the upper end falls among the unanswered
    needed_count: int
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What is said of a set of samples (nanoseconds unless the holder's name says otherwise)."""

    count: int
    mean: float | None
    max: int | None
    min: int | None
    quantiles: tuple[Quantile, ...]
    unanswered_count: int = 0  # besides count; charged as slower than every sample

    def at(self, q: float) -> int | None:
        """The value of the quantile *q*, None where withheld or never asked for."""
        return next((item.value for item in self.quantiles if item.q == q), None)


def quantile(ordered: NDArray[np.int64], q: float, unanswered_count: int = 0) -> Quantile:
    """
    The quantile *q* of samples sorted ascending (nearest rank: the smallest with share >= q).

    *unanswered_count* operations have no sample, and count as slower than all that have: left out,
    the survivors of an overload would look fast.
    """
    count, needed = len(ordered) + unanswered_count, needed_count(q)
    if count < needed:
        return Quantile(q=q, value=None, low=None, high=None, needed_count=needed)
    spread = Z_95 * (count * q * (1.0 - q)) ** 0.5
    rank = int(np.ceil(count * q)) - 1
    low = max(0, int(np.floor(count * q - spread)) - 1)
    high = min(count - 1, int(np.ceil(count * q + spread)))
    value_at_rank = _value(ordered, rank)
    return Quantile(
        q=q,
        value=value_at_rank,
        low=None if value_at_rank is None else _value(ordered, low),
        high=None if value_at_rank is None else _value(ordered, high),
        needed_count=needed,
        is_unanswered=value_at_rank is None,
    )


def distribution(
    samples: NDArray[np.int64],
    quantiles: Sequence[float] = HEADLINE_QUANTILES,
    *,
    unanswered_count: int = 0,
) -> Distribution:
    """The distribution of *samples*, any order; none at all gives count 0 and every value None."""
    return ordered_distribution(np.sort(samples), quantiles, unanswered_count=unanswered_count)


def ordered_distribution(
    ordered: NDArray[np.int64],
    quantiles: Sequence[float] = HEADLINE_QUANTILES,
    *,
    unanswered_count: int = 0,
) -> Distribution:
    is_empty = len(ordered) == 0
    return Distribution(
        count=len(ordered),
        mean=None if is_empty else float(ordered.mean()),
        max=None if is_empty else int(ordered[-1]),
        min=None if is_empty else int(ordered[0]),
        quantiles=tuple(quantile(ordered, q, unanswered_count) for q in quantiles),
        unanswered_count=unanswered_count,
    )


def _value(ordered: NDArray[np.int64], rank: int) -> int | None:
    return int(ordered[rank]) if rank < len(ordered) else None
