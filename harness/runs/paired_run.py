"""
A pair of runs: both targets alive at once, the load alternating between them in short windows.

What a machine does to one side in a window it does to the other in the next, and what a process
start does to one side it does to one pair only: so the ratio of the two sides varies far less than
each of them. Each side is a whole run of its own, with its own load process, observer, audit and
folder; they share the broker and the cores, and only one of them has its turn at a time.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from harness.engine.supervisor import InterruptedRunError
from harness.errors import HarnessError, UsageError
from harness.runs.companion import Alone
from harness.runs.run import Run, RunSetup, RunView
from harness.storage.run_folder import StoredRun, load_run
from harness.targets.broker import Broker
from harness.targets.broker_floor import FloorResult

SIDES = ("base", "candidate")
_JOIN_S = 0.2  # how soon Ctrl-C is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What became of a pair: each side's run, or why it was not finished."""

    runs: Mapping[str, StoredRun]
    errors: Mapping[str, HarnessError]

    @property
    def failure(self) -> tuple[str, HarnessError] | None:
        """The side that failed, and how; the other was stopped for its sake."""
        own = {k: v for k, v in self.errors.items() if not isinstance(v, InterruptedRunError)}
        return next(iter((own or self.errors).items()), None)


class PairRunner:
    """Pairs in turn, over one broker, which keeps its log in *folder*; close it at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._broker: Broker | None = None
        self._floor: FloorResult | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, setups: Mapping[str, RunSetup], folder: Path, view: RunView) -> Pair:
        """
        Run one pair: the setup of each side, whose runs go to folder/base and folder/candidate.

        An interrupt stops both runs in order before it is raised on.
        """
        folder.mkdir(parents=True, exist_ok=True)
        companion = _PairCompanion(self, threading.Event())
        sides = {
            side: replace(setups[side], runs_folder=folder, companion=companion) for side in SIDES
        }
        parts = [_Part(side, setup, view, companion) for side, setup in sides.items()]
        try:
            _join(parts)
        except BaseException:
            companion.stopped.set()
            _join(parts)
            raise
        for part in parts:
            if part.bug is not None:
                raise part.bug
        return Pair(
            runs={part.side: part.stored for part in parts if part.stored is not None},
            errors={part.side: part.error for part in parts if part.error is not None},
        )

    def broker(self, kafka: str, *, affinity: tuple[int, ...]) -> Broker:
        """The one broker of all pairs, started when the first run asks for it."""
        with self._lock:
            if self._broker is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._broker = Alone().broker(kafka, folder=self._folder, affinity=affinity)
                self._stack.callback(self._broker.stop)
            return _Lent(self._broker)

    def floor(self, broker: Broker, topic: str) -> FloorResult:
        """Measured once, before there is any load."""
        with self._lock:
            if self._floor is None:
                self._floor = Alone().floor(broker, topic)
            return self._floor


class _Part:
    """One side's run, in a thread of its own, which begins at once."""

    def __init__(
        self, side: str, setup: RunSetup, view: RunView, companion: "_PairCompanion"
    ) -> None:
        self.side = side
        self._setup, self._view, self._companion = setup, view, companion
        self.stored: StoredRun | None = None
        self.error: HarnessError | None = None
        self.bug: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=side, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            stored = Run(self._setup, self._view, self._companion.stopped).execute()
            self.stored = load_run(stored.folder.rename(self._setup.runs_folder / self.side))
        except HarnessError as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001 - raised again by who asked for the pair
            self.bug = error
        finally:
            self._companion.leave()


def _join(parts: Sequence[_Part]) -> None:
    for part in parts:
        while part.thread.is_alive():
            part.thread.join(_JOIN_S)


class _PairCompanion:
    """Each run of a pair is the other's companion; see harness.runs.companion."""

    def __init__(self, runner: PairRunner, stopped: threading.Event) -> None:
        self.stopped = stopped
        self._runner = runner
        self._starting = threading.Lock()
        self._changed = threading.Condition()
        self._ready_count = self._drained_count = 0
        self._begin_ns = 0

    def broker(self, kafka: str, *, folder: Path, affinity: tuple[int, ...]) -> Broker:
        del folder
        return self._runner.broker(kafka, affinity=affinity)

    def floor(self, broker: Broker, topic: str) -> FloorResult:
        return self._runner.floor(broker, topic)

    def starting(self) -> AbstractContextManager[object]:
        return self._starting

    def start_ns(self) -> int:
        with self._changed:
            self._ready_count += 1
            if self._ready_count == len(SIDES):
                self._begin_ns = Alone().start_ns()
            self._changed.notify_all()
            self._wait(lambda: self._ready_count == len(SIDES))
            return self._begin_ns

    def drained(self) -> None:
        with self._changed:
            self._drained_count += 1
            self._changed.notify_all()
            self._wait(lambda: self._drained_count == len(SIDES))

    def leave(self) -> None:
        """Whoever goes before both have drained takes the other along."""
        with self._changed:
            if self._drained_count < len(SIDES):
                self.stopped.set()
            self._changed.notify_all()

    def _wait(self, is_met: Callable[[], bool]) -> None:
        while not is_met():
            if self.stopped.is_set():
                raise InterruptedRunError("stopped: the other side of the pair failed")
            self._changed.wait(_JOIN_S)


class _Lent:
    """A broker that the run that uses it does not stop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.kind, self.version = broker.kind, broker.version
        self.address, self.clients = broker.address, broker.clients
        self.settings = broker.settings

    @property
    def pid(self) -> int | None:
        return self._broker.pid

    def check_alive(self) -> None:
        self._broker.check_alive()

    def stop(self) -> str:
        """It goes on for the pairs to come."""
        return "left running"

    def _refuse(self) -> None:
        raise UsageError("the broker of a pair is both sides', so no step may harm it")

    kill_and_restart = freeze = thaw = _refuse
