"""
What changed between two builds, function by function, and how sure that is. Pure.

Each function's cost of an operation, own cost charged home (reports.profile.costs), on two sides.
Two process starts of one build differ as a whole: another layout of memory, another clock of the
core. So the ratio that most of the cost has in common is taken out first: a weighted median, in
which no function weighs more than a quarter of the whole, so that one guilty function can't move it
unless it costs more than three quarters (then nothing tells it from a slower machine). What is left
is tested by Welch's t test (Biometrika 34, 1947) with the largest of three variances, and its
degrees of freedom: between segments, of the samples themselves (N samples have a variance of N, and
a thread's samples are worth what the kernel says that it ran), and between starts. Of the last a
few starts say little, so what they show is weighed with what starts of one build were measured to
differ by (a moderated variance: Smyth, Statistical Applications in Genetics and Molecular Biology
3, 2004).
Most functions did not change: where their changes are clearly wider than that says, the machine was
noisier, and starts are taken to differ by what makes half of the changes fit (an empirical null:
Efron, Journal of the American Statistical Association 99, 2004).
Noise that grows with the cost is taken at what a function would cost if both sides were alike, as
in a score test (Rao, Proceedings of the Cambridge Philosophical Society 44, 1948): what is new
would hide itself otherwise.
Holm's correction (Scandinavian Journal of Statistics 6, 1979) bounds the chance of naming any
function of two equal builds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.model.profile import Frame, Metric, Profile
from reports.profile.costs import CostTable, Matrix, cost_table
from reports.statistics.multiplicity import holm

ERROR_SHARE_MAX = 0.05  # chance of naming anything on equal builds
TESTED_SHARE_MIN = 0.005  # of the cost of an operation, on either side
NAMED_SHARE_MIN = 0.01  # a smaller change of the cost of an operation is not worth a name
START_VARIATION = 0.05  # of one function's cost between starts of one build, once the common is out
START_FREEDOM = 10.0  # as many starts beside the first, that figure is worth
SEGMENT_COUNT_MIN = 3  # where there are no samples whose count tells the noise
POWER = 0.8  # a change that is called detectable is named in four of five cases
_COMMON_SAMPLES_MIN = 20
_COMMON_WEIGHT_MAX = 0.25  # of one function in the common ratio; of the whole weight
_NULL_COUNT_MIN = 8  # of functions: the median of fewer is their own change
_NORMAL_QUARTILE = 0.6745  # half of all normal deviates are less
_NEVER_RATIO = 10.0  # so often the whole cost: a noise that grows with the cost hides any change
_MEDIAN_REACH = 1.17  # over the root of their number: the standard error of that half, relative
_STEP_COUNT = 8  # of iterations that gain a digit, or halve, in each
Vector = NDArray[np.float64]


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
        detectable_change: From this size on a change of it would probably have been named.
        is_tested: It costs enough, on either side, to be looked at.
        is_named: Sure, and large enough to matter.
    """

    function: Frame
    base_cost: float
    candidate_cost: float
    own_change: float
    half_width: float
    p_value: float
    detectable_change: float
    is_tested: bool
    is_named: bool

    @property
    def change(self) -> float:
        """Of the cost of an operation; above 0 it costs more."""
        return self.candidate_cost - self.base_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileDiff:
    """
    Two sides of one metric.

    Attributes:
        base_cost, candidate_cost: Of an operation, all functions, as measured.
        common_ratio: What most of the cost changed by; taken out of every function.
        changes: Named ones first, the largest increase first; then the others by change.
        start_counts: Process starts on either side.
        start_ratio: What starts of one build are taken to differ by, of a function's cost.
    """

    metric: Metric
    base_cost: float
    candidate_cost: float
    common_ratio: float
    changes: tuple[FunctionChange, ...]
    start_counts: tuple[int, int]
    start_ratio: float

    @property
    def named(self) -> tuple[FunctionChange, ...]:
        return tuple(change for change in self.changes if change.is_named)

    @property
    def tested(self) -> tuple[FunctionChange, ...]:
        return tuple(change for change in self.changes if change.is_tested)

    @property
    def detectable_median(self) -> float:
        """From this size on a change of half of the functions tested would have been named."""
        found = [change.detectable_change for change in self.tested]
        return float(np.median(found)) if found else 0.0

    @property
    def detectable_max(self) -> float:
        """From this size on a change of any function tested would probably have been named."""
        return max((change.detectable_change for change in self.tested), default=0.0)


