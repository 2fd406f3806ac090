"""Whether a run can use a broker: what only some brokers can do, or bear; whose it must be."""

from collections.abc import Iterator, Sequence

from harness.errors import Fault, ScenarioError, UsageError
from harness.model.metrics import is_visible
from harness.model.record import EMBEDDED
from harness.model.scenario import Scenario, StepAction
from harness.targets.apache_broker import APACHE
from harness.targets.target_file import AttachSpec, TargetSpec


def check_broker_fits(where: str, scenario: Scenario) -> None:
    """ScenarioError, with every fault, if *scenario* asks more than the broker *where* can do."""
    faults = tuple(_faults(where, scenario))
    if faults:
        raise ScenarioError(faults)


def check_broker_is_the_targets(where: str, target: TargetSpec, topics: Sequence[str]) -> None:
    """
    UsageError if an attached *target* would be given a broker that this run starts.

    A target that runs already speaks to a broker of its own: on another, all that it did to the
    *topics* of its system would be missing, and look like lost money.
    """
    is_own = where in {EMBEDDED, APACHE}
    if isinstance(target.how, AttachSpec) and is_own and set(topics) - set(target.absent_topics):
        raise UsageError(
            f"--kafka: the {where} broker is started by this run, and {target.file} is attached: "
            "it runs already, with a broker of its own; write --kafka HOST:PORT, that broker's "
            "address, or list all topics in [contract] absent_topics if it has none"
        )


def _faults(where: str, scenario: Scenario) -> Iterator[Fault]:
    for index, step in enumerate(scenario.steps):
        if missing := _missing_ability(where, step.action):
            yield Fault(
                file=scenario.file,
                key=f"steps[{index}].action",
                value=str(step.action),
                remedy=f"{missing}; use --kafka {APACHE}",
            )
    for index, objective in enumerate(scenario.objectives):
        if where == EMBEDDED and is_visible(objective.metric):
            yield Fault(
                file=scenario.file,
                key=f"objectives[{index}].metric",
                value=objective.metric,
                remedy="most of it is the embedded broker's own polling, so it is not judged "
                f"there; use --kafka {APACHE}, or leave it out",
            )


def _missing_ability(where: str, action: StepAction) -> str:
    """Why *action* can't be done to the broker *where*; empty if it can."""
    if not action.is_of_broker or where == APACHE:
        return ""
    if where != EMBEDDED:
        return f"the broker at {where} is someone else's"
    return "the embedded broker keeps nothing over a restart" if action.is_kill else ""
