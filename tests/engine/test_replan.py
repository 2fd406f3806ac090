"""Plans made once more: the same, in processes that are gone when nobody needs them."""

from pathlib import Path

import pytest

from harness.engine import replan as plan_again
from harness.engine.plan_digest import plan_digest
from harness.engine.replan import PlansAgain
from harness.errors import EngineError
from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides
from harness.system import load_system
from harness.workflows.scenarios import checked_scenario


@pytest.fixture
def scenario() -> Scenario:
    """A second of spot-steady, dealt to two load processes."""
    return checked_scenario(
        "spot-steady",
        ScenarioOverrides(warmup_ns=10**8, measure_ns=10**9, worker_count=2),
    )


def test_plans_made_apart_are_the_plans(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, columns of the workload included; no file is left behind."""
    monkeypatch.setattr(plan_again, "APART_COUNT_MIN", 1)
    planner = load_system(scenario.system).planner
    expected = [
        plan_digest(planner.plan(scenario, seed=scenario.seed, shard=shard, shard_count=2))
        for shard in range(2)
    ]
    with PlansAgain(scenario, operation_count=550, folder=tmp_path) as again:
        assert again.plans is not None
        found = [plan_digest(plan) for plan in again.plans()]

    assert found == expected
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_small_run_starts_no_process(scenario: Scenario, tmp_path: Path) -> None:
    """The audit makes a small plan itself in less time than a process takes to start."""
    with PlansAgain(scenario, operation_count=550, folder=tmp_path) as again:
        assert again.plans is None
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_can_not_be_made_is_told(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planner that dies is an error with its last words, not an empty plan."""
    monkeypatch.setattr(plan_again, "APART_COUNT_MIN", 1)
    (tmp_path / "plan-again-0").write_text("in the way", encoding="utf-8")
    with PlansAgain(scenario, operation_count=550, folder=tmp_path) as again:
        assert again.plans is not None
        with pytest.raises(EngineError, match="FileExistsError"):
            again.plans()
