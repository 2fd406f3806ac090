"""
Rules that call a benchmark slower: ours, and those of four well-known tools by their documentation.

A rule takes both sides (benchmark by run, NaN where missing) and says for each benchmark whether
it calls it slower. Only the slower side counts: that is what turns a build red.

    benchstat         Mann-Whitney U test at 0.05, two-sided; a change is shown if p < 0.05
                      (golang.org/x/perf/cmd/benchstat: -alpha 0.05, default test "utest")
    pyperf            Student's t test, pooled variance, two-sided, 95 % (pyperf compare_to:
                      is_significant in pyperf/_utils.py)
    pytest-benchmark  --benchmark-compare-fail has no default; its documentation shows min:5% and
                      mean:0.001; here min:5% and mean:5%
    asv               asv continuous and compare: factor 1.1 on the medians, and Mann-Whitney
                      p < 0.002 (asv/_stats.py: is_different)
    trimmed t         20 % trimmed means, Yuen's t (Biometrika 61, 1974, p. 165) at 0.05 / number of
                      benchmarks, one-sided, and more than 1.5 %: an earlier attempt of ours
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.model.record import Better
from reports.compare.judge import judge
from reports.compare.policy import ComparisonPolicy
from reports.compare.verdicts import Change, Comparison
from reports.figures.samples import MeasuredMetric, RunValues, Side

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    What says for each benchmark of two sides whether it became slower.

    Attributes:
        knows_suite_size: Its answer for one benchmark depends on how many there are.
        knows_suite: It depends on what the others measured.
    """

    decide: Callable[[Values, Values], Flags]
    knows_suite_size: bool = False
    knows_suite: bool = False


def compared(a: Values, b: Values) -> Comparison:
    """Our comparison of two sides under the default policy."""
    return judge(_side("a", a), _side("b", b), ComparisonPolicy())


def ours(a: Values, b: Values) -> Flags:
    """What `acctbench compare` calls REGRESSED."""
    return np.array([metric.status is Change.REGRESSED for metric in compared(a, b).metrics])


def _side(name: str, runs: Values) -> Side:
    return Side(
        name=name,
        metrics=tuple(
            MeasuredMetric(
                name=f"{place:03}",
                unit="ns",
                better=Better.LESS,
                data=RunValues(values=tuple(row[~np.isnan(row)].tolist())),
            )
            for place, row in enumerate(runs)
        ),
    )


def _each(decide: Callable[[Values, Values], bool]) -> Rule:
    def rule(a: Values, b: Values) -> Flags:
        return np.array(
            [decide(x[~np.isnan(x)], y[~np.isnan(y)]) for x, y in zip(a, b, strict=True)]
        )

    return Rule(decide=rule)


def _benchstat(a: Values, b: Values) -> bool:
    return bool(stats.mannwhitneyu(a, b).pvalue < 0.05 and np.median(b) > np.median(a))


def _pyperf(a: Values, b: Values) -> bool:
    return bool(stats.ttest_ind(a, b).pvalue <= 0.05 and b.mean() > a.mean())


def _asv(a: Values, b: Values) -> bool:
    return bool(np.median(b) > 1.1 * np.median(a) and stats.mannwhitneyu(a, b).pvalue < 0.002)


def _trimmed(a: Values, b: Values) -> Flags:
    return np.array([_yuen(x, y, 0.05 / len(a)) for x, y in zip(np.log(a), np.log(b), strict=True)])


def _yuen(x: Values, y: Values, alpha: float) -> bool:
    """Yuen's test on logarithms; what is missing is NaN."""
    means, variances, freedoms = [], [], []
    for side in (x, y):
        ordered = np.sort(side[~np.isnan(side)])
        cut = int(0.2 * len(ordered))
        kept = len(ordered) - 2 * cut
        winsorized = np.clip(ordered, ordered[cut], ordered[-cut - 1])
        means.append(ordered[cut : len(ordered) - cut].mean())
        squares = ((winsorized - winsorized.mean()) ** 2).sum()
        variances.append(squares / (kept * (kept - 1.0)))
        freedoms.append(kept - 1.0)
    gain, variance = means[1] - means[0], sum(variances)
    if gain <= math.log(1.015) or variance <= 0.0:
        return gain > math.log(1.015)
    freedom = variance**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return bool(stats.t.sf(gain / math.sqrt(variance), freedom) < alpha)


RULES: Mapping[str, Rule] = {
    "acctbench compare": Rule(decide=ours, knows_suite_size=True, knows_suite=True),
    "trimmed t, Bonferroni, 1.5 %": Rule(decide=_trimmed, knows_suite_size=True),
    "benchstat": _each(_benchstat),
    "pyperf": _each(_pyperf),
    "pytest-benchmark mean:5%": _each(lambda a, b: bool(b.mean() > 1.05 * a.mean())),
    "pytest-benchmark min:5%": _each(lambda a, b: bool(b.min() > 1.05 * a.min())),
    "asv": _each(_asv),
}
