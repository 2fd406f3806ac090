"""
A profile: where the target's CPU time or memory went, by call stack, segment by segment.

Values only. Functions are known by module and name, never by line or folder, so that two builds of
one service can be compared. Segments are consecutive slices of the measured phase, each with the
operations that were answered in it: a figure divided by them is a cost per operation, and their
scatter is the noise of that cost.

History of the stored form
    1   first; later, with defaults: samples and by_allocator of a segment, rest
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from harness.model.stored_form import check_form

PROFILE_SCHEMA_VERSION = 1
MISSING = "The profile"  # how a note of a record begins that tells of one that is missing


class Metric(StrEnum):
    CPU_NS = "cpu_ns"  # CPU time, user and system
    HIGH_WATER_BYTES = "high_water_bytes"  # alive when the segment's heap was largest
    SURVIVING_BYTES = "surviving_bytes"  # allocated in the segment and alive at its end
    ALLOCATED_BYTES = "allocated_bytes"  # allocated in the segment, freed or not
    ALLOCATED_COUNT = "allocated_count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    One function of a stack.

    Attributes:
        function: Qualified where the profiler knows it ("Journal.write").
        module: Dotted ("workloads.account.reference.journal"), a library's file name for native
            code ("libcrypto.so.3"), or empty for a label in angle brackets.
        package: What is folded together: the first part of the module, "python" for the standard
            library, "native" for code without Python frames.
    """

    function: str
    module: str
    package: str

    def __str__(self) -> str:
        """As in folded stacks."""
        return f"{self.module}:{self.function}" if self.module else self.function


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSegment:
    """
    One slice of the measured phase.

    Attributes:
        start_ns, end_ns: From the start of the measured phase.
        operation_counts: Operations answered in it, by kind.
        cpu_ns: CPU time that the kernel accounts to the target in it.
        sample_count: Samples taken; 0 where the profiler does not sample.
        weights: Of the profile's stacks, in its metric; stacks without weight are left out.
        samples: Of the profile's stacks, where the profiler samples.
        by_allocator: The weights once more, by what allocated ("malloc"); of memory only.
    """

    start_ns: int
    end_ns: int
    operation_counts: Mapping[str, int]
    cpu_ns: int
    sample_count: int
    weights: Mapping[int, int]
    samples: Mapping[int, int] = field(default_factory=dict)
    by_allocator: Mapping[str, int] = field(default_factory=dict)

    @property
    def operation_count(self) -> int:
        return sum(self.operation_counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    One profile of one process start.

    Attributes:
        metric: What the weights are.
        profiler: Name, version and settings, as shown to people.
        frames: All functions; stacks refer to them by index.
        stacks: Root first.
        segments: In order of time.
        rest: After the load, when all was answered: what the target does by the second, not by the
            operation; None where nobody looked.
        notes: What a reader should know (what is missing, and why).
    """

    schema_version: int = PROFILE_SCHEMA_VERSION
    metric: Metric
    profiler: Mapping[str, str]
    frames: tuple[Frame, ...]
    stacks: tuple[tuple[int, ...], ...]
    segments: tuple[ProfileSegment, ...]
    rest: ProfileSegment | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A stack that names no frame, or a weight that names no stack, is a bug."""
        assert all(0 <= frame < len(self.frames) for stack in self.stacks for frame in stack)
        assert all(
            0 <= stack < len(self.stacks)
            for segment in (*self.segments, *([self.rest] if self.rest else ()))
            for stack in segment.weights
        )


_ADAPTER: TypeAdapter[Profile] = TypeAdapter(Profile)


def profile_to_json(profile: Profile) -> dict[str, Any]:
    return asdict(profile)


def profile_from_json(document: Any) -> Profile:
    """A profile from parsed JSON; ValueError if it is none, or of a newer format."""
    check_form(document, "profile", PROFILE_SCHEMA_VERSION)
    return _ADAPTER.validate_python(document)


class StackTable:
    """Gives frames and stacks their numbers, while a profile is put together."""

    def __init__(self) -> None:
        self._frames: dict[Frame, int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}

    def number(self, stack: tuple[Frame, ...]) -> int:
        frames = tuple(self._frames.setdefault(frame, len(self._frames)) for frame in stack)
        return self._stacks.setdefault(frames, len(self._stacks))

    @property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(self._frames)

    @property
    def stacks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self._stacks)


def folded_lines(profile: Profile) -> list[str]:
    """All segments together as folded stacks, "root;...;leaf weight", for other programs."""
    totals: dict[int, int] = {}
    for segment in profile.segments:
        for stack, weight in segment.weights.items():
            totals[stack] = totals.get(stack, 0) + weight
    names = [str(frame).replace(";", ",") for frame in profile.frames]
    return sorted(
        f"{';'.join(names[frame] for frame in profile.stacks[stack])} {weight}"
        for stack, weight in totals.items()
    )
