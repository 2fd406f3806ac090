"""Interim analyses: stop when settled; nothing is worse that independent pairs don't confirm."""

import re
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from harness.model.metrics import Figure
from harness.model.verdict import Correctness, ExitCode
from harness.model.waivers import Waiver
from reports.compare.comparison import Rules, rules_of
from reports.compare.policy import Design
from reports.compare.verdicts import Change
from reports.figures.run_evidence import RunEvidence
from reports.gate.looks import (
    CONFIRM_COUNT_MIN,
    PAIR_COUNT_NEEDED,
    GateOutcome,
    GateStep,
    GatheredPairs,
    LookPlan,
    Questions,
    Sequential,
    plan_looks,
)
from reports.pages.gate.page import GateFacts, gate_dossier, gate_to_json
from tests.reports.compare.made_runs import with_record

COST, TAIL = "target.cpu_ns_per_operation", "target.rss_bytes_max"
FACTS = GateFacts(
    gate_id="gate-test",
    sides={"base": {"revision": "a"}, "candidate": {"revision": "b"}},
    settings={},
    pairs=(),
    budget_s=300.0,
    spent_s=200.0,
    pair_s=15.0,
    inconclusive_passes=False,
)


def run_with(run: RunEvidence, number: int, side: str, **figures: float) -> RunEvidence:
    """*run* under another name, with these figures alone."""
    named = with_record(run, run_id=f"{side}-{number}")
    values = {COST: 1e5, TAIL: 1e8} | {
        {"cost": COST, "tail": TAIL}[key]: value for key, value in figures.items()
    }
    made = tuple(
        Figure(name=name, unit="ns", better=figure_better(run), value=value)
        for name, value in values.items()
    )
    return replace(named, figures=made, samples={})


def figure_better(run: RunEvidence):  # noqa: ANN201 - the orientation that all of these have
    """Less is better, of every figure here."""
    return next(item.better for item in run.figures if item.name == COST or "rss" in item.name)


def pairs(
    run: RunEvidence, ratios: list[float], *, noise: float = 0.002, tail_noise: float = 0.002
) -> GatheredPairs:
    """A pair for each of *ratios* of the cost, with the noise of a quiet machine."""
    chance = np.random.default_rng(7)
    baseline, candidate = [], []
    for number, ratio in enumerate(ratios):
        base = 1e5 * float(np.exp(chance.normal(0, 0.05)))
        other = base * ratio * float(np.exp(chance.normal(0, noise)))
        tails = 1e8 * np.exp(chance.normal(0, tail_noise, 2))
        baseline.append(run_with(run, number, "base", cost=base, tail=float(tails[0])))
        candidate.append(run_with(run, number, "candidate", cost=other, tail=float(tails[1])))
    return GatheredPairs(baseline=tuple(baseline), candidate=tuple(candidate))


def outcome_of(
    gathered: GatheredPairs,
    plan: LookPlan,
    *,
    settled: tuple[str, ...] = (COST,),
    rules: Rules | None = None,
) -> GateOutcome:
    """As a gate would end that is given these pairs one look after the other."""
    rules = rules or replace(rules_of(None, Design.PAIRED), patterns=(COST, TAIL))
    looks = Sequential(
        Questions(baseline_name="a", candidate_name="b", rules=rules, settled=settled), plan
    )
    while looks.outcome is None:
        count = min(looks.wanted_count, gathered.count)
        part = GatheredPairs(
            baseline=gathered.baseline[:count], candidate=gathered.candidate[:count]
        )
        looks.look(part, is_last=count < looks.wanted_count)
    return looks.outcome


def status_of(outcome: GateOutcome, name: str) -> Change:
    """Of one metric."""
    return next(m.status for m in outcome.dossier.comparison.metrics if m.name == name)


@pytest.fixture
def run(before: tuple[RunEvidence, ...]) -> RunEvidence:
    """A sound run."""
    return before[0]


class TestPlan:
    """When to look."""

    @pytest.mark.parametrize("count", [0, 1, PAIR_COUNT_NEEDED - 1])
    def test_too_few_pairs_have_no_look(self, count: int) -> None:
        """Nothing could be confirmed."""
        assert not plan_looks(count).is_enough

    def test_a_confirmation_always_fits(self) -> None:
        """The last look leaves the pairs that it may need, and there are at most three."""
        for count in range(PAIR_COUNT_NEEDED, 200):
            plan = plan_looks(count)

            assert plan.look_counts[-1] + plan.confirm_count == count
            assert plan.confirm_count >= CONFIRM_COUNT_MIN
            assert 1 <= len(plan.look_counts) <= 3
            assert list(plan.look_counts) == sorted(set(plan.look_counts))


