"""
The seam between WHEN (harness) and WHAT (workloads).

A scenario names its system by string (`system = "workloads.account:SYSTEM"`). The harness knows
operations, kinds, dependencies and bytes; the system alone knows accounts, money and invariants.
Everything in a plan is made before the clock starts.

A system has two parts that plan and encode, and two more if it needs them, that probe and audit.
How to write one is in system.md beside this file; workloads/null/system.py is the smallest.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.model.journal_replay import Replay
from harness.model.kafka_settings import ANY_BROKER, KafkaSettings
from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.model.tls import TlsOptions


class Channel(StrEnum):
    """How operations of a kind travel."""

    GRPC = "grpc"  # one request, one reply
    GRPC_PAGES = "grpc-pages"  # one request, a server stream read to its end: that is the reply
    GRPC_STREAM = "grpc-stream"  # requests on standing bidirectional streams, a reply message each
    KAFKA = "kafka"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """
    One kind of operation.

    Attributes:
        name: Its word in plans, records and reports ("reserve").
        channel: How it travels. The reply handed on of GRPC_PAGES is every message with its
            5-byte gRPC prefix, one behind the other.
        address: The full method path, or the topic without its prefix.
        origin_at: Where in the payload the 8 bytes (little endian) of the origin time are patched
            at send; -1 for none (Kafka payloads are sealed instead).
        seen_at: Where in the payload a varint of exactly 10 bytes (padded: 9 bytes with the high
            bit, then 0 or 1) is patched at send with the journal position in the reply to
            `needs_a`, so that a read sees its own writes; -1 for none.
        resends: A Kafka kind without a message of its own: it sends the record of `needs_a` again,
            the same bytes with the same sequence number.
    """

    name: str
    channel: Channel
    address: str
    origin_at: int
    seen_at: int = -1
    resends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """
    The operations of one load process, in order of intended time; every array has length n.

    Attributes:
        shard, shard_count: Which share of the accounts this is.
        intended_offset_ns: int64, from the start of warm-up, ascending.
        kind: uint8, index into what Planner.kinds_of gives.
        needs_a, needs_b: int32, index of an operation (smaller than the own one) that must be
            ACKNOWLEDGED first, or this one is CANCELLED; -1 for none. A Kafka operation that needs
            another one, which must be of its own stream, goes as soon as that one was sent: the
            stream keeps their order.
        after: int32, index of an operation that must be settled first, however it ended: for a
            Kafka operation that was acknowledged this means *visible*; -1 for none.
        stream: int32, what an operation is ordered by. Of a Kafka operation: its key, and the scope
            of its sequence numbers (given at send, so that a cancelled one leaves no gap). Of a
            GRPC_STREAM operation: its ordering key (lane, >= 0), of one stream for good. Else -1.
        late_by: uint8, behind how many later records of its stream a Kafka operation is sent, with
            the number of its own place: out of order on purpose. Empty if none is.
        columns: The workload's own meaning, stored as it is beside the stamps
            (account_id, order_id ...); what the audit needs to know of each operation.
    """

    shard: int
    shard_count: int
    intended_offset_ns: NDArray[np.int64]
    kind: NDArray[np.uint8]
    needs_a: NDArray[np.int32]
    needs_b: NDArray[np.int32]
    after: NDArray[np.int32]
    stream: NDArray[np.int32]
    columns: Mapping[str, NDArray[Any]]
    late_by: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __len__(self) -> int:
        return len(self.intended_offset_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """Encoded messages: operation i is blob[start[i]:start[i + 1]], patched in place."""

    blob: bytearray
    start: NDArray[np.int64]  # n + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    A server stream held open from before the warm-up until the target is quiet.

    Attributes:
        address: The full method path.
        message: The request, encoded.
        label: What it is called in logs and records ("account 1007").
    """

    address: str
    message: bytes
    label: str


