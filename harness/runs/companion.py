"""
What two runs of a pair share: the broker, the start instant, the drain barrier.

`Alone` shares nothing.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from harness.engine.supervisor import LEAD_NS
from harness.targets.broker import Broker, start_broker
from harness.targets.broker_floor import FloorResult, measure_floor


class Companion(Protocol):
    """What a run shares with others, and where it waits for them."""

    def broker(self, kafka: str, *, folder: Path, affinity: tuple[int, ...]) -> Broker:
        """A broker that answers; `stop` of it ends what was started for this run alone."""
        ...

    def floor(self, broker: Broker, topic: str) -> FloorResult:
        """The broker baseline, measured on *topic* where it is not known yet."""
        ...

    def starting(self) -> AbstractContextManager[object]:
        """Held while a target is started: two at once might pick the same port."""
        ...

    def start_ns(self) -> int:
        """
        When the load begins, CLOCK_MONOTONIC; waits until all are ready.

        Raises InterruptedRunError, as `drained`: another run failed, or the user stopped it.
        """
        ...

    def drained(self) -> None:
        """Wait until all loads have drained: what comes now would disturb one that still goes."""
        ...

    def leave(self) -> None:
        """Others need not wait any more: the run has ended, however. Harmless twice."""
        ...


class Alone:
    """A run by itself."""

    def broker(self, kafka: str, *, folder: Path, affinity: tuple[int, ...]) -> Broker:
        return start_broker(kafka, folder=folder, affinity=affinity)

    def floor(self, broker: Broker, topic: str) -> FloorResult:
        return measure_floor(broker.address, topic, settings=broker.clients)

    def starting(self) -> AbstractContextManager[object]:
        return nullcontext()

    def start_ns(self) -> int:
        """As soon as all load processes can have heard of it."""
        return time.monotonic_ns() + LEAD_NS

    def drained(self) -> None:
        """Nothing to wait for."""

    def leave(self) -> None:
        """Nobody waits."""