class TestOutcomes:
    """What the looks together say."""

    def test_the_same_cost_is_settled_at_the_first_look(self, run: RunEvidence) -> None:
        """Six quiet pairs prove 3 %; no more are played."""
        outcome = outcome_of(pairs(run, [1.0] * 20), plan_looks(20))

        assert status_of(outcome, COST) is Change.UNCHANGED
        assert [(look.step, look.pair_count) for look in outcome.looks] == [(GateStep.LOOK, 6)]
        assert outcome.dossier.comparison.exit_code == ExitCode.OK

    def test_five_per_cent_is_confirmed_and_red(self, run: RunEvidence) -> None:
        """A look, then independent pairs alone; both say so, and the metric is named."""
        outcome = outcome_of(pairs(run, [1.05] * 20), plan_looks(20))

        assert outcome.confirmed == (COST,)
        assert [(look.step, look.pair_count) for look in outcome.looks] == [
            (GateStep.LOOK, 6),
            (GateStep.CONFIRMATION, 6),
        ]
        assert outcome.dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED
        sentence = gate_dossier(outcome, FACTS).comparison.sentence
        assert COST in sentence
        assert "+4.9" in sentence

    def test_what_fresh_pairs_deny_is_not_red(self, run: RunEvidence) -> None:
        """Six unlucky pairs, then fourteen without any effect."""
        outcome = outcome_of(pairs(run, [1.05] * 6 + [1.0] * 14), plan_looks(20))

        assert outcome.confirmed == ()
        assert COST in outcome.unconfirmed
        assert status_of(outcome, COST) is not Change.REGRESSED
        assert outcome.dossier.comparison.status is not Change.REGRESSED

    def test_a_suspicion_without_fresh_pairs_is_not_red(self, run: RunEvidence) -> None:
        """The budget ended before it could be confirmed."""
        outcome = outcome_of(pairs(run, [1.05] * 8), plan_looks(20))

        assert status_of(outcome, COST) is Change.INCONCLUSIVE
        assert outcome.dossier.comparison.exit_code == ExitCode.INCONCLUSIVE

    def test_noise_that_hides_the_margin_stays_open(self, run: RunEvidence) -> None:
        """All looks are spent, and it says how many pairs more would do."""
        outcome = outcome_of(pairs(run, [1.0] * 20, noise=0.06), plan_looks(20))
        told = gate_dossier(outcome, FACTS).comparison

        assert outcome.dossier.comparison.exit_code == ExitCode.INCONCLUSIVE
        assert len(outcome.looks) <= 3
        assert any("more pairs would settle it" in remark for remark in told.remarks)

    def test_what_is_watched_need_not_be_settled(self, run: RunEvidence) -> None:
        """Too noisy to be proved the same, not worse: green, and what could have been seen."""
        gathered = pairs(run, [1.0] * 20, tail_noise=0.3)

        outcome = outcome_of(gathered, plan_looks(20))
        told = gate_dossier(outcome, FACTS).comparison

        assert status_of(outcome, TAIL) is Change.INCONCLUSIVE
        assert told.exit_code == ExitCode.OK
        assert "of 1 that are watched none is shown to be worse" in told.sentence
        assert any(TAIL in remark and "would have been seen" in remark for remark in told.remarks)

    @pytest.mark.parametrize("tail_noise", [0.1, 0.12, 0.15, 0.2])
    def test_what_could_have_been_seen_is_a_number(
        self, run: RunEvidence, tail_noise: float
    ) -> None:
        """Of one digit, and not of none: 4 % is neither 0 % nor a fault of the program."""
        outcome = outcome_of(pairs(run, [1.0] * 12, tail_noise=tail_noise), plan_looks(12))
        told = gate_dossier(outcome, FACTS).comparison

        assert status_of(outcome, TAIL) is Change.INCONCLUSIVE
        assert any(re.search(rf"seen from: {TAIL} [1-9]\d* %", line) for line in told.remarks)

    def test_what_is_watched_turns_red(self, run: RunEvidence) -> None:
        """Watched means: worse is worse."""
        gathered = pairs(run, [1.05] * 20)

        outcome = outcome_of(gathered, plan_looks(20), settled=(TAIL,))

        assert outcome.confirmed == (COST,)
        assert outcome.dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED

    def test_unchanged_code_is_never_red(self, run: RunEvidence) -> None:
        """Forty gates of noisy pairs without any effect."""
        for seed in range(40):
            chance = np.random.default_rng(seed)
            ratios = np.exp(chance.normal(0, 0.03, 20)).tolist()

            outcome = outcome_of(pairs(run, ratios), plan_looks(20))

            assert outcome.dossier.comparison.status is not Change.REGRESSED

    def test_policy_may_let_an_open_gate_pass(self, run: RunEvidence) -> None:
        """Exit 0, and the first remark says that nothing is proved."""
        outcome = outcome_of(pairs(run, [1.0] * 20, noise=0.06), plan_looks(20))

        told = gate_dossier(outcome, replace(FACTS, inconclusive_passes=True)).comparison

        assert told.exit_code == ExitCode.OK
        assert told.status is Change.INCONCLUSIVE
        assert told.remarks[0].startswith("NOT SETTLED")


