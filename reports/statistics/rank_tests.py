"""
Second opinions: what must agree before a difference of the middles is called a change.

Pure. The interval trusts that noise has one core. Ranks trust nothing of the kind: under equal
distributions, two-humped ones included, a rank test is right as often as it says. It is weak
against the many metrics' corrected level on ten runs, so it is asked at 2 % only: the interval
guards the suite, the ranks guard against a shape that the interval doesn't know.
(Mann and Whitney, Ann. Math. Stat. 18, 1947, p. 50; Wilcoxon, Biometrics 1, 1945, p. 80.)

A trend over a side's own runs is the other shape: where the sides were measured one after the
other, a machine that slows down looks like a candidate that does (Kendall, Biometrika 30, 1938,
p. 81, for the test; Theil 1950 and Sen, JASA 63, 1968, p. 1379, for its size).
"""

import math

import numpy as np
from scipy import stats

from reports.statistics.location import Values

RANK_ALPHA = 0.02
PAIR_COUNT_MIN = 6  # fewer can't reach that level: 2^-5 is 3 %
_ALL_SIGNS_COUNT_MAX = 13  # 8,192 patterns
_TREND_ALPHA = 0.001
_TREND_RUN_COUNT_MIN = 6
_TREND_PART = 0.5  # of the effect; a smaller drift can't have made it


def ranks_agree(a: Values, b: Values, *, upwards: bool, alpha: float = RANK_ALPHA) -> bool:
    """Whether the runs of *b* rank above (or below) those of *a*."""
    test = stats.mannwhitneyu(b, a, alternative="greater" if upwards else "less")
    return bool(test.pvalue < alpha)


def pair_ranks_agree(log_ratios: Values, *, upwards: bool, alpha: float = RANK_ALPHA) -> bool:
    """Whether the pairs' *log_ratios* lie above (or below) zero."""
    if len(log_ratios) < PAIR_COUNT_MIN or not log_ratios.any():
        return False
    return signed_rank_chance(log_ratios if upwards else -log_ratios) < alpha


def signed_rank_chance(log_ratios: Values) -> float:
    """
    How often *log_ratios* without any effect would lie as high as they do; not all of them zero.

    Few are tried with every pattern of signs, at once: SciPy says the same, but where two are equal
    it tries the patterns one by one, which takes seconds.
    """
    if len(log_ratios) > _ALL_SIGNS_COUNT_MAX:
        return float(stats.wilcoxon(log_ratios, alternative="greater").pvalue)
    ratios = log_ratios[log_ratios != 0.0]
    ranks = stats.rankdata(np.abs(ratios))
    signs = np.arange(2 ** len(ratios))[:, None] >> np.arange(len(ratios)) & 1
    return float(np.mean(signs @ ranks >= ranks[ratios > 0.0].sum()))


def drift_ratio(values: Values) -> float:
    """How far *values* (logarithms, in order) drift from first to last; 0 if not significantly."""
    count = len(values)
    if count < _TREND_RUN_COUNT_MIN or not np.ptp(values):
        return 0.0
    if not stats.kendalltau(np.arange(count), values).pvalue < _TREND_ALPHA:
        return 0.0
    return float(stats.theilslopes(values).slope) * (count - 1)


def drift_explains(log_ratio: float, a: Values, b: Values) -> bool:
    """Whether a side's own drift is of the size of the effect, so that order may have made it."""
    drifts = [abs(drift_ratio(side)) for side in (a, b)]
    return not math.isnan(sum(drifts)) and max(drifts) >= _TREND_PART * abs(log_ratio)
