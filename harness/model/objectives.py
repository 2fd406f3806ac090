"""
What a scenario demands of its target, and whether it got it: the third verdict of a single run.

A metric is a dotted path: `<kind or all>.<response_ns|service_ns|visible_ns|wait_ns>.<p50|p90|p99|
p999|p9999|mean|min|max>`, `<target|broker>.<field of ProcessResources>`,
`operations.<outcome>_share`, `rate.achieved_per_s`, `rate.achieved_share` (of the offered rate), or
`target.cpu_ns_per_operation` (CPU time of the target over the measured phase, an answer).
Of runs that have them, for policies of comparisons and gates: `profile.<metric>_per_operation`
(cpu_ns, allocated_bytes, allocated_count) and `kernel.<name>.<ns|instructions>`.
A metric without enough data is INCONCLUSIVE, never a pass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.model.quantiles import Distribution
from harness.model.record import (
    Latency,
    Objective,
    Operations,
    PerformanceSection,
    ProcessResources,
    Rate,
)
from harness.model.scenario import ObjectiveSpec
from harness.model.units import NANOS_PER_SECOND
from harness.model.verdict import Performance

QUANTILE_NAMES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}

# Demanded of every run, unless the scenario says otherwise for the same metric.
BUILT_IN = (
    ObjectiveSpec(metric="operations.dropped_share", limit=0.0, at_most=True),
    ObjectiveSpec(metric="operations.failed_share", limit=0.001, at_most=True),
    ObjectiveSpec(metric="operations.timed_out_share", limit=0.001, at_most=True),
    # A refusal is an answer, and a fast one: a target that sheds its load must not look quick.
    # A scenario that plans refusals says how many.
    ObjectiveSpec(metric="operations.rejected_share", limit=0.001, at_most=True),
    ObjectiveSpec(metric="rate.achieved_share", limit=0.99, at_most=False),
)

_ENDINGS = {
    "_ns_per_operation": "ns",
    ".ns": "ns",
    "bytes_max": "bytes",
    "bytes_per_operation": "bytes",
    "bytes_per_s": "bytes per second",
    "count_per_operation": "allocations",
    ".instructions": "instructions",
}
_TITLES = {
    "operations.dropped_share": "Operations dropped at the in-flight bound",
    "operations.failed_share": "Operations failed in transport",
    "operations.timed_out_share": "Operations without an answer in time",
    "operations.rejected_share": "Operations refused by the service",
    "rate.achieved_share": "Answered rate, of the offered rate",
}


def shares_of(operations: Operations, rate: Rate) -> dict[str, float | None]:
    """The shares and rates that objectives may name; None without data."""
    scheduled, offered_per_s = operations.scheduled, rate.offered_per_s
    outcomes = (
        *("dropped", "acknowledged", "rejected", "failed", "timed_out", "cancelled", "stranded"),
    )
    return {
        "rate.achieved_per_s": rate.achieved_per_s,
        "rate.sent_per_s": rate.sent_per_s,
        "rate.achieved_share": rate.achieved_per_s / offered_per_s if offered_per_s else None,
        **{
            f"operations.{name}_share": getattr(operations, name) / scheduled if scheduled else None
            for name in outcomes
        },
    }


def cpu_ns_per_operation(rate: Rate, resources: Mapping[str, ProcessResources]) -> float | None:
    """CPU time that the target spent on an answer; None where CPU or answers were not counted."""
    cores = resources["target"].cpu_cores_mean if "target" in resources else None
    if cores is None or rate.achieved_per_s <= 0.0:
        return None
    return cores * NANOS_PER_SECOND / rate.achieved_per_s


def judge_objectives(
    specs: Sequence[ObjectiveSpec],
    *,
    shares: Mapping[str, float | None],
    latency: Mapping[str, Latency],
    resources: Mapping[str, ProcessResources],
) -> PerformanceSection:
    """Each demand against what was measured; one that is missed fails the run."""
    stated = {spec.metric for spec in specs}
    demanded = [spec for spec in BUILT_IN if spec.metric not in stated] + list(specs)
    objectives = tuple(
        judge_objective(spec, metric_value(spec.metric, shares, latency, resources))
        for spec in demanded
    )
    statuses = {objective.status for objective in objectives}
    worst = next(
        (s for s in (Performance.FAILED, Performance.INCONCLUSIVE) if s in statuses),
        Performance.PASSED,
    )
    return PerformanceSection(status=worst, objectives=objectives)


def not_timed(section: PerformanceSection, instrumentation: str) -> PerformanceSection:
    """*section* of a run under a profiler: its figures are shown, and decide nothing."""
    said = f"under the {instrumentation} profiler, so not a timing"
    return PerformanceSection(
        status=Performance.INCONCLUSIVE,
        objectives=tuple(
            replace(
                objective,
                status=Performance.INCONCLUSIVE,
                sentence=f"{objective.sentence}; {said}",
            )
            for objective in section.objectives
        ),
    )


def unknown_kinds(
    specs: Sequence[ObjectiveSpec], kinds: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Latency metrics of kinds that there are not, as faults (key, value, remedy)."""
    known = ("all", *kinds)
    return [
        ("objectives", f'metric "{spec.metric}": no kind of that name', f"write one of {named}")
        for spec in specs
        if ".cpu_" not in spec.metric
        and not spec.metric.startswith("kernel.")
        and unit_of(spec.metric) == "ns"
        and spec.metric.partition(".")[0] not in known
        for named in [", ".join(known)]
    ]