def diff_profiles(base: Sequence[Profile], candidate: Sequence[Profile]) -> ProfileDiff:
    """
    What changed from *base* to *candidate*: profiles of one metric, one a process start.

    Raises:
        ValueError: they are of several metrics, a side has none, nothing was answered in it, or
            its noise can't be told.
    """
    sides = cost_table(base), cost_table(candidate)
    if base[0].metric != candidate[0].metric:
        raise ValueError(f"{base[0].metric} can't be compared with {candidate[0].metric}")
    for name, side in zip(("base", "candidate"), sides, strict=True):
        if len(side.operation_counts) == 0 or not side.operation_counts.sum():
            raise ValueError(f"the {name} has no segment in which an operation was answered")
        if not side.sample_counts.any() and len(side.operation_counts) < SEGMENT_COUNT_MIN:
            raise ValueError(
                f"the {name} has {len(side.operation_counts)} segments: fewer than"
                f" {SEGMENT_COUNT_MIN} don't show their own noise; profile longer, or --repeat"
            )
    functions = tuple(dict.fromkeys([*sides[0].functions, *sides[1].functions]))
    is_timed = base[0].metric is Metric.CPU_NS
    a, b = (_Side(side, functions, is_timed=is_timed) for side in sides)
    ratio = _common_ratio(a, b) if is_timed else 1.0
    whole = float(a.mean.sum())
    change = b.mean / ratio - a.mean
    is_tested = np.maximum(a.mean, b.mean / ratio) >= TESTED_SHARE_MIN * whole
    start_ratio = _start_variation(a, b, ratio)
    error, freedom = _error(a, b, ratio, start_ratio, _alike(a, b, ratio))
    p_values = np.ones(len(functions))
    p_values[is_tested] = corrected(p_two_sided(change, error, freedom)[is_tested])
    floor = NAMED_SHARE_MIN * whole
    is_named = is_tested & (p_values <= ERROR_SHARE_MAX) & (np.abs(change) >= floor)
    detectable = _detectable(a, b, ratio, start_ratio, int(is_tested.sum()))
    detectable = np.maximum(floor, detectable)
    as_seen, freedom = _error(a, b, ratio, start_ratio, (a.mean, b.mean))
    half_width = stats.t.ppf(0.975, freedom) * as_seen
    own_change = b.own / ratio - a.own
    changes = [
        FunctionChange(
            function=function,
            base_cost=float(a.mean[i]),
            candidate_cost=float(b.mean[i] / ratio),
            own_change=float(own_change[i]),
            half_width=float(half_width[i]),
            p_value=float(p_values[i]),
            detectable_change=float(detectable[i]),
            is_tested=bool(is_tested[i]),
            is_named=bool(is_named[i]),
        )
        for i, function in enumerate(functions)
        if a.mean[i] or b.mean[i]
    ]
    return ProfileDiff(
        metric=base[0].metric,
        base_cost=whole,
        candidate_cost=float(b.mean.sum()),
        common_ratio=ratio,
        changes=ranked(changes),
        start_counts=(len(base), len(candidate)),
        start_ratio=start_ratio,
    )


def ranked(changes: Sequence[FunctionChange]) -> tuple[FunctionChange, ...]:
    """Named ones first, the largest increase first; then the others by change."""
    return tuple(sorted(changes, key=lambda item: (not item.is_named, -item.change)))


