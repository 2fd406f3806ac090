"""
The interim analyses (looks) of a gate: when they are, and what they say together.

Pure: a state that is asked how many pairs it wants next, is given them, and ends with an outcome.

    look, at most three times; the error of both directions is shared among the looks (policy)
        something looks worse  -> independent pairs, as many as set aside, judged alone for what
                                  looked worse: only what is worse there too is REGRESSED
        all that must be settled is UNCHANGED or IMPROVED  -> done
        otherwise              -> more pairs, or done when they are spent

A confirmation uses none of the pairs that raised the suspicion, since those were chosen by it: the
luck that made them look bad is not in the others. Both tests must agree, so the chance that noise
alone turns a gate red is the product of their levels, where pairs are independent: at the
levels of the program 2.5 % for all looks and metrics together, times 5 % for a suspect. So a
confirmation asks each suspect by itself, one-sided at the policy's alpha; one that shared a smaller
level among the suspects missed a planted slowdown of 5 % that 17 pairs together showed beyond
doubt. A baseline of stored runs is the same in both tests, and so is its luck: there the levels
don't multiply.

What only looks worse once the pairs of a confirmation are added is no suspicion yet: it waits for
the next look and its level, so that no more is asked than the looks allow. Where no look or budget
is left for it, or the gate is red already, it was never asked, and no such gate is green.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.model.metrics import is_chosen
from reports.compare.comparison import Dossier, Rules, SideInput, compared_sides
from reports.compare.policy import LOOK_COUNT_MAX, alpha_of_look
from reports.compare.verdicts import Change, MetricVerdict, resummed
from reports.figures.run_evidence import RunEvidence
from reports.statistics.rank_tests import PAIR_COUNT_MIN

CONFIRM_COUNT_MIN = PAIR_COUNT_MIN
PAIR_COUNT_NEEDED = PAIR_COUNT_MIN + CONFIRM_COUNT_MIN  # for one look and its confirmation
_CONFIRM_PARTS = 4  # of all pairs one part is kept for it
_TWO_SIDED_MAX = 0.49


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredPairs:
    """
    The runs of both sides so far.

    *is_paired*: run i of both was measured together; else the baseline was stored before.
    """

    baseline: tuple[RunEvidence, ...]
    candidate: tuple[RunEvidence, ...]
    is_paired: bool = True

    @property
    def count(self) -> int:
        return len(self.candidate)

    def since(self, count: int) -> "GatheredPairs":
        """Those after the first *count*; a baseline that was stored before stays whole."""
        return replace(
            self,
            baseline=self.baseline[count:] if self.is_paired else self.baseline,
            candidate=self.candidate[count:],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPlan:
    """At how many pairs to look, and how many independent ones a confirmation takes."""

    look_counts: tuple[int, ...]
    confirm_count: int

    @property
    def is_enough(self) -> bool:
        return bool(self.look_counts)


def plan_looks(affordable_count: int) -> LookPlan:
    """The looks that *affordable_count* pairs allow, the confirmation set aside."""
    confirm_count = max(CONFIRM_COUNT_MIN, affordable_count // _CONFIRM_PARTS)
    last = affordable_count - confirm_count
    if last < PAIR_COUNT_MIN:
        return LookPlan(look_counts=(), confirm_count=confirm_count)
    steps = [
        PAIR_COUNT_MIN + (last - PAIR_COUNT_MIN) * place // (LOOK_COUNT_MAX - 1)
        for place in range(LOOK_COUNT_MAX)
    ]
    return LookPlan(look_counts=tuple(dict.fromkeys(steps)), confirm_count=confirm_count)


class GateStep(StrEnum):
    """What a look was for."""

    LOOK = "look"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True, slots=True)
class Look:
    """
    One look, for the reader.

    Attributes:
        pair_count: How many pairs it used; of a confirmation, independent ones.
        alpha: Its level: of both directions and all metrics together; of a confirmation, of being
            worse, of each metric by itself.
        worse: What it called worse.
        open: What must be settled, and was not.
    """

    step: GateStep
    pair_count: int
    alpha: float
    worse: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """
    How it ended: the comparison of all pairs, with what was confirmed and what was not.

    *memory_looks*: those at pairs under memray (reports.gate.memory_counts).
    """

    dossier: Dossier
    looks: tuple[Look, ...]
    confirmed: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    memory_looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """
    What is asked.

    Attributes:
        settled: Patterns of the metrics that must be UNCHANGED or IMPROVED; all others are watched:
            red if they are worse, but not asked to be proved the same.
    """

    baseline_name: str
    candidate_name: str
    rules: Rules
    settled: tuple[str, ...]
    command: str = ""


class Sequential:
    """The looks at one gate's pairs: `wanted_count` of them, then `look`, until `outcome` is."""

    def __init__(self, questions: Questions, plan: LookPlan) -> None:
        assert plan.is_enough, "too few pairs to call anything worse"
        self._questions, self._plan = questions, plan
        self.looks: list[Look] = []
        self._look_count = 0
        self._suspects: tuple[str, ...] = ()
        self._suspected_count = 0  # pairs at the time
        self._unconfirmed: tuple[str, ...] = ()
        self._confirmation = ""  # how it was made, in a sentence
        self._unasked: set[str] = set()  # looked worse, and no independent pairs were asked since
        self.outcome: GateOutcome | None = None
        self.wanted_count = plan.look_counts[0]

    @property
    def is_confirming(self) -> bool:
        return bool(self._suspects)

    def look(self, gathered: GatheredPairs, *, is_last: bool = False) -> None:
        """Go on with *gathered*, `wanted_count` pairs; fewer if no more can be had (*is_last*)."""
        assert self.outcome is None, "it is over"
        assert is_last or gathered.count >= self.wanted_count
        if self.is_confirming:
            self._confirm(gathered, is_last=is_last)
        else:
            self._screen(gathered, is_last=is_last)

    def _screen(self, gathered: GatheredPairs, *, is_last: bool) -> None:
        plan = self._plan
        self._look_count += 1
        dossier, alpha = self._judged(gathered)
        worse = dossier.comparison.counting_as(Change.REGRESSED)
        still_open = self._open(dossier)
        self.looks.append(Look(GateStep.LOOK, gathered.count, alpha, worse, still_open))
        if dossier.comparison.faults:
            self._end(dossier)
        elif worse and not is_last:
            self._suspects, self._suspected_count = worse, gathered.count
            self.wanted_count = gathered.count + plan.confirm_count
        elif worse or not still_open or is_last or self._look_count == len(plan.look_counts):
            self._leave_unasked(worse)
            self._end(dossier)
        else:
            self.wanted_count = max(gathered.count + 1, plan.look_counts[self._look_count])

    def _confirm(self, gathered: GatheredPairs, *, is_last: bool) -> None:
        fresh, plan = gathered.since(self._suspected_count), self._plan
        confirmed, alpha = self._confirmed(fresh)
        self._confirmation = (
            "Independent pairs alone confirm it."
            if fresh.is_paired
            else "Independent runs confirm it, against the same stored baseline."
        )
        if fresh.count < CONFIRM_COUNT_MIN:
            self._unasked |= set(self._suspects)
        self.looks.append(Look(GateStep.CONFIRMATION, fresh.count, alpha, confirmed, ()))
        dossier, _ = self._judged(gathered)
        worse = dossier.comparison.counting_as(Change.REGRESSED)
        unasked = tuple(name for name in worse if name not in self._suspects)
        self._doubt(name for name in self._suspects if name not in confirmed)
        self._suspects = ()
        is_over = is_last or self._look_count == len(plan.look_counts)
        is_settled = not unasked and not self._open(dossier)
        if confirmed or is_over or dossier.comparison.faults or is_settled:
            self._leave_unasked(unasked)
            self._end(dossier, confirmed)
        else:
            self.wanted_count = max(gathered.count + 1, plan.look_counts[self._look_count])

    def _leave_unasked(self, names: Sequence[str]) -> None:
        """*names* look worse, and the gate ends without asking independent pairs about them."""
        self._unasked |= set(names)
        self._doubt(names)

    def _doubt(self, names: Iterable[str]) -> None:
        self._unconfirmed = tuple(dict.fromkeys((*self._unconfirmed, *names)))

    def _confirmed(self, fresh: GatheredPairs) -> tuple[tuple[str, ...], float]:
        """What is worse in *fresh* pairs too, and the level of asking: of one direction, each."""
        rules = self._questions.rules
        alpha = rules.policy.alpha
        if fresh.count < CONFIRM_COUNT_MIN:
            return (), alpha
        policy = replace(
            rules.policy,
            alpha=min(2.0 * alpha, _TWO_SIDED_MAX),
            rank_alpha=alpha,
            run_count_min=min(rules.policy.run_count_min, CONFIRM_COUNT_MIN),
            required=(),
        )
        asked = replace(rules, policy=policy, objectives=())
        # Of two sessions the other metrics tell what the session does: they are judged along.
        groups = [(name,) for name in self._suspects] if fresh.is_paired else [rules.patterns]
        found = [
            name
            for group in groups
            for name in self._compared(
                fresh, replace(asked, patterns=group)
            ).comparison.counting_as(Change.REGRESSED)
        ]
        return tuple(name for name in self._suspects if name in found), alpha

    def _judged(self, gathered: GatheredPairs) -> tuple[Dossier, float]:
        rules, look_count = self._questions.rules, len(self._plan.look_counts)
        policy = rules.policy
        alpha = alpha_of_look(self._look_count, look_count, policy.alpha)
        equivalence = alpha_of_look(self._look_count, look_count, policy.equivalence_alpha)
        levels = replace(policy, alpha=alpha, equivalence_alpha=equivalence)
        return self._compared(gathered, replace(rules, policy=levels)), alpha

    def _compared(self, gathered: GatheredPairs, rules: Rules) -> Dossier:
        questions = self._questions
        return compared_sides(
            SideInput(name=questions.baseline_name, runs=gathered.baseline),
            SideInput(name=questions.candidate_name, runs=gathered.candidate),
            rules,
            questions.command,
        )

    def _open(self, dossier: Dossier) -> tuple[str, ...]:
        return tuple(
            metric.name
            for metric in dossier.comparison.metrics
            if metric.status in {Change.INCONCLUSIVE, Change.INVALID}
            and is_chosen(metric.name, self._questions.settled)
        )

    def _end(self, dossier: Dossier, confirmed: Sequence[str] = ()) -> None:
        metrics = tuple(self._final(metric, confirmed) for metric in dossier.comparison.metrics)
        # The level is that of the gate, not that of the look that it ended with.
        judged = replace(
            dossier.comparison, metrics=metrics, alpha=self._questions.rules.policy.alpha
        )
        self.outcome = GateOutcome(
            dossier=replace(dossier, comparison=resummed(judged)),
            looks=tuple(self.looks),
            confirmed=tuple(confirmed),
            unconfirmed=self._unconfirmed,
        )

    def _final(self, metric: MetricVerdict, confirmed: Sequence[str]) -> MetricVerdict:
        is_unasked = metric.name in self._unasked
        is_settled = is_chosen(metric.name, self._questions.settled)
        metric = replace(metric, is_watched=not is_settled and not is_unasked)
        if metric.name in confirmed:
            sentence = f"{metric.sentence} {self._confirmation}"
            return replace(metric, status=Change.REGRESSED, sentence=sentence)
        if metric.status is not Change.REGRESSED or metric.is_waived:
            return metric
        why = (
            "the gate ended before independent pairs could be asked"
            if is_unasked
            else "independent pairs did not confirm it"
        )
        sentence = f"It looked worse, and {why}; so it is not called worse."
        return replace(metric, status=Change.INCONCLUSIVE, sentence=sentence)
