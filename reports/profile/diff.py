"""
What changed between two builds, function by function, and how sure that is. Pure.

Each function's cost of an operation, own cost charged home (reports.profile.costs), on two sides.
Two process starts of one build differ as a whole: another layout of memory, another clock of the
core. So the ratio that most of the cost has in common is taken out first (a weighted median, which
one guilty function can't move). What is left is tested by Welch's t test (Biometrika 34, 1947) with
the largest of three variances: between segments, of the samples themselves (a count of N samples
has a variance of N), and between starts, or what starts of one build were measured to differ by.
Holm's correction (Scandinavian Journal of Statistics 6, 1979) bounds the chance of naming any
function of two equal builds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.model.profile import Frame, Metric, Profile
from reports.profile.costs import CostTable, cost_table

ERROR_SHARE_MAX = 0.05  # chance of naming anything on equal builds
TESTED_SHARE_MIN = 0.005  # of the cost of an operation, on either side
NAMED_SHARE_MIN = 0.01  # a smaller change of the cost of an operation is not worth a name
START_VARIATION = 0.05  # of one function's cost between starts of one build, once the common is out
_COMMON_SAMPLES_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionChange:
    """
    One function on two sides.

    Attributes:
        base_cost, candidate_cost: Of an operation, in the unit of the metric; the candidate's
            without what all functions have in common.
        own_change: Of what it spends itself, without what is charged to it.
        half_width: Of the 95 % interval of the change.
        p_value: Corrected for all functions tested.
        is_named: Sure, and large enough to matter.
    """

    function: Frame
    base_cost: float
    candidate_cost: float
    own_change: float
    half_width: float
    p_value: float
    is_named: bool

    @property
    def change(self) -> float:
        """Of the cost of an operation; above 0 it is dearer."""
        return self.candidate_cost - self.base_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileDiff:
    """
    Two sides of one metric.

    Attributes:
        base_cost, candidate_cost: Of an operation, all functions, as measured.
        common_ratio: What most of the cost changed by; taken out of every function.
        changes: Named ones first, the most dearer first; then the others by change.
    """

    metric: Metric
    base_cost: float
    candidate_cost: float
    common_ratio: float
    changes: tuple[FunctionChange, ...]

    @property
    def named(self) -> tuple[FunctionChange, ...]:
        """What a reader should look at, in order."""
        return tuple(change for change in self.changes if change.is_named)


def diff_profiles(base: Sequence[Profile], candidate: Sequence[Profile]) -> ProfileDiff:
    """
    What changed from *base* to *candidate*: profiles of one metric, one a process start.

    Raises:
        ValueError: they are of several metrics, a side has none, or nothing was answered in it.
    """
    sides = cost_table(base), cost_table(candidate)
    if base[0].metric != candidate[0].metric:
        raise ValueError(f"{base[0].metric} can't be compared with {candidate[0].metric}")
    for name, side in zip(("base", "candidate"), sides, strict=True):
        if len(side.operation_counts) == 0 or not side.operation_counts.sum():
            raise ValueError(f"the {name} has no segment in which an operation was answered")
    functions = tuple(dict.fromkeys([*sides[0].functions, *sides[1].functions]))
    a, b = (_Side(side, functions) for side in sides)
    is_timed = base[0].metric is Metric.CPU_NS
    ratio = _common_ratio(a, b) if is_timed else 1.0
    whole = float(a.mean.sum())
    error_a, error_b = a.variance, b.variance / ratio**2
    change = b.mean / ratio - a.mean
    error = np.sqrt(error_a + error_b)
    freedom = max(1, len(a.table.operation_counts) + len(b.table.operation_counts) - 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(error > 0, np.abs(change) / error, np.where(change != 0, np.inf, 0.0))
    is_tested = np.maximum(a.mean, b.mean / ratio) >= TESTED_SHARE_MIN * whole
    p_values = np.ones(len(functions))
    p_values[is_tested] = _holm(2 * stats.t.sf(score[is_tested], freedom))
    is_named = is_tested & (p_values <= ERROR_SHARE_MAX)
    is_named &= np.abs(change) >= NAMED_SHARE_MIN * whole
    half_width = stats.t.ppf(0.975, freedom) * error
    own_change = b.own / ratio - a.own
    changes = [
        FunctionChange(
            function=function,
            base_cost=float(a.mean[i]),
            candidate_cost=float(b.mean[i] / ratio),
            own_change=float(own_change[i]),
            half_width=float(half_width[i]),
            p_value=float(p_values[i]),
            is_named=bool(is_named[i]),
        )
        for i, function in enumerate(functions)
        if a.mean[i] or b.mean[i]
    ]
    changes.sort(key=lambda item: (not item.is_named, -item.change))
    return ProfileDiff(
        metric=base[0].metric,
        base_cost=whole,
        candidate_cost=float(b.mean.sum()),
        common_ratio=ratio,
        changes=tuple(changes),
    )


class _Side:
    """Mean cost of an operation by function, and the variance of that mean."""

    def __init__(self, table: CostTable, functions: tuple[Frame, ...]) -> None:
        self.table = table
        costs = _in_columns(table, table.charged, functions)
        counts = table.operation_counts.astype(np.float64)
        answered = counts.sum()
        self.mean: NDArray[np.float64] = costs.sum(axis=0) / answered
        self.own: NDArray[np.float64] = (
            _in_columns(table, table.own, functions).sum(axis=0) / answered
        )
        sampled = int(table.sample_counts.sum())
        self.samples = self.mean / max(float(self.mean.sum()), 1e-300) * sampled
        self.variance = np.maximum.reduce(
            [
                _variance_between(costs, counts),
                self._of_samples(sampled),
                self._of_starts(costs, counts),
            ]
        )

    def _of_samples(self, sampled: int) -> NDArray[np.float64]:
        if not sampled:
            return np.zeros_like(self.mean)
        one = float(self.mean.sum()) / sampled
        found: NDArray[np.float64] = np.maximum(self.samples, 1.0) * one**2
        return found

    def _of_starts(
        self, costs: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        starts = np.unique(self.table.starts)
        assumed: NDArray[np.float64] = (START_VARIATION * self.mean) ** 2 / len(starts)
        if len(starts) < 2:
            return assumed
        groups = [self.table.starts == start for start in starts]
        summed = np.array([costs[group].sum(axis=0) for group in groups])
        answered = np.array([counts[group].sum() for group in groups])
        found: NDArray[np.float64] = np.maximum(_variance_between(summed, answered), assumed)
        return found


def _in_columns(
    table: CostTable, costs: NDArray[np.float64], functions: tuple[Frame, ...]
) -> NDArray[np.float64]:
    column = {frame: number for number, frame in enumerate(functions)}
    wide = np.zeros((len(costs), len(functions)))
    wide[:, [column[frame] for frame in table.functions]] = costs
    return wide


def _variance_between(
    costs: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the ratio of sums, from rows that are independent (Cochran, Sampling Techniques, 6.4)."""
    rows = len(counts)
    if rows < 2:
        return np.zeros(costs.shape[1])
    mean = costs.sum(axis=0) / counts.sum()
    residual = costs - counts[:, None] * mean
    found: NDArray[np.float64] = (residual**2).sum(axis=0) / (rows - 1) / rows
    found /= float(counts.mean()) ** 2
    return found


def _common_ratio(a: _Side, b: _Side) -> float:
    """The median over functions of candidate to base, weighted by cost."""
    is_seen = (a.samples >= _COMMON_SAMPLES_MIN) & (b.samples >= _COMMON_SAMPLES_MIN)
    if not is_seen.any():
        return 1.0
    ratios, weights = b.mean[is_seen] / a.mean[is_seen], np.minimum(a.mean, b.mean)[is_seen]
    order = np.argsort(ratios)
    reached = np.cumsum(weights[order])
    return float(ratios[order][np.searchsorted(reached, reached[-1] / 2)])


def _holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(p_values)
    stepped = p_values[order] * (len(p_values) - np.arange(len(p_values)))
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return corrected
