"""
The record of a run: everything a verdict, a report or a comparison may rely on.

`record.json` holds it; beside it lie the columns it was computed from (see
harness.storage.run_folder). Old records load for ever: a new field has a default, a changed meaning
gets a new schema_version.

History of the format
    1   first
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from harness.model.quantiles import Distribution
from harness.model.verdict import Correctness, Performance, Validity

SCHEMA_VERSION = 1
PLAIN = "plain"  # instrumentation of a run whose figures are timings
EMBEDDED = "embedded"  # kind of a broker whose own polling is most of what is visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One test of the generator's honesty. *value* and *limit* are in *unit*."""

    id: str
    title: str
    status: Validity
    value: float | None
    limit: float | None
    unit: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """
    One invariant of the ledger, on how many facts it was checked, and what violated it.

    Attributes:
        missing: The evidence that was not there; UNKNOWN without any had nothing to judge.
    """

    id: str
    title: str
    status: Correctness
    checked_count: int
    violation_count: int
    first: str
    worst: str
    sentence: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One thing the scenario demands of the target. *value* and *limit* are in *unit*."""

    id: str
    title: str
    status: Performance
    value: float | None
    limit: float | None
    unit: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValiditySection:
    status: Validity
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectnessSection:
    status: Correctness
    invariants: tuple[Invariant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceSection:
    status: Performance
    objectives: tuple[Objective, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """How many operations of *kind* ended so; *code_name* is the domain's or gRPC's word."""

    kind: str
    outcome: str
    code: int
    code_name: str
    count: int
    detail: str = ""  # the target's own text, for example; never trusted, escaped when shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """
    Conservation: scheduled = admitted + dropped + cancelled + stranded.

    And admitted = acknowledged + rejected + failed + timed_out.
    """

    scheduled: int
    admitted: int
    dropped: int
    acknowledged: int
    rejected: int
    failed: int
    timed_out: int
    cancelled: int
    stranded: int = 0  # records before there was such an outcome counted them as cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Operations a second over the measured phase: planned, sent, and answered."""

    offered_per_s: float
    sent_per_s: float
    achieved_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The latencies of one kind of operation, nanoseconds, over the measured phase."""

    response_ns: Distribution
    service_ns: Distribution
    visible_ns: Distribution  # visible - intended; without an event counts as unanswered
    wait_ns: Distribution  # eligible - intended: waiting for what it depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResources:
    """What one process used over the measured phase; None where it could not be read."""

    pid: int | None
    cpu_cores_mean: float | None
    cpu_cores_max: float | None  # of one-second samples
    rss_bytes_max: int | None
    context_switches_voluntary_per_s: float | None
    context_switches_involuntary_per_s: float | None
    rss_slope_bytes_per_s: float | None = None  # too short to tell (model.memory_slope), or unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What was done to target or broker on purpose; times from the start of the measured phase."""

    action: str  # of model.scenario.StepAction
    start_ns: int
    end_ns: int  # when it was ready, or thawed, again


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEntry:
    """A profile beside the record; *file* is relative to the run folder."""

    file: str
    metric: str  # of model.profile.Metric
    profiler: Mapping[str, str]
    segment_count: int
    blake2b: str  # of the file's bytes


class Better(StrEnum):
    """Which direction of a metric is good."""

    LESS = "less"
    MORE = "more"

    @property
    def worse_sign(self) -> int:
        """The sign that the logarithm of candidate / baseline has where things became worse."""
        return 1 if self is Better.LESS else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSamples:
    """
    What one kernel of a micro suite cost.

    Attributes:
        unit: Of a sample: "ns" or "instructions", for one operation.
        digest: Of what defines the kernel's work: samples of another digest are of other work.
        operation_count: Operations in a round.
        processes: The rounds of each process start, a sample a round. The starts are the repeats.
    """

    name: str
    title: str
    unit: str
    better: Better
    digest: str
    operation_count: int
    processes: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    schema_version: int
    run_id: str
    complete: bool
    created_at: str  # UTC, ISO 8601
    command: str  # repeats the run
    exit_code: int
    incomplete_reason: str
    scenario: Mapping[str, Any]  # name, title, digest, profile, and the parsed file
    schedule_digest: str
    seed: int
    phases: Mapping[str, int]  # warmup_ns, measure_ns, drain_ns
    target: Mapping[str, Any]  # name, kind, command, build, capabilities
    broker: Mapping[str, Any]  # kind, version, settings, floor_ns {p50, p99}
    load: Mapping[str, Any]  # driver, workers, scheduling, affinity, roofline_per_s if known
    instrumentation: str  # PLAIN, or what was attached: "cpu", "memory", "callgrind"
    environment: Mapping[str, Any]
    validity: ValiditySection
    correctness: CorrectnessSection
    performance: PerformanceSection
    operations: Operations
    operations_by_kind: Mapping[str, Operations]
    outcomes: tuple[OutcomeCount, ...]
    rate: Rate
    latency: Mapping[str, Latency]  # by kind, and "all"
    lateness_ns: Distribution
    resources: Mapping[str, ProcessResources]  # target, generator, observer, broker
    notes: tuple[str, ...] = field(default=())  # what a reader should know; plain sentences
    disturbances: tuple[Disturbance, ...] = field(default=())
    profiles: tuple[ProfileEntry, ...] = field(default=())
    kernels: tuple[KernelSamples, ...] = field(default=())  # of a run of a micro suite, else none


def is_embedded(record: RunRecord) -> bool:
    """Whether the broker's own polling is most of what is visible."""
    return record.broker.get("kind") == EMBEDDED


def undecided(invariants: Sequence[Invariant], required: Sequence[str] | None) -> tuple[str, ...]:
    """
    The invariants that a scenario requires and that could not be checked.

    A scenario that doesn't say which it requires (None) requires all: who looks at the exit code
    alone must not take an invariant for kept that nobody could check. One that had nothing to judge
    (fees without a match) is not among them, unless it is named.
    """
    if required is None:
        if not invariants:
            return ("any",)
        return tuple(
            item.id for item in invariants if item.status is Correctness.UNKNOWN and item.missing
        )
    known = {item.id for item in invariants if item.status is not Correctness.UNKNOWN}
    return tuple(identity for identity in required if identity not in known)


def record_to_json(record: RunRecord) -> dict[str, Any]:
    return asdict(record)
