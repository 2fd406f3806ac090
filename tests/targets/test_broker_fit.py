"""What only some brokers can do, or bear, is refused before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ScenarioError, UsageError
from harness.model.scenario import ObjectiveSpec, Scenario, Step, StepAction
from harness.targets.broker_fit import check_broker_fits, check_broker_is_the_targets
from harness.targets.target_file import load_target, parse_target
from tests.workloads.plan.test_plan import scenario

ADDRESS = "127.0.0.1:9092"
KILL, FREEZE = StepAction.KILL_RESTART_BROKER, StepAction.FREEZE_BROKER


def with_step(action: StepAction) -> Scenario:
    """A scenario with this step."""
    return replace(scenario(), steps=(Step(at_ns=1, action=action, duration_ns=1),))


def with_objective(metric: str) -> Scenario:
    """A scenario with this objective."""
    objective = ObjectiveSpec(metric=metric, limit=1.0, at_most=True)
    return replace(scenario(), objectives=(objective,))


@pytest.mark.parametrize(
    ("where", "action", "said"),
    [
        ("embedded", KILL, r"steps\[0\]\.action: kill-restart-broker: the embedded broker keeps"),
        (ADDRESS, KILL, "the broker at 127.0.0.1:9092 is someone else's; use --kafka apache"),
        (ADDRESS, FREEZE, "is someone else's"),
    ],
)
def test_steps_that_can_not_be_done(where: str, action: StepAction, said: str) -> None:
    """A broker that forgets is not restarted, and someone else's is left alone."""
    with pytest.raises(ScenarioError, match=said):
        check_broker_fits(where, with_step(action))


@pytest.mark.parametrize(
    ("where", "action"),
    [
        ("apache", KILL),
        ("apache", FREEZE),
        ("embedded", FREEZE),
        ("embedded", StepAction.KILL_RESTART),
        (ADDRESS, StepAction.FREEZE),
    ],
)
def test_steps_that_can_be_done(where: str, action: StepAction) -> None:
    """Everything else; steps of the target are none of the broker's business."""
    check_broker_fits(where, with_step(action))


def test_visible_is_not_judged_on_the_embedded_broker() -> None:
    """Its polling would be judged; on a real broker, and for what does not pass it, one may."""
    visible = with_objective("reserve.visible_ns.p99")

    with pytest.raises(ScenarioError, match=r"objectives\[0\].*use --kafka apache"):
        check_broker_fits("embedded", visible)
    for where in ("apache", ADDRESS):
        check_broker_fits(where, visible)
    check_broker_fits("embedded", with_objective("reserve.response_ns.p99"))


@pytest.mark.parametrize("where", ["embedded", "apache"])
def test_an_attached_target_has_a_broker_of_its_own(where: str) -> None:
    """On one that this run starts its ledger would be empty: refused, with what to write."""
    text = 'name = "staging"\n[attach]\ngrpc = "127.0.0.1:50051"\n'
    topics = ("acct.ledger.v1", "me.executions.v1")
    attached = parse_target(text, file=Path("staging.toml"))
    without_any = parse_target(
        f"{text}[contract]\nabsent_topics = {list(topics)}\n", file=Path("staging.toml")
    )

    with pytest.raises(UsageError, match=r"staging\.toml is attached.*write --kafka HOST:PORT"):
        check_broker_is_the_targets(where, attached, topics)
    check_broker_is_the_targets(ADDRESS, attached, topics)
    check_broker_is_the_targets(where, without_any, topics)
    check_broker_is_the_targets(where, attached, ())
    check_broker_is_the_targets(where, load_target("reference"), topics)
