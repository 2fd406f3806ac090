"""
The page of a run that failed while it was profiled: why, and what was collected until then.

Pure. A service that was killed for its memory is the one whose growth somebody must see. There is
no record, so no verdict and no timing: costs of an operation from the segments that were whole.
"""

from collections.abc import Sequence

from harness.model.profile import Metric, Profile
from harness.model.text import Unit, count, duration, plain
from reports.figures.rest import measured
from reports.pages.cells import cell, number_columns, text_columns
from reports.pages.model import Cell, Notice, Page, Section, Table, Tone
from reports.pages.profile.flames import FlameWords, flame_graph
from reports.profile.growth import growth_of
from reports.text import sentence

_ROW_COUNT_MAX = 25
_TITLES = {
    Metric.CPU_NS: "CPU of an operation",
    Metric.ALLOCATED_BYTES: "Bytes allocated for an operation",
    Metric.SURVIVING_BYTES: "Bytes that survive the segment they are allocated in",
}


def view_kept_profiles(name: str, reason: str, profiles: Sequence[Profile]) -> Page:
    return Page(
        title=plain(name),
        subtitle="Profiles of a run that was not finished",
        verdict_groups=(),
        notices=(
            Notice(
                tone=Tone.BAD,
                text=f"This run failed: {sentence(reason)} Nothing of it is a result; it can never"
                " be a baseline.",
            ),
        ),
        sections=tuple(_section(one) for one in profiles if one.metric in _TITLES),
    )


def _section(profile: Profile) -> Section:
    inside = measured(profile)
    until_ns = max((segment.end_ns for segment in inside), default=0)
    answered = sum(segment.operation_count for segment in inside)
    key = profile.metric.replace("_", "-")
    words = FlameWords(
        id=f"flame-{key}",
        title="Flame graph",
        explanation="Widths are costs of an operation.",
        absence="no data: no operation was answered in a whole segment",
    )
    is_growth = profile.metric is Metric.SURVIVING_BYTES
    return Section(
        id=key,
        title=_TITLES[profile.metric],
        lead=f"{count(len(inside))} segments until {duration(until_ns)} into the measured phase, "
        f"with {count(answered)} operations answered.",
        flames=(flame_graph([profile], words),) if answered else (),
        tables=(_growth_table(profile),) if is_growth else (),
        remarks=tuple(map(plain, profile.notes)),
    )


def _growth_table(profile: Profile) -> Table:
    grown = growth_of(profile)[:_ROW_COUNT_MAX]
    return Table(
        id="growth",
        title="What grows with the operations",
        columns=(
            *text_columns("function"),
            *number_columns("an operation leaves", "± (95 %)"),
            *text_columns(""),
        ),
        rows=tuple(
            (
                Cell(text=plain(one.function.function), detail=plain(one.function.module)),
                cell(one.bytes_per_operation, Unit.BYTES),
                cell(one.half_width_bytes, Unit.BYTES),
                Cell(text="leaks", tone=Tone.BAD) if one.is_named else Cell(text="not sure"),
            )
            for one in grown
        ),
        note="Fitted over segments of different lengths: what is merely cached survives a short one"
        " as well as a long one.",
        absence="Nothing that grows was seen, or too few segments to tell.",
    )
