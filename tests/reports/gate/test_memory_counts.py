"""Bytes and allocations of an operation in a gate: several starts, an interval, a second set."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from harness.model.metrics import Figure
from harness.model.record import Better
from harness.model.scenario import ObjectiveSpec
from harness.model.verdict import Correctness, ExitCode, Validity
from harness.model.waivers import Waiver
from reports.compare.comparison import Rules, SideInput, compared_sides, rules_of
from reports.compare.policy import Design, MarginRule, Margins
from reports.compare.sides import side_of
from reports.compare.verdicts import Change
from reports.figures.run_evidence import RunEvidence, counts_of
from reports.gate.looks import (
    PAIR_COUNT_NEEDED,
    GateOutcome,
    GateStep,
    GatheredPairs,
    LookPlan,
    Questions,
    Sequential,
    plan_looks,
)
from reports.gate.memory_counts import COUNTED, with_counts, without_counted
from tests.reports.compare.made_runs import with_record

BYTES, NUMBER = COUNTED
COST = "target.cpu_ns_per_operation"
KB, NOISE = 4000.0, 0.01  # bytes of an operation, and how far starts of one build differ
PAIR_COUNT = 18  # that the budget buys
ONE_LOOK = LookPlan(look_counts=(6,), confirm_count=6)
FIVE_KIB = ObjectiveSpec(metric=BYTES, limit=5 * 1024.0, at_most=True)


@pytest.fixture
def run(before: tuple[RunEvidence, ...]) -> RunEvidence:
    """A sound run."""
    return before[0]


def of(run: RunEvidence, name: str, **figures: float) -> RunEvidence:
    """*run* under another name, with a cost and these figures."""
    values = {COST: 1e5, **{{"bytes": BYTES, "number": NUMBER}[k]: v for k, v in figures.items()}}
    made = tuple(
        Figure(name=key, unit="bytes", better=Better.LESS, value=value)
        for key, value in values.items()
    )
    return replace(with_record(run, run_id=name), figures=made, samples={})


def gathered(
    run: RunEvidence, ratio: float, count: int = PAIR_COUNT, seed: int = 1, noise: float = NOISE
) -> GatheredPairs:
    """Pairs of starts; the candidate's bytes are *ratio* of the base's, both with noise."""
    factors = np.exp(np.random.default_rng(seed).normal(0.0, noise, (2, count)))
    sides = [
        tuple(
            of(run, f"{side}{place}", bytes=KB * own * float(factor), number=50.0)
            for place, factor in enumerate(row)
        )
        for side, own, row in zip("ab", (1.0, ratio), factors, strict=True)
    ]
    return GatheredPairs(baseline=sides[0], candidate=sides[1])


def rules(
    *objectives: ObjectiveSpec, patterns: tuple[str, ...] = (COST, "profile.allocated_*")
) -> Rules:
    """That ask for cost and counts."""
    return replace(rules_of(None, Design.PAIRED), patterns=patterns, objectives=objectives)


def settled(run: RunEvidence) -> GateOutcome:
    """Of the pairs, where nothing changed."""
    plain, _ = without_counted(rules())
    looks = Sequential(
        Questions(baseline_name="a", candidate_name="b", rules=plain, settled=(COST,)),
        LookPlan(look_counts=(8,), confirm_count=6),
    )
    sides = [tuple(of(run, f"{side}-{n}") for n in range(8)) for side in "ab"]
    looks.look(GatheredPairs(baseline=sides[0], candidate=sides[1]))
    assert looks.outcome is not None
    assert looks.outcome.dossier.comparison.exit_code == ExitCode.OK
    return looks.outcome


def judged(every: GatheredPairs, asked: Rules | None = None) -> GateOutcome:
    """What looks at the pairs under memray say, as a gate takes them."""
    chosen = without_counted(asked or rules())[1]
    assert chosen is not None
    looks = Sequential(
        Questions(baseline_name="a", candidate_name="b", rules=chosen, settled=(COST,)),
        plan_looks(every.count) if every.count >= PAIR_COUNT_NEEDED else ONE_LOOK,
    )
    while looks.outcome is None:
        count = min(looks.wanted_count, every.count)
        so_far = GatheredPairs(baseline=every.baseline[:count], candidate=every.candidate[:count])
        looks.look(so_far, is_last=looks.wanted_count > every.count)
    return looks.outcome


def counted(run: RunEvidence, every: GatheredPairs, asked: Rules | None = None) -> GateOutcome:
    """A gate's outcome with *every* pair under memray that it could have."""
    return with_counts(settled(run), judged(every, asked))


