"""
Every metric once: its name, its unit, which way is better, how a limit on it is written and read.

    KIND.LATENCY.STATISTIC          of a kind of operation, or "all"; response_ns, service_ns,
                                    visible_ns, wait_ns; p50, p90, p99, p999, p9999, mean, min, max
    rate.achieved_per_s             likewise rate.sent_per_s; rate.achieved_share of the offered
    operations.OUTCOME_share        of those scheduled
    generator.lateness_ns.QUANTILE  what the generator itself caused
    target.cpu_ns_per_operation     CPU time of the target over the measured phase, an answer
    SUBJECT.FIELD                   what a process used (record.ProcessResources)
    kernel.NAME.UNIT                of a micro suite, in ns or instructions
    profile.METRIC_per_operation    of a profile (profile.Metric), an answer; of memory less what
                                    the service does by the second, at rest

A new metric is a row of CATALOGUE and, unless it is a field that is read already, a line of what
reads it. A figure that was not measured, or on too few samples, is not there; one that falls among
operations that were never answered is infinite.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from harness.model.profile import Metric
from harness.model.quantiles import Distribution
from harness.model.record import Better, KernelSamples, RunRecord
from harness.model.text import Unit
from harness.model.units import (
    NANOS_PER_SECOND,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_size_bytes,
)

ALL_KINDS = "all"
RESPONSE, VISIBLE = "response_ns", "visible_ns"
LATENCIES = (RESPONSE, "service_ns", VISIBLE, "wait_ns")
QUANTILE_NAMES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
MEDIAN = "p50"
TAILS = {name: q for name, q in QUANTILE_NAMES.items() if name != MEDIAN}
INSTRUCTIONS = "instructions"  # the unit of counts that are the same in every run

HEADLINE_PATTERNS = (
    *(f"*.{RESPONSE}.p50", f"*.{RESPONSE}.p99", f"*.{VISIBLE}.p99", "rate.achieved_per_s"),
    *("operations.failed_share", "operations.timed_out_share", "operations.dropped_share"),
    *("operations.rejected_share", "operations.stranded_share"),
    *("target.cpu_ns_per_operation", "target.rss_bytes_max", "kernel.*"),
)
_PROFILE = "profile."
PROFILE_PATTERN = f"{_PROFILE}*"  # judged too where every run of both sides was profiled

# By the first part of a name; 1 is that of kinds of operations.
_PLACES = {ALL_KINDS: 0, "rate": 2, "target": 3, "kernel": 4, "profile": 5, "operations": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """
    What the values of a metric are.

    Attributes:
        unit: Of a figure (harness.model.text.quantity).
        limit_unit: Of a stored objective.
        parse: A limit's text as a value.
    """

    unit: str
    limit_unit: str
    parse: Callable[[Any], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFamily:
    """
    A metric, or several that differ in what they are of.

    Attributes:
        pattern: Of the names, a regular expression.
        title: Empty: the name says it.
        is_failure: A share of operations that went wrong: 0 in most runs, so that two are compared
            by their difference.
        is_demandable: A scenario or a policy may set a limit on it.
    """

    pattern: str
    measure: Measure
    better: Better = Better.LESS
    title: str = ""
    is_failure: bool = False
    is_demandable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of one run, in *unit* (of harness.model.text.quantity)."""

    name: str
    unit: str
    better: Better
    value: float


_DURATION = Measure(unit=Unit.NS, limit_unit="ns", parse=parse_duration_ns)
_RATE = Measure(unit=Unit.PER_S, limit_unit="per second", parse=parse_rate_per_s)
_SHARE = Measure(unit=Unit.SHARE, limit_unit="share", parse=parse_share)
_CORES = Measure(unit=Unit.CORES, limit_unit="cores", parse=parse_share)  # "80%" of a core
_SIZE = Measure(unit=Unit.BYTES, limit_unit="bytes", parse=parse_size_bytes)
_GROWTH = Measure(unit=Unit.BYTES, limit_unit="bytes per second", parse=parse_size_bytes)
_ALLOCATIONS = Measure(unit=Unit.COUNT, limit_unit="allocations", parse=parse_count)
_INSTRUCTIONS = Measure(unit=INSTRUCTIONS, limit_unit=INSTRUCTIONS, parse=parse_count)