class TestUnasked:
    """A suspicion that nobody could ask about again is no pass."""

    def test_what_is_watched_and_suspect_is_open_without_fresh_pairs(
        self, run: RunEvidence
    ) -> None:
        """10 % worse in every pair there is: not red, and not green either."""
        plan = LookPlan(look_counts=(8,), confirm_count=6)
        outcome = outcome_of(pairs(run, [1.1] * 8), plan, settled=(TAIL,))
        comparison = outcome.dossier.comparison
        (cost,) = [item for item in comparison.metrics if item.name == COST]

        assert comparison.exit_code == ExitCode.INCONCLUSIVE
        assert "ended before independent pairs could be asked" in cost.sentence
        assert outcome.unconfirmed == (COST,)

    def test_more_runs_are_demanded_than_a_confirmation_has(self, run: RunEvidence) -> None:
        """`runs_min` of the policy is for a look; six independent pairs confirm all the same."""
        rules = rules_of(None, Design.PAIRED)
        rules = replace(
            rules, patterns=(COST, TAIL), policy=replace(rules.policy, run_count_min=10)
        )
        plan = LookPlan(look_counts=(12,), confirm_count=6)
        outcome = outcome_of(pairs(run, [1.1] * 18), plan, rules=rules)

        assert outcome.confirmed == (COST,)

    def test_what_is_waived_is_not_asked_about(self, run: RunEvidence) -> None:
        """It stays REGRESSED with its owner, and turns nothing red."""
        waiver = Waiver(metric=COST, owner="me", reason="why", until=date(2099, 1, 1))
        rules = replace(rules_of(None, Design.PAIRED), patterns=(COST, TAIL), waivers=(waiver,))
        plan = LookPlan(look_counts=(8,), confirm_count=6)
        outcome = outcome_of(pairs(run, [1.1] * 14), plan, rules=rules)

        assert status_of(outcome, COST) is Change.REGRESSED
        assert outcome.dossier.comparison.exit_code == ExitCode.OK


def shifting(run: RunEvidence, count: int, *, spread: float) -> GatheredPairs:
    """
    The cost is 5 % worse in the first six of *count* pairs; the other 2 % in all of them.

    *spread*: how much its pairs vary, so that six are too few to show it, and twelve are not.
    """
    shape = np.array([0.2, -1.3, 1.3, -0.2, 0.8, -0.8])
    tails = np.resize(0.02 + spread * shape / shape.std(ddof=1), count)
    quiet = np.resize([0.001, -0.001], count)
    costs = np.where(np.arange(count) < 6, 0.05, 0.0) + quiet
    return GatheredPairs(
        baseline=tuple(run_with(run, n, "base") for n in range(count)),
        candidate=tuple(
            run_with(run, n, "candidate", cost=1e5 * np.exp(cost), tail=1e8 * np.exp(tail))
            for n, (cost, tail) in enumerate(zip(costs.tolist(), tails.tolist(), strict=True))
        ),
    )


