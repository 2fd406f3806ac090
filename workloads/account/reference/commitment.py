"""
Group commit: what was applied together is made durable together, and only then told.

Inputs are applied one after the other on the event loop and join the open group; a thread writes
one group at a time (SQLite lets go of the interpreter lock), and whatever arrives meanwhile is
the next group. It knows no requests. The one idea: every answer, of reads and rejections too, waits
until all that was applied before it is on disk, so nobody ever sees what a crash could take back.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from workloads.account.reference.journal import Entry, JournalError
from workloads.account.reference.state import DeadLetter, State, Transaction


@dataclass(slots=True)
class Group:
    """Inputs that become durable together, what they made, and who waits for it."""

    entries: list[Entry] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    waiters: list[asyncio.Future[int]] = field(default_factory=list)

    def waiter(self) -> asyncio.Future[int]:
        """A future of the time (monotonic ns) at which this group is on disk."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter


class Commitment:
    """
    The door between the state machine and the world.

    Args:
        state: Its outboxes are drained when a group is closed.
        write: Makes entries durable (Journal.write); called in a thread, one call at a time.
        emitted: How far each stream was emitted, noted with the next group.
        publish: Takes a durable group and the time of its commit, in order.
        fail: Called on the loop when a group could not be written; nothing is told after that.
        forget: Called right behind an input, once it is due (see `forget_is_due`).
    """

    def __init__(
        self,
        *,
        state: State,
        write: Callable[[Sequence[Entry], Mapping[str, int]], None],
        emitted: Callable[[], Mapping[str, int]],
        publish: Callable[[Group, int], None],
        fail: Callable[[JournalError], None],
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._state = state
        self._write = write
        self._emitted = emitted
        self._publish = publish
        self._fail = fail
        self._forget = forget
        self._is_forgetting_due = False
        self._loop = asyncio.get_running_loop()
        self._open = Group()
        self._in_flight: Group | None = None
        self._to_write: queue.SimpleQueue[tuple[Group, Mapping[str, int]] | None]
        self._to_write = queue.SimpleQueue()
        self._advanced: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._write_groups, name="journal", daemon=True)
        self._thread.start()
        self.durable_seq = state.journal_seq
        self.t_commit_ns = time.monotonic_ns()
        self.waiting_count = 0

    def journal(self, kind: int, payload: bytes) -> None:
        """Join an input that was just applied to the open group."""
        self._open.entries.append((kind, payload))
        if self._in_flight is None:
            self._loop.call_soon(self._close_group)
        if self._is_forgetting_due:
            self._is_forgetting_due = False
            self._forget()

    def forget_is_due(self) -> None:
        """Forget with the next input: a service at rest stays what it is, and keeps its digest."""
        self._is_forgetting_due = True

    async def durable(self) -> int:
        """The time (monotonic ns) at which all that was applied so far was on disk."""
        group = self.covering()
        if group is None:
            return self.t_commit_ns
        self.waiting_count += 1
        try:
            return await group.waiter()
        finally:
            self.waiting_count -= 1

    def covering(self) -> Group | None:
        """The group whose commit makes all that was applied so far durable; None: it is."""
        return self._open if self._open.entries else self._in_flight

    async def reached(self, journal_seq: int) -> None:
        """Wait until the transaction *journal_seq* is on disk; the caller bounds the wait."""
        while self.durable_seq < journal_seq:
            if self._advanced is None:
                self._advanced = self._loop.create_future()
            await asyncio.shield(self._advanced)

    def close(self) -> None:
        """End the writing thread, when all is durable."""
        self._to_write.put(None)
        self._thread.join()

    def _close_group(self) -> None:
        group = self._open
        if self._in_flight is not None or not group.entries:
            return
        self._open, self._in_flight = Group(), group
        group.transactions, self._state.transactions = self._state.transactions, []
        group.dead_letters, self._state.dead_letters = self._state.dead_letters, []
        self._to_write.put((group, self._emitted()))

    def _write_groups(self) -> None:
        while (work := self._to_write.get()) is not None:
            group, emitted = work
            try:
                self._write(group.entries, emitted)
            except JournalError as error:
                self._loop.call_soon_threadsafe(self._fail, error)
                return
            self._loop.call_soon_threadsafe(self._committed, group, time.monotonic_ns())

    def _committed(self, group: Group, t_commit_ns: int) -> None:
        self._in_flight = None
        self.t_commit_ns = t_commit_ns
        if group.transactions:
            self.durable_seq = group.transactions[-1][0]
        for waiter in group.waiters:
            if not waiter.done():
                waiter.set_result(t_commit_ns)
        if self._advanced is not None:
            self._advanced.set_result(None)
            self._advanced = None
        self._publish(group, t_commit_ns)
        self._close_group()
