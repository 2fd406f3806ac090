"""
From stacks to the cost of an operation, function by function. Pure.

`own` is what a function spends itself, `total` what is spent in and below it. `charged` is own cost
brought home: what is spent in the standard library, in native code or in labels belongs to the
nearest function above that is neither, since that is who can spend less. A function is a module and
a name: where its lines and folders are does not matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.profile import Frame, Profile

_NOT_AT_HOME = frozenset({"python", "native"})
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """
    Costs of one profile or several, a row a segment, a column a function.

    Attributes:
        functions: By column.
        own, total, charged: In the profile's unit (nanoseconds, bytes or counts).
        noise: Variance of `charged` that comes from counting samples: of n samples of weight w,
            n * w * w; zeros where the profiler says no counts by stack.
        operation_counts: Answered in each segment.
        sample_counts: Taken in each segment; 0 where the profiler does not sample.
        durations_ns: Of the segments.
        starts: Which process start each segment is of.
    """

    functions: tuple[Frame, ...]
    own: Matrix
    total: Matrix
    charged: Matrix
    noise: Matrix
    operation_counts: NDArray[np.int64]
    sample_counts: NDArray[np.int64]
    durations_ns: NDArray[np.int64]
    starts: NDArray[np.int64]

    def per_operation(self, costs: Matrix) -> NDArray[np.float64]:
        """Of each function over all segments together; zeros where nothing was answered."""
        count = int(self.operation_counts.sum())
        found: NDArray[np.float64] = costs.sum(axis=0) / max(1, count)
        return found if count else np.zeros(len(self.functions))


def cost_table(profiles: Sequence[Profile]) -> CostTable:
    """
    The costs of *profiles*, which are of one metric, one of each process start.

    Segments from before the measured phase (the memory profiler's start-up) are left out.

    Raises:
        ValueError: they are of several metrics, or there is none.
    """
    if len({profile.metric for profile in profiles}) != 1:
        raise ValueError("the costs of one metric, please: of one profile or more")
    numbers: dict[Frame, int] = {}
    rows = [
        _Row(profile, start, number)
        for start, profile in enumerate(profiles)
        for number, segment in enumerate(profile.segments)
        if segment.start_ns >= 0
    ]
    for profile in profiles:
        for frame in profile.frames:
            numbers.setdefault(frame, len(numbers))
    shape = (len(rows), len(numbers))
    table = CostTable(
        functions=tuple(numbers),
        own=np.zeros(shape),
        total=np.zeros(shape),
        charged=np.zeros(shape),
        noise=np.zeros(shape),
        operation_counts=np.array([row.segment.operation_count for row in rows], np.int64),
        sample_counts=np.array([row.segment.sample_count for row in rows], np.int64),
        durations_ns=np.array([row.duration_ns for row in rows], np.int64),
        starts=np.array([row.start for row in rows], np.int64),
    )
    for index, row in enumerate(rows):
        row.add(table, index, numbers)
    return table


class _Row:
    """One segment on its way into a table."""

    def __init__(self, profile: Profile, start: int, segment_number: int) -> None:
        self.profile, self.start = profile, start
        self.segment = profile.segments[segment_number]
        self.duration_ns = self.segment.end_ns - self.segment.start_ns

    def add(self, table: CostTable, index: int, numbers: dict[Frame, int]) -> None:
        frames = self.profile.frames
        columns = [numbers[frame] for frame in frames]
        for number, weight in self.segment.weights.items():
            stack = self.profile.stacks[number]
            if not stack:
                continue
            table.own[index, columns[stack[-1]]] += weight
            column = columns[home(stack, frames)]
            table.charged[index, column] += weight
            sampled = self.segment.samples.get(number, 0)
            table.noise[index, column] += weight**2 / sampled if sampled else 0.0
            for frame in set(stack):  # a recursive function once
                table.total[index, columns[frame]] += weight


def home(stack: Sequence[int], frames: Sequence[Frame]) -> int:
    """The frame of *stack* that its leaf is charged to."""
    return next((frame for frame in reversed(stack) if is_home(frames[frame])), stack[-1])


def is_home(frame: Frame) -> bool:
    """Whether cost can be charged to it: code that somebody wrote, in a file of its own."""
    is_written = bool(frame.module) and not frame.module.startswith("<")  # <string>: generated
    return is_written and frame.package not in _NOT_AT_HOME


def by(table: CostTable, costs: Matrix, key: Callable[[Frame], str]) -> dict[str, float]:
    """Costs of an operation, added up by what *key* says of a function; the largest first."""
    sums: dict[str, float] = {}
    for frame, cost in zip(table.functions, table.per_operation(costs), strict=True):
        if cost:
            sums[key(frame)] = sums.get(key(frame), 0.0) + float(cost)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
