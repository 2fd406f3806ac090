"""From what a run left behind to its record and tables: all computing, the writing at the end."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.engine.results import (
    latencies,
    operations_by_kind,
    outcome_counts,
    rates,
    stored_rows,
    unseen_count,
)
from harness.errors import AuditFailedError, RecordError
from harness.machine.environment import (
    GitState,
    environment_to_json,
    read_revision,
)
from harness.model.objectives import judge_objectives, not_timed
from harness.model.quantiles import ordered_distribution
from harness.model.record import (
    PLAIN,
    SCHEMA_VERSION,
    CorrectnessSection,
    Invariant,
    PerformanceSection,
    ProcessResources,
    Rate,
    RunRecord,
    undecided,
)
from harness.model.scenario import Scenario, StepAction
from harness.model.validity import (
    count_operations,
    judge_validity,
)
from harness.model.verdict import Correctness, ExitCode, Performance, exit_code, worst
from harness.runs.facts import RunFacts, causes_event, generator_facts, is_record
from harness.storage.run_folder import ROW_GROUP_COUNT, write_operations
from harness.system import Probe
from harness.targets.broker import Broker
from harness.targets.broker_floor import FloorResult
from harness.targets.service import Target
from harness.targets.target_file import AttachSpec, TargetSpec

SUBJECTS = ("target", "generator", "observer", "broker")
SUBSCRIBER = "subscriber"  # only in a run that has subscriptions


def record_run(
    folder: Path, facts: RunFacts, audit: Callable[[], tuple[Invariant, ...]]
) -> RunRecord:
    """
    Write tables and make the record of a finished run while *audit* judges it, in two threads.

    Raises RecordError where the disk is full, or AuditFailedError if the audit found what is broken
    besides.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="record") as beside:
        recorded = beside.submit(_unaudited_record, folder, facts)
        invariants = audit()
        try:
            record = recorded.result()
        except RecordError as error:
            broken = [i.sentence for i in invariants if i.status is Correctness.FAILED]
            if broken:  # that money was lost must not be lost with the tables
                raise AuditFailedError(f"{' '.join(broken)} And: {error}") from error
            raise
    return _audited(record, invariants, facts.scenario.required_invariants)


def _audited(
    record: RunRecord, invariants: tuple[Invariant, ...], required: Sequence[str] | None
) -> RunRecord:
    """The *record* with what the audit found, and the exit code that follows."""
    correctness = _correctness(invariants)
    missing = undecided(invariants, required)
    validity, performance = record.validity.status, record.performance.status
    code = exit_code(validity, correctness.status, performance, is_required_unknown=bool(missing))
    notes = record.notes
    if missing:
        why = "The exit code is not 0 for it; [audit] required of the scenario says which must be."
        notes = (f"Required and not decided: {', '.join(missing)}. {why}", *notes)
    return replace(record, correctness=correctness, exit_code=int(code), notes=notes)