_QUANTILE = "|".join(QUANTILE_NAMES)
_LATENCY = MetricFamily(
    pattern=rf"([a-z_]+)\.({'|'.join(LATENCIES)})\.({_QUANTILE}|mean|min|max)", measure=_DURATION
)
_LATENESS = MetricFamily(
    pattern=rf"generator\.lateness_ns\.({_QUANTILE})", measure=_DURATION, is_demandable=False
)
_ACHIEVED = MetricFamily(pattern=r"rate\.achieved_per_s", measure=_RATE, better=Better.MORE)
_SENT = MetricFamily(pattern=r"rate\.sent_per_s", measure=_RATE, better=Better.MORE)
_ACHIEVED_SHARE = MetricFamily(
    pattern=r"rate\.achieved_share",
    measure=_SHARE,
    better=Better.MORE,
    title="Answered rate, of the offered rate",
)
_OUTCOME_TITLES = {
    "dropped": "Operations dropped at the in-flight bound",
    "acknowledged": "",
    "rejected": "Operations rejected by the service",
    "failed": "Operations failed in transport",
    "timed_out": "Operations without an answer in time",
    "cancelled": "",
    "stranded": "",
}
_OUTCOME_SHARES = {
    outcome: MetricFamily(
        pattern=rf"operations\.{outcome}_share",
        measure=_SHARE,
        better=Better.MORE if outcome == "acknowledged" else Better.LESS,
        title=title,
        is_failure=outcome != "acknowledged",
    )
    for outcome, title in _OUTCOME_TITLES.items()
}
_COST = MetricFamily(pattern=r"target\.cpu_ns_per_operation", measure=_DURATION)
_USED = {
    "cpu_cores_mean": _CORES,
    "cpu_cores_max": _CORES,
    "rss_bytes_max": _SIZE,
    "rss_slope_bytes_per_s": _GROWTH,
}
_JUDGED_SUBJECTS = ("target", "broker")
_USED_BY_JUDGED = {
    field: MetricFamily(pattern=rf"({'|'.join(_JUDGED_SUBJECTS)})\.{field}", measure=measure)
    for field, measure in _USED.items()
}
_USED_BY_HARNESS = {
    field: MetricFamily(
        pattern=rf"(generator|observer|subscriber)\.{field}", measure=measure, is_demandable=False
    )
    for field, measure in _USED.items()
}
_KERNELS = {
    "ns": MetricFamily(pattern=r"kernel\.[\w.-]+\.ns", measure=_DURATION),
    INSTRUCTIONS: MetricFamily(pattern=r"kernel\.[\w.-]+\.instructions", measure=_INSTRUCTIONS),
}
_PROFILED = {
    metric: MetricFamily(pattern=rf"profile\.{metric.value}_per_operation", measure=measure)
    for metric, measure in (
        (Metric.CPU_NS, _DURATION),
        (Metric.ALLOCATED_BYTES, _SIZE),
        (Metric.ALLOCATED_COUNT, _ALLOCATIONS),
    )
}
CATALOGUE: tuple[MetricFamily, ...] = (
    *(_LATENCY, _LATENESS, _ACHIEVED, _SENT, _ACHIEVED_SHARE, _COST),
    *_OUTCOME_SHARES.values(),
    *_USED_BY_JUDGED.values(),
    *_USED_BY_HARNESS.values(),
    *_KERNELS.values(),
    *_PROFILED.values(),
)
_Read = tuple[MetricFamily, str, float | None]


def family_of(name: str) -> MetricFamily | None:
    """The metric *name*; None: there is none."""
    return next((item for item in CATALOGUE if re.fullmatch(item.pattern, name)), None)


def demandable(name: str) -> MetricFamily:
    """The metric *name*, on which a scenario or policy sets a limit; ValueError if it can't."""
    family = family_of(name)
    if family is None or not family.is_demandable:
        raise ValueError(
            f'metric "{name}" is not known; write e.g. "reserve.response_ns.p99", '
            '"rate.achieved_per_s" or "operations.rejected_share"'
        )
    return family


def latency_parts(name: str) -> tuple[str, str, str]:
    """The kind, latency and statistic of a latency's *name*; of another metric all empty."""
    kind, _, rest = name.partition(".")
    latency, _, statistic = rest.partition(".")
    return (kind, latency, statistic) if latency in LATENCIES else ("", "", "")


def is_failure(name: str) -> bool:
    """Whether *name* is a share of operations that went wrong."""
    family = family_of(name)
    return family is not None and family.is_failure


def is_visible(name: str) -> bool:
    """Whether *name*, or a pattern, is of a latency that an embedded broker's polling spoils."""
    return f".{VISIBLE}." in name


