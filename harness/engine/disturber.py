"""
Planned disturbances: the steps of a scenario, done to target and broker at their instants.

A thread of the parent, so that a freeze ends on time whatever the parent is drawing.
"""

import threading
import time
from collections.abc import Sequence
from typing import Protocol

from harness.errors import EngineError, HarnessError
from harness.model.record import Disturbance
from harness.model.scenario import Step
from harness.model.text import exact


class Disturbed(Protocol):
    """What is done to a target or a broker."""

    def kill_and_restart(self) -> None:
        """SIGKILL, then start on the same state."""
        ...

    def freeze(self) -> None:
        """SIGSTOP."""
        ...

    def thaw(self) -> None:
        """SIGCONT."""
        ...


class Disturber:
    """Carries out *steps*, whose times count from *measure_start_ns*."""

    def __init__(
        self,
        target: Disturbed,
        broker: Disturbed,
        steps: Sequence[Step],
        measure_start_ns: int,
    ) -> None:
        self._target, self._broker = target, broker
        self._steps = sorted(steps, key=lambda step: step.at_ns)
        self._measure_start_ns = measure_start_ns
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.disturbances: list[Disturbance] = []
        self.is_busy = False  # one of them may be down: that is planned
        self.error: HarnessError | None = None

    def start(self) -> None:
        if self._steps:
            self._thread.start()

    def stop(self) -> None:
        """Do no further step; what is frozen is thawed."""
        self._stopped.set()
        if self._steps:
            self._thread.join()

    def check_done(self) -> None:
        """HarnessError if a step failed, or was not due before the load ended."""
        if self.error is not None:
            raise self.error
        if len(self.disturbances) < len(self._steps):
            missed = self._steps[len(self.disturbances)]
            raise EngineError(
                f"step {missed.action} at {exact(missed.at_ns / 1e9)} s was not done: the load was"
                " over before it was due; put it earlier, or raise the rate"
            )

    def _run(self) -> None:
        for step in self._steps:
            if self._wait_until(self._measure_start_ns + step.at_ns):
                return
            self.is_busy = True
            began_ns = time.monotonic_ns()
            try:
                self._do(step, began_ns)
            except HarnessError as error:
                self.error = error
                return
            except Exception as error:  # noqa: BLE001 - else the target's death would be the reason
                self.error = EngineError(f"step {step.action} failed: {error!r}")
                return
            finally:
                self.is_busy = False
            self.disturbances.append(
                Disturbance(
                    action=step.action,
                    start_ns=began_ns - self._measure_start_ns,
                    end_ns=time.monotonic_ns() - self._measure_start_ns,
                )
            )

    def _do(self, step: Step, began_ns: int) -> None:
        subject = self._broker if step.action.is_of_broker else self._target
        if step.action.is_kill:
            subject.kill_and_restart()
            return
        subject.freeze()
        try:
            self._wait_until(began_ns + step.duration_ns)
        finally:
            subject.thaw()

    def _wait_until(self, instant_ns: int) -> bool:
        """Whether the run was stopped before *instant_ns*."""
        return self._stopped.wait(max(0, instant_ns - time.monotonic_ns()) / 1e9)
