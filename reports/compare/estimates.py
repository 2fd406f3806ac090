"""
From the runs of one metric to its effect, whatever kind of numbers the runs brought.

Pure. An exact metric (instructions of one build) has no noise; the others have that of their runs.
"""

from dataclasses import dataclass, replace

import numpy as np

from reports.compare.policy import Design, Margins
from reports.compare.verdicts import SideValues
from reports.figures.samples import Compared, MeasuredMetric, RunTails, RunValues
from reports.statistics.location import (
    RATIO_ERROR_MIN,
    Effect,
    Values,
    effect_of_pairs,
    effect_of_runs,
)
from reports.statistics.tail_ratio import (
    paired_tail_effect,
    pooled_quantile,
    run_quantiles,
    tail_effect,
)

RUN_COUNT_NEEDED = 2  # a side, for any estimate of noise
_SHARE_LEFT_MIN = 1e-9  # of operations that did not fail, for a logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPair:
    """
    One metric that both sides have, fit to be compared.

    *is_of_unanswered*: a quantile has no value, and shares without an answer stand for it.
    """

    baseline: MeasuredMetric
    candidate: MeasuredMetric
    margins: Margins
    is_of_unanswered: bool = False

    @property
    def name(self) -> str:
        return self.baseline.name

    @property
    def run_counts(self) -> tuple[int, int]:
        return self.baseline.data.run_count, self.candidate.data.run_count

    @property
    def worse_sign(self) -> int:
        """The sign of a log ratio that means worse."""
        return self.baseline.better.worse_sign

    @property
    def is_difference(self) -> bool:
        return self.baseline.compared is Compared.DIFFERENCE

    def logs(self) -> tuple[Values, Values]:
        """
        The logarithm of each run's own number, of baseline and candidate.

        A share of failures is zero in most runs and has no logarithm: its place is taken by that of
        1 / (1 - share), which is the share itself where it is small. Ratios of candidate to
        baseline are then 1.001 where one operation more in a thousand failed.
        """
        return _logs(self.baseline), _logs(self.candidate)


def estimated(pair: MetricPair, design: Design) -> Effect:
    """The effect of *pair*; each side has at least two runs, or the metric is exact."""
    a, b = pair.baseline.data, pair.candidate.data
    if isinstance(a, RunTails) and isinstance(b, RunTails):
        return (paired_tail_effect if design is Design.PAIRED else tail_effect)(a, b)
    logs = pair.logs()
    if pair.margins.is_exact and min(pair.run_counts) < RUN_COUNT_NEEDED:
        logs = np.repeat(logs[0], 2), np.repeat(logs[1], 2)
    return (effect_of_pairs if design is Design.PAIRED else effect_of_runs)(*logs)


def without_noise(effect: Effect) -> Effect:
    return replace(effect, ratio_error=RATIO_ERROR_MIN / 100.0, freedom=1e6)


def side_values(metric: MeasuredMetric | None, value: float | None = None) -> SideValues:
    """What a side shows: *value* in its middle (the median of the runs if None), and its runs."""
    if metric is None:
        return SideValues(run_count=0, value=None, runs=())
    numbers = _numbers(metric)
    finite = [number for number in numbers if np.isfinite(number)]
    if value is None and isinstance(metric.data, RunValues) and len(finite) == len(numbers) > 0:
        value = float(np.median(finite))
    return SideValues(
        run_count=len(numbers),
        value=value,
        runs=tuple(float(item) if np.isfinite(item) else None for item in numbers),
    )


def tail_value(metric: MeasuredMetric) -> float | None:
    """The quantile of all runs together; None for a metric that is no quantile."""
    return pooled_quantile(metric.data) if isinstance(metric.data, RunTails) else None


def _numbers(metric: MeasuredMetric) -> Values:
    if isinstance(metric.data, RunValues):
        return np.array(metric.data.values, np.float64)
    return run_quantiles(metric.data)


def _logs(metric: MeasuredMetric) -> Values:
    if metric.compared is Compared.DIFFERENCE:
        return -np.log1p(-np.minimum(_numbers(metric), 1.0 - _SHARE_LEFT_MIN))
    return np.asarray(np.log(_numbers(metric)), np.float64)