def status_of(outcome: GateOutcome, name: str = BYTES) -> Change:
    """Of one metric."""
    return {item.name: item.status for item in outcome.dossier.comparison.metrics}[name]


def test_nobody_pays_for_what_nobody_asks_for() -> None:
    """No name of theirs in the policy, no further runs; a pattern for everything asks for none."""
    assert without_counted(rules(patterns=(COST, "*")))[1] is None
    assert without_counted(rules(FIVE_KIB, patterns=(COST,)))[1] is not None


def test_the_pairs_are_not_asked_for_it() -> None:
    """They have no such figure, and would be INVALID for it."""
    asked = replace(rules(FIVE_KIB), policy=replace(rules().policy, required=(BYTES, COST)))
    plain, chosen = without_counted(asked)

    assert plain.patterns == (COST,)
    assert plain.policy.required == (COST,)
    assert plain.objectives == ()
    assert chosen is not None
    assert set(chosen.patterns) == set(COUNTED)


def test_what_is_counted_is_missed_nowhere(run: RunEvidence) -> None:
    """The pairs have no such figure, and neither they nor the counts lack what the other has."""
    wide = MarginRule(pattern="profile.*", margins=Margins(floor_share=0.1, margin_share=0.2))
    waiver = Waiver(metric=BYTES, owner="me", reason="why", until=date(2099, 1, 1))
    asked = rules(patterns=(COST, BYTES))
    asked = replace(
        asked,
        policy=replace(asked.policy, rules=(wide,)),
        written=(COST, BYTES, "misspelt"),
        waivers=(waiver,),
    )
    plain, chosen = without_counted(asked)
    assert chosen is not None
    pairs = compared_sides(
        SideInput(name="a", runs=(of(run, "a"),)), SideInput(name="b", runs=(of(run, "b"),)), plain
    ).comparison

    assert plain.written == (COST, "misspelt")
    assert chosen.written == ()
    assert not pairs.remarks
    assert len(pairs.doubts) == 1


def test_the_same_bytes_are_unchanged(run: RunEvidence) -> None:
    """Within the margin, with an interval and the smallest change that would have been seen."""
    outcome = counted(run, gathered(run, 1.0))
    (metric,) = [item for item in outcome.dossier.comparison.metrics if item.name == BYTES]

    assert metric.status is Change.UNCHANGED
    assert metric.baseline.run_count >= 6
    assert metric.estimate is not None
    assert metric.estimate.low_ratio < 1.0 < metric.estimate.high_ratio
    assert 0.0 < metric.estimate.mde_share < 0.05
    assert outcome.dossier.comparison.exit_code == ExitCode.OK


def test_equal_starts_that_were_called_changed_are_not(run: RunEvidence) -> None:
    """Four starts of one build differed so (kB an operation): any two of them told a change."""
    starts = [303.7, 308.3, 311.6, 313.2, 306.0, 310.0]
    every = GatheredPairs(
        baseline=tuple(of(run, f"a{n}", bytes=x, number=50.0) for n, x in enumerate(starts)),
        candidate=tuple(
            of(run, f"b{n}", bytes=x, number=50.0) for n, x in enumerate([*starts[3:], *starts[:3]])
        ),
    )

    assert status_of(counted(run, every)) not in {Change.REGRESSED, Change.IMPROVED}


def test_more_bytes_are_red_when_fresh_pairs_agree(run: RunEvidence) -> None:
    """5 % more in every operation: found and confirmed in most gates, and the metric is named."""
    outcomes = [counted(run, gathered(run, 1.05, seed=seed)) for seed in range(10)]
    red = [one for one in outcomes if one.confirmed == (BYTES,)]

    assert len(red) >= 9
    assert {one.dossier.comparison.exit_code for one in red} == {ExitCode.OBJECTIVE_MISSED}
    assert [look.step for look in red[0].memory_looks][-1] is GateStep.CONFIRMATION