def is_chosen(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of *patterns* (as a shell's) fits *name*."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def place_of(name: str) -> tuple[int, str]:
    """What to sort metrics by: what users feel first, then what it costs, then what went wrong."""
    return _PLACES.get(name.partition(".")[0], 1), name


def kernel_metric(kernel: KernelSamples) -> str:
    return f"kernel.{kernel.name}.{kernel.unit}"


def kernel_values(kernel: KernelSamples) -> tuple[float, ...]:
    """One number a process start: the median of its rounds."""
    return tuple(statistics.median(rounds) for rounds in kernel.processes if rounds)


def profile_metric(metric: Metric) -> str:
    """The name of what *metric* of a profile comes to for an answered operation."""
    return f"{_PROFILE}{metric.value}_per_operation"


def is_of_profiles(name: str) -> bool:
    """Whether *name*, or a pattern, asks for nothing but what profiles tell."""
    return name.startswith(_PROFILE)


def figures_of(record: RunRecord) -> tuple[Figure, ...]:
    """Every figure of *record*, in the order of a run's page."""
    counts = _counts(record) if record.operations.scheduled else ()
    read = (*counts, *_latencies(record), *_used(record))
    return (
        *(_figure(family, name, value) for family, name, value in read if value is not None),
        *(_kernel(kernel) for kernel in record.kernels if kernel.processes),
    )


def profile_figure(metric: Metric, value: float) -> Figure | None:
    """What an answered operation cost of *metric*; None: it is nothing that operations cost."""
    family = _PROFILED.get(metric)
    return None if family is None else _figure(family, profile_metric(metric), value)


def values_of(record: RunRecord) -> dict[str, float | None]:
    """What objectives may ask of a load, by name; None: not measured, or on too few samples."""
    read = (*_counts(record), *_latencies(record), *_used(record))
    return {name: value for _, name, value in read}


def _counts(record: RunRecord) -> Iterator[_Read]:
    operations, rate = record.operations, record.rate
    yield _ACHIEVED, "rate.achieved_per_s", rate.achieved_per_s
    yield _SENT, "rate.sent_per_s", rate.sent_per_s
    share = rate.achieved_per_s / rate.offered_per_s if rate.offered_per_s else None
    yield _ACHIEVED_SHARE, "rate.achieved_share", share
    if operations.scheduled:
        for outcome, family in _OUTCOME_SHARES.items():
            part = getattr(operations, outcome) / operations.scheduled
            yield family, f"operations.{outcome}_share", part


def _latencies(record: RunRecord) -> Iterator[_Read]:
    for kind in sorted(record.latency, key=lambda kind: (kind != ALL_KINDS, kind)):
        for latency in LATENCIES:
            for statistic, value in _statistics(getattr(record.latency[kind], latency)):
                yield _LATENCY, f"{kind}.{latency}.{statistic}", value
    for statistic, q in QUANTILE_NAMES.items():
        yield _LATENESS, f"generator.lateness_ns.{statistic}", _number(record.lateness_ns.at(q))


def _used(record: RunRecord) -> Iterator[_Read]:
    yield _COST, "target.cpu_ns_per_operation", _cpu_ns_per_operation(record)
    for subject, used in record.resources.items():
        families = _USED_BY_JUDGED if subject in _JUDGED_SUBJECTS else _USED_BY_HARNESS
        for field, family in families.items():
            yield family, f"{subject}.{field}", _number(getattr(used, field))


def _statistics(samples: Distribution) -> Iterator[tuple[str, float | None]]:
    by_q = {item.q: item for item in samples.quantiles}
    for name, q in QUANTILE_NAMES.items():
        item = by_q.get(q)
        if item is not None:
            yield name, math.inf if item.is_unanswered else _number(item.value)
    for name, value in (("mean", samples.mean), ("min", samples.min), ("max", samples.max)):
        is_lost = name != "min" and samples.unanswered_count
        yield name, math.inf if is_lost else _number(value)


def _cpu_ns_per_operation(record: RunRecord) -> float | None:
    """None where CPU or answers were not counted."""
    target = record.resources.get("target")
    cores = None if target is None else target.cpu_cores_mean
    if cores is None or record.rate.achieved_per_s <= 0.0:
        return None
    return cores * NANOS_PER_SECOND / record.rate.achieved_per_s


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _figure(family: MetricFamily, name: str, value: float) -> Figure:
    return Figure(name=name, unit=family.measure.unit, better=family.better, value=value)


def _kernel(kernel: KernelSamples) -> Figure:
    return Figure(
        name=kernel_metric(kernel),
        unit=kernel.unit,
        better=kernel.better,
        value=statistics.median(kernel_values(kernel)),
    )
