"""
What happened when, as lines: operations counted and measured by the second, and sampled values.

The bins are a second wide (wider in long runs, or where a second holds too few answers) and cut
where the warm-up ends and where the drain begins, so that no bin mixes phases. Response belongs to
the bin in which the operation was *due*: that is when a user would have felt it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.quantiles import needed_count, quantile
from harness.model.record import RunRecord
from harness.model.text import exact
from harness.model.units import NANOS_PER_SECOND
from reports.figures.latencies import answered, stamps, unanswered

_BIN_COUNT_MAX = 400
_BIN_WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600)
_LINE_BIN_COUNT_MIN = 8
_RATE_MARGIN = 1.15  # random arrivals: a bin below the mean must still carry the percentile
_POINT_COUNT_MAX = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeries:
    """Values *y* at the seconds *x* since the measured phase began; a y of None is a gap."""

    x: tuple[float, ...]
    y: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bin i is [edge_ns[i], edge_ns[i + 1]), offsets from the start of the measured phase."""

    edge_ns: NDArray[np.int64]

    @property
    def middle_s(self) -> tuple[float, ...]:
        middle_ns = (self.edge_ns[:-1] + self.edge_ns[1:]) / 2
        return tuple(round(float(value) / NANOS_PER_SECOND, 3) for value in middle_ns)

    @property
    def width_s(self) -> NDArray[np.float64]:
        return np.diff(self.edge_ns) / NANOS_PER_SECOND

    def __len__(self) -> int:
        return len(self.edge_ns) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLines:
    """
    Response over time.

    Attributes:
        lines: By name: p50, p99, max; one that no bin can carry is not there.
        bins: What the values are of.
        answer_count_max: Answers in the fullest bin.
        lost_count: Operations that wanted an answer and had none.
    """

    lines: Mapping[str, TimeSeries]
    bins: Bins
    answer_count_max: int
    lost_count: int


def bins_of(record: RunRecord, operations: pd.DataFrame, width_s_min: int = 1) -> Bins:
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


def response_lines(record: RunRecord, operations: pd.DataFrame) -> ResponseLines:
    bins = bins_of(record, operations, _width_s_for_p99(record))
    groups, lost_counts = _response_by_bin(operations, bins), _lost_by_bin(operations, bins)
    due = tuple(zip(groups, lost_counts, strict=True))
    values = {
        "p50": tuple(_quantile_or_gap(ordered, 0.5, lost) for ordered, lost in due),
        "p99": tuple(_quantile_or_gap(ordered, 0.99, lost) for ordered, lost in due),
        "max": tuple(
            float(ordered[-1]) if len(ordered) and not lost else None for ordered, lost in due
        ),
    }
    return ResponseLines(
        lines={
            name: TimeSeries(x=bins.middle_s, y=y)
            for name, y in values.items()
            if any(value is not None for value in y)
        },
        bins=bins,
        answer_count_max=max((len(ordered) for ordered in groups), default=0),
        lost_count=sum(lost_counts),
    )


def rate_lines(record: RunRecord, operations: pd.DataFrame) -> Mapping[str, TimeSeries]:
    """Operations a second that were due, sent and answered; one that has no stamp has no line."""
    bins = bins_of(record, operations)
    moments = {
        "offered": _present(operations, "intended_ns"),
        "sent": _present(operations, "sent_ns"),
        "done": _present(operations, "done_ns", answered(operations)),
    }
    return {
        name: TimeSeries(x=bins.middle_s, y=_rates(at_ns, bins))
        for name, at_ns in moments.items()
        if len(at_ns)
    }


def sampled_line(samples: pd.DataFrame, subject: str, metric: str) -> TimeSeries:
    """What was sampled of *subject*, thinned so that no peak is lost; empty if nothing was."""
    chosen = samples[(samples["subject"] == subject) & (samples["metric"] == metric)]
    chosen = chosen[chosen["value"].notna()].sort_values("offset_ns")
    stride = -(-len(chosen) // _POINT_COUNT_MAX) or 1
    groups = chosen.iloc[::stride] if stride == 1 else _peaks(chosen, stride)
    return TimeSeries(
        x=tuple(round(float(at) / NANOS_PER_SECOND, 3) for at in groups["offset_ns"]),
        y=tuple(float(exact(value, 5)) for value in groups["value"]),
    )


def lines_to_compare(
    record: RunRecord, operations: pd.DataFrame, samples: pd.DataFrame
) -> Mapping[str, TimeSeries]:
    """Of all lines of a run those that tell two sides apart; what was not seen is not there."""
    return {name: line for name, line in _to_compare(record, operations, samples) if line.x}


def _to_compare(
    record: RunRecord, operations: pd.DataFrame, samples: pd.DataFrame
) -> Iterator[tuple[str, TimeSeries]]:
    for name, line in response_lines(record, operations).lines.items():
        yield f"response-{name}", line
    for name, line in rate_lines(record, operations).items():
        yield f"rate-{name}", line
    yield "in-flight", sampled_line(samples, "load", "in_flight")
    yield "service-cpu", sampled_line(samples, "target", "cpu_cores")
    yield "service-memory", sampled_line(samples, "target", "rss_bytes")


def _width_s_for_p99(record: RunRecord) -> int:
    """The narrowest bin that carries a p99, if enough of them are left to show a course."""
    measure_s = int(record.phases.get("measure_ns", 0)) / NANOS_PER_SECOND
    needed = needed_count(0.99) * _RATE_MARGIN
    return next(
        (
            width
            for width in _BIN_WIDTHS_S
            if record.rate.achieved_per_s * width >= needed
            and measure_s / width >= _LINE_BIN_COUNT_MIN
        ),
        1,
    )


def _rates(at_ns: NDArray[np.int64], bins: Bins) -> tuple[float, ...]:
    counts, _ = np.histogram(at_ns, bins=bins.edge_ns)
    return tuple(round(float(rate), 1) for rate in counts / bins.width_s)


def _response_by_bin(operations: pd.DataFrame, bins: Bins) -> tuple[NDArray[np.int64], ...]:
    """The response of the operations due in each bin, ascending; a micro run has no bin."""
    if not len(bins):
        return ()
    done, intended = stamps(operations, "done_ns"), stamps(operations, "intended_ns")
    chosen = answered(operations) & done.present & intended.present
    intended_ns = intended.ns[chosen]
    response_ns = done.ns[chosen] - intended_ns
    place = np.searchsorted(bins.edge_ns, intended_ns, side="right") - 1
    order = np.argsort(place.astype(np.int16), kind="stable")  # sixteen bits: in one pass
    cuts = np.searchsorted(place[order], np.arange(1, len(bins)))
    return tuple(np.sort(part) for part in np.split(response_ns[order], cuts))


def _lost_by_bin(operations: pd.DataFrame, bins: Bins) -> tuple[int, ...]:
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


def _peaks(chosen: pd.DataFrame, stride: int) -> pd.DataFrame:
    """The highest of every *stride* samples: thinning a line must not hide its peaks."""
    group = pd.Series(range(len(chosen)), index=chosen.index) // stride
    return chosen.loc[chosen["value"].groupby(group).idxmax()]
