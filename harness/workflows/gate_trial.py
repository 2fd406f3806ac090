"""
The life of a gate: pairs are played and looked at until there is an outcome, which is written.

    build -> first pair: how long one takes, so when to look -> pairs until a look -> look -> ...
    -> page, compare.json, verdict.json

The gate's folder holds all of it, each pair with both whole runs; its name ends in `.incomplete`
until the verdict is there.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, RecordError, UsageError
from harness.model.gate_policy import DEFAULT_WATCHED, GateSpec
from harness.model.policy_file import Policy, load_policy
from harness.model.scenario import Scenario
from harness.model.text import count, significant
from harness.model.units import NANOS_PER_SECOND, format_duration
from harness.profilers.memray_profiler import MemrayProfiler
from harness.runs.pair_series import (
    AlonePlayer,
    Gatherer,
    PairPlayer,
    Played,
    Setups,
    build_sides,
    memory_setups,
)
from harness.runs.run import RunSetup
from harness.storage.run_folder import INCOMPLETE_SUFFIX, load_run, write_json
from harness.workflows.comparison import result_of
from harness.workflows.gate_sides import BASE, CANDIDATE, GateSides, gate_scenario, gate_sides
from harness.workflows.requests import (
    ComparisonDetails,
    GateRequest,
    Note,
    Result,
    Tell,
    tell_nobody,
)
from reports.compare.comparison import Rules, rules_of
from reports.compare.policy import Design
from reports.compare.verdicts import verdict_to_json
from reports.figures.run_evidence import counts_of
from reports.gate.looks import GateOutcome, GatheredPairs, Questions, Sequential, plan_looks
from reports.gate.memory_counts import with_counts, without_counted
from reports.pages.gate.former_gates_section import former_gates_section, former_gates_to_json
from reports.pages.gate.page import (
    GateFacts,
    gate_dossier,
    gate_sections,
    gate_to_json,
    too_few_pairs,
)
from reports.reading.former_gates import read_former_gates
from reports.reading.run_folder import read_evidence
from reports.writing import write_comparison

if TYPE_CHECKING:
    from harness.engine.progress import Progress
    from harness.model.record import RunRecord
    from reports.figures.run_evidence import RunEvidence


def gate(request: GateRequest, tell: Tell = tell_nobody) -> Result[ComparisonDetails]:
    """
    Measure, judge and write.

    Raises:
        UsageError: the request or the policy asks for what these sides can't give.
        HarnessError: a side or the machine failed; the folder is kept as `.incomplete`.
    """
    now = datetime.now(UTC)
    policy = None if request.policy is None else load_policy(request.policy, today=now.date())
    spec = policy.gate if policy else GateSpec()
    if request.budget_ns is not None:
        spec = replace(spec, budget_ns=request.budget_ns)
    with gate_sides(request) as sides:
        scenario = gate_scenario(request, policy, spec, is_paired=not sides.baseline)
        asked = _rules(policy, spec, Design.APART if sides.baseline else Design.PAIRED)
        rules, counted = without_counted(asked)
        if sides.baseline and counted is not None:
            raise UsageError(
                "policy: figures of a memory profile are counted on both sides, and runs that are"
                " stored can't be profiled again; use --base, or leave out profile.* in the policy"
            )
        one = _Gate(
            gate_id=f"gate-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            request=request,
            sides=sides,
            scenario=scenario,
            spec=spec,
            policy=policy,
            rules=rules,
            counted=counted,
            settled=tuple(asked.policy.required),
            view=_GateView(tell),
        )
        return one.judged()


class _GateView:
    """Tells what of a pair matters to the one who waits."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def phase(self, name: str, detail: str) -> None:
        """Builds and failures; the phases of every run would be noise."""
        if name in {"build", "kept"}:
            self.say(f"{name}: {detail}")

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """One sentence."""
        self._tell(Note(text=text))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """
    A gate that was asked for, its names looked up.

    Attributes:
        rules: Of what the pairs are asked, settled or watched.
        counted: Of what pairs under memray are asked besides; None: nothing.
        settled: Metrics that must be shown to be within their margins, of both.
    """

    gate_id: str
    request: GateRequest
    sides: GateSides
    scenario: Scenario
    spec: GateSpec
    policy: Policy | None
    rules: Rules
    counted: Rules | None
    settled: tuple[str, ...]
    view: _GateView

    def judged(self) -> Result[ComparisonDetails]:
        """The gate's folder, whole."""
        folder = self.request.runs_folder / (self.gate_id + INCOMPLETE_SUFFIX)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise RecordError(f"{folder}: can't be made: {error}") from error
        try:
            outcome, gatherer = self._trial(folder)
        except HarnessError as error:
            failure = {"error": type(error).__name__, "message": str(error)}
            with suppress(RecordError):  # the disk is full: the message is all there is
                write_json(folder / "failure.json", failure)
            self.view.say(f"kept: {folder} (all runs, failure.json)")
            raise
        facts = self._facts(gatherer)
        dossier = gate_dossier(outcome, facts)
        former = read_former_gates(self.request.runs_folder, facts.settings)
        more = {
            "gate": gate_to_json(outcome, facts),
            "former_gates": former_gates_to_json(former),
        }
        page = write_comparison(
            dossier,
            folder,
            (
                *gate_sections(outcome, facts),
                *former_gates_section(former, dossier.comparison),
            ),
            more,
        )
        folder = folder.rename(folder.with_name(self.gate_id))
        document = {**verdict_to_json(dossier.comparison), **more}
        return result_of(dossier.comparison, folder / page.name, document)

    def _trial(self, folder: Path) -> tuple[GateOutcome, Gatherer]:
        setups = {
            side: RunSetup(
                scenario=self.scenario,
                target=target,
                kafka=self.request.kafka,
                runs_folder=folder,
                command=self.request.command,
            )
            for side, target in self.sides.targets.items()
        }
        stored = tuple(read_evidence(load_run(path)) for path in self.sides.baseline)
        build_sides(setups, self.view)
        spec = self.spec
        with ExitStack() as stack:
            player = (
                AlonePlayer(setups, self.view)
                if stored
                else stack.enter_context(
                    PairPlayer(setups, spec.window_ns, spec.guard_ns, self.view)
                )
            )
            gatherer = Gatherer(player, spec.budget_ns)
            outcome = self._looked_at(gatherer, _Evidence(stored), self.rules)
        return self._with_counts(setups, gatherer, outcome), gatherer

    def _with_counts(self, setups: Setups, gatherer: Gatherer, outcome: GateOutcome) -> GateOutcome:
        """
        *outcome* with the bytes of an operation, if they are asked for and it is a verdict.

        They have pairs of their own, and as much time again as the others may take.
        """
        if self.counted is None or outcome.dossier.comparison.faults or not gatherer.pairs:
            return outcome
        whole = partial(MemrayProfiler, is_split=False)
        asked = memory_setups(setups, gatherer.pairs[0], whole)
        self.view.say("memory: pairs of starts under memray")
        with PairPlayer(asked, 0, self.spec.guard_ns, self.view) as player:
            memory = Gatherer(player, self.spec.budget_ns)
            counted = self._looked_at(memory, _Evidence(are_counts=True), self.counted)
        return with_counts(outcome, counted)

    def _looked_at(self, gatherer: Gatherer, evidence: _Evidence, rules: Rules) -> GateOutcome:
        """What the pairs of *gatherer*, played while its budget lasts, say of *rules*."""

        def on_pair(one: Played) -> None:
            evidence.add(one)
            self.view.say(_pair_line(one, gatherer))

        def gather(count: int, *, is_confirming: bool = False) -> bool:
            return gatherer.gather(count, is_confirming=is_confirming, on_pair=on_pair)

        can_go_on = gather(1) and gather(2)
        plan = plan_looks(gatherer.affordable_count)
        is_enough = plan.is_enough
        if not is_enough:
            self.view.say(too_few_pairs(gatherer.affordable_count, self._facts(gatherer)))
            plan = replace(plan, look_counts=(max(1, gatherer.affordable_count),))
        looks = Sequential(self._questions(rules), plan)
        while looks.outcome is None:
            can_go_on = can_go_on and gather(looks.wanted_count, is_confirming=looks.is_confirming)
            looks.look(evidence.gathered, is_last=not can_go_on or not is_enough)
            self.view.say(_look_line(looks))
        return looks.outcome

    def _questions(self, rules: Rules) -> Questions:
        return Questions(
            baseline_name=self.sides.names[BASE],
            candidate_name=self.sides.names[CANDIDATE],
            rules=rules,
            settled=self.settled,
            command=self.request.command,
        )

    def _facts(self, gatherer: Gatherer) -> GateFacts:
        spec = self.spec
        return GateFacts(
            gate_id=self.gate_id,
            sides={side: dict(facts) for side, facts in self.sides.facts.items()},
            settings=self._settings(gatherer),
            pairs=tuple(gatherer.played),
            budget_s=spec.budget_ns / NANOS_PER_SECOND,
            spent_s=gatherer.spent_s,
            pair_s=gatherer.pair_s,
            inconclusive_passes=spec.inconclusive_passes,
        )

    def _settings(self, gatherer: Gatherer) -> dict[str, str]:
        spec, scenario, policy = self.spec, self.scenario, self.policy
        first = gatherer.pairs[0].runs[CANDIDATE].record if gatherer.pairs else None
        turns = f"{format_duration(spec.window_ns)} and a guard of {format_duration(spec.guard_ns)}"
        settings = {
            "target": str(first.target.get("name", "")) if first else "",
            "machine": _machine(first) if first else "",
            "scenario": f"{scenario.name} {scenario.profile}".strip(),
            "seed": str(scenario.seed),
            "warm-up of a side": format_duration(scenario.warmup_ns),
            "measured of a side": format_duration(scenario.measure_ns),
            "turns": "none: the base is stored" if self.sides.baseline else turns,
            "broker": self.request.kafka,
            "policy": f"{policy.name} ({policy.digest})" if policy else "none",
        }
        if self.counted is not None:
            settings["memory"] = "pairs of starts under memray, both sides at once, sent in bursts"
        return settings


