"""
A seeded stored run that looks like a real one, for tests of what is shown.

120,000 operations (60 s at 2,000/s) of five kinds over two channels, warm-up, some refusals and a
frozen service: written with harness.storage.run_folder, so that the reports read it as any run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.quantiles import distribution
from harness.model.record import (
    SCHEMA_VERSION,
    Check,
    CorrectnessSection,
    Invariant,
    Latency,
    Objective,
    Operations,
    OutcomeCount,
    PerformanceSection,
    ProcessResources,
    Rate,
    RunRecord,
    ValiditySection,
)
from harness.model.verdict import Correctness, Performance, Validity, exit_code
from harness.storage.run_folder import StoredRun, load_run, write_record

NANOS_PER_SECOND = 1_000_000_000
KINDS = ("reserve", "release", "amend", "fill", "transfer")
SHARES = (0.45, 0.2, 0.1, 0.2, 0.05)
KAFKA_KINDS = ("fill",)
FREEZE_START_NS = 20 * NANOS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the run was like."""

    seed: int = 7
    start: int = 0  # which process start of the same plan: other noise, the same schedule
    rate_per_s: float = 2_000.0
    measure_s: int = 60
    warmup_s: int = 5
    freeze_ns: int = 1_200_000_000
    slowdown: float = 1.0  # factor on every service time
    detail: str = "available 12.50 < requested 40.00"


def write_synthetic_run(folder: Path, shape: Shape) -> StoredRun:
    """The run of *shape*, written into *folder* (which is made)."""
    folder.mkdir(parents=True)
    operations = _operations(shape)
    operations.to_parquet(folder / "operations.parquet")
    samples = _samples(operations, shape)
    samples.to_parquet(folder / "samples.parquet")
    write_record(folder, _record(operations, samples, shape, folder.name))
    return load_run(folder)


def _operations(shape: Shape) -> pd.DataFrame:
    chance = np.random.default_rng(shape.seed + 1_000 * shape.start)
    span_s = shape.measure_s + shape.warmup_s
    number = int(shape.rate_per_s * span_s)
    intended = np.sort(chance.uniform(-shape.warmup_s, shape.measure_s, number)) * NANOS_PER_SECOND
    intended = intended.astype(np.int64)
    kind = chance.choice(len(KINDS), size=number, p=SHARES)
    wait = np.where(chance.random(number) < 0.1, chance.exponential(90_000, number), 0.0)
    sent = intended + (wait + 22_000 + chance.exponential(34_000, number)).astype(np.int64)
    median_ns = np.array([430_000, 390_000, 455_000, 1_900_000, 520_000])[kind] * shape.slowdown
    service = median_ns * chance.lognormal(0.0, 0.32, number)
    service += np.where(chance.random(number) < 0.004, chance.exponential(7e6, number), 0.0)
    done = _thawed(intended, sent + service.astype(np.int64), shape)
    is_rejected = (chance.random(number) < 0.012) & (kind == 0)
    visible = done + (6e6 + chance.exponential(2.5e6, number)).astype(np.int64)
    is_timed_out = chance.random(number) < 0.0001
    outcome = np.where(is_rejected, "rejected", np.where(is_timed_out, "timed_out", "acknowledged"))
    frame = pd.DataFrame(
        {
            "shard": np.zeros(number, np.int16),
            "index": np.arange(number, dtype=np.int32),
            "kind": np.array(KINDS)[kind],
            "measured": intended >= 0,
            "intended_ns": intended,
            "eligible_ns": intended + wait.astype(np.int64),
            "sent_ns": sent,
            "done_ns": pd.array(done, dtype="Int64"),
            "visible_ns": pd.array(visible, dtype="Int64"),
            "outcome": outcome,
            "code": np.where(is_rejected, 4, 0).astype(np.int32),
            "account_id": chance.integers(1, 10_000, number),
        }
    )
    frame.loc[is_timed_out, "done_ns"] = pd.NA
    frame.loc[is_rejected | is_timed_out, "visible_ns"] = pd.NA
    return frame


