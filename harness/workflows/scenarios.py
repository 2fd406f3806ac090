"""From the name or file of a scenario to one that is checked, its system's own table included."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from harness.model.scenario import ObjectiveSpec, Scenario
    from harness.model.scenario_file import ScenarioOverrides

DEFAULT_SCENARIO = "spot-steady"
_Faults = list[tuple[str, str, str]]  # key, value, remedy


def scenario_folder() -> Traversable:
    return resources.files("workloads") / "scenarios"


def checked_scenario(
    name_or_path: str, overrides: ScenarioOverrides, policy: Path | None = None
) -> Scenario:
    """
    The scenario with the demands of *policy*, its system's own table checked too.

    Raises:
        UsageError: there is no such scenario, profile, system or policy.
        ScenarioError, PolicyError: it has faults; all of them are listed.
    """
    from harness.model.policy_file import load_policy, with_policy
    from harness.model.scenario_file import load_scenario
    from harness.system import kind_names

    scenario = load_scenario(
        name_or_path,
        folder=scenario_folder(),
        overrides=overrides,
        check_workload=_system_faults,
    )
    if policy is None:
        return scenario
    return with_policy(scenario, load_policy(policy, kinds=kind_names(scenario)))


def objective_faults(scenario: Scenario, objectives: Sequence[ObjectiveSpec]) -> _Faults:
    """Every one of *objectives* that names a kind of operation which the system doesn't have."""
    from harness.model.objectives import unknown_kinds
    from harness.system import kind_names

    return unknown_kinds(objectives, kind_names(scenario))


def _system_faults(scenario: Scenario) -> _Faults:
    from harness.system import load_system

    faults = objective_faults(scenario, scenario.objectives)
    return [*faults, *load_system(scenario.system).planner.check_workload(scenario)]
