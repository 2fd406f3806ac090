"""
What happened when: operations counted and measured by the second.

The bins are a second wide (wider in long runs, or where a second holds too few answers) and cut
where the warm-up ends and where the drain begins, so that no bin mixes phases. Response belongs to
the bin in which the operation was *due*: that is when a user would have felt it.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.quantiles import needed_count, quantile
from harness.model.record import RunRecord
from reports.view.model import Axis, Band, Chart, Scale, Series, Unit
from reports.view.samples import answered, stamps, unanswered

NANOS_PER_SECOND = 1_000_000_000
_BIN_COUNT_MAX = 400
_BIN_WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600)
_COURSE_BIN_COUNT_MIN = 8
_RATE_MARGIN = 1.15  # random arrivals: a bin below the mean must still carry the percentile

TIME_LINK = "time"
TIME_AXIS = Axis(title="time since the measured phase began", unit=Unit.SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bin i is [edge_ns[i], edge_ns[i + 1]), offsets from the start of the measured phase."""

    edge_ns: NDArray[np.int64]

    @property
    def middle_s(self) -> tuple[float, ...]:
        """Where a bin's value is drawn."""
        middle_ns = (self.edge_ns[:-1] + self.edge_ns[1:]) / 2
        return tuple(round(float(value) / NANOS_PER_SECOND, 3) for value in middle_ns)

    @property
    def width_s(self) -> NDArray[np.float64]:
        """How long each bin is."""
        return np.diff(self.edge_ns) / NANOS_PER_SECOND

    def __len__(self) -> int:
        return len(self.edge_ns) - 1


