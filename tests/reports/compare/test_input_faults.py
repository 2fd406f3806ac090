"""Whatever is missing, torn or absurd ends INVALID or INCONCLUSIVE with a sentence, never green."""

import math
from unittest.mock import patch

import numpy as np
import pytest

from harness.model.record import Better
from harness.model.verdict import ExitCode
from reports.compare.policy import ComparisonPolicy, Design
from reports.compare.verdicts import Change, Comparison
from reports.figures.samples import MeasuredMetric, RunSamples, RunTails, Side
from tests.reports.compare.sides import compare, compare_sides, metric, noisy, side, tail

GOOD = metric(noisy(20))
TAIL = tail(8)
GREEN = {Change.UNCHANGED, Change.IMPROVED}


def tails(*runs: RunSamples, q: float = 0.99) -> MeasuredMetric:
    """The tail metric with these runs."""
    return MeasuredMetric(
        name=TAIL.name, unit="ns", better=Better.LESS, data=RunTails(q=q, runs=runs)
    )


def run_of(count: int, unanswered_count: int = 0) -> RunSamples:
    """A run of *count* samples."""
    ordered = np.linspace(1.0, 2.0, count)
    return RunSamples(ordered=ordered, unanswered_count=unanswered_count)


APART, PAIRED = ComparisonPolicy(), ComparisonPolicy(design=Design.PAIRED)
FAULTS: dict[str, tuple[Side, Side, ComparisonPolicy, Change, str]] = {
    "no metric at all": (side(), side(), APART, Change.INVALID, ""),
    "metric gone": (side(GOOD), side(), APART, Change.INVALID, "doesn't have it any more"),
    "metric new": (side(), side(GOOD), APART, Change.INCONCLUSIVE, "nothing to compare"),
    "no run": (side(GOOD), side(metric([])), APART, Change.INVALID, "no run has a value"),
    "NaN": (
        side(GOOD),
        side(metric([*noisy(9), math.nan])),
        APART,
        Change.INVALID,
        "nan is not a number",
    ),
    "infinity": (
        side(metric([*noisy(9), math.inf])),
        side(GOOD),
        APART,
        Change.INVALID,
        "baseline: inf",
    ),
    "negative": (side(GOOD), side(metric([*noisy(9), -1.0])), APART, Change.INVALID, "-1 has no"),
    "one zero": (side(GOOD), side(metric([*noisy(9), 0.0])), APART, Change.INVALID, "0 has no"),
    "zero on one side": (
        side(GOOD),
        side(metric([0.0] * 9)),
        APART,
        Change.INVALID,
        "0 on one side only",
    ),
    "few zeros": (
        side(metric([0.0])),
        side(metric([0.0])),
        APART,
        Change.INCONCLUSIVE,
        "too few to rely on",
    ),
    "unit changed": (
        side(GOOD),
        side(metric(noisy(20), unit="ms")),
        APART,
        Change.INVALID,
        "unit changed from 'ns' to 'ms'",
    ),
    "orientation changed": (
        side(GOOD),
        side(metric(noisy(20), better=Better.MORE)),
        APART,
        Change.INVALID,
        "was better",
    ),
    "collapsed by 90 %": (
        side(GOOD),
        side(metric(noisy(20, factor=0.1))),
        APART,
        Change.INVALID,
        "work left undone",
    ),
    "one run a side": (
        side(metric(noisy(1))),
        side(metric(noisy(1))),
        APART,
        Change.INCONCLUSIVE,
        "at least 5 process starts",
    ),
    "four runs a side": (
        side(metric(noisy(4))),
        side(metric(noisy(4, factor=2.0))),
        APART,
        Change.INCONCLUSIVE,
        "too few for a verdict",
    ),
    "four equal runs": (
        side(metric([1.0] * 4)),
        side(metric([1.0] * 4)),
        APART,
        Change.INCONCLUSIVE,
        "too few for a verdict",
    ),
    "pairs torn": (side(GOOD), side(metric(noisy(19))), PAIRED, Change.INVALID, "paired runs"),
    "a run without samples": (
        side(TAIL),
        side(tails(run_of(1_000), run_of(0))),
        APART,
        Change.INVALID,
        "run 2 has no samples",
    ),
    "too few samples": (
        side(TAIL),
        side(tails(*[run_of(20)] * 8)),
        APART,
        Change.INVALID,
        "160 samples are too few",
    ),
    "tail unanswered": (
        side(TAIL),
        side(tails(*[run_of(1_000, 50)] * 8)),
        APART,
        Change.REGRESSED,
        "never answered: worse than any time",
    ),
    "tail unanswered in the baseline": (
        side(tails(*[run_of(1_000, 50)] * 8)),
        side(TAIL),
        APART,
        Change.INVALID,
        "never answered",
    ),
    "tail unanswered in too few runs": (
        side(TAIL),
        side(tails(*[run_of(1_000, 50)] * 4)),
        APART,
        Change.INVALID,
        "never answered",
    ),
    "another quantile": (
        side(TAIL),
        side(tails(*[run_of(1_000)] * 8, q=0.999)),
        APART,
        Change.INVALID,
        "has quantile 0.99",
    ),
    "samples against numbers": (
        side(TAIL),
        side(metric(noisy(20), name=TAIL.name)),
        APART,
        Change.INVALID,
        "one side has a number a run",
    ),
    "side at fault": (
        side(GOOD),
        side(GOOD, faults=("run x is INVALID",)),
        APART,
        Change.INVALID,
        "",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_never_green(name: str) -> None:
    """Its own verdict and exit code, and a sentence that says what it is."""
    a, b, policy, status, said = FAULTS[name]
    comparison = compare_sides(a, b, policy)

    assert comparison.status is status
    assert (
        comparison.exit_code
        == {
            Change.INVALID: ExitCode.INVALID,
            Change.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
            Change.REGRESSED: ExitCode.OBJECTIVE_MISSED,
        }[status]
    )
    assert any(said in one.sentence.lower() for one in comparison.metrics) or not said
    assert comparison.sentence


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_among_good_metrics_is_not_hidden(name: str) -> None:
    """Twenty greens beside it change nothing."""
    a, b, policy, status, _ = FAULTS[name]
    greens = [metric(noisy(20, seed=i), name=f"green {i}") for i in range(20)]
    comparison = compare_sides(
        side(*greens, *a.metrics, faults=a.faults),
        side(*greens, *b.metrics, faults=b.faults),
        policy,
    )

    if name != "no metric at all":
        assert comparison.status is status


class TestUnanswered:
    """A quantile among operations that were never answered is worse, if runs bear it out."""

    BASE = tails(*[run_of(150)] * 5)

    @pytest.mark.parametrize("counts", [(0, 0, 8, 0, 0), (0, 4, 0, 4, 0), (0, 5, 0, 2, 1)])
    def test_a_few_in_some_runs_are_not_red(self, counts: tuple[int, ...]) -> None:
        """8 of 750 operations, most of them in one run or two: open, and it says why."""
        verdict = compare(self.BASE, tails(*(run_of(150 - n, n) for n in counts)))

        assert verdict.status is Change.INCONCLUSIVE
        assert "is not shown" in verdict.sentence

    def test_far_out_a_small_share_is_much(self) -> None:
        """Of 60,000 in every run 0.05 % without an answer: five times what lies beyond p99.99."""
        base = tails(*[run_of(60_000)] * 5, q=0.9999)
        candidate = tails(*[run_of(59_970, 30)] * 5, q=0.9999)

        assert compare(base, candidate).status is Change.REGRESSED

    def test_some_in_every_run_are_red(self) -> None:
        """Each run of the candidate lost more than one of a hundred, none of the baseline any."""
        verdict = compare(self.BASE, tails(*(run_of(146 - n, 4 + n) for n in range(5))))

        assert verdict.status is Change.REGRESSED

    def test_many_metrics_share_the_error(self) -> None:
        """What one metric alone would show is not enough among forty."""
        few = tails(*(run_of(150 - n, n) for n in (2, 1, 2, 1, 2)))
        others = [metric(noisy(5, seed=place), name=f"m{place}") for place in range(39)]
        together = compare_sides(side(self.BASE, *others), side(few, *others)).metrics[0]

        assert compare(self.BASE, few).status is Change.REGRESSED
        assert together.status is Change.INCONCLUSIVE

    def test_nearly_as_many_before(self) -> None:
        """A baseline just below the quantile: the shares hardly differ."""
        base = tails(*(run_of(1_000, n) for n in (9, 10, 9, 10, 9, 10)))
        more = tails(*(run_of(1_000, n) for n in (10, 11, 10, 11, 10, 11)))

        assert compare(base, more).status is Change.INCONCLUSIVE

    def test_pairs_that_are_torn_are_a_fault(self) -> None:
        """A run that is missing on one side is not a slow one."""
        verdict = compare(self.BASE, tails(*[run_of(100, 50)] * 6), PAIRED)

        assert verdict.status is Change.INVALID


def test_there_are_enough_faults() -> None:
    """At least the fifteen that were asked for."""
    assert len(FAULTS) >= 15


def broken(side_a: Side, side_b: Side) -> Comparison:
    """The comparison when the statistics break down."""
    with patch("reports.compare.effects.estimated", side_effect=ZeroDivisionError("by zero")):
        return compare_sides(side_a, side_b)


def test_an_exception_is_inconclusive_with_its_text() -> None:
    """An error must not read as significant, nor as a pass."""
    comparison = broken(side(GOOD), side(GOOD))

    assert comparison.status is Change.INCONCLUSIVE
    assert "ZeroDivisionError: by zero" in comparison.metrics[0].sentence


def test_a_faulty_baseline_with_a_fine_candidate_says_which_side() -> None:
    """The reader learns where to look."""
    comparison = compare_sides(side(GOOD, faults=("run x is INVALID",)), side(GOOD))

    assert comparison.faults == ("baseline: run x is INVALID",)
    assert "baseline: run x is INVALID" in comparison.sentence