def test_equal_builds_are_not_called_changed(run: RunEvidence) -> None:
    """Of 120 gates, where starts of one build differ by 4 %, no more than alpha allows."""
    outcomes = [judged(gathered(run, 1.0, seed=seed, noise=0.04)) for seed in range(120)]
    statuses = [status_of(one) for one in outcomes]

    assert statuses.count(Change.REGRESSED) <= 1
    assert statuses.count(Change.IMPROVED) <= 9  # 2.5 % of them are expected, 3


def test_a_confirmation_must_agree(run: RunEvidence) -> None:
    """The first pairs look worse and the independent ones don't: not red."""
    worse, same = gathered(run, 1.05, 6), gathered(run, 1.0, 8, seed=2)
    every = GatheredPairs(
        baseline=(
            *worse.baseline,
            *(with_record(r, run_id=f"c{n}") for n, r in enumerate(same.baseline)),
        ),
        candidate=(
            *worse.candidate,
            *(with_record(r, run_id=f"d{n}") for n, r in enumerate(same.candidate)),
        ),
    )
    outcome = counted(run, every)

    assert outcome.unconfirmed == (BYTES,)
    assert outcome.confirmed == ()
    assert status_of(outcome) is not Change.REGRESSED


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_pairs_are_no_pass(run: RunEvidence, count: int) -> None:
    """Also where the metric is only watched: nobody has looked."""
    comparison = counted(run, gathered(run, 1.0, count)).dossier.comparison

    assert comparison.exit_code == ExitCode.INCONCLUSIVE
    assert f"{count} of 6 pairs under memray" in comparison.sentence


def test_what_was_not_counted_is_no_pass(run: RunEvidence) -> None:
    """A side without a profile: INVALID, with its name."""
    bare = gathered(run, 1.0)
    none = tuple(of(run, f"b{place}") for place in range(PAIR_COUNT))
    comparison = counted(run, replace(bare, candidate=none)).dossier.comparison

    assert comparison.exit_code == ExitCode.INVALID
    assert BYTES in comparison.sentence


def test_a_limit_is_kept(run: RunEvidence) -> None:
    """An objective on bytes judges the candidate's runs."""
    for ratio, code in ((1.0, ExitCode.OK), (1.5, ExitCode.OBJECTIVE_MISSED)):
        outcome = counted(run, gathered(run, ratio), rules(FIVE_KIB))
        assert outcome.dossier.comparison.exit_code == code


def test_money_that_is_lost_under_memray_is_lost(run: RunEvidence) -> None:
    """The gate ends as one with a failed audit, whichever pair it was."""
    good = gathered(run, 1.0)
    broken = replace(run.record.correctness, status=Correctness.FAILED)
    losing = with_record(good.baseline[0], correctness=broken)
    every = replace(good, baseline=(losing, *good.baseline[1:]))
    comparison = counted(run, every).dossier.comparison

    assert comparison.exit_code == ExitCode.AUDIT_FAILED
    assert "its audit failed" in comparison.sentence


def test_a_slow_run_under_memray_is_no_fault(run: RunEvidence) -> None:
    """It is asked for its counts alone, not whether it was on time; its times are not kept."""
    late = replace(run.record.validity, status=Validity.INVALID)
    slow = with_record(run, instrumentation="memory", validity=late)

    assert side_of("a", (slow,)).faults
    assert not side_of("a", (counts_of(slow),)).faults
    assert counts_of(slow).figures == ()


def test_a_policy_that_still_says_exact(run: RunEvidence) -> None:
    """One start tells nothing, whatever the policy's margins were written for; they hold."""
    exact = MarginRule(
        pattern="*", margins=Margins(floor_share=0.1, margin_share=0.2, is_exact=True)
    )
    asked = rules()
    asked = replace(asked, policy=replace(asked.policy, rules=(exact,)))

    assert status_of(counted(run, gathered(run, 1.05), asked)) is Change.UNCHANGED
    assert status_of(counted(run, gathered(run, 2.0, 1), asked)) is Change.INCONCLUSIVE


def test_another_profile_that_is_required_is_missed() -> None:
    """Nothing in a gate measures it: the pairs lack it, and the gate is INVALID."""
    asked = replace(
        rules(), policy=replace(rules().policy, required=("profile.cpu_ns_per_operation",))
    )

    assert without_counted(asked)[0].policy.required == ("profile.cpu_ns_per_operation",)