def _unaudited_record(folder: Path, facts: RunFacts) -> RunRecord:
    """Tables written, and everything but what the audit says, which is unknown in it."""
    scenario, window, results = facts.scenario, facts.driven.window, facts.load.results
    _write_tables(folder, facts)
    results.forget_pages()  # the audit goes on beside; of all columns only the stamps are needed
    stamps = results.stamps
    measured = window.holds(stamps.intended_ns)
    operations = count_operations(stamps.outcome[measured])
    must_be_seen = causes_event(facts)
    rate = rates(results, window, must_be_seen & is_record(facts))
    latency = latencies(results, window, must_be_seen)
    subjects = (*SUBJECTS, SUBSCRIBER) if facts.load.subscriber_report else SUBJECTS
    resources = {name: facts.sampler.summary(name, window) for name in subjects}
    validity = judge_validity(
        stamps,
        window,
        count_operations(stamps.outcome),
        generator_facts(facts, resources),
        scenario.limits,
    )
    details = [detail for report in facts.load.shard_reports for detail in report["details"]]
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=facts.run_id,
        complete=True,
        created_at=facts.created_at.isoformat(timespec="seconds"),
        command=facts.command,
        exit_code=int(ExitCode.INCONCLUSIVE),
        incomplete_reason="",
        scenario=_describe_scenario(scenario),
        schedule_digest=facts.schedule_digest,
        seed=scenario.seed,
        phases={
            "warmup_ns": scenario.driven_warmup_ns,
            "measure_ns": scenario.driven_measure_ns,
            "drain_ns": scenario.drain_ns,
        },
        target=facts.target,
        broker=facts.broker,
        load=_describe_load(facts, resources, rate),
        instrumentation=facts.instrumentation,
        environment=environment_to_json(facts.environment),
        validity=validity,
        correctness=_correctness(()),
        performance=PerformanceSection(status=Performance.INCONCLUSIVE, objectives=()),
        operations=operations,
        operations_by_kind=operations_by_kind(results.table, measured),
        outcomes=outcome_counts(results.table, measured, details, facts.system.codec),
        rate=rate,
        latency=latency,
        lateness_ns=ordered_distribution(stamps.ordered_lateness_ns(window)),
        resources=resources,
        notes=_notes(facts),
        disturbances=facts.driven.disturbances,
        profiles=facts.profiles,
    )
    performance = judge_objectives(scenario.objectives, record)
    if facts.instrumentation != PLAIN:
        performance = not_timed(performance, facts.instrumentation)
    return replace(record, performance=performance)


def revision_of(spec: TargetSpec) -> GitState:
    """Of what is launched, read before it is built; an attached target may tell its own."""
    how = spec.how
    return GitState() if isinstance(how, AttachSpec) else read_revision(how.cwd or how.here)


def describe_target(
    target: Target,
    probe: Probe,
    *,
    opening: Any,
    ended: str,
    build_s: float,
    source: GitState | None = None,
) -> dict[str, Any]:
    """What the record says of the target, *source* where it is known; nothing of its metadata."""
    spec = target.spec
    is_attached = isinstance(spec.how, AttachSpec)
    return {
        "name": spec.name,
        "kind": "attached" if is_attached else "launched",
        "address": target.endpoint.grpc_address if is_attached else "",
        "command": [] if isinstance(spec.how, AttachSpec) else list(spec.how.command),
        "seeded_by": spec.seed_by,
        "absent_topics": list(spec.absent_topics),
        "capabilities": dict(probe.capabilities(opening)),
        "build_s": round(build_s, 3),
        "revision": asdict(source or GitState()),
        "ended": ended,
    }


def describe_broker(broker: Broker, floor: FloorResult) -> dict[str, Any]:
    return {
        "kind": broker.kind,
        "version": broker.version,
        "settings": dict(broker.settings),
        "floor_ns": {"p50": floor.p50_ns, "p99": floor.p99_ns, "count": floor.count},
    }


def _write_tables(folder: Path, facts: RunFacts) -> None:
    window = facts.driven.window
    rows = [asdict(row) for row in facts.sampler.rows(window.start_ns)]
    samples = pd.concat([pd.DataFrame(rows), _in_flight_samples(facts)], ignore_index=True)
    results = facts.load.results
    groups = (
        stored_rows(results, window, slice(first, first + ROW_GROUP_COUNT))
        for first in range(0, max(1, len(results.table)), ROW_GROUP_COUNT)
    )
    try:
        write_operations(folder / "operations.parquet", groups)
        samples.to_parquet(folder / "samples.parquet", compression="zstd", index=False)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{folder}: tables can't be written: {error}") from error


def _correctness(invariants: tuple[Invariant, ...]) -> CorrectnessSection:
    status = worst((item.status for item in invariants), Correctness.UNKNOWN)
    return CorrectnessSection(status=status, invariants=invariants)


def _describe_scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "profile": scenario.profile,
        "digest": scenario.digest,
        "system": scenario.system,
        "citations": list(scenario.citations),
        "parameters": dict(scenario.document),
    }


