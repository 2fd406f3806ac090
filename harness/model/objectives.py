"""
What a scenario demands of its target, and whether it got it: the third verdict of a single run.

The metrics are those of harness.model.metrics. One without enough data is INCONCLUSIVE, never a
pass.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.model.metrics import ALL_KINDS, demandable, is_visible, latency_parts, values_of
from harness.model.record import Objective, PerformanceSection, RunRecord
from harness.model.scenario import ObjectiveSpec
from harness.model.text import quantities_apart, quantity
from harness.model.verdict import Performance, worst

# Demanded of every run, unless the scenario says otherwise for the same metric.
BUILT_IN = (
    ObjectiveSpec(metric="operations.dropped_share", limit=0.0, at_most=True),
    ObjectiveSpec(metric="operations.failed_share", limit=0.001, at_most=True),
    ObjectiveSpec(metric="operations.timed_out_share", limit=0.001, at_most=True),
    # A rejection is an answer, and a fast one: a target that sheds its load must not look quick.
    # A scenario that plans rejections says how many.
    ObjectiveSpec(metric="operations.rejected_share", limit=0.001, at_most=True),
    ObjectiveSpec(metric="rate.achieved_share", limit=0.99, at_most=False),
)


def judge_objectives(specs: Sequence[ObjectiveSpec], record: RunRecord) -> PerformanceSection:
    """Each demand against what *record* measured; one that is missed fails the run."""
    stated = {spec.metric for spec in specs}
    demanded = [spec for spec in BUILT_IN if spec.metric not in stated] + list(specs)
    values = values_of(record)
    objectives = tuple(judge_objective(spec, values.get(spec.metric)) for spec in demanded)
    status = worst((objective.status for objective in objectives), Performance.PASSED)
    return PerformanceSection(status=status, objectives=objectives)


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
    known = (ALL_KINDS, *kinds)
    return [
        (
            "objectives",
            f'metric "{spec.metric}": no kind of that name',
            f"write one of {', '.join(known)}",
        )
        for spec in specs
        if latency_parts(spec.metric)[0] not in {"", *known}
    ]


def judge_objective(spec: ObjectiveSpec, value: float | None) -> Objective:
    """One demand against *value*; infinite where it has none, None where nobody measured it."""
    family = demandable(spec.metric)
    unit = family.measure.limit_unit
    word = "at most" if spec.at_most else "at least"
    if value is None:
        status = Performance.INCONCLUSIVE
        sentence = f"{spec.metric}: not measured, or on too few samples to say"
    elif math.isinf(value):
        status = Performance.FAILED if spec.at_most else Performance.PASSED
        sentence = (
            f"{spec.metric} has no value: it falls among operations that were never "
            f"{'seen' if is_visible(spec.metric) else 'answered'}; "
            f"demanded: {word} {quantity(spec.limit, unit)}"
        )
        value = None  # JSON has no infinity
    else:
        is_met = value <= spec.limit if spec.at_most else value >= spec.limit
        status = Performance.PASSED if is_met else Performance.FAILED
        found, limit = quantities_apart(value, spec.limit, unit)
        sentence = f"{spec.metric} is {found}; demanded: {word} {limit}"
    return Objective(
        id=spec.metric,
        title=family.title or spec.metric,
        status=status,
        value=value,
        limit=spec.limit,
        unit=unit,
        sentence=sentence,
    )
