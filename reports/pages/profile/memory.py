"""The memory profile of a run: what peaks, what is allocated, what grows, and whether it leaks."""

from collections.abc import Sequence

from harness.model.memory_slope import MemorySlope
from harness.model.profile import Metric, Profile, ProfileSegment
from harness.model.record import RunRecord
from harness.model.text import Unit, count, plain, share, size
from reports.figures.rest import measured, rest_per_operation
from reports.figures.run_tables import ProfiledPass, RunTables, profiles_of
from reports.pages import glossary
from reports.pages.cells import NO_DATA, cell, number_columns, text_columns
from reports.pages.model import Cell, Chart, Fact, FlameGraph, Section, Table, Tone
from reports.pages.profile.cost_tables import ROW_COUNT_MAX, Costs, costs_of, functions_table
from reports.pages.profile.flames import FlameWords, flame_graph, peak_graph
from reports.pages.run.leak import leak_sentence, slope_of, slope_table
from reports.pages.run.usage import service_memory_chart
from reports.profile.growth import SEGMENT_COUNT_MIN, Growth, growth_of
from reports.profile.kinds import is_the_services
from reports.text import DASH

Part = tuple[Profile, ProfileSegment]
_NO_SEGMENT = "no data: no segment could be read"
_NOT_KEPT = "no data: the segment that keeps every allocation is missing"


def memory_section(tables: RunTables) -> tuple[Section, ...]:
    of: dict[Metric, list[Profile]] = {
        metric: [profile for _, profile in profiles_of(tables.passes, metric)]
        for metric in Metric
        if metric is not Metric.CPU_NS
    }
    if not any(of.values()):
        return ()
    one = next(one for one in tables.passes for p in one.profiles if p.metric is not Metric.CPU_NS)
    growth = [item for profile in of[Metric.SURVIVING_BYTES] for item in growth_of(profile)]
    slope = slope_of(tables.record, tables.samples)
    costs = {
        metric: costs_of(of[metric], unit)
        for metric, unit in (
            (Metric.ALLOCATED_BYTES, Unit.BYTES),
            (Metric.ALLOCATED_COUNT, Unit.COUNT),
        )
        if of[metric]
    }
    parts = _peak_parts(of[Metric.HIGH_WATER_BYTES], of[Metric.SURVIVING_BYTES])
    return (
        Section(
            id="memory-profile",
            title="Memory profile",
            lead=" ".join(
                (
                    leak_sentence(tables.record, slope),
                    _growth_sentence(of[Metric.SURVIVING_BYTES], growth),
                )
            ),
            headlines=_headlines(costs, rest_per_operation(of[Metric.ALLOCATED_BYTES]), parts),
            flames=_flames(parts, of[Metric.ALLOCATED_BYTES]),
            charts=_charts(tables, one),
            tables=(
                _growth_table(of[Metric.SURVIVING_BYTES], growth),
                slope_table(_slope_rows(tables, one)),
                *_allocation_tables(costs),
                _allocators_table(of),
            ),
            terms=(glossary.PER_OPERATION, glossary.OWN, glossary.SURVIVES, glossary.RESIDENT),
        ),
    )


def _growth_sentence(survivors: Sequence[Profile], growth: Sequence[Growth]) -> str:
    named = [item for item in growth if item.is_named]
    if named:
        first = next((item for item in named if is_the_services(item.function)), named[0])
        more = f" and {len(named) - 1} more functions" if len(named) > 1 else ""
        return (
            f"What is never freed grows in {plain(first.function.function)}"
            f" ({plain(first.function.module)}): {size(first.bytes_per_operation)} an"
            f" operation{more}."
        )
    if any(_has_slope(profile) for profile in survivors):
        return "No function's survivors grow with the operations."
    return "Whether any function's survivors grow can't be told: too few segments."


def _has_slope(profile: Profile) -> bool:
    counts = [segment.operation_count for segment in measured(profile)]
    return len(counts) >= SEGMENT_COUNT_MIN and min(counts) < max(counts)


def _headlines(
    costs: dict[Metric, Costs], at_rest_bytes: float | None, parts: dict[str, Part]
) -> tuple[Fact, ...]:
    allocated, counted = costs.get(Metric.ALLOCATED_BYTES), costs.get(Metric.ALLOCATED_COUNT)
    held = {label: sum(segment.weights.values()) for label, (_, segment) in parts.items()}
    return (
        Fact(name="allocated an operation", cell=_whole(allocated)),
        *(
            [Fact(name="of it by the second, at rest too", cell=cell(at_rest_bytes, Unit.BYTES))]
            if at_rest_bytes is not None
            else []
        ),
        Fact(name="allocations an operation", cell=_whole(counted)),
        *(
            Fact(name=f"held: {label}", cell=cell(value, Unit.BYTES))
            for label, value in held.items()
        ),
    )


def _whole(costs: Costs | None) -> Cell:
    return NO_DATA if costs is None else cell(costs.whole_cost or None, costs.unit)


def _flames(parts: dict[str, Part], allocated: Sequence[Profile]) -> tuple[FlameGraph, ...]:
    return (
        peak_graph(
            parts,
            FlameWords(
                id="high-water",
                title="What the heap held at its largest",
                explanation="What start-up left alive, and what the segment with the largest peak"
                " allocated and held at that peak.",
                note="What earlier segments allocated and had not yet freed is not in it: each"
                " segment is traced from its own beginning.",
                absence=_NO_SEGMENT,
            ),
        ),
        flame_graph(
            allocated,
            FlameWords(
                id="allocated",
                title="Bytes allocated by an operation",
                explanation="Freed again or not: the work that an operation gives the allocators.",
                absence=_NOT_KEPT,
            ),
        ),
    )


