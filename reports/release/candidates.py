"""
The runs that a sign-off is made from, and which of them are evidence of what.

Pure. Nobody chooses among good and bad results here: every usable run of the build counts, and a
run that was left out by hand still counts where it lost money.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.model.record import RunRecord
from harness.model.release_file import MICRO, ReleasePolicy, RunDemand
from harness.model.scenario import ObjectiveSpec
from harness.model.text import plain
from harness.model.units import format_duration
from harness.model.verdict import Validity
from reports.release.identity import build_of

_CLOCK_SKEW_NS = 3_600 * 10**9  # machines that measure and the one that signs need not agree better


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    One run folder.

    Attributes:
        name: Of the folder, unique among all.
        record: None if there is none that can be read.
        fault: Why the folder has no whole record, in a few words; empty if it has.
        twins: Profiled runs by name.
        damaged_profiles: Names of those of which a profile is gone, or not as it was written.
        is_collected: False for a run that was left out by hand.
    """

    name: str
    record: RunRecord | None
    fault: str = ""
    twins: Mapping[str, RunRecord] = field(default_factory=dict)
    damaged_profiles: Collection[str] = ()
    is_collected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    The scenario that a demand means, as it was when the release was judged.

    Attributes:
        objectives: Its own, without any policy's; None: a bundle from before they were kept.
    """

    scenario: str
    digest: str
    objectives: tuple[ObjectiveSpec, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """
    What a judgement depends on besides the policy and the runs.

    Attributes:
        judged_at: UTC, ISO 8601.
        expected: By key of a demand; one of kernels has no scenario.
        build: What the release is made of, a beginning of the runs' build; empty: any, but one.
    """

    release: str
    judged_at: str
    expected: Mapping[str, Expected]
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A run and the demand that it belongs to, or why it belongs to none."""

    evidence: Evidence
    demand: RunDemand | None
    faults: tuple[str, ...]  # why it can't be used, in a few words each; none: it can

    @property
    def is_used(self) -> bool:
        return self.demand is not None and self.evidence.is_collected and not self.faults


def assigned(
    policy: ReleasePolicy, evidence: Sequence[Evidence], circumstances: Circumstances
) -> tuple[Assigned, ...]:
    return tuple(_assign(policy, item, circumstances) for item in evidence)


def demand_of(
    policy: ReleasePolicy, record: RunRecord, expected: Mapping[str, Expected]
) -> RunDemand | None:
    """The demand that *record* is meant for, whether or not it is good enough."""
    return next((item for item in policy.demands if _is_of(item, record, expected)), None)


def _is_of(demand: RunDemand, record: RunRecord, expected: Mapping[str, Expected]) -> bool:
    if record.instrumentation != demand.instrumentation:
        return False
    if demand.is_micro:
        return record.scenario.get("name") == MICRO and bool(record.kernels)
    known = expected.get(demand.key)
    return (
        known is not None
        and record.scenario.get("name") == known.scenario
        and (record.scenario.get("profile") or "") == demand.profile
    )


def _assign(policy: ReleasePolicy, item: Evidence, circumstances: Circumstances) -> Assigned:
    record = item.record
    if record is None:
        return Assigned(evidence=item, demand=None, faults=(item.fault or "it has no record",))
    demand = demand_of(policy, record, circumstances.expected)
    if demand is None:
        return Assigned(evidence=item, demand=None, faults=("no demand is about it",))
    faults = (
        *_faults_of_run(item, record),
        *_faults_of_age(record, policy, circumstances),
        *_faults_of_fit(record, demand, policy, circumstances),
    )
    return Assigned(evidence=item, demand=demand, faults=faults)


def _faults_of_run(item: Evidence, record: RunRecord) -> list[str]:
    faults = []
    if not record.complete:
        faults.append(f"incomplete: {item.fault or record.incomplete_reason or 'it was not ended'}")
    elif item.fault:
        faults.append(item.fault)
    if not record.validity.checks:
        faults.append("its validity was never checked")
    elif record.validity.status is Validity.INVALID:
        worst = [check for check in record.validity.checks if check.status is Validity.INVALID]
        said = plain(worst[0].sentence) if worst else "no check says why"
        faults.append(f"INVALID: {said}")
    if not item.is_collected:
        faults.append("left out by --collect, or measured by another harness")
    return faults


def _faults_of_age(
    record: RunRecord, policy: ReleasePolicy, circumstances: Circumstances
) -> list[str]:
    age_ns = age_of(record, circumstances.judged_at)
    if age_ns is None:
        return [f"its date can't be read: {plain(record.created_at)}"]
    if age_ns < -_CLOCK_SKEW_NS:
        return [f"from the future: {plain(record.created_at)}"]
    if age_ns > policy.max_age_ns:
        limit = format_duration(policy.max_age_ns)
        return [f"too old: {plain(record.created_at)}, and the policy allows {limit}"]
    return []


def age_of(record: RunRecord, now: str) -> int | None:
    """Nanoseconds from the run's beginning to *now*; None if either can't be read."""
    try:
        passed = datetime.fromisoformat(now) - datetime.fromisoformat(record.created_at)
    except (ValueError, TypeError):  # no date, or one with a time zone and one without
        return None
    return round(passed.total_seconds() * 10**9)


def _faults_of_fit(
    record: RunRecord, demand: RunDemand, policy: ReleasePolicy, circumstances: Circumstances
) -> list[str]:
    """Whether it is a run of what was asked, by the scenario, the target and the broker."""
    if demand.is_micro:
        only = _parameter(record, "only")
        return [f"only some kernels: --only {plain(str(only))}"] if only else []
    faults = []
    wanted = circumstances.expected[demand.key].digest
    if record.scenario.get("digest") != wanted:
        faults.append(f"another scenario: {_overrides(record) or 'its file was changed since'}")
    target = record.target.get("name")
    if policy.target and target != policy.target:
        faults.append(f"another target: {plain(str(target))}, not {policy.target}")
    broker = record.broker.get("kind")
    if demand.broker and broker != demand.broker:
        faults.append(f"another broker: {plain(str(broker))}, not {demand.broker}")
    build = build_of(record)
    if not build.label:
        faults.append("the record doesn't say which build of the target ran")
    elif circumstances.build and not build.label.startswith(circumstances.build):
        faults.append(f"another build: {plain(build.label)}")
    if build.is_dirty:
        faults.append("its target was built from uncommitted changes")
    return faults


def _overrides(record: RunRecord) -> str:
    given = _parameter(record, "overrides")
    if not isinstance(given, Mapping):
        return ""
    names = [str(name) for name in given if name not in {"profile", "seed"}]
    return plain(f"changed by options: {', '.join(names)}") if names else ""


def _parameter(record: RunRecord, name: str) -> Any:
    parameters = record.scenario.get("parameters")
    return parameters.get(name) if isinstance(parameters, Mapping) else None
