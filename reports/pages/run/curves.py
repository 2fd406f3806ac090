"""
The percentile charts of a run: response against service, by kind, lateness, visible.

All samples of the measured phase, never averages of percentiles; where a curve ends is decided in
view.percentiles.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from harness.model.metrics import ALL_KINDS
from harness.model.record import RunRecord
from harness.model.text import Unit, count, plain
from reports.figures.latencies import Latencies
from reports.pages.model import Axis, Chart, Scale, Series
from reports.pages.percentile_chart import LATENCY_AXIS, SHARE_AXIS, curve, drawn

_KIND_COLOUR_COUNT = 8


def _coloured(by_kind: Mapping[str, Latencies]) -> dict[str, str]:
    """The same colour for a kind in every chart of a page."""
    kinds = [kind for kind in by_kind if kind != ALL_KINDS]
    return {kind: f"kind-{place % _KIND_COLOUR_COUNT + 1}" for place, kind in enumerate(kinds)}


def response_curves(of: Latencies) -> Chart:
    return Chart(
        id="response-and-service",
        title="Response and service, all operations",
        explanation="Two curves that lie apart mean that operations queued before they were sent:"
        " a tool that shows service alone would hide it.",
        x_axis=SHARE_AXIS,
        y_axis=LATENCY_AXIS,
        series=drawn(
            (
                curve(
                    "response",
                    "response",
                    of.response_ns,
                    unanswered_count=of.unanswered_count,
                ),
                curve(
                    "service",
                    "service",
                    of.service_ns,
                    unanswered_count=of.unanswered_sent_count,
                    dashed=True,
                ),
            )
        ),
        note=_end_of_curve(len(of.response_ns), of.unanswered_count),
    )


def response_by_kind(by_kind: Mapping[str, Latencies]) -> Chart:
    return Chart(
        id="response-by-kind",
        title="Response by kind",
        explanation="The same curve for each kind of operation; each ends where its own count"
        " allows no further percentile.",
        x_axis=SHARE_AXIS,
        y_axis=LATENCY_AXIS,
        series=drawn(
            tuple(
                curve(
                    plain(kind),
                    colour,
                    by_kind[kind].response_ns,
                    unanswered_count=by_kind[kind].unanswered_count,
                )
                for kind, colour in _coloured(by_kind).items()
            )
        ),
    )


def lateness_curve(lateness_ns: NDArray[np.int64]) -> Chart:
    return Chart(
        id="lateness",
        title="Lateness of the generator",
        explanation="How late operations left that were ready to go. It must stay far below the"
        " latencies above, or those would be the generator's own.",
        x_axis=SHARE_AXIS,
        y_axis=Axis(title="lateness", unit=Unit.NS, scale=Scale.LOG),
        series=drawn((curve("lateness", "lateness", lateness_ns),)),
    )


def visible_curves(record: RunRecord, by_kind: Mapping[str, Latencies]) -> Chart:
    curves = drawn(
        tuple(
            curve(
                plain(kind),
                colour,
                by_kind[kind].visible_ns,
                unanswered_count=_unseen_count(record, kind),
            )
            for kind, colour in _coloured(by_kind).items()
        )
    )
    unseen_count = _unseen_count(record, ALL_KINDS)
    return Chart(
        id="visible",
        title="Visible by kind",
        explanation="Until the effect was seen on a Kafka topic. The flat lines are what the broker"
        " needs for itself.",
        x_axis=SHARE_AXIS,
        y_axis=Axis(title="visible", unit=Unit.NS, scale=Scale.LOG),
        series=(*curves, *_floor_lines(record, curves)),
        absence="no data: no effect was seen on an observed topic",
        note=f"{count(unseen_count)} operations caused no event that was seen, and count as slower"
        " than all: the curves end where they begin."
        if unseen_count
        else "",
    )


def _unseen_count(record: RunRecord, kind: str) -> int:
    """How many should have been seen and were not; which these are, only the record knows."""
    return record.latency[kind].visible_ns.unanswered_count if kind in record.latency else 0


def _floor_lines(record: RunRecord, curves: tuple[Series, ...]) -> tuple[Series, ...]:
    floor = record.broker.get("floor_ns")
    if not curves or not isinstance(floor, Mapping):
        return ()
    start, end = min(line.x[0] for line in curves), max(line.x[-1] for line in curves)
    return tuple(
        Series(
            name=f"broker baseline {name}",
            colour="floor",
            x=(start, end),
            y=(float(value), float(value)),
            dashed=True,
        )
        for name, value in sorted(floor.items())
        if isinstance(value, int | float) and name in {"p50", "p99"}
    )


def _end_of_curve(number: int, unanswered_count: int) -> str:
    if not number:
        return ""
    if unanswered_count:
        return (
            f"{count(number)} answers; {count(unanswered_count)} operations had none and count as "
            "slower than all: the curves end where they begin."
        )
    return f"{count(number)} answers; the curves end where more would be needed to say anything."
