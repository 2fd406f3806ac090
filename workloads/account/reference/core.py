"""
The account core in one process: state, journal, ledger and streams, wired.

It knows no gRPC. The one idea: whatever comes in is applied, journalled and waited for here, so
no front door can forget a step.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from workloads.account.reference.commitment import Commitment, Group
from workloads.account.reference.emission import Record, Stream, Topics
from workloads.account.reference.inputs import InputKind, replay_input
from workloads.account.reference.journal import Journal, JournalError
from workloads.account.reference.ledger import Ledger
from workloads.account.reference.state import DeadLetter, State, Transaction
from workloads.account.reference.watchers import Watchers

# Past this many transactions that the broker has not taken, writes are rejected: about 100 MB.
BACKLOG_MAX_COUNT = 200_000
IN_FLIGHT_MAX_COUNT = 20_000
# Entries freed between two looks at what else there is to do: well under a millisecond.
FREED_AT_ONCE_COUNT = 500
LEDGER_STREAM, BALANCES_STREAM, DEAD_LETTERS_STREAM = "ledger", "balances", "dead_letters"


class Core:
    """
    A recovered account core, ready for inputs; made inside a running event loop.

    Args:
        journal: Open; its inputs are applied before anything else is.
        topics: Names of the topics.
        kafka: The broker's address; empty for none, then nothing is emitted.
        linger_ms, is_idempotent: See Stream.

    Raises:
        JournalError: the journal is not what was written.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        topics: Topics,
        kafka: str,
        linger_ms: int,
        is_idempotent: bool = False,
    ) -> None:
        self.state = State()
        self.topics = topics
        self.ledger = Ledger(topics.executions)
        self.counters: Counter[str] = Counter()
        self.watchers = Watchers()
        self._freeing: set[asyncio.Future[None]] = set()
        self.streamed_count = 0  # operations of ReserveStreams without a result
        self._journal = journal
        emitted = self._journal.emitted()
        self.streams = {
            name: Stream(
                kafka=kafka,
                topic=topic,
                partition_counts=topics.partition_counts(),
                emitted_seq=emitted.get(name, 0),
                linger_ms=linger_ms,
                is_idempotent=is_idempotent,
            )
            for name, topic in (
                (LEDGER_STREAM, topics.ledger),
                (BALANCES_STREAM, topics.balances),
                (DEAD_LETTERS_STREAM, topics.dead_letters),
            )
            if kafka
        }
        self._recover()
        self.commitment = Commitment(
            state=self.state,
            write=self._journal.write,
            emitted=self._emitted,
            publish=self._publish,
            fail=_stop_at_once,
            forget=self.forget,
        )

    def apply(self, kind: int, payload: bytes) -> None:
        """Apply one input that is answered by nobody, and journal it."""
        replay_input(self.state, kind, payload)
        self.commitment.journal(kind, payload)

    def forget(self) -> None:
        """Forget what is past the horizon, now, and free it little by little from now on."""
        freeing = asyncio.ensure_future(_free(self.state.forget()))
        self._freeing.add(freeing)
        freeing.add_done_callback(self._freeing.discard)
        self.commitment.journal(InputKind.FORGET, b"")

    def refusal(self) -> str:
        """Why writes are rejected now ("5004 ..."), or ""."""
        if self.is_backlogged():
            return f"5004 BROKER_UNAVAILABLE: {BACKLOG_MAX_COUNT} events wait for the broker"
        if self.commitment.waiting_count + self.streamed_count >= IN_FLIGHT_MAX_COUNT:
            return f"5001 OVERLOADED: {IN_FLIGHT_MAX_COUNT} requests wait for the disk"
        return ""

    def is_backlogged(self) -> bool:
        """Whether too many events wait for the broker."""
        ledger = self.streams.get(LEDGER_STREAM)
        return ledger is not None and len(ledger) >= BACKLOG_MAX_COUNT

    async def room(self) -> None:
        """Wait until the broker has taken enough of the backlog."""
        if self.streams:
            await self.streams[LEDGER_STREAM].shrunk(BACKLOG_MAX_COUNT - 1)

    async def flush(self, timeout_s: float) -> None:
        """Wait until all is durable and emitted, the latter for *timeout_s* at most."""
        await self.commitment.durable()
        try:
            async with asyncio.timeout(timeout_s):
                for stream in self.streams.values():
                    await stream.shrunk(0)
        except TimeoutError:
            waiting_count = max(len(stream) for stream in self.streams.values())
            sys.stderr.write(
                f"stopping with {waiting_count} events not taken by the broker; "
                "they are emitted at the next start\n"
            )

    def close(self) -> None:
        """Note what was emitted and let go of the journal; nothing may be applied after it."""
        self.commitment.close()
        self._journal.write((), self._emitted())
        self._journal.close()

    def _recover(self) -> None:
        state = self.state
        for kind, payload in self._journal.read():
            replay_input(state, kind, payload)
            transactions, state.transactions = state.transactions, []
            dead_letters, state.dead_letters = state.dead_letters, []
            self._tell(transactions, dead_letters, time.monotonic_ns())

    def _publish(self, group: Group, t_commit_ns: int) -> None:
        self._tell(group.transactions, group.dead_letters, t_commit_ns)

    def _tell(
        self, transactions: list[Transaction], dead_letters: list[DeadLetter], t_commit_ns: int
    ) -> None:
        ledger_stream = self.streams.get(LEDGER_STREAM)
        for transaction in transactions:
            event = self.ledger.append(transaction, t_commit_ns)
            journal_seq = transaction[0]
            if ledger_stream is not None and journal_seq > ledger_stream.emitted_seq:
                ledger_stream.put(Record(journal_seq, None, event))
            self._tell_accounts(transaction, t_commit_ns)
        for letter in dead_letters:
            sys.stderr.write(f"dead letter {letter.number}: {letter.reason}\n")
            stream = self.streams.get(DEAD_LETTERS_STREAM)
            if stream is not None and letter.number > stream.emitted_seq:
                headers = (("reason", letter.reason.encode()),)
                stream.put(Record(letter.number, None, letter.value, headers))

    def _tell_accounts(self, transaction: Transaction, t_commit_ns: int) -> None:
        """The updates of a transaction, made once for the topic and all watchers."""
        journal_seq, changes = transaction[0], transaction[4]
        stream = self.streams.get(BALANCES_STREAM)
        is_emitted = stream is not None and journal_seq > stream.emitted_seq
        if not is_emitted and not any(change[0] in self.watchers for change in changes):
            return
        for account_id, account_seq, update in self.ledger.updates(transaction, t_commit_ns):
            if stream is not None and is_emitted:
                stream.put(Record(journal_seq, b"%d" % account_id, update))
            self.watchers.publish(account_id, account_seq, update)

    def _emitted(self) -> Mapping[str, int]:
        return {name: stream.emitted_seq for name, stream in self.streams.items()}


async def _free(tables: list[dict[Any, Any]]) -> None:
    while tables:
        table = tables.pop()
        while table:
            for _ in range(min(FREED_AT_ONCE_COUNT, len(table))):
                _, value = table.popitem()
                if isinstance(value, dict):
                    tables.append(value)
            await asyncio.sleep(0)


def _stop_at_once(error: JournalError) -> None:
    # Fail-stop: what is in memory is ahead of the disk, so not one more answer may leave.
    sys.stderr.write(f"stopped without acknowledging: the journal can't be written: {error}\n")
    sys.stderr.flush()
    os._exit(1)
