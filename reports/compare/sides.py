"""
From stored runs to a side of a comparison: which metrics, and what every run says of each.

Pure. Tails bring their samples, everything else one number a run, the kernels of a micro suite one
a process start. A run that can't support a verdict is a fault of its side: none is dropped, since
a side that loses its worst runs looks better.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from harness.model.metrics import (
    HEADLINE_PATTERNS,
    INSTRUCTIONS,
    MEDIAN,
    TAILS,
    VISIBLE,
    Figure,
    is_chosen,
    is_failure,
    is_visible,
    kernel_metric,
    kernel_values,
    latency_parts,
    place_of,
)
from harness.model.quantiles import needed_count
from harness.model.record import PLAIN, Better, RunRecord, is_embedded, undecided
from harness.model.text import Unit, plain
from harness.model.verdict import Correctness, Validity
from reports.figures.run_evidence import RunEvidence
from reports.figures.samples import Compared, MeasuredMetric, RunSamples, RunTails, RunValues, Side

_NO_SAMPLES = RunSamples(ordered=np.zeros(0))
_THIN_SHARE_MIN = 0.5  # of the baseline's samples


def side_of(
    name: str, runs: Sequence[RunEvidence], patterns: Iterable[str] = HEADLINE_PATTERNS
) -> Side:
    """
    The side *name* of *runs*, with the metrics whose names fit one of *patterns*.

    Visible latencies are left out with the embedded broker: most of them would be its own polling.
    """
    chosen = tuple(patterns)
    records = [run.record for run in runs]
    metrics = (*_tails(runs, chosen), *_numbers(runs, chosen), *_kernels(records, chosen))
    return Side(
        name=name,
        metrics=tuple(sorted(metrics, key=lambda item: place_of(item.name))),
        faults=tuple(_faults(runs)),
        doubts=tuple(doubt for record in records for doubt in _doubts(record)),
        is_audit_failed=any(
            record.correctness.status is Correctness.FAILED
            for run in runs
            for record in (run.record, *(start.record for start in run.starts))
        ),
    )


def too_thin(a: Side, b: Side) -> tuple[str, ...]:
    """
    The quantiles that both sides saw, and one of them or both on too few samples to say.

    A candidate with less than half of the baseline's samples lost some, and so did a run without
    any: that is a fault, not a lack.
    """
    others = {metric.name: metric.data for metric in b.metrics}
    found = []
    for metric in a.metrics:
        data, other = metric.data, others.get(metric.name)
        if isinstance(data, RunTails) and isinstance(other, RunTails):
            runs = (*data.runs, *other.runs)
            before, after = (sum(run.count for run in side.runs) for side in (data, other))
            is_whole = all(run.count for run in runs) and after >= _THIN_SHARE_MIN * before
            if is_whole and min(before, after) < needed_count(data.q):
                found.append(metric.name)
    return tuple(found)


def _tails(runs: Sequence[RunEvidence], patterns: tuple[str, ...]) -> Iterator[MeasuredMetric]:
    for family in dict.fromkeys(family for run in runs for family in run.samples):
        if family[1] == VISIBLE and any(is_embedded(run.record) for run in runs):
            continue
        for statistic, q in TAILS.items():
            name = ".".join((*family, statistic))
            if is_chosen(name, patterns):
                samples = tuple(run.samples.get(family, _NO_SAMPLES) for run in runs)
                yield MeasuredMetric(name, Unit.NS, Better.LESS, RunTails(q=q, runs=samples))


def _numbers(runs: Sequence[RunEvidence], patterns: tuple[str, ...]) -> Iterator[MeasuredMetric]:
    by_run = [{figure.name: figure for figure in run.figures} for run in runs]
    known: dict[str, Figure] = {}
    for figures in by_run:
        known |= {name: figure for name, figure in figures.items() if name not in known}
    is_spoilt = any(is_embedded(run.record) for run in runs)
    kernels = {kernel_metric(kernel) for run in runs for kernel in run.record.kernels}
    for name, figure in known.items():
        statistic = latency_parts(name)[2]
        is_hidden = is_spoilt and is_visible(name)
        if statistic in TAILS or is_hidden or name in kernels or not is_chosen(name, patterns):
            continue
        values = tuple(figures[name].value if name in figures else math.nan for figures in by_run)
        if statistic == MEDIAN and math.inf in values:
            yield _median_of_all(figure, runs)
            continue
        yield MeasuredMetric(
            name,
            figure.unit,
            figure.better,
            RunValues(values=values),
            compared=Compared.DIFFERENCE if is_failure(name) else Compared.RATIO,
        )


def _median_of_all(figure: Figure, runs: Sequence[RunEvidence]) -> MeasuredMetric:
    """Where the median of a run falls among the unanswered: of all operations of all runs."""
    kind, family, _ = latency_parts(figure.name)
    samples = tuple(run.samples.get((kind, family), _NO_SAMPLES) for run in runs)
    return MeasuredMetric(figure.name, figure.unit, figure.better, RunTails(q=0.5, runs=samples))


def _kernels(records: Sequence[RunRecord], patterns: tuple[str, ...]) -> Iterator[MeasuredMetric]:
    """The process starts of all runs together."""
    names = dict.fromkeys(kernel_metric(kernel) for run in records for kernel in run.kernels)
    for name in names:
        if not is_chosen(name, patterns):
            continue
        values: list[float] = []
        for record in records:
            own = [kernel for kernel in record.kernels if kernel_metric(kernel) == name]
            values += kernel_values(own[0]) if own else (math.nan,)
        first = next(k for run in records for k in run.kernels if kernel_metric(k) == name)
        yield MeasuredMetric(name, first.unit, first.better, RunValues(values=tuple(values)))


def _faults(runs: Sequence[RunEvidence]) -> Iterator[str]:
    if not runs:
        yield "there is no run"
    for run_id, times in Counter(run.record.run_id for run in runs).items():
        if times > 1:
            yield f"{plain(run_id)} is given {times} times; a run counts once"
    for run in runs:
        for fault in (*_record_faults(run), *_twin_faults(run), *run.faults):
            yield f"{plain(run.record.run_id)}: {fault}"


def _twin_faults(run: RunEvidence) -> Iterator[str]:
    """The times of a profiled run do not count; its audit does."""
    for start in run.starts:
        is_twin = start.record.run_id != run.record.run_id
        if is_twin and start.record.correctness.status is Correctness.FAILED:
            yield f"the audit of its run under {plain(start.record.instrumentation)} failed"


def _record_faults(run: RunEvidence) -> Iterator[str]:
    record = run.record
    if not record.complete:
        reason = plain(record.incomplete_reason) or "no reason was recorded"
        yield f"the run is incomplete ({reason})"
    is_counted = run.is_counted or _is_counted(record)
    if record.instrumentation != PLAIN and not is_counted:
        yield f"it ran under {plain(record.instrumentation)}, so its times are no timings"
    if record.validity.status is Validity.INVALID and not run.is_counted:
        first = next(
            (check for check in record.validity.checks if check.status is Validity.INVALID), None
        )
        yield "it is INVALID" + (
            f": {plain(first.title)}: {plain(first.sentence)}" if first else ""
        )
    if record.correctness.status is Correctness.FAILED:
        broken = [i for i in record.correctness.invariants if i.status is Correctness.FAILED]
        laws = ", ".join(f"{plain(item.id)} {plain(item.title)}" for item in broken)
        yield f"its audit failed ({laws or 'no invariant is named'})"


def required_laws(record: RunRecord) -> tuple[str, ...] | None:
    """The invariants that its scenario requires; None: all that had anything to judge."""
    parameters = record.scenario.get("parameters")
    audit = parameters.get("audit") if isinstance(parameters, Mapping) else None
    required = audit.get("required") if isinstance(audit, Mapping) else None
    return tuple(map(str, required)) if isinstance(required, list | tuple) else None


def _doubts(record: RunRecord) -> Iterator[str]:
    names = undecided(record.correctness.invariants, required_laws(record))
    if names:
        yield (
            f"{plain(record.run_id)}: required and not decided by the audit:"
            f" {plain(', '.join(names))}"
        )


def _is_counted(record: RunRecord) -> bool:
    """Counts are fit under callgrind, which makes them."""
    return bool(record.kernels) and all(item.unit == INSTRUCTIONS for item in record.kernels)