def _thawed(
    intended: NDArray[np.int64], done: NDArray[np.int64], shape: Shape
) -> NDArray[np.int64]:
    """*done* when the service stood still for a while and then worked off its backlog in order."""
    if not shape.freeze_ns:
        return done
    end = FREEZE_START_NS + shape.freeze_ns
    behind = (done >= FREEZE_START_NS) & (intended < end + shape.freeze_ns // 3)
    turn = np.cumsum(behind) * int(0.25 / shape.rate_per_s * NANOS_PER_SECOND)
    return np.where(behind, np.maximum(done, end + turn), done)


def _samples(operations: pd.DataFrame, shape: Shape) -> pd.DataFrame:
    chance = np.random.default_rng(shape.seed + 1 + 1_000 * shape.start)
    rows: list[tuple[int, str, str, float]] = []
    sent = np.sort(operations["sent_ns"].to_numpy())
    done = np.sort(operations["done_ns"].dropna().to_numpy().astype(np.int64))
    levels = {
        "target": (0.71 * shape.slowdown, 140e6, 3_900, 160),
        "generator": (0.17, 310e6, 2_050, 9),
        "observer": (0.11, 190e6, 900, 6),
        "broker": (0.44, 78e6, 5_200, 240),
    }
    for second in range(-shape.warmup_s, shape.measure_s):
        offset = second * NANOS_PER_SECOND
        is_frozen = shape.freeze_ns and second == FREEZE_START_NS // NANOS_PER_SECOND
        for subject, (cores, rss, voluntary, involuntary) in levels.items():
            busy = 0.05 if is_frozen and subject == "target" else 1.0
            metrics = {
                "cpu_cores": cores * busy * chance.normal(1, 0.04),
                "rss_bytes": rss + second * 2.5e5 + chance.normal(0, 2e5),
                "context_switches_voluntary_per_s": voluntary * busy * chance.normal(1, 0.06),
                "context_switches_involuntary_per_s": involuntary * abs(chance.normal(1, 0.3)),
            }
            rows.extend((offset, subject, name, value) for name, value in metrics.items())
    for offset in range(-shape.warmup_s * 10, shape.measure_s * 10):
        at = offset * NANOS_PER_SECOND // 10
        in_flight = np.searchsorted(sent, at) - np.searchsorted(done, at)
        rows.append((at, "load", "in_flight", float(in_flight)))
    return pd.DataFrame(rows, columns=["offset_ns", "subject", "metric", "value"])


def _latency(table: pd.DataFrame) -> Latency:
    answered = table[table["outcome"].isin(["acknowledged", "rejected"])]
    seen = table[table["visible_ns"].notna()]

    unanswered_count = int((table["outcome"] == "timed_out").sum())

    def spread(rows: pd.DataFrame, end: str, start: str, unanswered_count: int = 0) -> Any:
        return distribution(
            (rows[end] - rows[start]).to_numpy().astype(np.int64),
            unanswered_count=unanswered_count,
        )

    return Latency(
        response_ns=spread(answered, "done_ns", "intended_ns", unanswered_count),
        service_ns=spread(answered, "done_ns", "sent_ns", unanswered_count),
        visible_ns=spread(seen, "visible_ns", "intended_ns"),
        wait_ns=spread(table, "eligible_ns", "intended_ns"),
    )


def _counts(table: pd.DataFrame) -> Operations:
    ends = table["outcome"].value_counts()
    return Operations(
        scheduled=len(table),
        admitted=len(table),
        dropped=0,
        acknowledged=int(ends.get("acknowledged", 0)),
        rejected=int(ends.get("rejected", 0)),
        failed=0,
        timed_out=int(ends.get("timed_out", 0)),
        cancelled=0,
    )


def _record(
    operations: pd.DataFrame, samples: pd.DataFrame, shape: Shape, run_id: str
) -> RunRecord:
    table = operations[operations["measured"]]
    latency = {kind: _latency(part) for kind, part in table.groupby("kind")}
    latency["all"] = _latency(table)
    answered = latency["all"].response_ns.count
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        complete=True,
        created_at="2026-11-22T23:15:00Z",
        command=f"acctbench run spot-steady --rate {shape.rate_per_s:.0f}/s --seed {shape.seed}",
        exit_code=0,
        incomplete_reason="",
        scenario={
            "name": "spot-steady",
            "title": "A spot market on a steady day",
            "digest": "5c9f0b7e21d84a66",
            "profile": "gate",
            "file": {"arrivals": {"process": "poisson", "rate": f"{shape.rate_per_s:.0f}/s"}},
        },
        schedule_digest=f"b1946ac92492d234{shape.seed:04x}",
        seed=shape.seed,
        phases={
            "warmup_ns": shape.warmup_s * NANOS_PER_SECOND,
            "measure_ns": shape.measure_s * NANOS_PER_SECOND,
            "drain_ns": 5 * NANOS_PER_SECOND,
        },
        target={
            "name": "reference",
            "kind": "launched",
            "command": "python -m workloads.account.reference",
            "build": "57a28e4",
            "capabilities": ["control", "batch"],
        },
        broker={
            "kind": "embedded",
            "version": "0.6.0",
            "settings": {"linger_ms": 5, "fetch_max_wait_ms": 10},
            "floor_ns": {"p50": 7_900_000, "p99": 15_800_000},
        },
        load={"driver": "wire", "workers": 1, "scheduling": "SCHED_FIFO", "affinity": [1]},
        instrumentation="plain",
        environment={
            "cpu_model": "AMD EPYC 9R14",
            "core_count": 2,
            "kernel": "6.1.0",
            "memory_bytes": 16 * 2**30,
            "harness_version": "0.1.0",
            "harness_digest": "0f3c",
            "python": "CPython 3.11.9",
            "packages": {"grpcio": "1.75.0", "uvloop": "0.21.0"},
        },
        validity=_validity(table),
        correctness=_correctness(len(table)),
        performance=_performance(latency["all"].response_ns.at(0.99)),
        operations=_counts(table),
        operations_by_kind={kind: _counts(part) for kind, part in table.groupby("kind")},
        outcomes=_outcomes(table, shape.detail),
        rate=Rate(
            offered_per_s=len(table) / shape.measure_s,
            sent_per_s=len(table) / shape.measure_s,
            achieved_per_s=answered / shape.measure_s,
        ),
        latency=latency,
        lateness_ns=distribution((table["sent_ns"] - table["eligible_ns"]).to_numpy()),
        resources=_resources(samples),
        notes=("The broker is embedded: its own delay is part of every visible latency.",),
    )
    return with_exit_code(record)


