"""
The smallest System: one kind of operation, no dependencies, no events, one invariant.

Calls of /null.v1.NullService/Call with `payload_bytes` bytes, or messages on its Stream. A stream
gives every message back as it was (target "echo"); a reply names its operation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals import offsets_ns
from harness.model.arrivals_statistics import arrival_statistics
from harness.model.operation import Outcome
from harness.model.record import Invariant
from harness.model.scenario import LoadTransport, Scenario
from harness.model.verdict import Correctness
from harness.system import (
    AuditEvidence,
    Auditor,
    Channel,
    Codec,
    KindSpec,
    MalformedReplyError,
    Payloads,
    Planner,
    Replies,
    ShardPlan,
    System,
)

_PAYLOAD_BYTES_DEFAULT = 64  # about a Reserve request
_PAYLOAD_BYTES_MAX = 1 << 20
_ORIGIN_BYTES = 8
_INDEX_AT, _INDEX_BYTES = 8, 4  # of an operation on a stream, little endian
_HEAD_BYTES = _ORIGIN_BYTES + _INDEX_BYTES


_CALL = KindSpec(
    name="call", channel=Channel.GRPC, address="/null.v1.NullService/Call", origin_at=0
)
_MESSAGE = replace(_CALL, channel=Channel.GRPC_STREAM, address="/null.v1.NullService/Stream")


class NullPlanner(Planner):
    """Arrivals, and nothing else."""

    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        return (_CALL if scenario.load.transport is LoadTransport.UNARY else _MESSAGE,)

    def check_workload(self, scenario: Scenario) -> Sequence[tuple[str, str, str]]:
        faults = [
            (f"workload.{key}", str(value), "is not known; the null system has payload_bytes")
            for key, value in scenario.workload.items()
            if key != "payload_bytes"
        ]
        size = scenario.workload.get("payload_bytes", _PAYLOAD_BYTES_DEFAULT)
        if not isinstance(size, int) or not _HEAD_BYTES <= size <= _PAYLOAD_BYTES_MAX:
            faults.append(("workload.payload_bytes", str(size), f"write {_HEAD_BYTES} to 1048576"))
        return faults

    def plan(self, scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
        """Every *shard_count*-th arrival."""
        all_ns = offsets_ns(
            scenario.arrivals,
            warmup_ns=scenario.warmup_ns,
            measure_ns=scenario.measure_ns,
            seed=seed,
        )
        offset_ns = all_ns[shard::shard_count]
        none = np.full(len(offset_ns), -1, np.int32)
        is_stream = scenario.load.transport is LoadTransport.STREAM
        return ShardPlan(
            shard=shard,
            shard_count=shard_count,
            intended_offset_ns=offset_ns,
            kind=np.zeros(len(offset_ns), np.uint8),
            needs_a=none,
            needs_b=none,
            after=none,
            stream=np.arange(len(offset_ns), dtype=np.int32) if is_stream else none,
            columns={},
        )

    def describe(self, scenario: Scenario, plans: Sequence[ShardPlan]) -> Mapping[str, Any]:
        offset_ns = np.sort(np.concatenate([plan.intended_offset_ns for plan in plans]))
        total_s = (scenario.warmup_ns + scenario.measure_ns) / 1e9
        statistics = arrival_statistics(
            scenario.arrivals,
            offset_ns,
            warmup_ns=scenario.warmup_ns,
            measure_ns=scenario.measure_ns,
        )
        return {
            "operations": len(offset_ns),
            "rate_per_s": len(offset_ns) / total_s,
            "statistics": {item.name: item.shown() for item in statistics},
        }


class NullCodec(Codec):
    """A request says when it was due and which operation it is; any reply is success."""

    def encode(self, scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> Payloads:
        """Zeros behind the origin time, which is patched in at send, and the operation's index."""
        del run_tag
        size = int(scenario.workload.get("payload_bytes", _PAYLOAD_BYTES_DEFAULT))
        rows = np.zeros((len(plan), size), np.uint8)
        index = np.arange(len(plan), dtype="<u4")
        rows[:, _INDEX_AT:_HEAD_BYTES] = index.view(np.uint8).reshape(-1, _INDEX_BYTES)
        return Payloads(
            blob=bytearray(rows.data),
            start=np.arange(len(plan) + 1, dtype=np.int64) * size,
        )

    def stream_reply(self, message: bytes) -> tuple[int, bytes | memoryview]:
        """The message is the one that was sent."""
        if len(message) < _HEAD_BYTES:
            raise MalformedReplyError(f"{len(message)} bytes came back")
        return int.from_bytes(message[_INDEX_AT:_HEAD_BYTES], "little"), message

    def reply_code(self, message: bytes | memoryview) -> int:
        del message
        return 0

    def decode_replies(self, plan: ShardPlan, replies: Replies) -> Mapping[str, NDArray[Any]]:
        return {"reply_count": np.bincount(replies.operation, minlength=len(plan))}


class NullAuditor(Auditor):
    """One reply a call."""

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        """N1: one reply for each call that was acknowledged, none for the others."""
        table = evidence.operations
        acknowledged = table["outcome"].to_numpy() == int(Outcome.ACKNOWLEDGED)
        repeated = table["resolved_outcome"].to_numpy() == int(Outcome.ACKNOWLEDGED)
        wrong = table["reply_count"].to_numpy() != acknowledged.astype(int) + repeated
        count = int(wrong.sum())
        first = str(table["index"].to_numpy()[wrong][0]) if count else ""
        status = Correctness.FAILED if count else Correctness.PASSED
        return (
            Invariant(
                id="N1",
                title="One reply a call",
                status=status if len(table) else Correctness.UNKNOWN,
                checked_count=len(table),
                violation_count=count,
                first=first,
                worst=first,
                sentence=f"{count} of {len(table)} calls had another number of replies than one",
                missing=() if len(table) else ("no call was recorded",),
            ),
        )


SYSTEM = System(planner=NullPlanner(), codec=NullCodec(), auditor=NullAuditor())
