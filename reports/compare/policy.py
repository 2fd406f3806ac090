"""
What a comparison holds against chance and what it calls worth reporting.

Pure. Margins are shares: 0.03 is 3 %. A metric takes the first rule whose pattern fits its name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from harness.model.metrics import INSTRUCTIONS
from reports.figures.samples import Compared, MeasuredMetric, RunTails
from reports.statistics.rank_tests import RANK_ALPHA


class Design(StrEnum):
    """How the two sides were measured."""

    APART = "apart"  # one after the other: the session differs too
    PAIRED = "paired"  # run i of both sides together, as in an ABBA block


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """
    What counts as nothing for a metric.

    Attributes:
        floor_share: A change is called one only if its estimate is larger.
        margin_share: UNCHANGED means: no further apart than this. Of shares of failures both are
            differences: 0.001 is one operation more in a thousand.
        is_exact: One build gives the same number every time (counts of instructions): one run
            tells, and a change beyond the floor is not noise.
    """

    floor_share: float
    margin_share: float
    is_exact: bool = False

    @property
    def floor_ratio(self) -> float:
        return math.log1p(self.floor_share)

    @property
    def margin_ratio(self) -> float:
        return math.log1p(self.margin_share)


MEAN_MARGINS = Margins(floor_share=0.01, margin_share=0.03)
TAIL_MARGINS = Margins(floor_share=0.03, margin_share=0.10)
FAILURE_MARGINS = Margins(floor_share=0.001, margin_share=0.001)
COUNT_MARGINS = Margins(floor_share=0.01, margin_share=0.01, is_exact=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRule:
    """Margins for the metrics whose name fits *pattern* (as a shell's: "*.p99")."""

    pattern: str
    margins: Margins


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPolicy:
    """
    The rules of one comparison.

    Attributes:
        alpha: The share of comparisons without any change in which anything may be called
            changed, over all metrics together; half of it for REGRESSED, half for IMPROVED.
        equivalence_alpha: For each metric, how often UNCHANGED may be said of a change of the
            size of the margin.
        collapse_ratio: An improvement by more than this factor is a fault until explained.
        run_count_min: Runs a side below which nothing is called anything.
        rank_alpha: The significance level of the rank tests (reports.statistics.rank_tests).
        required: Names, or patterns of names, that must be among the metrics.
    """

    alpha: float = 0.05
    equivalence_alpha: float = 0.05
    collapse_ratio: float = 5.0
    run_count_min: int = 5
    rank_alpha: float = RANK_ALPHA
    design: Design = Design.APART
    rules: Sequence[MarginRule] = ()
    required: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Reject what would let everything pass."""
        assert 0.0 < self.alpha < 0.5
        assert 0.0 < self.equivalence_alpha < 0.5
        assert 0.0 < self.rank_alpha < 0.5
        assert self.collapse_ratio > 1.0
        assert self.run_count_min >= 2

    @property
    def direction_alpha(self) -> float:
        return self.alpha / 2.0

    def margins_of(self, metric: MeasuredMetric) -> Margins:
        for rule in self.rules:
            if fnmatchcase(metric.name, rule.pattern):
                return rule.margins
        if metric.unit == INSTRUCTIONS:
            return COUNT_MARGINS
        if metric.compared is Compared.DIFFERENCE:
            return FAILURE_MARGINS
        return TAIL_MARGINS if isinstance(metric.data, RunTails) else MEAN_MARGINS


LOOK_COUNT_MAX = 3
_SPENDING_POWER = 2.0


def alpha_of_look(look: int, look_count: int, alpha: float) -> float:
    """
    The share of *alpha* that look number *look* of *look_count* (from 1) may spend.

    Looking several times and stopping at the first red would multiply false alarms. The error is
    spent by the power family alpha * (look / looks)^2 (Kim and DeMets, Biometrika 74, 1987,
    p. 149): little early, most at the end. Each look gets the increment alone, with no credit for
    the correlation of looks, so the sum holds for any statistic (Bonferroni).
    """
    assert 1 <= look <= look_count <= LOOK_COUNT_MAX
    spent = [(place / look_count) ** _SPENDING_POWER for place in (look - 1, look)]
    return float(alpha * (spent[1] - spent[0]))
