"""
How far chance alone may carry an effect: quantiles, chance, and the effect that could be seen.

Pure. Two independent sources: the runs (Student's t around zero, with the effect's standard error)
and the session (reports.statistics.session). Their quantiles are added in quadrature, exact
for normal distributions and wider than the convolution for those with heavier tails.
"""

import math
from dataclasses import dataclass

from reports.statistics.location import Effect
from reports.statistics.session import SESSION_FREEDOM
from reports.statistics.student import student_quantile

_HALVING_COUNT = 60
_POWER_MISSED_SHARE = 0.20  # MDE80: missed one time in five
_MORE_RUNS_MAX = 1_000  # a side; beyond it another design is called for, not more runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What an estimated log ratio would be worth if nothing had changed."""

    ratio_error: float
    freedom: float
    session_ratio: float  # 0 where both sides shared their session, as in an ABBA block

    def reach(self, upper_share: float) -> float:
        """The log ratio that noise exceeds with probability *upper_share* (at most 0.5)."""
        return math.hypot(
            student_quantile(self.freedom, upper_share) * self.ratio_error,
            student_quantile(SESSION_FREEDOM, upper_share) * self.session_ratio,
        )

    def chance_of(self, log_ratio: float) -> float:
        """The probability that noise alone exceeds *log_ratio*: a one-sided p value."""
        if log_ratio <= 0.0:
            return 0.5 if log_ratio == 0.0 else 1.0 - self.chance_of(-log_ratio)
        low, high = -700.0, math.log(0.5)  # of the logarithm of the probability
        if self.reach(math.exp(low)) <= log_ratio:
            return math.exp(low)
        for _ in range(_HALVING_COUNT):
            middle = (low + high) / 2.0
            low, high = (
                (middle, high) if self.reach(math.exp(middle)) > log_ratio else (low, middle)
            )
        return math.exp(high)

    def smallest_seen(self, alpha: float, floor: float) -> float:
        """
        The true log ratio that is found four times in five (MDE80) at the level *alpha*.

        It must carry the estimate over what chance and *floor* allow even when noise takes away
        what it does one time in five.
        """
        return max(self.reach(alpha), floor) + self.reach(_POWER_MISSED_SHARE)

    def with_runs(self, factor: float) -> "Noise":
        """The noise if there were *factor* times as many runs; the session's stays."""
        return Noise(
            ratio_error=self.ratio_error / math.sqrt(factor),
            freedom=self.freedom * factor,
            session_ratio=self.session_ratio,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What would settle a verdict: chance, floor and margin, the last two as log ratios."""

    alpha: float  # of this metric, after correction
    floor_ratio: float
    margin_ratio: float
    equivalence_alpha: float

    def is_settled(self, log_ratio: float, noise: Noise) -> bool:
        """Whether *log_ratio* is a change, or equivalence, beyond what *noise* explains."""
        size = abs(log_ratio)
        is_change = size > max(noise.reach(self.alpha), self.floor_ratio)
        return is_change or size + noise.reach(self.equivalence_alpha) < self.margin_ratio


def noise_of(effect: Effect, session_ratio: float) -> Noise:
    return Noise(
        ratio_error=effect.ratio_error, freedom=effect.freedom, session_ratio=session_ratio
    )


def more_runs(effect: Effect, noise: Noise, run_count: int, aims: Aims) -> int | None:
    """
    How many further runs a side would settle the verdict if effect and noise stay as estimated.

    None: more than a thousand, or none would, since the session's noise doesn't shrink with runs.
    """

    def settles(further: int) -> bool:
        return aims.is_settled(effect.log_ratio, noise.with_runs(1.0 + further / run_count))

    if not settles(_MORE_RUNS_MAX):
        return None
    low, high = 0, _MORE_RUNS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high
