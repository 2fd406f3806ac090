"""Planned disturbances: done in order, told with their times, undone when the run stops."""

import time
from dataclasses import replace

import pytest

from harness.engine.disturber import Disturber
from harness.errors import EngineError, TargetError
from harness.model.scenario import Step, StepAction


class FakeTarget:
    """Remembers what was done to it."""

    def __init__(self, *, comes_back: bool = True) -> None:
        self.done: list[str] = []
        self._comes_back = comes_back

    def kill_and_restart(self) -> None:
        self.done.append("killed")
        if not self._comes_back:
            raise TargetError("it does not come back")

    def freeze(self) -> None:
        self.done.append("frozen")

    def thaw(self) -> None:
        self.done.append("thawed")


KILL = Step(at_ns=30_000_000, action=StepAction.KILL_RESTART, duration_ns=0)
FREEZE = Step(at_ns=10_000_000, action=StepAction.FREEZE, duration_ns=5_000_000)
LATE_KILL = Step(at_ns=3_600_000_000_000, action=StepAction.KILL_RESTART, duration_ns=0)
LONG_FREEZE = Step(at_ns=0, action=StepAction.FREEZE, duration_ns=3_600_000_000_000)


def finished(disturber: Disturber) -> None:
    """Wait until its thread has nothing more to do."""
    disturber._thread.join(timeout=60.0)


def test_steps_are_done_in_the_order_of_their_times() -> None:
    """What was done, when it began and when it was over, is kept for the report."""
    target = FakeTarget()
    disturber = Disturber(target, FakeTarget(), [KILL, FREEZE], time.monotonic_ns())

    disturber.start()
    finished(disturber)

    assert target.done == ["frozen", "thawed", "killed"]
    freeze, kill = disturber.disturbances
    assert (freeze.action, kill.action) == (FREEZE.action, KILL.action)
    assert 10_000_000 <= freeze.start_ns <= freeze.end_ns - 5_000_000
    assert kill.start_ns >= 30_000_000


def test_each_step_is_done_to_its_own() -> None:
    """Steps of the broker leave the target alone, and the other way round."""
    target, broker = FakeTarget(), FakeTarget()
    freeze = replace(FREEZE, action=StepAction.FREEZE_BROKER)
    kill = replace(KILL, action=StepAction.KILL_RESTART_BROKER)
    disturber = Disturber(
        target, broker, [kill, freeze, replace(KILL, at_ns=1)], time.monotonic_ns()
    )

    disturber.start()
    finished(disturber)

    assert target.done == ["killed"]
    assert broker.done == ["frozen", "thawed", "killed"]


def test_stop_thaws_a_frozen_target_and_does_no_further_step() -> None:
    """A run that is stopped in the middle of a freeze leaves nothing frozen."""
    target = FakeTarget()
    disturber = Disturber(target, FakeTarget(), [LONG_FREEZE, KILL], time.monotonic_ns())

    disturber.start()
    while "frozen" not in target.done:
        time.sleep(0.001)
    disturber.stop()

    assert target.done == ["frozen", "thawed"]


def test_step_that_was_not_done_is_an_error() -> None:
    """A load that is over before the kill can't be told from one that survived it."""
    disturber = Disturber(FakeTarget(), FakeTarget(), [FREEZE, LATE_KILL], time.monotonic_ns())

    disturber.start()
    while not disturber.disturbances:
        time.sleep(0.001)
    disturber.stop()

    with pytest.raises(EngineError, match="kill-restart-target at 3600 s was not done"):
        disturber.check_done()


def test_target_that_does_not_come_back_is_the_runs_error() -> None:
    """The error is kept for the thread that watches the run."""
    target = FakeTarget(comes_back=False)
    disturber = Disturber(target, FakeTarget(), [FREEZE, KILL], time.monotonic_ns())

    disturber.start()
    finished(disturber)

    assert isinstance(disturber.error, TargetError)
    assert target.done[-1] == "killed"
    assert not disturber.is_busy
