"""What ends a run whose load process doesn't: a callback that raises, a drain without end."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.engine import supervisor as supervisor_module
from harness.engine.columns import create_columns
from harness.engine.specification import LoadSpecification
from harness.engine.supervisor import Supervisor, Surroundings
from harness.errors import EngineError
from harness.model.scenario import Scenario
from harness.model.scenario_file import load_scenario
from harness.runs.companion import Alone
from harness.system import load_system

SCENARIO = """
name = "stuck"
title = "A load process that gets nowhere"
system = "workloads.null:SYSTEM"
[arrivals]
kind = "constant"
rate = "20/s"
[phases]
warmup = "0s"
measure = "100ms"
drain = "100ms"
"""


class Undisturbed:
    """A target and a broker to which nothing is done."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name}: nothing is to be done to it")


def surroundings() -> Surroundings:
    """Nothing around the load ever fails."""
    return Surroundings(
        target=Undisturbed(),
        broker=Undisturbed(),
        check_alive=lambda: None,
        on_progress=lambda _: None,
        target_cpu_cores=lambda: None,
        stopped=threading.Event(),
        pids=(),
        on_window=lambda _: None,
        start_ns=Alone().start_ns,
    )


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """Two operations."""
    path = tmp_path / "stuck.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load_scenario(str(path))


class Stage:
    """A supervisor with one child of ours in the place of a load process."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.supervisor = Supervisor(
            scenario, load_system(scenario.system), run_tag=1, seed=1, folder=folder
        )
        self.supervisor._columns.append(create_columns(2))

    def add(self, manner: str) -> None:
        """Start it; *manner* is how it takes a command."""
        specification = LoadSpecification(
            scenario=self.scenario,
            seed=1,
            shard=0,
            shard_count=1,
            run_tag=1,
            cores=(),
            plan_path=manner,
            event_descriptor=-1,
        )
        log = self.folder / "load-0.log"
        worker = self.supervisor._crew.add("tests.engine.stuck_child", specification, log=log)
        self.supervisor.load.append(worker)
        # Until it listens nothing is said to it: what reads the specification may read on.
        self.supervisor._crew.wait_for("planned", [worker], 30.0)


@pytest.fixture
def stage(scenario: Scenario, tmp_path: Path) -> Iterator[Stage]:
    """Taken down after the test."""
    made = Stage(scenario, tmp_path)
    yield made
    made.supervisor.close()


def test_a_callback_that_raises_ends_the_run_and_says_why(stage: Stage) -> None:
    """Not a log line and a run that waits for ever: the error's own words, at once."""
    stage.add("stumble")

    with pytest.raises(EngineError, match="ZeroDivisionError: a bug of ours"):
        stage.supervisor.drive(surroundings())

    assert "Traceback" in (stage.folder / "load-0.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("manner", ["silent", "oserror", "frozen"])
def test_a_drain_without_end_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    """A child that never says that it drained is waited for only so long, told of, and killed."""
    monkeypatch.setattr(supervisor_module, "OVERDUE_NS", 1_500_000_000)
    stage.add(manner)

    with pytest.raises(EngineError, match=r"load process 0 has not finished .*(?s:.)*heard start"):
        stage.supervisor.drive(surroundings())
    stage.supervisor.close()

    assert not psutil.pid_exists(stage.supervisor.load[0].pid)
