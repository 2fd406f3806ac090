"""
The two .npz files of a load process: its plan before the load, what came of it after.

The plan is written by a process of its own and read back without the workload's columns: planning
leaves memory in pieces behind, and the columns are not needed until the load is over.
"""

from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns
from harness.engine.resolve import UNRESOLVED
from harness.system import Payloads, ShardPlan

_LOAD_ARRAYS = ("intended_offset_ns", "kind", "needs_a", "needs_b", "after", "stream", "late_by")
SAMPLE_WIDTH = 3  # time_ns, in flight, processor time_ns


def write_plan(path: Path, plan: ShardPlan, payloads: Payloads) -> None:
    """Write a plan and its messages, whole."""
    np.savez(
        path,
        allow_pickle=False,
        blob=np.frombuffer(payloads.blob, np.uint8),
        start=payloads.start,
        **{name: getattr(plan, name) for name in _LOAD_ARRAYS},
        **{f"plan.{name}": values for name, values in plan.columns.items()},
    )


def read_plan(path: Path, *, shard: int, shard_count: int) -> tuple[ShardPlan, Payloads]:
    """What the load needs of a plan: all but the workload's own columns."""
    with np.load(path, allow_pickle=False) as arrays:
        plan = ShardPlan(
            shard=shard,
            shard_count=shard_count,
            columns={},
            **{name: arrays[name] for name in _LOAD_ARRAYS},
        )
        blob = bytearray(arrays["blob"].data)
        # Four bytes are enough for a position, unless the messages are more than 4 GiB.
        small = np.uint32 if len(blob) < 1 << 32 else np.int64
        return plan, Payloads(blob=blob, start=arrays["start"].astype(small))


def read_plan_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The workload's own columns, with their prefix `plan.`."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays if name.startswith("plan.")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    """
    What only some operations have, by operation.

    Attributes:
        sequences: Sequence number of a Kafka operation that was sent.
        never_sent: Operations that certainly had no effect.
        given_up_ns: When the wait for an event was given up.
        let_go_ns: Until when a record was held back, as the plan asks.
    """

    sequences: Mapping[int, int] = field(default_factory=dict)
    never_sent: Collection[int] = ()
    given_up_ns: Mapping[int, int] = field(default_factory=dict)
    let_go_ns: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What asking again for unknown outcomes said, by operation; UNRESOLVED where not asked."""

    outcome: NDArray[np.int8]
    code: NDArray[np.int32]
    replayed: NDArray[np.int8]

    @classmethod
    def nothing(cls, count: int) -> Self:
        """Of *count* operations of which none was asked for again."""
        return cls(
            outcome=np.full(count, UNRESOLVED, np.int8),
            code=np.full(count, UNRESOLVED, np.int32),
            replayed=np.full(count, UNRESOLVED, np.int8),
        )


def write_shard(
    path: Path,
    *,
    plan: ShardPlan,
    columns: Columns,
    exceptions: Exceptions,
    resolved: Resolved,
    decoded: Mapping[str, NDArray[Any]],
    samples: "array[int]",
) -> None:
    """Write *path*; columns of the replies get the prefix `reply.`."""
    count = len(plan)
    never_sent = np.zeros(count, np.bool_)
    never_sent[list(exceptions.never_sent)] = True
    arrays: dict[str, NDArray[Any]] = {
        "kind": plan.kind,
        "needs_a": plan.needs_a,
        "needs_b": plan.needs_b,
        "after": plan.after,
        "intended_ns": columns.intended_ns,
        "sent_ns": columns.sent_ns,
        "done_ns": columns.done_ns,
        "visible_ns": columns.visible_ns,
        "outcome": columns.outcome,
        "code": columns.code,
        "sequence": _spread(exceptions.sequences, count),
        "never_sent": never_sent,
        "given_up_ns": _spread(exceptions.given_up_ns, count),
        "let_go_ns": _spread(exceptions.let_go_ns, count),
        "resolved_outcome": resolved.outcome,
        "resolved_code": resolved.code,
        "resolved_replayed": resolved.replayed,
        "samples": np.frombuffer(samples, np.int64).reshape(-1, SAMPLE_WIDTH),
    }
    arrays |= {f"reply.{name}": values for name, values in decoded.items()}
    np.savez(path, allow_pickle=False, **arrays)


def _spread(values: Mapping[int, int], count: int) -> NDArray[np.int64]:
    """*values* at their operations, 0 elsewhere."""
    spread = np.zeros(count, np.int64)
    spread[list(values.keys())] = list(values.values())
    return spread