def _peak_parts(peaks: Sequence[Profile], survivors: Sequence[Profile]) -> dict[str, Part]:
    """What start-up left alive and the segment with the largest peak, each with its label."""
    parts: dict[str, Part] = {}
    for profile in survivors:
        for segment in profile.segments:
            if segment.start_ns < 0:
                parts["after start-up"] = (profile, segment)
    inside = [
        (profile, segment, number)
        for profile in peaks
        for number, segment in enumerate(measured(profile), start=1)
    ]
    if inside:
        profile, segment, number = max(inside, key=lambda item: sum(item[1].weights.values()))
        parts[f"peak of segment {number}"] = (profile, segment)
    return parts


def _charts(tables: RunTables, one: ProfiledPass) -> tuple[Chart, ...]:
    own = service_memory_chart(
        one.record,
        one.samples,
        chart_id="memory-of-pass",
        title=f"Resident memory, {plain(one.name)} pass",
    )
    if not one.is_twin:
        return (own,)
    plain_run = service_memory_chart(
        tables.record,
        tables.samples,
        chart_id="memory-of-plain",
        title="Resident memory, plain run",
    )
    return (plain_run, own)


def _slope_rows(
    tables: RunTables, one: ProfiledPass
) -> tuple[tuple[str, RunRecord, MemorySlope | None], ...]:
    own = (one.name, one.record, slope_of(one.record, one.samples))
    if not one.is_twin:
        return (own,)
    return (("plain", tables.record, slope_of(tables.record, tables.samples)), own)


def _allocation_tables(costs: dict[Metric, Costs]) -> tuple[Table, ...]:
    titles = {
        Metric.ALLOCATED_BYTES: "Bytes allocated by function",
        Metric.ALLOCATED_COUNT: "Allocations by function",
    }
    return tuple(
        functions_table(
            costs[metric],
            table_id=metric.replace("_", "-"),
            title=title,
            of=lambda one: one.own_cost,
            note="Of the one segment that keeps every allocation.",
        )
        if metric in costs
        else Table(id=metric.replace("_", "-"), title=title, columns=(), rows=(), absence=_NOT_KEPT)
        for metric, title in titles.items()
    )


def _growth_table(survivors: Sequence[Profile], growth: Sequence[Growth]) -> Table:
    segment_count = sum(len(measured(profile)) for profile in survivors)
    return Table(
        id="growth",
        title="What survives, by function",
        columns=(
            *text_columns("function"),
            *number_columns("grows, an operation", "95 % interval", "chance of no growth"),
            *text_columns("verdict"),
        ),
        rows=tuple(_growth_row(item) for item in growth[:ROW_COUNT_MAX]),
        note=f"A line through what survived {count(segment_count)} segments of two lengths: what is"
        " in flight or cached survives a short segment as much as a long one, what leaks survives"
        " in proportion to the operations. Charged to the nearest function that is not a library's"
        " own; chances are corrected for all functions tested.",
        absence="no data: too few segments to tell growth from what is merely in flight"
        if not any(_has_slope(profile) for profile in survivors)
        else "No function's survivors grow.",
    )


def _growth_row(item: Growth) -> tuple[Cell, ...]:
    low, high = (item.bytes_per_operation + sign * item.half_width_bytes for sign in (-1, 1))
    return (
        Cell(text=plain(item.function.function), detail=plain(item.function.module)),
        Cell(text=size(item.bytes_per_operation)),
        Cell(text=f"{size(low)} to {size(high)}"),
        Cell(text=share(item.p_value) if item.p_value >= 1e-6 else "< 0.0001 %"),
        Cell(text="grows", tone=Tone.BAD) if item.is_named else Cell(text=DASH),
    )


def _allocators_table(of: dict[Metric, list[Profile]]) -> Table:
    metrics = (
        (Metric.ALLOCATED_BYTES, Unit.BYTES),
        (Metric.ALLOCATED_COUNT, Unit.COUNT),
        (Metric.SURVIVING_BYTES, Unit.BYTES),
    )
    sums = {
        metric: _by_allocator([s for profile in of[metric] for s in measured(profile)])
        for metric, _ in metrics
    }
    names = sorted(
        {name for found in sums.values() for name in found},
        key=lambda name: (-sums[Metric.ALLOCATED_BYTES].get(name, 0.0), name),
    )
    return Table(
        id="allocators",
        title="By allocator",
        columns=(
            *text_columns("allocator"),
            *number_columns(
                "bytes allocated", "allocations", "survives a segment", group="an operation"
            ),
        ),
        rows=tuple(
            (
                Cell(text=plain(name)),
                *(cell(sums[metric].get(name, 0.0), unit) for metric, unit in metrics),
            )
            for name in names
        ),
        absence="no data: this profile was stored before allocators were kept",
    )


def _by_allocator(segments: Sequence[ProfileSegment]) -> dict[str, float]:
    operation_count = sum(segment.operation_count for segment in segments)
    sums: dict[str, float] = {}
    for segment in segments if operation_count else ():
        for name, weight in segment.by_allocator.items():
            sums[name] = sums.get(name, 0.0) + weight / operation_count
    return sums
