"""
The profiles of two sides put against each other, metric by metric, or why they can't be. Pure.

A side is one process start or several, each with the record it was profiled in. What was asked and
how it was looked at must be the same on both: another load, another machine or other settings of
the profiler move costs from function to function, and would be named as if the service had changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.profile import Metric, Profile
from harness.model.record import RunRecord
from harness.model.text import trimmed
from harness.model.verdict import Correctness
from reports.figures.run_tables import ProfiledStart
from reports.profile.diff import ProfileDiff, diff_profiles
from reports.profile.growth import diff_growth

# What is alive at a peak is no cost of an operation: it is shown, not compared.
COMPARED = (
    Metric.CPU_NS,
    Metric.ALLOCATED_BYTES,
    Metric.ALLOCATED_COUNT,
    Metric.SURVIVING_BYTES,
)


_ALLOCATED = frozenset({Metric.ALLOCATED_BYTES, Metric.ALLOCATED_COUNT})
_STRETCH_RATIO_MAX = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSide:
    """All starts of one build; *name* is the run's, for people."""

    name: str
    starts: tuple[ProfiledStart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A field that must be the same on both sides, or fit, and is or does not."""

    field: str
    base: str
    candidate: str

    @property
    def sentence(self) -> str:
        return f"{self.field}: {self.base} against {self.candidate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDiff:
    """
    One metric as one profiler saw it, on both sides.

    Attributes:
        profiler: Name, version and settings, the same on both sides.
        diff: What changed.
        base, candidate: The profiles, one a start.
    """

    profiler: Mapping[str, str]
    diff: ProfileDiff
    base: tuple[Profile, ...]
    candidate: tuple[Profile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileComparison:
    """
    Two sides.

    Attributes:
        metrics: What could be compared, in the order of COMPARED.
        missing: What could not, each a sentence.
    """

    base_name: str
    candidate_name: str
    metrics: tuple[MetricDiff, ...]
    missing: tuple[str, ...]


def obstacles(base: ProfileSide, candidate: ProfileSide) -> tuple[Obstacle, ...]:
    """Everything that forbids to compare the two; none: they can be compared."""
    found: dict[str, Obstacle] = {}
    first = base.starts[0].record
    for side, name in ((base, "base"), (candidate, "candidate")):
        for start in side.starts:
            for field, here in _asked(start.record).items():
                there = _asked(first)[field]
                if here != there:
                    found.setdefault(
                        field, Obstacle(field=field, base=str(there), candidate=str(here))
                    )
            status = start.record.correctness.status
            if status is Correctness.FAILED:
                field = f"{name} {start.record.run_id}: correctness.status"
                found[field] = Obstacle(field=field, base=str(status), candidate="PASSED required")
    settings = {key: profiles[0].profiler for key, profiles in _by_metric(base).items()}
    for key, profiles in _by_metric(candidate).items():
        for profile in profiles:
            for word, value in settings.get(key, profile.profiler).items():
                here = profile.profiler.get(word, "")
                if here != value:
                    field = f"{key[1]} {word} ({key[0]})"
                    found.setdefault(field, Obstacle(field=field, base=value, candidate=here))
    return tuple(found.values())


def compare_profiles(base: ProfileSide, candidate: ProfileSide) -> ProfileComparison:
    """
    What changed from *base* to *candidate*, which have no obstacles.

    A metric that only one side has, or too little of it to tell, is a sentence of `missing`.
    """
    sides = _by_metric(base), _by_metric(candidate)
    metrics, missing = [], []
    for key in sorted({*sides[0], *sides[1]}, key=lambda key: (COMPARED.index(key[0]), key[1])):
        lacking = [
            side.name for side, own in zip((base, candidate), sides, strict=True) if key not in own
        ]
        if lacking:
            missing.append(f"{key[0]} by {key[1]}: {lacking[0]} has no such profile")
            continue
        a, b = sides[0][key], sides[1][key]
        stretches = sorted(_stretches(base, key) | _stretches(candidate, key))
        if key[0] in _ALLOCATED and stretches[-1] > stretches[0] * _STRETCH_RATIO_MAX:
            missing.append(
                f"{key[0]} by {key[1]}: the operations were sent {trimmed(stretches[0])} and "
                f"{trimmed(stretches[-1])} times slower than planned, and what is allocated by the"
                " second, not by the operation, differs with that; acctbench profile --against"
                " sends as the base did"
            )
            continue
        try:
            diff = diff_growth(a, b) if key[0] is Metric.SURVIVING_BYTES else diff_profiles(a, b)
        except ValueError as error:
            missing.append(f"{key[0]} by {key[1]}: {error}")
            continue
        metrics.append(MetricDiff(profiler=a[0].profiler, diff=diff, base=a, candidate=b))
    return ProfileComparison(
        base_name=base.name,
        candidate_name=candidate.name,
        metrics=tuple(metrics),
        missing=tuple(missing),
    )


def has_compared(side: ProfileSide) -> bool:
    return bool(_by_metric(side))


def comparison_to_json(comparison: ProfileComparison) -> dict[str, Any]:
    """*comparison* as plain JSON values: costs of an operation in the unit of the metric."""
    return {
        "schema_version": 1,
        "base": comparison.base_name,
        "candidate": comparison.candidate_name,
        "missing": list(comparison.missing),
        "metrics": [_metric_json(item) for item in comparison.metrics],
    }


def _metric_json(item: MetricDiff) -> dict[str, Any]:
    diff = item.diff
    return {
        "metric": diff.metric,
        "profiler": dict(item.profiler),
        "start_counts": list(diff.start_counts),
        "base_cost": diff.base_cost,
        "candidate_cost": diff.candidate_cost,
        "common_ratio": diff.common_ratio,
        "start_ratio": diff.start_ratio,
        "detectable_change_median": diff.detectable_median,
        "detectable_change_max": diff.detectable_max,
        "functions": [
            {
                "function": str(change.function),
                "base_cost": change.base_cost,
                "candidate_cost": change.candidate_cost,
                "change": change.change,
                "change_low": change.change - change.half_width,
                "change_high": change.change + change.half_width,
                "own_change": change.own_change,
                "p_value_corrected": change.p_value,
                "is_tested": change.is_tested,
                "is_named": change.is_named,
            }
            for change in diff.changes
        ],
    }


def _by_metric(side: ProfileSide) -> dict[tuple[Metric, str], tuple[Profile, ...]]:
    found: dict[tuple[Metric, str], tuple[Profile, ...]] = {}
    for start in side.starts:
        for profile in start.profiles:
            if profile.metric in COMPARED:
                key = profile.metric, profile.profiler.get("name", "")
                found[key] = (*found.get(key, ()), profile)
    return found


def _stretches(side: ProfileSide, key: tuple[Metric, str]) -> set[float]:
    return {
        float(start.record.load.get("stretch", 1.0))
        for start in side.starts
        for profile in start.profiles
        if (profile.metric, profile.profiler.get("name", "")) == key
    }


def _asked(record: RunRecord) -> dict[str, str]:
    """What must be the same for costs of an operation to mean the same."""
    return {
        "scenario.name": str(record.scenario.get("name")),
        "scenario.digest": str(record.scenario.get("digest")),
        "schedule_digest": record.schedule_digest,
        "broker.kind": str(record.broker.get("kind")),
        "load.driver": str(record.load.get("driver")),
        "environment.cpu_model": str(record.environment.get("cpu_model")),
        "environment.core_count": str(record.environment.get("core_count")),
    }
