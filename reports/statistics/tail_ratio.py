"""
The ratio of two high quantiles, with an error that knows that samples of one run are alike.

Pure. A p99 is set by few samples, and those of one run come together: one pause makes hundreds of
slow operations. Pooling all samples as if independent gives intervals many times too narrow. So
whole runs are drawn with replacement, as many as there are, and the quantile of what they saw
together is taken again. Resampling the runs alone, not the samples within them too, comes nearest
to the true variance of such nested data (Davison and Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8; Ren et al., J. Appl. Stat. 37(9), 2010, p. 1487). With few runs
the bootstrap's variance is too small by (n - 1) / n, which is put back, and the interval takes
Student's t with the degrees of freedom of the number of runs.

The quantile is read from counts of samples above a grid of thresholds, spaced evenly in the
logarithm of the share above and taken from the samples; between two of them it is interpolated.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.figures.samples import RunTails
from reports.statistics.location import RATIO_ERROR_MIN, Effect, Method, Values, welch_freedom

_RESAMPLE_COUNT = 1_000  # the error of the error is then 2 %
_GRID_COUNT = 400
_TAIL_FACTOR = 10.0  # the grid starts at a share above of ten times that of the quantile
_SEED = 20_260_101


class UnansweredQuantileError(ValueError):
    """The quantile falls among operations that were never answered: it has no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """The log quantile of one side, and again for each drawing of its runs."""

    log_value: float
    drawn: Values

    def variance(self, run_count: int) -> float:
        """Over the drawings, with what the bootstrap loses on few runs put back."""
        return _variance(self.drawn, run_count)


def tail_effect(a: RunTails, b: RunTails) -> Effect:
    """
    The effect on a quantile from the baseline *a* to the candidate *b*; the same every time.

    At least two runs a side, all samples positive.

    Raises:
        UnansweredQuantileError: it has no value on one side.
    """
    tails = _tail(a, _SEED), _tail(b, _SEED + 1)
    variances = tails[0].variance(a.run_count), tails[1].variance(b.run_count)
    return _effect(
        tails, sum(variances), welch_freedom(variances, (a.run_count - 1.0, b.run_count - 1.0))
    )


def paired_tail_effect(a: RunTails, b: RunTails) -> Effect:
    """
    Like tail_effect where run i of *a* and of *b* were measured side by side: pairs are drawn.

    Raises:
        UnansweredQuantileError: it has no value on one side.
    """
    tails = _tail(a, _SEED), _tail(b, _SEED)  # the same seed draws the same places
    variance = _variance(tails[1].drawn - tails[0].drawn, a.run_count)
    return _effect(tails, variance, a.run_count - 1.0)


def _effect(tails: tuple[_Tail, _Tail], variance: float, freedom: float) -> Effect:
    return Effect(
        log_ratio=tails[1].log_value - tails[0].log_value,
        ratio_error=max(math.sqrt(variance), RATIO_ERROR_MIN),
        freedom=freedom,
        method=Method.TAIL,
    )


def _variance(drawn: Values, run_count: int) -> float:
    return float(drawn.var(ddof=1)) * run_count / (run_count - 1.0)


def run_quantiles(side: RunTails) -> Values:
    """The quantile of each run alone; infinite where it falls among the unanswered."""
    return np.array(
        [_quantile_of_one(run.ordered, run.count, side.q) for run in side.runs], np.float64
    )


def pooled_quantile(side: RunTails) -> float:
    """
    The quantile of all runs together.

    Raises:
        UnansweredQuantileError: it has no value.
    """
    return math.exp(_counted(side).log_value())


def _quantile_of_one(ordered: Values, count: int, q: float) -> float:
    rank = max(math.ceil(count * q) - 1, 0)
    return float(ordered[rank]) if rank < len(ordered) else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """How many samples of each run (rows) lie above each threshold of a grid (columns)."""

    above: Values
    counts: Values
    grid: Values
    q: float

    def log_quantiles(self, weights: Values) -> NDArray[np.float64]:
        """Of each row of run weights; infinite where it falls among the unanswered."""
        return _log_quantiles(weights, self.above, self.counts, self.grid, 1.0 - self.q)

    def log_value(self) -> float:
        (log_value,) = self.log_quantiles(np.ones((1, len(self.counts))))
        if not math.isfinite(log_value):
            raise UnansweredQuantileError(
                f"the quantile {self.q:g} falls among operations that were never answered"
            )
        return float(log_value)


def _tail(side: RunTails, seed: int) -> _Tail:
    counted = _counted(side)
    log_value = counted.log_value()
    chance = np.random.default_rng(seed)
    drawn = chance.multinomial(
        side.run_count, np.full(side.run_count, 1.0 / side.run_count), size=_RESAMPLE_COUNT
    ).astype(np.float64)
    again = counted.log_quantiles(drawn)
    finite = np.where(np.isfinite(again), again, math.log(counted.grid[-1]) + 1.0)  # off the scale
    return _Tail(log_value=log_value, drawn=finite)


def _counted(side: RunTails) -> _Counted:
    counts = np.array([run.count for run in side.runs], np.float64)
    grid = _grid(side, 1.0 - side.q, float(counts.sum()))
    above = np.array(
        [run.count - np.searchsorted(run.ordered, grid, side="right") for run in side.runs],
        np.float64,
    )
    return _Counted(above=above, counts=counts, grid=grid, q=side.q)


def _grid(side: RunTails, share_above: float, count: float) -> Values:
    """Thresholds, ascending: samples at evenly spaced logarithms of the share above them."""
    pooled = np.sort(np.concatenate([run.ordered for run in side.runs]))
    shares = np.geomspace(min(1.0, _TAIL_FACTOR * share_above), 1.0 / count, _GRID_COUNT)
    ranks = np.ceil(count * (1.0 - shares)).astype(np.int64) - 1
    ranks = np.append(ranks, [0, len(pooled) - 1])
    return np.unique(pooled[np.clip(ranks, 0, len(pooled) - 1)])


def _log_quantiles(
    weights: Values, above: Values, counts: Values, grid: Values, share_above: float
) -> NDArray[np.float64]:
    """For each row of run *weights*, the log of the threshold that *share_above* lies above."""
    shares = (weights @ above) / (weights @ counts)[:, None]
    first = np.argmax(shares <= share_above, axis=1)
    is_met = shares[np.arange(len(shares)), first] <= share_above
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(shares))
    high, low = shares[rows, before], shares[rows, first]
    logs = np.log(grid)
    gap = high - low
    part = np.where(gap > 0.0, (high - share_above) / np.where(gap > 0.0, gap, 1.0), 1.0)
    between = logs[before] + np.clip(part, 0.0, 1.0) * (logs[first] - logs[before])
    return np.where(is_met, between, np.inf)