def with_exit_code(record: RunRecord) -> RunRecord:
    """*record* with the exit code that its verdicts give."""
    code = exit_code(
        record.validity.status,
        record.correctness.status,
        record.performance.status,
        is_required_unknown=False,
    )
    return replace(record, exit_code=int(code))


def _validity(table: pd.DataFrame) -> ValiditySection:
    lateness_ns = float(np.quantile(table["sent_ns"] - table["eligible_ns"], 0.99))
    checks = (
        Check(
            id="sent-rate",
            title="Sent at the offered rate",
            status=Validity.VALID,
            value=0.0004,
            limit=0.01,
            unit="ratio",
            sentence="What was sent differs from what was planned by 0.04 %.",
        ),
        Check(
            id="lateness",
            title="Sent on time",
            status=Validity.VALID,
            value=lateness_ns,
            limit=250_000.0,
            unit="ns",
            sentence="99 of 100 operations left within the limit of being due.",
        ),
        Check(
            id="clock",
            title="The clock is sane",
            status=Validity.VALID,
            value=0.0,
            limit=0.0,
            unit="count",
            sentence="No stamp lies before the one that must precede it.",
        ),
    )
    return ValiditySection(status=Validity.VALID, checks=checks)


def _correctness(number: int) -> CorrectnessSection:
    laws = (
        ("I1", "Money is conserved", "Every asset sums to what was seeded."),
        ("I3", "Nothing is negative", "No balance went below zero."),
        ("I5", "A request is applied once", "Every request id had one effect."),
    )
    return CorrectnessSection(
        status=Correctness.PASSED,
        invariants=tuple(
            Invariant(
                id=law,
                title=title,
                status=Correctness.PASSED,
                checked_count=number,
                violation_count=0,
                first="",
                worst="",
                sentence=sentence,
            )
            for law, title, sentence in laws
        ),
    )


def _performance(p99_ns: int | None) -> PerformanceSection:
    limit_ns = 20_000_000
    is_met = p99_ns is not None and p99_ns <= limit_ns
    status = Performance.PASSED if is_met else Performance.FAILED
    objective = Objective(
        id="all.response_ns.p99",
        title="Response p99 of all operations",
        status=status,
        value=p99_ns,
        limit=float(limit_ns),
        unit="ns",
        sentence="99 of 100 operations must be answered within 20 ms of being due.",
    )
    return PerformanceSection(status=status, objectives=(objective,))


def _outcomes(table: pd.DataFrame, detail: str) -> tuple[OutcomeCount, ...]:
    names = {0: "OK", 4: "INSUFFICIENT_AVAILABLE"}
    groups = table.groupby(["kind", "outcome", "code"]).size()
    return tuple(
        OutcomeCount(
            kind=kind,
            outcome=outcome,
            code=code,
            code_name=names[code] if outcome != "timed_out" else "DEADLINE_EXCEEDED",
            count=int(number),
            detail=detail if outcome == "rejected" else "",
        )
        for (kind, outcome, code), number in groups.items()
    )


def _resources(samples: pd.DataFrame) -> Mapping[str, ProcessResources]:
    measured = samples[samples["offset_ns"] >= 0]

    def of(subject: str, metric: str) -> pd.Series:
        rows = measured[(measured["subject"] == subject) & (measured["metric"] == metric)]
        return rows["value"]

    return {
        subject: ProcessResources(
            pid=4_000 + position,
            cpu_cores_mean=float(of(subject, "cpu_cores").mean()),
            cpu_cores_max=float(of(subject, "cpu_cores").max()),
            rss_bytes_max=int(of(subject, "rss_bytes").max()),
            context_switches_voluntary_per_s=float(
                of(subject, "context_switches_voluntary_per_s").mean()
            ),
            context_switches_involuntary_per_s=float(
                of(subject, "context_switches_involuntary_per_s").mean()
            ),
        )
        for position, subject in enumerate(("target", "generator", "observer", "broker"))
    }