def _rules(policy: Policy | None, spec: GateSpec, design: Design) -> Rules:
    """Of all that is asked, settled or watched, of the pairs and of those under memray."""
    rules = rules_of(policy, design)
    watched = policy.comparison.metrics if policy and policy.comparison.metrics else DEFAULT_WATCHED
    # What must be settled must be there: a name that nobody measured would settle nothing.
    required = tuple(dict.fromkeys((*spec.settled, *rules.policy.required)))
    return replace(
        rules,
        policy=replace(rules.policy, required=required),
        patterns=tuple(dict.fromkeys((*required, *watched))),
    )


class _Evidence:
    """What is kept of the runs: of a baseline that was stored, all of it from the beginning."""

    def __init__(self, stored: tuple[RunEvidence, ...] = (), *, are_counts: bool = False) -> None:
        self._stored, self._are_counts = stored, are_counts
        self._by_side: dict[str, list[RunEvidence]] = {BASE: [], CANDIDATE: []}

    def add(self, one: Played) -> None:
        """A pair that was spoilt is not evidence, unless it lost money."""
        if not one.spoilt or one.is_audit_failed:
            for side, run in one.runs.items():
                found = read_evidence(run)
                self._by_side[side].append(counts_of(found) if self._are_counts else found)

    @property
    def gathered(self) -> GatheredPairs:
        """So far."""
        return GatheredPairs(
            baseline=self._stored or tuple(self._by_side[BASE]),
            candidate=tuple(self._by_side[CANDIDATE]),
            is_paired=not self._stored,
        )


def _machine(record: RunRecord) -> str:
    environment = record.environment
    return f"{environment.get('cpu_model')}, {environment.get('core_count')} cores"


def _pair_line(one: Played, gatherer: Gatherer) -> str:
    spent = f"{count(gatherer.spent_s)} s spent"
    if one.spoilt:
        return f"pair {one.number}: INVALID, played again; {one.spoilt[0]}; {spent}"
    return f"pair {one.number}: {significant(one.length_s)} s; {spent}"


def _look_line(looks: Sequential) -> str:
    look = looks.looks[-1]
    worse = ", ".join(look.worse) or "nothing"
    still_open = f"; not settled: {', '.join(look.open)}" if look.open else ""
    return f"{look.step} at {look.pair_count} pairs: worse: {worse}{still_open}"
