"""
Between-session variance, estimated from all metrics of a comparison.

Pure. Two sides measured one after the other, on other days or after a reboot, differ even if the
code does not, and their runs can't tell by how much: the interval from the runs alone is too
narrow. But the other metrics can. If most of them are unchanged, their effects should scatter as
their own errors say; what they scatter more is the session. It is the variance between studies of
a random-effects meta-analysis, estimated by the method of Paule and Mandel (J. Res. Nat. Bur.
Standards 87, 1982, p. 377; DerSimonian and Kacker, Contemp. Clin. Trials 28, 2007, p. 105), with
three changes:

- squares are clipped at 3 standard deviations, so that a few real changes don't hide one another;
- the metric in question is left out, so that its own change doesn't excuse it;
- it is measured around the median effect, so that a slowdown common to all is not taken for noise.

Few metrics say little about it: the estimate is averaged with a prior, as in an empirical Bayes
estimate of variances (Smyth, Stat. Appl. Genet. Mol. Biol. 3(1), 2004), which has the weight of 10
metrics. Sessions are mostly alike and seldom not: t with 4 degrees of freedom, not normal.

What is called noise is bounded: on 23 days of unchanged code it is 0.7 % at most, and where half
of the tails are three times as long no session explains it. Without a bound such a comparison
would be INCONCLUSIVE.

How the degrees of freedom were chosen, and what they do on real unchanged code: ci/evidence/aa.md.
"""

import math

import numpy as np

from reports.statistics.location import Values

SESSION_FREEDOM = 4.0
SESSION_PRIOR_RATIO = 0.001
SESSION_RATIO_MAX = 0.02
_PRIOR_COUNT = 10
_CLIP = 3.0
_CLIPPED_SQUARE_MEAN = 0.9950  # of min(z^2, 9), z normal
_HALVING_COUNT = 40


def session_ratios(log_ratios: Values, ratio_errors: Values) -> Values:
    """
    For each metric the scale of the session's noise, as the other metrics show it.

    *ratio_errors* are positive. A single metric gets the prior.
    """
    count = len(log_ratios)
    own = np.array(
        [
            _scatter(np.delete(log_ratios, place), np.delete(ratio_errors, place))
            for place in range(count)
        ]
    )
    weight = _PRIOR_COUNT + count - 1
    squares = (_PRIOR_COUNT * SESSION_PRIOR_RATIO**2 + (count - 1) * own**2) / weight
    return np.minimum(np.sqrt(squares), SESSION_RATIO_MAX)


def _scatter(log_ratios: Values, ratio_errors: Values) -> float:
    """The standard deviation that the effects have beyond their errors; 0 if none."""
    if len(log_ratios) < 2:
        return 0.0
    offsets = (log_ratios - np.median(log_ratios)) ** 2
    variances = ratio_errors**2
    expected = _CLIPPED_SQUARE_MEAN * (len(log_ratios) - 1)

    def excess(between: float) -> float:
        return float(np.minimum(offsets / (variances + between), _CLIP**2).sum()) - expected

    if excess(0.0) <= 0.0:
        return 0.0
    low, high = 0.0, float(offsets.max()) * len(offsets)
    for _ in range(_HALVING_COUNT):
        middle = (low + high) / 2.0
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return math.sqrt(high)
