"""The memory profile of a run: what peaks, what is allocated, what grows."""

from harness.model.profile import Metric, Profile, ProfileSegment
from reports.view.flames import FlameWords, flame_graph, peak_graph
from reports.view.model import Section
from reports.view.source import RunTables, profiles_of


def memory_section(tables: RunTables) -> tuple[Section, ...]:
    """The section; none where no memory profile was asked for, or came."""
    peaks = [profile for _, profile in profiles_of(tables.passes, Metric.HIGH_WATER_BYTES)]
    allocated = [profile for _, profile in profiles_of(tables.passes, Metric.ALLOCATED_BYTES)]
    if not peaks and not allocated:
        return ()
    survivors = [profile for _, profile in profiles_of(tables.passes, Metric.SURVIVING_BYTES)]
    return (
        Section(
            id="memory-profile",
            title="Memory profile",
            flames=(
                peak_graph(
                    _peak_parts(peaks, survivors),
                    FlameWords(
                        id="high-water",
                        title="What the heap held at its largest",
                        explanation="What start-up left alive, and what the segment with the"
                        " largest peak allocated and held at that peak.",
                        note="What earlier segments allocated and had not yet freed is not in it:"
                        " each segment is traced from its own beginning.",
                        absence="no data: no segment could be read",
                    ),
                ),
                flame_graph(
                    allocated,
                    FlameWords(
                        id="allocated",
                        title="Bytes allocated by an operation",
                        explanation="Freed again or not: the work that an operation gives the"
                        " allocators.",
                        absence="no data: the segment that keeps every allocation is missing",
                    ),
                ),
            ),
        ),
    )


def _peak_parts(
    peaks: list[Profile], survivors: list[Profile]
) -> dict[str, tuple[Profile, ProfileSegment]]:
    """What start-up left alive and the segment with the largest peak, each with its label."""
    parts: dict[str, tuple[Profile, ProfileSegment]] = {}
    for profile in survivors:
        for segment in profile.segments:
            if segment.start_ns < 0:
                parts["start-up"] = (profile, segment)
    inside = [
        (profile, segment, number)
        for profile in peaks
        for number, segment in enumerate(
            [segment for segment in profile.segments if segment.start_ns >= 0], start=1
        )
    ]
    if inside:
        profile, segment, number = max(inside, key=lambda item: sum(item[1].weights.values()))
        parts[f"segment {number}"] = (profile, segment)
    return parts
