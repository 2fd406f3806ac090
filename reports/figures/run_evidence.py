"""
What a comparison keeps of a run: its record, its figures, its sorted samples, its timelines.

Pure: tables in memory in, a small value out, so that many runs fit into memory at once. Whatever a
run can't vouch for is a fault in a sentence, never left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from harness.model.metrics import ALL_KINDS, Figure, figures_of
from harness.model.record import RunRecord
from harness.model.text import duration
from reports.figures.latencies import Latencies, latencies_by_kind, measured_count
from reports.figures.rest import profile_figures
from reports.figures.run_tables import ProfiledStart, RunTables
from reports.figures.samples import RunSamples
from reports.figures.timelines import TimeSeries, lines_to_compare

Family = tuple[str, str]  # kind of operation, and "response_ns", "service_ns" or "visible_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """
    One run as a comparison needs it.

    Attributes:
        samples: Of the measured phase, by kind (and "all") and family.
        timelines: What happened when; none of a run without tables.
        starts: The run itself if it was profiled, and its profiled runs.
        faults: What makes it unfit beyond what its record says, in sentences.
        is_counted: It is asked for its counts alone, whatever was slow or late.
    """

    record: RunRecord
    figures: tuple[Figure, ...]
    samples: Mapping[Family, RunSamples]
    timelines: Mapping[str, TimeSeries] = field(default_factory=dict)
    starts: tuple[ProfiledStart, ...] = ()
    faults: tuple[str, ...] = ()
    is_counted: bool = False


def evidence_of(tables: RunTables, starts: Sequence[ProfiledStart] = ()) -> RunEvidence:
    record = tables.record
    samples = dict(_samples(record, latencies_by_kind(tables.operations)))
    return RunEvidence(
        record=record,
        figures=(
            *figures_of(record),
            *profile_figures([profile for start in starts for profile in start.profiles]),
        ),
        samples=samples,
        timelines=lines_to_compare(record, tables.operations, tables.samples),
        starts=tuple(starts),
        faults=(*tables.faults, *_faults(record, measured_count(tables.operations), samples)),
    )


def counts_of(evidence: RunEvidence) -> RunEvidence:
    """Of a profiled run what its profiles say; its times are none."""
    profiles = [profile for start in evidence.starts for profile in start.profiles]
    return replace(
        evidence, figures=profile_figures(profiles), samples={}, timelines={}, is_counted=True
    )


def evidence_without_tables(record: RunRecord) -> RunEvidence:
    """Of a run that has no operations, such as one of a micro suite."""
    return RunEvidence(record=record, figures=figures_of(record), samples={})


def _samples(
    record: RunRecord, by_kind: Mapping[str, Latencies]
) -> Iterator[tuple[Family, RunSamples]]:
    for kind, found in by_kind.items():
        visible = record.latency[kind].visible_ns if kind in record.latency else None
        for family, samples_ns, unanswered_count in (
            ("response_ns", found.response_ns, found.unanswered_count),
            ("service_ns", found.service_ns, found.unanswered_sent_count),
            ("visible_ns", found.visible_ns, visible.unanswered_count if visible else 0),
        ):
            if len(samples_ns) or unanswered_count:
                yield (
                    (kind, family),
                    RunSamples(ordered=_sorted(samples_ns), unanswered_count=unanswered_count),
                )


def _sorted(samples_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.sort(samples_ns).astype(np.float64)


def _faults(record: RunRecord, count: int, samples: Mapping[Family, RunSamples]) -> Iterator[str]:
    if count != record.operations.scheduled:
        yield (
            f"operations.parquet has {count:,} measured operations, the record"
            f" {record.operations.scheduled:,}: one of them is not whole"
        )
    for (kind, family), run in samples.items():
        if kind == ALL_KINDS and len(run.ordered) and run.ordered[0] < 0:
            yield f"a clock went backwards: a {family} of {duration(run.ordered[0])}"