def p_two_sided(change: Vector, error: Vector, freedom: Vector) -> Vector:
    """The chance of *change* or more, either way, where there is none; 1 where nothing changed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(error > 0, np.abs(change) / error, np.where(change != 0, np.inf, 0.0))
    found: Vector = 2 * stats.t.sf(score, freedom)
    return found


def detectable_at(
    error: Vector, freedom: Vector, tested_count: int, chance: float = ERROR_SHARE_MAX
) -> Vector:
    """The change that is named in POWER of all cases, with *tested_count* functions tested."""
    single = chance / 2 / max(1, tested_count)
    found: Vector = (stats.t.isf(single, freedom) + stats.t.ppf(POWER, freedom)) * error
    return found


def corrected(p_values: Vector) -> Vector:
    """*p_values* as they are worth beside each other."""
    return np.array(holm(p_values.tolist(), len(p_values)), np.float64)


def _start_variation(a: "_Side", b: "_Side", ratio: float) -> float:
    """So large that half of the changes are as small as chance makes them, or START_VARIATION."""
    # Chosen by what both sides say together: those chosen by one side would seem to differ.
    costs, _ = _alike(a, b, ratio)
    is_chosen = costs >= TESTED_SHARE_MIN * costs.sum()
    change = (b.mean / ratio - a.mean)[is_chosen]
    if len(change) < _NULL_COUNT_MIN:
        return START_VARIATION
    limit = _NORMAL_QUARTILE * (1 + _MEDIAN_REACH / np.sqrt(len(change)))

    def is_wide_enough(variation: float) -> bool:
        error, _ = _error(a, b, ratio, variation, _alike(a, b, ratio))
        return bool(np.median(np.abs(change) / error[is_chosen]) <= limit)

    low, high = START_VARIATION, 1.0
    if is_wide_enough(low):
        return low
    for _ in range(_STEP_COUNT):
        middle = (low + high) / 2
        low, high = (low, middle) if is_wide_enough(middle) else (middle, high)
    return high


def _detectable(
    a: "_Side", b: "_Side", ratio: float, start_ratio: float, tested_count: int
) -> Vector:
    """See detectable_at; a function that costs more is also noisier, so it takes some steps."""
    found = np.zeros_like(a.mean)
    for _ in range(_STEP_COUNT):
        error, freedom = _error(a, b, ratio, start_ratio, _alike(a, b, ratio, found))
        found = detectable_at(error, freedom, tested_count)
        found = np.minimum(found, _NEVER_RATIO * a.mean.sum())
    return found


def _alike(
    a: "_Side", b: "_Side", ratio: float, more: float | Vector = 0.0
) -> tuple[Vector, Vector]:
    """What each function would cost on either side if it cost the same, were it *more* in b."""
    weight = len(b.starts) / (len(a.starts) + len(b.starts))
    costs = a.mean * (1 - weight) + (b.mean / ratio + more) * weight
    return costs, costs * ratio


def _error(
    a: "_Side", b: "_Side", ratio: float, start_ratio: float, costs: tuple[Vector, Vector]
) -> tuple[Vector, Vector]:
    """
    Standard error of each change, and its degrees of freedom (Welch and Satterthwaite).

    *costs*: of an operation on either side, for the noise that grows with them.
    """
    worth = a.sample_worth(b, 1 / ratio), b.sample_worth(a, ratio)
    (ours, freedom_a), (theirs, freedom_b) = (
        side.variance(start_ratio, costs[i], worth[i]) for i, side in enumerate((a, b))
    )
    theirs = theirs / ratio**2
    variance = ours + theirs
    shares = ours**2 / freedom_a + theirs**2 / freedom_b
    freedom = np.full_like(variance, np.inf)
    np.divide(variance**2, shares, out=freedom, where=shares > 0)
    return np.sqrt(variance), np.maximum(1.0, freedom)


class _Side:
    """Mean cost of an operation by function, and the variance of that mean."""

    def __init__(self, table: CostTable, functions: tuple[Frame, ...], *, is_timed: bool) -> None:
        costs = _in_columns(table, table.charged, functions)
        counts = table.operation_counts.astype(np.float64)
        self.starts = [table.starts == start for start in np.unique(table.starts)]
        self.mean: Vector = costs.sum(axis=0) / counts.sum()
        self.own: Vector = _in_columns(table, table.own, functions).sum(axis=0) / counts.sum()
        sampled = int(table.sample_counts.sum())
        self._sample_cost = float(self.mean.sum()) / sampled if sampled else 0.0
        noise = _in_columns(table, table.noise, functions).sum(axis=0) / counts.sum() ** 2
        self._knows_noise = bool(table.noise.any())
        self.worth = np.divide(noise, self.mean, out=np.zeros_like(noise), where=self.mean > 0)
        self.samples = self.mean / max(float(self.mean.sum()), 1e-300) * sampled
        if is_timed and len(self.starts) > 1:
            costs = self._without_common(costs, counts)
        self._between_segments = variance_between(costs, counts)
        self._segment_freedom = max(1.0, len(costs) - 1.0)
        summed = np.array([costs[start].sum(axis=0) for start in self.starts])
        answered = np.array([counts[start].sum() for start in self.starts])
        self._between_starts = variance_between(summed, answered)

    def sample_worth(self, other: "_Side", ratio: float) -> Vector:
        """
        What one sample of each function says of the cost of an operation.

        Where a function was not seen here, what the *other* side says, *ratio* times as much.
        """
        if not self._knows_noise:
            return np.full_like(self.mean, self._sample_cost)
        elsewhere = np.where(other.mean > 0, other.worth * ratio, self._sample_cost)
        found: Vector = np.where(self.mean > 0, self.worth, elsewhere)
        return found

    def variance(self, start_ratio: float, costs: Vector, worth: Vector) -> tuple[Vector, Vector]:
        """
        Of the mean cost of each function if it were *costs*, and its degrees of freedom.

        Args:
            start_ratio: What starts of one build differ by, of a function's cost.
            costs: As they are, or others.
            worth: See sample_worth.
        """
        more = len(self.starts) - 1
        start_freedom = START_FREEDOM + more
        of_starts = (start_ratio * costs) ** 2 / len(self.starts)
        parts = np.array(
            [
                self._between_segments,
                np.maximum(costs, worth) * worth,
                (of_starts * START_FREEDOM + self._between_starts * more) / start_freedom,
            ]
        )
        freedoms = np.array([self._segment_freedom, np.inf, start_freedom])
        return parts.max(axis=0), freedoms[parts.argmax(axis=0)]

    def _without_common(self, costs: Matrix, counts: Vector) -> Matrix:
        """Each start's *costs* as if it were as fast as all of them together."""
        found = costs.copy()
        for start in self.starts:
            mean = costs[start].sum(axis=0) / max(1.0, counts[start].sum())
            is_seen = (self.samples >= _COMMON_SAMPLES_MIN * len(self.starts)) & (mean > 0)
            found[start] /= _weighted_median_ratio(mean[is_seen], self.mean[is_seen])
        return found


