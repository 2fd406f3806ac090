"""
Memory profiles by memray: what peaks, what is allocated, and what survives.

memray runs inside the target (see agent/sitecustomize.py) and traces every allocation, so a run
under it gives no timings. Segments alternate between one and two units of time: memory that is
merely in flight or cached survives in equal amounts from a short and a long segment, memory that
leaks survives in proportion to the operations. Survivors of a single segment prove nothing, since
some are freed later; their slope over segments does. Those of the first seconds keep every
allocation, for bytes and counts an operation; later ones keep aggregates, of which a long
run has kilobytes. A kill loses one segment. After the load comes one at rest: a service that polls
allocates by the second too, and that is no operation's.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import memray

from harness.errors import ProfilerError
from harness.model.profile import Frame, Metric, Profile, ProfileSegment, StackTable
from harness.model.units import NANOS_PER_SECOND
from harness.model.window import Window
from harness.profilers.agent_link import AgentLink
from harness.profilers.frames import python_frame
from harness.profilers.profiler import CountOperations, ProfiledTarget, pid_of, segment_count
from harness.targets.process_tree import process_tree

_UNITS = (1, 2)  # lengths of segments, in turn
_SEGMENT_COUNT_MIN = 6  # fewer tell neither growth from caches nor the noise of what is allocated
_EVERY_COUNT_MAX = 6  # segments that keep every allocation, unless all do
_EVERY_NS_MAX = 10 * NANOS_PER_SECOND  # of one of them: megabytes a second
_ALL_NS_MAX = 20 * NANOS_PER_SECOND  # a phase of which all of them do
_REST_NS = NANOS_PER_SECOND
_FREE_BYTES_MIN = 16 << 20
_NO_STACK = Frame(function="<no Python frame>", module="", package="native")
_EVERY = frozenset({Metric.ALLOCATED_BYTES, Metric.ALLOCATED_COUNT})  # of every allocation
_FREEING = frozenset({"FREE", "MUNMAP", "PYMALLOC_FREE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    start_ns: int
    end_ns: int
    path: Path
    has_every: bool  # each allocation is in it, not only survivors and peak
    is_rest: bool = False


@dataclass(slots=True)
class _Weights:
    """One metric of one segment: by stack, and by what allocated."""

    by_stack: dict[tuple[Frame, ...], int] = field(default_factory=lambda: defaultdict(int))
    by_allocator: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, stack: tuple[Frame, ...], allocator: int, weight: int) -> None:
        self.by_stack[stack] += weight
        self.by_allocator[_allocator_name(allocator)] += weight


@dataclass(slots=True)
class _Tables:
    """One metric's profile in the making."""

    stacks: StackTable = field(default_factory=StackTable)
    segments: list[ProfileSegment] = field(default_factory=list)
    rest: ProfileSegment | None = None


