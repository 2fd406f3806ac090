"""
What a load process leaves on disk: its plan before the load, what came of it after.

Each is a folder with a .npy file a column, so that whoever reads it maps the columns that it needs
and holds none. The plan is written by a process of its own and read back without the workload's
columns: planning leaves memory in pieces behind, and the columns are not needed until the load is
over.
"""

import mmap
from array import array
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns
from harness.engine.resolve import UNRESOLVED
from harness.system import Payloads, ShardPlan

_LOAD_ARRAYS = ("intended_offset_ns", "kind", "needs_a", "needs_b", "after", "stream", "late_by")
_PLAN, _REPLY = "plan.", "reply."  # before the names of the workload's own columns
_SUFFIX = ".npy"
SAMPLE_WIDTH = 3  # time_ns, in flight, processor time_ns


def write_plan(folder: Path, plan: ShardPlan, payloads: Payloads | None) -> None:
    """Write a plan, and its messages if there are any, into *folder*, which is made."""
    arrays = {name: getattr(plan, name) for name in _LOAD_ARRAYS}
    arrays |= {f"{_PLAN}{name}": values for name, values in plan.columns.items()}
    if payloads is not None:
        arrays |= {"blob": np.frombuffer(payloads.blob, np.uint8), "start": payloads.start}
    _write(folder, arrays)


def read_plan(folder: Path, *, shard: int, shard_count: int) -> tuple[ShardPlan, Payloads]:
    """What the load needs of a plan, in memory: all but the workload's own columns."""
    mapped = mapped_columns(folder)
    plan = ShardPlan(
        shard=shard,
        shard_count=shard_count,
        columns={},
        **{name: mapped[name].copy() for name in _LOAD_ARRAYS},
    )
    blob = bytearray(mapped["blob"].data)
    # Four bytes are enough for a position, unless the messages are more than 4 GiB.
    small = np.uint32 if len(blob) < 1 << 32 else np.int64
    return plan, Payloads(blob=blob, start=mapped["start"].astype(small))


def mapped_plan(folder: Path, *, shard: int, shard_count: int) -> ShardPlan:
    """A whole plan as it lies on disk."""
    mapped = mapped_columns(folder)
    return ShardPlan(
        shard=shard,
        shard_count=shard_count,
        columns={
            name.removeprefix(_PLAN): values
            for name, values in mapped.items()
            if name.startswith(_PLAN)
        },
        **{name: mapped[name] for name in _LOAD_ARRAYS},
    )


def mapped_columns(folder: Path) -> dict[str, NDArray[Any]]:
    """The columns of a plan or a shard; they stay readable when the files are removed."""
    return {
        path.name.removesuffix(_SUFFIX): np.asarray(
            np.load(path, mmap_mode="r", allow_pickle=False)
        )
        for path in sorted(folder.glob(f"*{_SUFFIX}"))
    }


def forget_pages(columns: Iterable[NDArray[Any]]) -> None:
    """
    Give back the memory in which mapped *columns* were read; what is needed again is read again.

    Of a large run that is more than all that is computed from it.
    """
    for column in columns:
        if isinstance(column.base, np.memmap):
            column.base._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # noqa: SLF001


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
    folder: Path,
    *,
    plan: ShardPlan,
    columns: Columns,
    exceptions: Exceptions,
    resolved: Resolved,
    decoded: Mapping[str, NDArray[Any]],
    samples: "array[int]",
) -> None:
    """
    Write what came of a plan's operations into *folder*, which is made.

    Columns of the replies get the prefix `reply.`; what the plan's folder has is not repeated.
    """
    count = len(plan)
    never_sent = np.zeros(count, np.bool_)
    never_sent[list(exceptions.never_sent)] = True
    arrays: dict[str, NDArray[Any]] = {
        "intended_ns": columns.intended_ns,
        "sent_ns": columns.sent_ns,
        "done_ns": columns.done_ns,
        "visible_ns": columns.visible_ns,
        "outcome": columns.outcome,
        "code": columns.code,
        "sequence": _spread(exceptions.sequences, count).astype(np.int32),
        "never_sent": never_sent,
        "given_up_ns": _spread(exceptions.given_up_ns, count),
        "let_go_ns": _spread(exceptions.let_go_ns, count),
        "resolved_outcome": resolved.outcome,
        "resolved_code": resolved.code,
        "resolved_replayed": resolved.replayed,
        "samples": np.frombuffer(samples, np.int64).reshape(-1, SAMPLE_WIDTH),
    }
    arrays |= {f"{_REPLY}{name}": values for name, values in decoded.items()}
    _write(folder, arrays)


def _write(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    folder.mkdir()
    for name, values in arrays.items():
        np.save(folder / f"{name}{_SUFFIX}", values, allow_pickle=False)


def _spread(values: Mapping[int, int], count: int) -> NDArray[np.int64]:
    """*values* at their operations, 0 elsewhere."""
    spread = np.zeros(count, np.int64)
    spread[list(values.keys())] = list(values.values())
    return spread