class MalformedReplyError(ValueError):
    """A reply that is not what the contract says: the target's fault, never the harness's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Replies in order of arrival: number j, to operation[j], is blob[start[j]:start[j + 1]]."""

    operation: NDArray[np.int32]
    blob: bytes | bytearray | memoryview
    start: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    Where the target is, how it is spoken to, and what it lacks.

    Attributes:
        kafka: How the clients of a run use that broker.
        metadata: Of every call; may hold secrets, so it is not shown.
        tls: None for plain text.
        features: What it can do by its file, where it has no service to say so itself.
        absent_topics: Topics of its system, without prefix, that it never writes.
    """

    grpc_address: str
    kafka_address: str
    topic_prefix: str
    kafka: KafkaSettings = ANY_BROKER
    metadata: Sequence[tuple[str, str]] = field(default=(), repr=False)
    tls: TlsOptions | None = None
    features: tuple[str, ...] = ()
    absent_topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvidence:
    """
    What a run left behind.

    Attributes:
        scenario, run_tag, seed: As given.
        operations: One pandas DataFrame, one row an operation of all shards, warm-up included:
            shard, index, kind (name), outcome (int, model.operation.Outcome), code (int: domain
            code, or gRPC status where outcome is FAILED), sent_ns, done_ns, visible_ns,
            resolved_outcome, resolved_code, resolved_replayed (of the repeated request id; -1
            where it was not repeated), never_sent (bool: certainly had no effect), sequence (of a
            Kafka operation, 0 = none), the plan's columns and those of Codec.decode_replies.
        events_path: The observed topic's records from the opening on, in order, as written by the
            observer (read with harness.engine.event_log.read_chunks); None if there is none.
        opening, closing: What Probe.open and Probe.close returned.
        restarts: CLOCK_MONOTONIC times at which target or broker were killed on purpose.
        produced_count: Kafka records that the broker acknowledged.
        is_attached: The target was running before: others may use it at the same time.
        plans: Gives every shard's plan, made once more from scenario and seed; may wait. None: who
            needs them makes them.
        subscriptions_path: What came on Probe.subscriptions, in order of arrival (read with
            harness.engine.subscription_log.read_subscriptions); None if there are none.
        replay: The journal of the stopped target, replayed; None if its file tells no way.
        are_events_cut_off: The observer's time was up while records still came: what is missing at
            the end of the events was not read, and nobody knows whether it is there.
    """

    scenario: Scenario
    run_tag: int
    seed: int
    operations: Any
    events_path: Path | None
    opening: Any
    closing: Any
    restarts_ns: tuple[int, ...]
    produced_count: int
    is_attached: bool = False
    plans: Callable[[], Sequence[ShardPlan]] | None = None
    subscriptions_path: Path | None = None
    replay: Replay | None = None
    are_events_cut_off: bool = False


class Planner(Protocol):
    """What is asked, and when; all pure."""

    @abstractmethod
    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        """The kinds of operation, always the same ones, as they travel in *scenario*."""

    @abstractmethod
    def check_workload(self, scenario: Scenario) -> Sequence[tuple[str, str, str]]:
        """Faults of [workload] and of a [load] it can't be driven by: (key, value, remedy)."""

    @abstractmethod
    def plan(self, scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
        """The operations of one shard, the same for the same arguments."""

    def describe(self, scenario: Scenario, plans: Sequence[ShardPlan]) -> Mapping[str, Any]:
        """Statistics of a plan against the scenario's targets, for `acctbench plan`."""
        return {"operations": sum(map(len, plans))}

    def reference_data(self, scenario: Scenario) -> bytes:
        """A JSON file for a target that must know before it starts what is traded."""
        return b""


class Codec(Protocol):
    """
    The system's bytes, both ways; all pure.

    Every request carries 16 bytes of identity: run tag (8, big endian) + shard (4) + index (4).
    What reads one reply is called once a message, and raises MalformedReplyError if it can't.
    """

    @abstractmethod
    def encode(self, scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> Payloads:
        """The messages of *plan*."""

    @abstractmethod
    def reply_code(self, message: bytes | memoryview) -> int:
        """The domain code in a reply, 0 = applied; it may look at the first bytes alone."""

    def code_name(self, code: int) -> str:
        """The domain's word for *code*."""
        return str(code) if code else "OK"

    def decode_replies(self, plan: ShardPlan, replies: Replies) -> Mapping[str, NDArray[Any]]:
        """
        Columns (length n of the plan) of what the replies said, after the run.

        Never raises for what a target wrote. The column `malformed` (bool), if there is one, marks
        operations with a reply that can't be read: the harness counts them as failed.
        """
        return {}

    def reply_replayed(self, message: bytes | memoryview) -> bool:
        """Whether a reply says that it repeats the stored outcome of the same request."""
        return False

    def reply_position(self, message: bytes | memoryview) -> int:
        """The journal position, 0 for none, in a reply that a kind with `seen_at` needs."""
        return 0

    def stream_reply(self, message: bytes) -> tuple[int, bytes | memoryview]:
        """The operation that a GRPC_STREAM message answers, and its reply as a unary one has it."""
        raise AssertionError("a plan with GRPC_STREAM kinds needs a Codec.stream_reply")

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        """A KAFKA value ready to be sent: *payload* with its sequence and origin time."""
        raise AssertionError("a plan with KAFKA kinds needs a Codec.seal")

    def record_headers(self, *, run_tag: int, shard: int) -> Sequence[tuple[str, bytes]]:
        """The Kafka headers of every record that a shard sends."""
        return ()


class Probe(Protocol):
    """
    What is asked of the target, and heard from it, beside the load.

    Attributes:
        observed_topic: Whose records are the events of operations; "": no events are observed.
    """

    observed_topic: str = ""

    def open(self, endpoint: Endpoint, scenario: Scenario, *, seed: int, seed_by: str) -> Any:
        """
        Make the target ready, and dump its opening state. Blocking.

        Checks capabilities, loads reference data, seeds accounts (*seed_by*: "control" or
        "transfers") and waits until all of it is emitted.

        Raises:
            TargetError: it can't be reached, or can't do what the scenario needs.
        """
        return None

    def capabilities(self, opening: Any) -> Mapping[str, Any]:
        """What the target said of itself, as JSON; `dedupe_horizon_s`: it keeps ids so long."""
        return {}

    def subscriptions(self, scenario: Scenario, *, seed: int) -> Sequence[Subscription]:
        """The server streams that listen while the load goes; pure."""
        return ()

    def close(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        *,
        opening: Any,
        produced_count: int,
        timeout_s: float,
    ) -> Any:
        """
        Wait until the target is quiet, at most *timeout_s*, and dump its closing state. Blocking.

        Quiet: all produced records consumed, all events emitted. Never raises for a silent target:
        what could not be had is absent and its invariants are UNKNOWN.
        """
        return None

    def event_reader(self, *, run_tag: int) -> Callable[[bytes], int]:
        """From a record's value to its operation, shard << 32 | index; -1: none; fast, pure."""
        return lambda _: -1

    def causes_event(self, operations: Any) -> NDArray[np.bool_]:
        """Which rows are seen on the topic if applied: no reads, no repeats of another; pure."""
        return np.zeros(len(operations), np.bool_)

    def event_count(self, closing: Any) -> int | None:
        """How many observed records there must be since the opening; None if not known."""
        return None


class Auditor(Protocol):
    """What judges a run's correctness."""

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        """Every invariant of the system; pure but for reading the event file."""
        return ()


class _Nothing(Probe, Auditor):
    """What a system has in the place of a part that it lacks."""


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """
    What can be driven.

    Attributes:
        planner, codec: What is sent, and what the replies mean.
        probe: NOTHING: the target is driven as it is found; no state of it is dumped, no event or
            stream of it is heard.
        auditor: NOTHING: no invariant is judged, so the correctness of every run is UNKNOWN.
        topics: All that the target may use, without prefix; made before a target is started.
    """

    planner: Planner
    codec: Codec
    probe: Probe = NOTHING
    auditor: Auditor = NOTHING
    topics: tuple[str, ...] = ()


def load_system(name: str) -> System:
    """
    The system that a scenario names as "module:ATTRIBUTE"; UsageError if there is none.

    One object may be all four parts.
    """
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module_name), attribute)
        if isinstance(found, System):
            return found
        return System(planner=found, codec=found, probe=found, auditor=found, topics=found.topics)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(
            f'system: "{name}" can\'t be loaded ({error}); write e.g. "workloads.account:SYSTEM"'
        ) from error


def kind_names(scenario: Scenario) -> list[str]:
    """The names of the kinds of operation that *scenario* may have."""
    return [kind.name for kind in load_system(scenario.system).planner.kinds_of(scenario)]