class MemrayProfiler:
    """Memory by stack; `make` it a run's profiler."""

    instrumentation = "memory"

    def __init__(self, folder: Path, *, native: bool = False, is_split: bool = True) -> None:
        """
        Raw segments go to *folder*; *native* adds frames of C code.

        Not *is_split*: one segment, of every allocation: no growth, and no gap between segments, in
        which nothing is counted and the service goes on.
        """
        self._folder = folder
        self._native = native
        self._is_split = is_split
        folder.mkdir(parents=True, exist_ok=True)
        self._link = AgentLink(folder)
        self._segments: list[_Segment] = []
        self._every_count = 1
        self._start_ns = 0
        self._notes: list[str] = []
        self._begun_at_ns = time.monotonic_ns()

    @property
    def environment(self) -> Mapping[str, str]:
        return self._link.environment

    def segment_shares(self, length_ns: int) -> Sequence[float]:
        """One and two units in turn; those with every allocation, the first, are short."""
        if not self._is_split:
            return [1.0]
        count = max(_SEGMENT_COUNT_MIN, segment_count(length_ns))
        units = [_UNITS[index % 2] for index in range(count)]
        if length_ns <= _ALL_NS_MAX:
            self._every_count = count
            return [unit / sum(units) for unit in units]
        self._every_count = min(_EVERY_COUNT_MAX, count // 2)
        every, others = units[: self._every_count], units[self._every_count :]
        unit = min(1 / sum(units), _EVERY_NS_MAX / max(_UNITS) / length_ns)
        rest = (1 - unit * sum(every)) / sum(others)
        return [*(unit * share for share in every), *(rest * share for share in others)]

    def prepare(self, target: ProfiledTarget) -> None:
        """Reach the agent; what start-up left alive becomes a segment before the phase."""
        pid = self._link.choose(process_tree(pid_of(target)))
        self._start_ns = self._begun_at_ns
        self._stop(self._folder / f"start-{pid}.bin", has_every=False)

    def begin_segment(self) -> None:
        self._start(self._path(), has_every=self._has_every)

    def check(self) -> None:
        """Nothing: the tracker is part of the target and stops nothing."""

    def end_segment(self) -> None:
        """Stop it; its file is whole after that, unless the disk is full."""
        self._stop(self._path(), has_every=self._has_every)

    def rest(self, wait: Callable[[int], object]) -> None:
        """A second of it, every allocation."""
        path = (self._folder / "rest.bin").resolve()
        self._start(path, has_every=True)
        wait(_REST_NS)
        self._stop(path, has_every=True, is_rest=True)

    def close(self) -> None:
        self._link.close()

    def profiles(self, window: Window, count_operations: CountOperations) -> Sequence[Profile]:
        """Peak, survivors, and allocated bytes and counts; none without a segment."""
        metrics: dict[Metric, _Tables] = defaultdict(_Tables)
        for segment in self._segments:
            for metric, weights in self._read(segment).items():
                tables = metrics[metric]
                found = ProfileSegment(
                    start_ns=segment.start_ns - window.start_ns,
                    end_ns=segment.end_ns - window.start_ns,
                    operation_counts=count_operations(segment.start_ns, segment.end_ns),
                    cpu_ns=0,
                    sample_count=0,
                    weights=_numbered(weights.by_stack, tables.stacks),
                    by_allocator=dict(sorted(weights.by_allocator.items())),
                )
                if segment.is_rest:
                    tables.rest = found if metric in _EVERY else None
                else:
                    tables.segments.append(found)
        return tuple(
            Profile(
                metric=metric,
                profiler={
                    "name": "memray",
                    "version": version("memray"),
                    "settings": "python allocators" + (", native" if self._native else ""),
                },
                frames=tables.stacks.frames,
                stacks=tables.stacks.stacks,
                segments=tuple(tables.segments),
                rest=tables.rest,
                notes=tuple(self._notes),
            )
            for metric, tables in metrics.items()
        )

    @property
    def _has_every(self) -> bool:
        """Of the segment that comes; the first of all is what start-up left alive."""
        return len(self._segments) <= self._every_count

    def _path(self) -> Path:
        return (self._folder / f"segment-{len(self._segments) - 1:03}.bin").resolve()

    def _start(self, path: Path, *, has_every: bool) -> None:
        self._start_ns = self._link.command(
            do="start", path=str(path), native=self._native, every=has_every
        )

    def _stop(self, path: Path, *, has_every: bool, is_rest: bool = False) -> None:
        end_ns = self._link.command(do="stop")
        if shutil.disk_usage(self._folder).free < _FREE_BYTES_MIN:
            # memray then stops tracking without a word to its caller, and what it wrote reads well.
            raise ProfilerError("the disk is full: what memray wrote of a segment may be its head")
        self._segments.append(
            _Segment(
                start_ns=self._start_ns,
                end_ns=end_ns,
                path=path,
                has_every=has_every,
                is_rest=is_rest,
            )
        )

    def _read(self, segment: _Segment) -> dict[Metric, _Weights]:
        """The weights that a segment's file holds; a damaged file is a note."""
        try:
            with memray.FileReader(segment.path) as reader:
                found = {
                    Metric.HIGH_WATER_BYTES: _summed(
                        reader.get_high_watermark_allocation_records(merge_threads=True)
                    ),
                    Metric.SURVIVING_BYTES: _summed(
                        reader.get_leaked_allocation_records(merge_threads=True)
                    ),
                }
                if segment.has_every:
                    found |= _everything(reader)
        except (OSError, ValueError, RuntimeError) as error:
            self._notes.append(f"The segment {segment.path.name} can't be read: {error}")
            return {}
        return found


def _everything(reader: memray.FileReader) -> dict[Metric, _Weights]:
    freeing = {kind.value for kind in memray.AllocatorType if kind.name in _FREEING}
    sums: dict[tuple[int, int], list[int]] = {}
    stacks: dict[int, tuple[Frame, ...]] = {}
    for record in reader.get_allocation_records():
        if record.allocator in freeing:
            continue
        key = record.stack_id, record.allocator
        known = sums.get(key)
        if known is None:
            if record.stack_id not in stacks:
                stacks[record.stack_id] = _stack_of(record.stack_trace())
            known = sums[key] = [0, 0]
        known[0] += record.size
        known[1] += record.n_allocations
    bytes_of, counts_of = _Weights(), _Weights()
    for (stack_id, allocator), (size, number) in sums.items():
        bytes_of.add(stacks[stack_id], allocator, size)
        counts_of.add(stacks[stack_id], allocator, number)
    return {Metric.ALLOCATED_BYTES: bytes_of, Metric.ALLOCATED_COUNT: counts_of}


def _summed(records: Iterable[memray.AllocationRecord]) -> _Weights:
    sums = _Weights()
    for record in records:
        sums.add(_stack_of(record.stack_trace()), record.allocator, record.size)
    return sums


@cache
def _allocator_name(number: int) -> str:
    """Memray's, in lower case: "malloc", "pymalloc_malloc", "mmap"."""
    try:
        return memray.AllocatorType(number).name.lower()
    except ValueError:
        return f"allocator {number}"  # of a newer memray


def _stack_of(trace: Sequence[tuple[str, str, int]]) -> tuple[Frame, ...]:
    """Memray's trace, leaf first, as frames, root first."""
    if not trace:
        return (_NO_STACK,)
    return tuple(_frame(function, file) for function, file, _ in reversed(trace))


@cache
def _frame(function: str, file: str) -> Frame:
    """As py-spy names it: the file's path from its outermost package on."""
    path = Path(file)
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return python_frame(function, str(path.relative_to(folder)))


def _numbered(weights: Mapping[tuple[Frame, ...], int], table: StackTable) -> dict[int, int]:
    return {table.number(stack): weight for stack, weight in weights.items() if weight}
