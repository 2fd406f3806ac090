"""
The two .npz files of a load process: its plan before the load, what came of it after.

The plan is written by a process of its own and read back without the workload's columns: planning
leaves memory in pieces behind, and the columns are not needed until the load is over.
"""

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns
from harness.engine.dispatch import Dispatcher
from harness.engine.resolve import UNRESOLVED, Resolver
from harness.system import Payloads, ShardPlan

_LOAD_ARRAYS = ("intended_offset_ns", "kind", "needs_a", "needs_b", "after", "stream")
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


def write_shard(
    path: Path,
    *,
    plan: ShardPlan,
    columns: Columns,
    dispatcher: Dispatcher,
    resolver: Resolver | None,
    decoded: Mapping[str, NDArray[Any]],
    samples: "array[int]",
) -> None:
    """Write *path*; columns of the replies get the prefix `reply.`."""
    count = len(plan)
    sequence = np.zeros(count, np.int64)
    for operation, number in dispatcher.sequences.items():
        sequence[operation] = number
    never_sent = np.zeros(count, np.bool_)
    never_sent[list(dispatcher.never_sent)] = True
    given_up_ns = np.zeros(count, np.int64)
    for operation, instant_ns in dispatcher.given_up_ns.items():
        given_up_ns[operation] = instant_ns
    unresolved = np.full(count, UNRESOLVED, np.int32)
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
        "sequence": sequence,
        "never_sent": never_sent,
        "given_up_ns": given_up_ns,
        "resolved_outcome": resolver.outcome if resolver else unresolved,
        "resolved_code": resolver.code if resolver else unresolved,
        "resolved_replayed": resolver.replayed if resolver else unresolved,
        "samples": np.frombuffer(samples, np.int64).reshape(-1, SAMPLE_WIDTH),
    }
    arrays |= {f"reply.{name}": values for name, values in decoded.items()}
    np.savez(path, allow_pickle=False, **arrays)