class TestWorseSinceTheConfirmation:
    """What looks worse only with the pairs of another suspect was not asked about yet."""

    PLAN = LookPlan(look_counts=(6, 13), confirm_count=6)

    def test_it_is_asked_at_the_next_look(self, run: RunEvidence) -> None:
        """The gate goes on, and independent pairs confirm it."""
        outcome = outcome_of(shifting(run, 24, spread=0.016), self.PLAN, settled=())

        assert [look.step for look in outcome.looks] == [GateStep.LOOK, GateStep.CONFIRMATION] * 2
        assert outcome.looks[0].worse == (COST,)
        assert outcome.confirmed == (TAIL,)
        assert outcome.dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED

    @pytest.mark.parametrize("settled", [(), (TAIL,)])
    def test_without_budget_it_is_open(self, run: RunEvidence, settled: tuple[str, ...]) -> None:
        """No pairs are left for the next look: not red, not green, and it says why."""
        outcome = outcome_of(shifting(run, 12, spread=0.016), self.PLAN, settled=settled)

        self.must_be_open(outcome)

    def test_without_a_look_it_is_open(self, run: RunEvidence) -> None:
        """The confirmation was the last that was planned."""
        plan = LookPlan(look_counts=(6,), confirm_count=6)
        outcome = outcome_of(shifting(run, 24, spread=0.02), plan, settled=())

        self.must_be_open(outcome)

    def must_be_open(self, outcome: GateOutcome) -> None:
        """Because of what was never asked, which is named as what it is."""
        (tail,) = [item for item in outcome.dossier.comparison.metrics if item.name == TAIL]

        assert outcome.looks[0].worse == (COST,)
        assert outcome.dossier.comparison.exit_code == ExitCode.INCONCLUSIVE
        assert "ended before independent pairs could be asked" in tail.sentence
        assert outcome.unconfirmed == (COST, TAIL)
        assert any(TAIL in line for line in gate_dossier(outcome, FACTS).comparison.remarks)


class TestFailsClosed:
    """What is not sound never ends green."""

    def test_a_failed_audit(self, run: RunEvidence) -> None:
        """One cent in one run of twelve: 5, at the first look."""
        gathered = pairs(run, [1.0] * 20)
        section = replace(run.record.correctness, status=Correctness.FAILED)
        broken = with_record(gathered.candidate[2], correctness=section)
        candidate = (*gathered.candidate[:2], broken, *gathered.candidate[3:])

        outcome = outcome_of(replace(gathered, candidate=candidate), plan_looks(20))

        assert outcome.dossier.comparison.exit_code == ExitCode.AUDIT_FAILED
        assert len(outcome.looks) == 1

    def test_other_operations(self, run: RunEvidence) -> None:
        """The sides were not given the same plan."""
        gathered = pairs(run, [1.0] * 20)
        candidate = tuple(with_record(item, schedule_digest="other") for item in gathered.candidate)

        outcome = outcome_of(replace(gathered, candidate=candidate), plan_looks(20))

        assert outcome.dossier.comparison.exit_code == ExitCode.INVALID

    def test_a_settled_metric_that_is_missing(self, run: RunEvidence) -> None:
        """The CPU of one run was not read: the gate can't be settled."""
        gathered = pairs(run, [1.0] * 20)
        first = gathered.candidate[0]
        blind = replace(first, figures=tuple(f for f in first.figures if f.name != COST))
        candidate = (blind, *gathered.candidate[1:])

        outcome = outcome_of(replace(gathered, candidate=candidate), plan_looks(20))

        assert outcome.dossier.comparison.exit_code == ExitCode.INVALID

    def test_one_pair_alone(self, run: RunEvidence) -> None:
        """Is never enough."""
        plan = LookPlan(look_counts=(1,), confirm_count=6)
        outcome = outcome_of(pairs(run, [1.0]), plan)

        assert outcome.dossier.comparison.exit_code == ExitCode.INCONCLUSIVE


def test_verdict_json_tells_every_look(run: RunEvidence) -> None:
    """Looks, levels, what was worse and what was confirmed."""
    outcome = outcome_of(pairs(run, [1.05] * 20), plan_looks(20))

    document = gate_to_json(outcome, FACTS)

    assert [look["step"] for look in document["looks"]] == ["look", "confirmation"]
    assert document["confirmed"] == [COST]
    assert document["watched"] == [TAIL]


def test_a_budget_that_is_too_small_says_which_is_not(run: RunEvidence) -> None:
    """Sixty seconds of pairs of fifteen: four, and twelve are needed."""
    outcome = outcome_of(pairs(run, [1.0]), LookPlan(look_counts=(1,), confirm_count=6))

    told = gate_dossier(outcome, replace(FACTS, budget_s=60.0)).comparison

    assert any("4 pairs" in remark and "at least 240 s" in remark for remark in told.remarks)
