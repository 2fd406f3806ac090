"""
The columns of one load process, in memory that the parent and the observer see too.

One anonymous memory file, one array a field, one row an operation. The load process writes sent,
done, outcome and code; the observer writes visible; the parent only reads, for the live view. Plain
8-byte stores on one machine need no lock: each cell has one writer. The file has no name, so
whatever is killed, nothing of it stays in memory.
"""

import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INT64_FIELDS = ("intended_ns", "sent_ns", "done_ns", "visible_ns")
_COUNTER_COUNT = 16


class Counter(IntEnum):
    """The slots of the counters that the load process keeps for the live view."""

    DUE = 0  # operations whose intended time has passed
    IN_FLIGHT = 1
    SENT = 2
    ACKNOWLEDGED = 3
    REJECTED = 4
    FAILED = 5
    TIMED_OUT = 6
    DROPPED = 7
    CANCELLED = 8
    CPU_NS = 9  # processor time of the load process
    WAITING = 10  # due, but what they depend on is not settled
    STRANDED = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsSpec:
    """Where the columns of a shard lie: enough to map them while the load process lives."""

    path: str
    row_count: int


class Columns:
    """The mapped columns: numpy views for whole-array work, memoryviews for single cells."""

    def __init__(self, spec: ColumnsSpec) -> None:
        self.spec = spec
        with Path(spec.path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _size_bytes(spec.row_count))
        self.counters: NDArray[np.int64] = np.frombuffer(self._map, np.int64, _COUNTER_COUNT)
        offset = _COUNTER_COUNT * 8
        arrays: dict[str, NDArray[Any]] = {}
        for name in _INT64_FIELDS:
            arrays[name] = np.frombuffer(self._map, np.int64, spec.row_count, offset)
            offset += 8 * spec.row_count
        self.intended_ns: NDArray[np.int64] = arrays["intended_ns"]
        self.sent_ns: NDArray[np.int64] = arrays["sent_ns"]
        self.done_ns: NDArray[np.int64] = arrays["done_ns"]
        self.visible_ns: NDArray[np.int64] = arrays["visible_ns"]
        self.code: NDArray[np.int32] = np.frombuffer(self._map, np.int32, spec.row_count, offset)
        offset += 4 * spec.row_count
        self.outcome: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8, spec.row_count, offset)


def create_columns(row_count: int) -> ColumnsSpec:
    """New, zeroed columns of this process; who has mapped them keeps them after its end."""
    descriptor = os.memfd_create("acctbench-columns")
    try:
        os.posix_fallocate(descriptor, 0, _size_bytes(row_count))
    except OSError:
        os.close(descriptor)
        raise
    return ColumnsSpec(path=f"/proc/{os.getpid()}/fd/{descriptor}", row_count=row_count)


def _size_bytes(row_count: int) -> int:
    return _COUNTER_COUNT * 8 + row_count * (8 * len(_INT64_FIELDS) + 4 + 1)
