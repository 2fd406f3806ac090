"""
Who watches which account: updates handed to bounded buffers, one a watcher.

It knows no gRPC. The one idea: a watcher that can't keep up loses its buffer whole and is told to
begin again with a snapshot, so a slow reader costs bounded memory, holds up nobody, and never sees
a gap it isn't told of.
"""

import asyncio
from collections import deque

# Updates that wait for one reader, about 100 bytes each.
STREAM_BUFFER_MAX_COUNT = 256


class Watcher:
    """
    One reader of one account.

    Attributes:
        needs_snapshot: Nothing may be sent before a snapshot: at the start, and after an overflow.
    """

    __slots__ = ("_arrived", "_next_seq", "_updates", "needs_snapshot")

    def __init__(self) -> None:
        self.needs_snapshot = True
        self._next_seq = 0
        self._updates: deque[bytes] = deque()
        self._arrived = asyncio.Event()

    def follow(self, account_seq: int) -> None:
        """A snapshot at *account_seq* is about to be sent: what is behind it follows."""
        self.needs_snapshot = False
        self._next_seq = account_seq + 1
        self._updates.clear()

    def put(self, account_seq: int, update: bytes) -> None:
        """A durable update, unless a snapshot has it or will have it."""
        if self.needs_snapshot or account_seq < self._next_seq:
            return
        if len(self._updates) == STREAM_BUFFER_MAX_COUNT:
            self._updates.clear()
            self.needs_snapshot = True
        else:
            self._updates.append(update)
        self._arrived.set()

    def pop(self) -> bytes | None:
        return self._updates.popleft() if self._updates else None

    async def changed(self) -> None:
        """Wait for an update, an overflow, or the end."""
        self._arrived.clear()
        await self._arrived.wait()

    def wake(self) -> None:
        """Let the reader check for an overflow or the end."""
        self._arrived.set()


class Watchers:
    """All watchers, by account; an account that nobody watches is in no table."""

    def __init__(self) -> None:
        self._of_account: dict[int, set[Watcher]] = {}
        self.is_draining = False

    def __contains__(self, account_id: int) -> bool:
        return account_id in self._of_account

    def add(self, account_id: int) -> Watcher:
        watcher = Watcher()
        self._of_account.setdefault(account_id, set()).add(watcher)
        return watcher

    def remove(self, account_id: int, watcher: Watcher) -> None:
        watchers = self._of_account[account_id]
        watchers.discard(watcher)
        if not watchers:
            del self._of_account[account_id]

    def publish(self, account_id: int, account_seq: int, update: bytes) -> None:
        for watcher in self._of_account.get(account_id, ()):
            watcher.put(account_seq, update)

    def drain(self) -> None:
        self.is_draining = True
        for watchers in self._of_account.values():
            for watcher in watchers:
                watcher.wake()
