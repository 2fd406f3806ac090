"""
What a run has beside it, target or broker: one surface, whoever started it.

What only one that was started here can do (be killed, frozen) is an error for someone else's with a
plain message: were the harness to die meanwhile, nobody would thaw it.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.engine.disturber import Disturbed
from harness.errors import HarnessError, UsageError
from harness.targets.process import ChildFailedError, ChildProcess


class Peer(Disturbed, Protocol):
    """A target or a broker; `Disturbed` raises UsageError where it can't be done."""

    @property
    def pid(self) -> int | None:
        """Its process, the children of which belong to it; None where not known."""

    def check_alive(self) -> None:
        """
        Nothing, while it runs. Cheap enough for several times a second.

        Raises:
            HarnessError: it is gone; the message has its last log lines, where there is a log.
        """

    def stop(self) -> str:
        """Stop it, and say how it ended; someone else's is left alone. Harmless twice."""


class OwnPeer:
    """A peer that was started here; its failures are of the kind *error*."""

    error: type[HarnessError]

    def __init__(
        self, child: ChildProcess, *, grace_s: float, stop_signal: int = signal.SIGTERM
    ) -> None:
        self._child = child
        self._grace_s, self._stop_signal = grace_s, stop_signal
        self._is_restarting = False
        self.is_frozen = False
        """By freeze(): nobody else may wake it."""

    @property
    def pid(self) -> int | None:
        """Leader of its process group; another one after a restart."""
        return self._child.pid

    def check_alive(self) -> None:
        if not self._is_restarting:
            with raised_as(self.error):
                self._child.check_alive()

    def restart(self, start: Callable[[], ChildProcess]) -> None:
        self._is_restarting = True  # who watches it from another thread must not raise the alarm
        try:
            self._child.kill()
            with raised_as(self.error):
                self._child = start()
        finally:
            self._is_restarting = False

    def freeze(self) -> None:
        self.is_frozen = True
        self._child.freeze()

    def thaw(self) -> None:
        self._child.thaw()
        self.is_frozen = False

    def stop(self) -> str:
        return self._child.stop(grace_s=self._grace_s, number=self._stop_signal)


class ForeignPeer:
    """A peer that someone else runs: it is spoken to, never touched."""

    is_frozen = False

    def __init__(self, pid: int | None, *, subject: str, remedy: str) -> None:
        """*subject* and *remedy*: around the words that say what is not done to it."""
        self.pid = pid
        self._subject, self._remedy = subject, remedy

    def kill_and_restart(self) -> None:
        self._refuse("killed and restarted")

    def freeze(self) -> None:
        self._refuse("frozen")

    def thaw(self) -> None:
        self._refuse("thawed")

    def stop(self) -> str:
        return "left running"

    def _refuse(self, what: str) -> None:
        raise UsageError(f"{self._subject} not {what}; {self._remedy}")


@contextmanager
def raised_as(kind: type[HarnessError]) -> Iterator[None]:
    try:
        yield
    except ChildFailedError as error:
        raise kind(str(error)) from error
