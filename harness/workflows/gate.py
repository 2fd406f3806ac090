"""
The life of a gate: pairs are played and looked at until there is an outcome, which is written.

    build -> first pair: how long one takes, so when to look -> pairs until a look -> look -> ...
    -> page, compare.json, verdict.json

The gate's folder holds all of it, each pair with both whole runs; its name ends in `.incomplete`
until the verdict is there.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reports
from harness.cli.console import people, printable
from harness.errors import HarnessError, RecordError, UsageError
from harness.model.gate_policy import DEFAULT_WATCHED, GateSpec
from harness.model.policy_file import Policy
from harness.model.scenario import Scenario
from harness.model.text import count, significant
from harness.model.units import NANOS_PER_SECOND, format_duration
from harness.profilers.memray_profiler import MemrayProfiler
from harness.runs.pair_series import (
    AlonePlayer,
    GateRequest,
    Gatherer,
    PairPlayer,
    Played,
    build_sides,
    memory_request,
)
from harness.storage.run_folder import INCOMPLETE_SUFFIX, load_run, write_json
from harness.workflows.gate_sides import BASE, CANDIDATE, GateSides
from reports.compare.policy import Design

if TYPE_CHECKING:
    from harness.engine.progress import Progress
    from harness.model.record import RunRecord
    from reports.compare.verdicts import Comparison
    from reports.figures.run_evidence import RunEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOrder:
    """What the command line asked for."""

    gate_id: str
    sides: GateSides
    scenario: Scenario
    spec: GateSpec
    policy: Policy | None
    kafka: str
    runs_folder: Path
    command: str
    is_quiet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What came of it; *document* is verdict.json."""

    comparison: Comparison
    page: Path
    document: dict[str, Any]