def _describe_load(
    facts: RunFacts, resources: Mapping[str, ProcessResources], rate: Rate
) -> dict[str, Any]:
    scenario, reports = facts.scenario, facts.load.shard_reports
    cpu_cores = resources["generator"].cpu_cores_mean
    kinds = set(facts.load.results.table["kind"].unique())
    return {
        "driver": scenario.load.driver,
        "worker_count": scenario.load.worker_count,
        "connection_count": scenario.load.connection_count,
        "addresses": {
            kind.name: kind.address
            for kind in facts.system.planner.kinds_of(scenario)
            if kind.name in kinds
        },
        "in_flight_count_max": scenario.load.in_flight_count_max,
        "stretch": scenario.load.stretch_ratio,
        **_describe_turns(facts),
        **({"burst_ns": scenario.load.burst_ns} if scenario.load.burst_ns else {}),
        "scheduling": [report["scheduling"] for report in reports],
        "affinity": [report["affinity"] for report in reports],
        "target_cores": list(facts.placement.target),
        "observer_cores": list(facts.placement.observer),
        "rss_bytes": [report["rss_bytes"] for report in reports],
        "operation_count": len(facts.load.results.table),
        "driver_stats": [report["driver"] for report in reports],
        "sent_per_cpu_second": rate.sent_per_s / cpu_cores if cpu_cores else None,
        "observer": dict(facts.load.observer_report),
        "subscriber": dict(facts.load.subscriber_report),
        "invisible_count": sum(report["invisible_count"] for report in reports),
        "resolved_count": facts.load.resolved_count,
    }


def _describe_turns(facts: RunFacts) -> dict[str, Any]:
    """Nothing where the load went all the time."""
    turns = facts.scenario.load.turns
    return {} if turns is None else {"turns": asdict(turns)}


def _in_flight_samples(facts: RunFacts) -> pd.DataFrame:
    """In flight over all load processes, every 10 ms as sampled, summed by nearest tick."""
    window = facts.driven.window
    tables = [samples for samples in facts.load.results.tick_samples if len(samples)]
    if not tables:
        return pd.DataFrame({"offset_ns": [], "subject": [], "metric": [], "value": []})
    offset_ns = tables[0][:, 0]
    total = np.zeros(len(offset_ns))
    for samples in tables:
        total += np.interp(offset_ns, samples[:, 0], samples[:, 1])
    return pd.DataFrame(
        {
            "offset_ns": offset_ns - window.start_ns,
            "subject": "load",
            "metric": "in_flight",
            "value": total,
        }
    )


def _notes(facts: RunFacts) -> tuple[str, ...]:
    notes = [facts.placement.note] if facts.placement.note else []
    scheduling = {report["scheduling"] for report in facts.load.shard_reports}
    notes += [
        f"The load process ran with scheduling {text}: lateness is higher than with SCHED_FIFO."
        for text in sorted(scheduling)
        if not text.startswith("SCHED_FIFO")
    ]
    invisible = sum(report["invisible_count"] for report in facts.load.shard_reports)
    if invisible:
        notes.append(
            f"{invisible} operations waited for an event that was never seen, and went without it."
        )
    unseen = unseen_count(facts.load.results, causes_event(facts))
    if unseen:
        notes.append(
            f"{unseen} operations were acknowledged, and the event that says so never came; they "
            "count as slower than all in `visible`."
        )
    if facts.broker["kind"] == "embedded":
        notes.append(
            "Event-visible latency includes the embedded broker's own; compare it with its floor, "
            "and do not gate on it."
        )
    done = {StepAction(item.action) for item in facts.driven.disturbances}
    if StepAction.KILL_RESTART_BROKER in done:
        notes.append(
            "The broker was killed on purpose. It syncs nothing to the disk on each write: the "
            "kernel keeps what was written over a kill, but not over a power cut."
        )
    if StepAction.KILL_RESTART in done:
        notes.append(
            "The target was killed on purpose. A kill does not show a missing disk sync: the "
            "kernel keeps what was written. The reference's own tests watch its sync calls."
        )
    return (*notes, *facts.profile_notes)