def bins_of(record: RunRecord, operations: pd.DataFrame, width_s_min: int = 1) -> Bins:
    """The bins from the start of the warm-up to the last answer."""
    start_ns = -int(record.phases.get("warmup_ns", 0))
    measure_ns = int(record.phases.get("measure_ns", 0))
    done_ns = _present(operations, "done_ns")
    end_ns = max(measure_ns, int(done_ns.max()) + 1 if len(done_ns) else 0)
    span_s = (end_ns - start_ns) / NANOS_PER_SECOND
    width_s = next(
        (
            width
            for width in _BIN_WIDTHS_S
            if width >= width_s_min and span_s / width <= _BIN_COUNT_MAX
        ),
        math.ceil(span_s / _BIN_COUNT_MAX),
    )
    width_ns = width_s * NANOS_PER_SECOND
    grid = np.arange(start_ns // width_ns * width_ns, end_ns + width_ns, width_ns)
    edges = np.unique(np.concatenate([grid[grid > start_ns], [start_ns, 0, measure_ns]]))
    return Bins(edge_ns=edges.astype(np.int64))


def phase_bands(record: RunRecord) -> tuple[Band, ...]:
    """Warm-up, drain and planned disturbances, to be told at a glance."""
    warmup_s, measure_s, drain_s = (
        int(record.phases.get(name, 0)) / NANOS_PER_SECOND
        for name in ("warmup_ns", "measure_ns", "drain_ns")
    )
    bands = (
        Band(name="warm-up", start=-warmup_s, end=0.0),
        Band(name="drain", start=measure_s, end=measure_s + drain_s),
        *(
            Band(
                name=item.action.removesuffix("-target"),
                start=item.start_ns / NANOS_PER_SECOND,
                end=item.end_ns / NANOS_PER_SECOND,
            )
            for item in record.disturbances
        ),
    )
    return tuple(band for band in bands if band.end > band.start)


def response_chart(record: RunRecord, operations: pd.DataFrame) -> Chart:
    """Response p50, p99 and maximum over time."""
    width_s = _width_s_for_p99(record)
    bins = bins_of(record, operations, width_s)
    groups, lost_counts = _response_by_bin(operations, bins), _lost_by_bin(operations, bins)
    due = tuple(zip(groups, lost_counts, strict=True))
    lines = tuple(
        Series(
            name=name,
            colour=colour,
            x=bins.middle_s,
            y=tuple(_quantile_or_gap(ordered, share, lost) for ordered, lost in due),
        )
        for name, colour, share in (("p50", "p50", 0.5), ("p99", "p99", 0.99))
    )
    slowest = Series(
        name="max",
        colour="max",
        x=bins.middle_s,
        y=tuple(float(ordered[-1]) if len(ordered) and not lost else None for ordered, lost in due),
    )
    shown = tuple(line for line in (*lines, slowest) if any(value is not None for value in line.y))
    withheld = {"p50", "p99"} - {line.name for line in shown}
    note = ""
    if shown and withheld:
        most = max(len(ordered) for ordered in groups)
        note = (
            f"{' and '.join(sorted(withheld))} withheld: n too small, at most {most:,} answers"
            f" in a bin (p99 needs {needed_count(0.99):,})"
        )
    if sum(lost_counts):
        gap = f"{sum(lost_counts):,} operations had no answer: where a line would show one of them"
        note = "; ".join(filter(None, (note, f"{gap} it has a gap")))
    return Chart(
        id="response-over-time",
        title="Response over time",
        explanation=f"Of the operations due in {_each(bins)}: the middle one, the slowest of the"
        " fastest 99 %, and the slowest of all.",
        x_axis=TIME_AXIS,
        y_axis=Axis(title="response", unit=Unit.NS, scale=Scale.LOG),
        series=shown,
        bands=phase_bands(record),
        link=TIME_LINK,
        note=note,
    )


def rate_chart(record: RunRecord, operations: pd.DataFrame) -> Chart:
    """Operations due, sent and done in each second."""
    bins = bins_of(record, operations)
    moments = (
        ("offered", _present(operations, "intended_ns")),
        ("sent", _present(operations, "sent_ns")),
        ("done", _present(operations, "done_ns", answered(operations))),
    )
    return Chart(
        id="rate-over-time",
        title="Rate over time",
        explanation="Operations that were due, that left the generator, and that were answered."
        " Between offered and sent lie those that were dropped, cancelled or stranded, or that wait"
        " for another's answer: what the generator itself caused is in Lateness. Between sent and"
        " done lies the service.",
        x_axis=TIME_AXIS,
        y_axis=Axis(title="operations", unit=Unit.PER_S),
        series=tuple(
            Series(name=name, colour=name, x=bins.middle_s, y=_rates(at_ns, bins))
            for name, at_ns in moments
            if len(at_ns)
        ),
        bands=phase_bands(record),
        link=TIME_LINK,
    )


def _width_s_for_p99(record: RunRecord) -> int:
    """The narrowest bin that carries a p99, if enough of them are left to show a course."""
    measure_s = int(record.phases.get("measure_ns", 0)) / NANOS_PER_SECOND
    needed = needed_count(0.99) * _RATE_MARGIN
    return next(
        (
            width
            for width in _BIN_WIDTHS_S
            if record.rate.achieved_per_s * width >= needed
            and measure_s / width >= _COURSE_BIN_COUNT_MIN
        ),
        1,
    )


def _each(bins: Bins) -> str:
    width_s = float(bins.width_s.max()) if len(bins) else 1.0
    return "each second" if width_s == 1 else f"each {width_s:g} seconds"


def _rates(at_ns: NDArray[np.int64], bins: Bins) -> tuple[float, ...]:
    counts, _ = np.histogram(at_ns, bins=bins.edge_ns)
    return tuple(round(float(rate), 1) for rate in counts / bins.width_s)


def _response_by_bin(operations: pd.DataFrame, bins: Bins) -> tuple[NDArray[np.int64], ...]:
    """The response of the operations due in each bin, ascending."""
    done, intended = stamps(operations, "done_ns"), stamps(operations, "intended_ns")
    chosen = answered(operations) & done.present & intended.present
    intended_ns = intended.ns[chosen]
    response_ns = done.ns[chosen] - intended_ns
    place = np.searchsorted(bins.edge_ns, intended_ns, side="right") - 1
    order = np.argsort(place.astype(np.int16), kind="stable")  # sixteen bits: in one pass
    cuts = np.searchsorted(place[order], np.arange(1, len(bins)))
    return tuple(np.sort(part) for part in np.split(response_ns[order], cuts))


def _lost_by_bin(operations: pd.DataFrame, bins: Bins) -> tuple[int, ...]:
    """How many of the operations due in each bin wanted an answer and had none."""
    due_ns = _present(operations, "intended_ns", unanswered(operations))
    counts, _ = np.histogram(due_ns, bins=bins.edge_ns)
    return tuple(counts.tolist())


def _present(
    operations: pd.DataFrame, name: str, chosen: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """The stamps *name* of the operations that have it; *chosen*: of these alone."""
    found = stamps(operations, name)
    return found.ns[found.present if chosen is None else found.present & chosen]


def _quantile_or_gap(
    ordered: NDArray[np.int64], share: float, unanswered_count: int
) -> float | None:
    value = quantile(ordered, share, unanswered_count).value
    return None if value is None else float(value)