def metric_value(
    metric: str,
    shares: Mapping[str, float | None],
    latency: Mapping[str, Latency],
    resources: Mapping[str, ProcessResources],
) -> float | None:
    """
    The value that *metric* names; None if it was not measured, or on too few samples.

    Infinite where it falls among operations that were never answered, or would count them.
    """
    if metric in shares:
        return shares[metric]
    head, _, rest = metric.partition(".")
    if head in resources and hasattr(resources[head], rest):
        value = getattr(resources[head], rest)
        return None if value is None else float(value)
    family, _, statistic = rest.partition(".")
    if head not in latency or not hasattr(latency[head], family):
        return None
    samples: Distribution = getattr(latency[head], family)
    if statistic in QUANTILE_NAMES:
        q = QUANTILE_NAMES[statistic]
        if any(item.q == q and item.is_unanswered for item in samples.quantiles):
            return math.inf
        return samples.at(q)
    if statistic in {"mean", "max"} and samples.unanswered_count:
        return math.inf
    return {"mean": samples.mean, "min": samples.min, "max": samples.max}.get(statistic)


def unit_of(metric: str) -> str:
    """The unit of the metric's value."""
    for ending, unit in _ENDINGS.items():
        if metric.endswith(ending):
            return unit
    for suffix, unit in (("_share", "share"), ("_ns", "ns")):
        if any(part.endswith(suffix) for part in metric.split(".")):
            return unit
    return "cores" if "cpu_cores" in metric else "per second"


def judge_objective(spec: ObjectiveSpec, value: float | None) -> Objective:
    """One demand against *value*; infinite where it has none, None where nobody measured it."""
    word = "at most" if spec.at_most else "at least"
    unit = unit_of(spec.metric)
    if value is None:
        status = Performance.INCONCLUSIVE
        sentence = f"{spec.metric}: not measured, or on too few samples to say"
    elif math.isinf(value):
        status = Performance.FAILED if spec.at_most else Performance.PASSED
        sentence = (
            f"{spec.metric} has no value: it falls among operations that were never "
            f"{'seen' if '.visible_ns.' in spec.metric else 'answered'}; "
            f"demanded: {word} {_words(spec.limit, unit)}"
        )
        value = None  # JSON has no infinity
    else:
        is_met = value <= spec.limit if spec.at_most else value >= spec.limit
        status = Performance.PASSED if is_met else Performance.FAILED
        sentence = f"{spec.metric} is {_words(value, unit)}; demanded: {word} " + _words(
            spec.limit, unit
        )
    return Objective(
        id=spec.metric,
        title=_TITLES.get(spec.metric, spec.metric),
        status=status,
        value=value,
        limit=spec.limit,
        unit=unit,
        sentence=sentence,
    )


def _words(value: float, unit: str) -> str:
    match unit:
        case "share":
            return f"{value:.2%}"
        case "ns":
            return f"{value / 1e6:.3g} ms" if value >= 1e4 else f"{value / 1e3:.3g} us"
        case "bytes":
            return _size(value)
        case "bytes per second":
            return f"{_size(value)} a second"
        case "instructions" | "allocations":
            return f"{value:,.0f} {unit}"
        case _:
            return f"{value:.3g} {unit}"


def _size(value: float) -> str:
    if abs(value) >= 2**20:
        return f"{value / 2**20:.1f} MiB"
    return f"{value / 2**10:.1f} KiB" if abs(value) >= 2**10 else f"{value:.0f} B"
