"""
The figures of a run: every number of a record that a policy, a comparison or a history may name.

Pure. The names are those of objectives (harness.model.objectives), and besides them

    target.cpu_ns_per_operation     CPU time of the target over the measured phase, an answer
    generator.lateness_ns.p99       what the generator itself caused
    kernel.NAME.ns                  of a micro suite; kernel.NAME.instructions where counted
    profile.METRIC_per_operation    of a profile (harness.model.profile.Metric), an answer; of
                                    memory less what the service does by the second, at rest

A figure that was not measured, or on too few samples, is not there; one that falls among
operations that were never answered is infinite.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.model.objectives import QUANTILE_NAMES, cpu_ns_per_operation, shares_of
from harness.model.profile import Metric, Profile
from harness.model.quantiles import Distribution
from harness.model.record import KernelSamples, RunRecord
from harness.model.text import Unit
from reports.figures.rest import measured, rest_per_operation, weight_of
from reports.figures.samples import Better

HEADLINE_PATTERNS = (
    "*.response_ns.p50",
    "*.response_ns.p99",
    "*.visible_ns.p99",
    "rate.achieved_per_s",
    "operations.failed_share",
    "operations.timed_out_share",
    "operations.dropped_share",
    "operations.rejected_share",
    "operations.stranded_share",
    "target.cpu_ns_per_operation",
    "target.rss_bytes_max",
    "kernel.*",
)
PROFILE_PATTERNS = ("profile.*",)  # judged too where every run of both sides was profiled
VISIBLE = "visible_ns"  # the family that an embedded broker spoils
EMBEDDED = "embedded"
FAILURE_SHARES = (
    "operations.failed_share",
    "operations.timed_out_share",
    "operations.dropped_share",
    "operations.rejected_share",
    "operations.cancelled_share",
    "operations.stranded_share",
)

_FAMILIES = ("response_ns", "service_ns", VISIBLE, "wait_ns")
_MORE_IS_BETTER = frozenset(
    {
        "rate.achieved_per_s",
        "rate.sent_per_s",
        "rate.achieved_share",
        "operations.acknowledged_share",
    }
)
_RESOURCES = {
    "cpu_cores_mean": Unit.CORES,
    "cpu_cores_max": Unit.CORES,
    "rss_bytes_max": Unit.BYTES,
    "rss_slope_bytes_per_s": Unit.BYTES,
}
_PROFILE_UNITS = {
    Metric.CPU_NS: Unit.NS,
    Metric.HIGH_WATER_BYTES: Unit.BYTES,
    Metric.SURVIVING_BYTES: Unit.BYTES,
    Metric.ALLOCATED_BYTES: Unit.BYTES,
    Metric.ALLOCATED_COUNT: Unit.COUNT,
}
_PER_ANSWER = frozenset({Metric.CPU_NS, Metric.ALLOCATED_BYTES, Metric.ALLOCATED_COUNT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of one run, in *unit* (of reports.pages.cells.quantity)."""

    name: str
    unit: str
    better: Better
    value: float


def figures_of(record: RunRecord) -> tuple[Figure, ...]:
    """Every figure of *record*, in the order of a run's page."""
    return (
        *_counts(record),
        *_latencies(record),
        *_lateness(record),
        *_resources(record),
        *(_kernel(kernel) for kernel in record.kernels if kernel.processes),
    )


def profile_figures(profiles: Sequence[Profile]) -> tuple[Figure, ...]:
    """What *profiles* of one process start cost an answered operation."""
    return tuple(
        Figure(
            name=f"profile.{profile.metric.value}_per_operation",
            unit=_PROFILE_UNITS[profile.metric],
            better=Better.LESS,
            value=cost,
        )
        for profile in profiles
        if profile.metric in _PER_ANSWER
        for cost in [_cost_of_operation(profile)]
        if cost is not None
    )


def is_chosen(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of *patterns* (as a shell's) fits *name*."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_embedded(record: RunRecord) -> bool:
    """Whether the broker's own polling is most of what is visible."""
    return record.broker.get("kind") == EMBEDDED


def kernel_values(kernel: KernelSamples) -> tuple[float, ...]:
    """One number a process start: the median of its rounds."""
    return tuple(statistics.median(rounds) for rounds in kernel.processes if rounds)


def kernel_metric(kernel: KernelSamples) -> str:
    """The name of the figure of *kernel*."""
    return f"kernel.{kernel.name}.{kernel.unit}"


def _counts(record: RunRecord) -> Iterator[Figure]:
    if not record.operations.scheduled:
        return
    for name, value in shares_of(record.operations, record.rate).items():
        if value is not None:
            unit = Unit.SHARE if name.endswith("_share") else Unit.PER_S
            yield _figure(name, unit, value)


def _latencies(record: RunRecord) -> Iterator[Figure]:
    kinds = sorted(record.latency, key=lambda kind: (kind != "all", kind))
    for kind in kinds:
        for family in _FAMILIES:
            for statistic, value in _statistics(getattr(record.latency[kind], family)):
                name = f"{kind}.{family}.{statistic}"
                yield Figure(name=name, unit=Unit.NS, better=Better.LESS, value=value)


def _statistics(samples: Distribution) -> Iterator[tuple[str, float]]:
    """As objectives name them (harness.model.objectives.metric_value); those that there are."""
    by_q = {item.q: item for item in samples.quantiles}
    for name, q in QUANTILE_NAMES.items():
        item = by_q.get(q)
        if item is not None and item.is_unanswered:
            yield name, math.inf
        elif item is not None and item.value is not None:
            yield name, float(item.value)
    for name, value in (("mean", samples.mean), ("min", samples.min), ("max", samples.max)):
        if name != "min" and samples.unanswered_count:
            yield name, math.inf
        elif value is not None:
            yield name, float(value)


def _lateness(record: RunRecord) -> Iterator[Figure]:
    for statistic, q in QUANTILE_NAMES.items():
        value = record.lateness_ns.at(q)
        if value is not None:
            yield _figure(f"generator.lateness_ns.{statistic}", Unit.NS, float(value))


def _resources(record: RunRecord) -> Iterator[Figure]:
    cost_ns = cpu_ns_per_operation(record.rate, record.resources)
    if cost_ns is not None:
        yield _figure("target.cpu_ns_per_operation", Unit.NS, cost_ns)
    for subject, used in record.resources.items():
        for field, unit in _RESOURCES.items():
            value = getattr(used, field)
            if value is not None:
                yield _figure(f"{subject}.{field}", unit, float(value))


def _kernel(kernel: KernelSamples) -> Figure:
    return Figure(
        name=kernel_metric(kernel),
        unit=Unit.NS if kernel.unit == "ns" else kernel.unit,
        better=Better(kernel.better.value),
        value=statistics.median(kernel_values(kernel)),
    )


def _figure(name: str, unit: Unit, value: float) -> Figure:
    better = Better.MORE if name in _MORE_IS_BETTER else Better.LESS
    return Figure(name=name, unit=unit, better=better, value=value)


def _cost_of_operation(profile: Profile) -> float | None:
    """Less what the service does at rest; None where nothing was answered."""
    segments = measured(profile)
    count = sum(segment.operation_count for segment in segments)
    if not count:
        return None
    whole = math.fsum(map(weight_of, segments)) / count
    return whole - (rest_per_operation([profile]) or 0.0)