class GateView:
    """Says what of a pair matters to the one who waits."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet

    def phase(self, name: str, detail: str) -> None:
        """Builds and failures; the phases of every run would be noise."""
        if name in {"build", "kept"}:
            self.say(f"{name}: {detail}")

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """One line."""
        if not self._is_quiet:
            people.print(printable(text))


def judge_gate(order: GateOrder) -> GateResult:
    """
    Measure, judge and write.

    Raises:
        UsageError: the policy asks for what these sides can't give.
        HarnessError: a side or the machine failed; the folder is kept as `.incomplete`.
    """
    folder = order.runs_folder / (order.gate_id + INCOMPLETE_SUFFIX)
    view = GateView(order.is_quiet)
    _, counted = reports.without_counted(_rules(order))
    if order.sides.baseline and counted is not None:
        raise UsageError(
            "policy: figures of a memory profile are counted on both sides, and runs that are"
            " stored can't be profiled again; use --base, or leave out profile.* in the policy"
        )
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RecordError(f"{folder}: can't be made: {error}") from error
    try:
        outcome, gatherer = _trial(order, folder, view)
    except HarnessError as error:
        failure = {"error": type(error).__name__, "message": str(error)}
        with suppress(RecordError):  # the disk is full: the message on the terminal is all there is
            write_json(folder / "failure.json", failure)
        view.say(f"kept: {folder} (all runs, failure.json)")
        raise
    facts = _facts(order, gatherer)
    dossier = reports.gate_dossier(outcome, facts)
    former = reports.read_former_gates(order.runs_folder, facts.settings)
    page = reports.write_comparison(
        dossier,
        folder,
        (
            *reports.gate_sections(outcome, facts),
            *reports.former_gates_section(former, dossier.comparison),
        ),
        {
            "gate": reports.gate_to_json(outcome, facts),
            "former_gates": reports.former_gates_to_json(former),
        },
    )
    document = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    folder = folder.rename(folder.with_name(order.gate_id))
    return GateResult(comparison=dossier.comparison, page=folder / page.name, document=document)


def _trial(order: GateOrder, folder: Path, view: GateView) -> tuple[reports.Outcome, Gatherer]:
    spec, sides = order.spec, order.sides
    request = GateRequest(
        scenario=order.scenario,
        targets=sides.targets,
        window_ns=spec.window_ns,
        guard_ns=spec.guard_ns,
        budget_ns=spec.budget_ns,
        kafka=order.kafka,
        folder=folder,
        command=order.command,
    )
    stored = tuple(reports.read_evidence(load_run(path)) for path in sides.baseline)
    build_sides(request, view)
    with ExitStack() as stack:
        player = (
            AlonePlayer(request, view)
            if sides.baseline
            else stack.enter_context(PairPlayer(request, view))
        )
        gatherer = Gatherer(player, spec.budget_ns)
        plain, _ = reports.without_counted(_rules(order))
        outcome = _looked_at(order, gatherer, _Evidence(stored), plain, view)
    return _counted(order, request, gatherer, outcome, view), gatherer


def _counted(
    order: GateOrder,
    request: GateRequest,
    gatherer: Gatherer,
    outcome: reports.Outcome,
    view: GateView,
) -> reports.Outcome:
    """
    *outcome* with the bytes of an operation, if the policy names them and there is a verdict.

    They have pairs of their own, and as much time again as the others may take.
    """
    _, rules = reports.without_counted(_rules(order))
    if rules is None or outcome.dossier.comparison.faults or not gatherer.pairs:
        return outcome
    whole = partial(MemrayProfiler, is_split=False)
    asked = memory_request(request, gatherer.pairs[0], whole)
    view.say("memory: pairs of starts under memray")
    with PairPlayer(asked, view) as player:
        memory = Gatherer(player, order.spec.budget_ns)
        counted = _looked_at(order, memory, _Evidence(are_counts=True), rules, view)
    return reports.with_counts(outcome, counted)


def _looked_at(
    order: GateOrder, gatherer: Gatherer, evidence: _Evidence, rules: reports.Rules, view: GateView
) -> reports.Outcome:
    """What the pairs of *gatherer*, played while its budget lasts, say of *rules*."""

    def on_pair(one: Played) -> None:
        evidence.add(one)
        view.say(_pair_line(one, gatherer))

    def gather(count: int, *, is_confirming: bool = False) -> bool:
        return gatherer.gather(count, is_confirming=is_confirming, on_pair=on_pair)

    can_go_on = gather(1) and gather(2)
    plan = reports.plan_looks(gatherer.affordable_count)
    is_enough = plan.is_enough
    if not is_enough:
        view.say(reports.too_few_pairs(gatherer.affordable_count, _facts(order, gatherer)))
        plan = replace(plan, look_counts=(max(1, gatherer.affordable_count),))
    looks = reports.Sequential(_questions(order, rules), plan)
    while looks.outcome is None:
        can_go_on = can_go_on and gather(looks.wanted_count, is_confirming=looks.is_confirming)
        looks.look(evidence.gathered, is_last=not can_go_on or not is_enough)
        view.say(_look_line(looks))
    return looks.outcome


def _questions(order: GateOrder, rules: reports.Rules) -> reports.Questions:
    return reports.Questions(
        baseline_name=order.sides.names[BASE],
        candidate_name=order.sides.names[CANDIDATE],
        rules=rules,
        settled=tuple(_rules(order).policy.required),
        command=order.command,
    )


def _rules(order: GateOrder) -> reports.Rules:
    """Of all that is asked, settled or watched, of the pairs and of those under memray."""
    design = Design.APART if order.sides.baseline else Design.PAIRED
    rules = reports.rules_of(order.policy, design)
    policy = order.policy
    watched = policy.comparison.metrics if policy and policy.comparison.metrics else DEFAULT_WATCHED
    # What must be settled must be there: a name that nobody measured would settle nothing.
    required = tuple(dict.fromkeys((*order.spec.settled, *rules.policy.required)))
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
                found = reports.read_evidence(run)
                self._by_side[side].append(reports.counts_of(found) if self._are_counts else found)

    @property
    def gathered(self) -> reports.Gathered:
        """So far."""
        return reports.Gathered(
            baseline=self._stored or tuple(self._by_side[BASE]),
            candidate=tuple(self._by_side[CANDIDATE]),
            is_paired=not self._stored,
        )


def _facts(order: GateOrder, gatherer: Gatherer) -> reports.GateFacts:
    spec, scenario = order.spec, order.scenario
    first = gatherer.pairs[0].runs[CANDIDATE].record if gatherer.pairs else None
    turns = f"{format_duration(spec.window_ns)} and a guard of {format_duration(spec.guard_ns)}"
    settings = {
        "target": str(first.target.get("name", "")) if first else "",
        "machine": _machine(first) if first else "",
        "scenario": f"{scenario.name} {scenario.profile}".strip(),
        "seed": str(scenario.seed),
        "warm-up of a side": format_duration(scenario.warmup_ns),
        "measured of a side": format_duration(scenario.measure_ns),
        "turns": "none: the base is stored" if order.sides.baseline else turns,
        "broker": order.kafka,
        "policy": f"{order.policy.name} ({order.policy.digest})" if order.policy else "none",
    }
    if reports.without_counted(_rules(order))[1] is not None:
        settings["memory"] = "pairs of starts under memray, both sides at once, sent in bursts"
    return reports.GateFacts(
        gate_id=order.gate_id,
        sides={side: dict(facts) for side, facts in order.sides.facts.items()},
        settings=settings,
        pairs=tuple(
            reports.PairFacts(
                number=one.number, first=one.first, spoilt=one.spoilt, length_s=one.length_s
            )
            for one in gatherer.played
        ),
        budget_s=spec.budget_ns / NANOS_PER_SECOND,
        spent_s=gatherer.spent_s,
        pair_s=gatherer.pair_s,
        inconclusive_passes=spec.inconclusive_passes,
    )


def _machine(record: RunRecord) -> str:
    environment = record.environment
    return f"{environment.get('cpu_model')}, {environment.get('core_count')} cores"


def _pair_line(one: Played, gatherer: Gatherer) -> str:
    spent = f"{count(gatherer.spent_s)} s spent"
    if one.spoilt:
        return f"pair {one.number}: INVALID, played again; {one.spoilt[0]}; {spent}"
    return f"pair {one.number}: {significant(one.length_s)} s; {spent}"


def _look_line(looks: reports.Sequential) -> str:
    look = looks.looks[-1]
    worse = ", ".join(look.worse) or "nothing"
    still_open = f"; not settled: {', '.join(look.open)}" if look.open else ""
    return f"{look.step} at {look.pair_count} pairs: worse: {worse}{still_open}"