def _in_columns(table: CostTable, costs: Vector, functions: tuple[Frame, ...]) -> Vector:
    column = {frame: number for number, frame in enumerate(functions)}
    wide = np.zeros((len(costs), len(functions)))
    wide[:, [column[frame] for frame in table.functions]] = costs
    return wide


def variance_between(costs: Vector, counts: Vector) -> Vector:
    """Of the ratio of sums, from rows that are independent (Cochran, Sampling Techniques, 6.4)."""
    rows = len(counts)
    if rows < 2:
        return np.zeros(costs.shape[1])
    mean = costs.sum(axis=0) / counts.sum()
    residual = costs - counts[:, None] * mean
    found: Vector = (residual**2).sum(axis=0) / (rows - 1) / rows
    found /= float(counts.mean()) ** 2
    return found


def _common_ratio(a: _Side, b: _Side) -> float:
    """The median over functions of candidate to base, weighted by cost."""
    is_seen = (a.samples >= _COMMON_SAMPLES_MIN) & (b.samples >= _COMMON_SAMPLES_MIN)
    return _weighted_median_ratio(b.mean[is_seen], a.mean[is_seen])


def _weighted_median_ratio(costs: Vector, others: Vector) -> float:
    """
    Of *costs* to *others*, weighted by the lesser of both; 1 where there is none.

    A function that is most of the cost would be its own measure: its weight is bounded.
    """
    if not len(costs):
        return 1.0
    ratios, weights = costs / others, np.minimum(costs, others)
    weights = np.minimum(weights, _COMMON_WEIGHT_MAX * weights.sum())
    order = np.argsort(ratios)
    reached = np.cumsum(weights[order])
    return float(ratios[order][np.searchsorted(reached, reached[-1] / 2)])
