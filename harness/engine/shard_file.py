"""What a load process leaves behind: its columns, the plan's and the replies', in one .npz file."""

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns
from harness.engine.dispatch import Dispatcher
from harness.engine.resolve import UNRESOLVED, Resolver
from harness.system import ShardPlan

SAMPLE_WIDTH = 3  # time_ns, in flight, processor time_ns


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
    """Write *path*; column names of plan and replies get the prefix `plan.` and `reply.`."""
    count = len(plan)
    sequence = np.zeros(count, np.int64)
    for operation, number in dispatcher.sequences.items():
        sequence[operation] = number
    never_sent = np.zeros(count, np.bool_)
    never_sent[list(dispatcher.never_sent)] = True
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
        "resolved_outcome": resolver.outcome if resolver else unresolved,
        "resolved_code": resolver.code if resolver else unresolved,
        "resolved_replayed": resolver.replayed if resolver else unresolved,
        "samples": np.frombuffer(samples, np.int64).reshape(-1, SAMPLE_WIDTH),
    }
    arrays |= {f"plan.{name}": values for name, values in plan.columns.items()}
    arrays |= {f"reply.{name}": values for name, values in decoded.items()}
    np.savez(path, allow_pickle=False, **arrays)
