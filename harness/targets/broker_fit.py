"""Whether a scenario can be run with a broker: what only some brokers can do, or bear."""

from collections.abc import Iterator

from harness.errors import Fault, ScenarioError
from harness.model.scenario import Scenario, StepAction
from harness.targets.apache_broker import APACHE
from harness.targets.broker import EMBEDDED


def check_broker_fits(where: str, scenario: Scenario) -> None:
    """
    Nothing, if *scenario* asks no more of the broker *where* than it can do.

    Raises:
        ScenarioError: it does; every fault is listed.
    """
    faults = tuple(_faults(where, scenario))
    if faults:
        raise ScenarioError(faults)


def _faults(where: str, scenario: Scenario) -> Iterator[Fault]:
    for index, step in enumerate(scenario.steps):
        if refusal := _refusal(where, step.action):
            yield Fault(
                file=scenario.file,
                key=f"steps[{index}].action",
                value=str(step.action),
                remedy=f"{refusal}; use --kafka {APACHE}",
            )
    for index, objective in enumerate(scenario.objectives):
        if where == EMBEDDED and ".visible_ns." in objective.metric:
            yield Fault(
                file=scenario.file,
                key=f"objectives[{index}].metric",
                value=objective.metric,
                remedy="most of it is the embedded broker's own polling, so it is not judged "
                f"there; use --kafka {APACHE}, or leave it out",
            )


def _refusal(where: str, action: StepAction) -> str:
    """Why *action* can't be done to the broker *where*; empty if it can."""
    if not action.is_of_broker or where == APACHE:
        return ""
    if where != EMBEDDED:
        return f"the broker at {where} is someone else's"
    return "the embedded broker keeps nothing over a restart" if action.is_kill else ""
