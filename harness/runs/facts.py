"""Everything that is known at the end of a run, and what follows of it for its generator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.placement import Placement
from harness.engine.supervisor import Driven, LoadFacts
from harness.machine.environment import Environment
from harness.model.record import PLAIN, ProcessResources, ProfileEntry
from harness.model.scenario import Scenario
from harness.model.validity import GeneratorFacts
from harness.system import Channel, System
from harness.targets.resources import ResourceSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything that is known at the end of a run, before its audit."""

    run_id: str
    created_at: datetime
    command: str
    scenario: Scenario
    system: System
    schedule_digest: str
    target: Mapping[str, Any]
    broker: Mapping[str, Any]
    placement: Placement
    environment: Environment
    load: LoadFacts
    driven: Driven
    sampler: ResourceSampler
    instrumentation: str = PLAIN
    profiles: tuple[ProfileEntry, ...] = ()
    profile_notes: tuple[str, ...] = ()


def causes_event(facts: RunFacts) -> NDArray[np.bool_]:
    """Which operations must be seen; none where nobody looked."""
    table = facts.load.results.table
    if not facts.load.observer_report:
        return np.zeros(len(table), np.bool_)
    return facts.system.probe.causes_event(table)


def is_record(facts: RunFacts) -> NDArray[np.bool_]:
    """Which operations the target is told of by a record, which only the broker acknowledges."""
    kinds = facts.system.planner.kinds_of(facts.scenario)
    names = [kind.name for kind in kinds if kind.channel is Channel.KAFKA]
    found: NDArray[np.bool_] = facts.load.results.table["kind"].isin(names).to_numpy()
    return found


def generator_facts(facts: RunFacts, resources: Mapping[str, ProcessResources]) -> GeneratorFacts:
    """What the checks of validity are told."""
    window = facts.driven.window
    counts, cores = [], []
    for samples in facts.load.results.tick_samples:
        at_ns, in_flight_count, cpu_ns = samples.T
        counts.append(in_flight_count[window.holds(at_ns)])
        passed_ns = np.diff(at_ns)
        is_own = (np.diff(window.own_ns_before(at_ns)) == passed_ns) & (passed_ns > 0)
        if is_own.any():
            cores.append(float(np.diff(cpu_ns)[is_own].sum()) / float(passed_ns[is_own].sum()))
    observer, where = resources["observer"].cpu_cores_mean, facts.placement.observer
    if observer is not None and where in facts.placement.load and where:
        shard = facts.placement.load.index(where)
        observer = observer + cores[shard] if shard < len(cores) else None
    return GeneratorFacts(
        in_flight_counts=counts,
        cpu_cores=cores,
        clock_drift=facts.driven.machine.drift,
        steal_share=facts.driven.machine.steal_share,
        neighbours=facts.driven.machine.neighbours,
        observer_cpu_cores=_known(observer) if facts.load.observer_report else None,
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value
