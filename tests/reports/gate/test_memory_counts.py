"""Bytes and allocations of an operation in a gate: counted again before anything is red."""

from dataclasses import replace
from datetime import date

import pytest

from harness.model.scenario import ObjectiveSpec
from harness.model.verdict import Correctness, ExitCode
from harness.model.waivers import Waiver
from reports.compare.comparison import Rules, SideInput, compared_sides, rules_of
from reports.compare.policy import Design, MarginRule, Margins
from reports.compare.verdicts import Change
from reports.figures.profiled_start import ProfiledStart
from reports.figures.run_evidence import RunEvidence
from reports.figures.run_figures import Figure
from reports.figures.samples import Better
from reports.gate.looks import Gathered, LookPlan, Outcome, Questions, Sequential
from reports.gate.memory_counts import COUNTED, with_counts, without_counted
from tests.reports.compare.made_runs import with_record

BYTES, NUMBER = COUNTED
COST = "target.cpu_ns_per_operation"
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


def count(run: RunEvidence, ratio: float, place: int = 0) -> Gathered:
    """One start of each side; the candidate's bytes are *ratio* of the base's."""
    return Gathered(
        baseline=(of(run, f"a{place}", bytes=4000.0, number=50.0),),
        candidate=(of(run, f"b{place}", bytes=4000.0 * ratio, number=50.0),),
    )


def rules(
    *objectives: ObjectiveSpec, patterns: tuple[str, ...] = (COST, "profile.allocated_*")
) -> Rules:
    """That ask for cost and counts."""
    return replace(rules_of(None, Design.PAIRED), patterns=patterns, objectives=objectives)


def settled(run: RunEvidence) -> Outcome:
    """Of the pairs, where nothing changed."""
    plain, _ = without_counted(rules())
    looks = Sequential(
        Questions(baseline_name="a", candidate_name="b", rules=plain, settled=(COST,)),
        LookPlan(look_counts=(8,), confirm_count=6),
    )
    sides = [tuple(of(run, f"{side}-{n}") for n in range(8)) for side in "ab"]
    looks.look(Gathered(baseline=sides[0], candidate=sides[1]))
    assert looks.outcome is not None
    assert looks.outcome.dossier.comparison.exit_code == ExitCode.OK
    return looks.outcome


def counted(run: RunEvidence, *counts: Gathered, asked: Rules | None = None) -> Outcome:
    """A gate's outcome with *counts*."""
    chosen = without_counted(asked or rules())[1]
    assert chosen is not None
    return with_counts(settled(run), counts, chosen)


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
    """Within the margin of counts."""
    comparison = counted(run, count(run, 1.005)).dossier.comparison

    assert {m.name: m.status for m in comparison.metrics}[BYTES] is Change.UNCHANGED
    assert comparison.exit_code == ExitCode.OK


def test_more_bytes_are_red_when_a_second_start_agrees(run: RunEvidence) -> None:
    """And the metric is named."""
    outcome = counted(run, count(run, 1.04), count(run, 1.05, 1))

    assert outcome.confirmed == (BYTES,)
    assert outcome.dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED


@pytest.mark.parametrize("second", [(), (1.0,)])
def test_one_start_alone_is_not_red(run: RunEvidence, second: tuple[float, ...]) -> None:
    """Whether there was no second one, or it disagreed; it is not green either."""
    first = count(run, 1.04)
    outcome = counted(run, first, *(count(run, ratio, 1) for ratio in second))

    assert outcome.unconfirmed == (BYTES,)
    assert outcome.confirmed == ()
    assert outcome.dossier.comparison.exit_code == ExitCode.INCONCLUSIVE


def test_what_was_not_counted_is_no_pass(run: RunEvidence) -> None:
    """A side without a profile: INVALID, with its name."""
    bare = Gathered(baseline=(of(run, "a"),), candidate=(of(run, "b"),))
    comparison = counted(run, bare).dossier.comparison

    assert comparison.exit_code == ExitCode.INVALID
    assert BYTES in comparison.sentence


def test_a_limit_is_kept(run: RunEvidence) -> None:
    """An objective on bytes judges the candidate's run."""
    asked = rules(FIVE_KIB)
    for ratio, code in ((1.0, ExitCode.OK), (1.5, ExitCode.OBJECTIVE_MISSED)):
        outcome = counted(run, count(run, ratio), count(run, ratio, 1), asked=asked)
        assert outcome.dossier.comparison.exit_code == code


def test_money_that_is_lost_under_memray_is_lost(run: RunEvidence) -> None:
    """The gate ends as one with a failed audit, whoever's twin it was."""
    broken = replace(run.record.correctness, status=Correctness.FAILED)
    twin = replace(run.record, run_id="twin", instrumentation="memory", correctness=broken)
    good = count(run, 1.0)
    losing = replace(good.baseline[0], starts=(ProfiledStart(record=twin, profiles=()),))
    comparison = counted(run, replace(good, baseline=(losing,))).dossier.comparison

    assert comparison.exit_code == ExitCode.AUDIT_FAILED
    assert "twin under memory failed" in comparison.sentence


def test_margins_of_the_policy_need_not_say_exact(run: RunEvidence) -> None:
    """A rule for everything is taken for counts too, from one start of each side."""
    wide = MarginRule(pattern="*", margins=Margins(floor_share=0.1, margin_share=0.2))
    asked = rules()
    asked = replace(asked, policy=replace(asked.policy, rules=(wide,)))
    comparison = counted(run, count(run, 1.04), asked=asked).dossier.comparison

    assert {m.name: m.status for m in comparison.metrics}[BYTES] is Change.UNCHANGED


def test_another_profile_that_is_required_is_missed() -> None:
    """Nothing in a gate measures it: the pairs lack it, and the gate is INVALID."""
    asked = replace(
        rules(), policy=replace(rules().policy, required=("profile.cpu_ns_per_operation",))
    )

    assert without_counted(asked)[0].policy.required == ("profile.cpu_ns_per_operation",)
