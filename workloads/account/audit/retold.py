"""
Looks up what was published earlier under a journal_seq, by re-reading the event log.

After a restart a service may publish transactions again, and the audit must know whether they are
unchanged. That is rare and concerns consecutive ones, so no transaction is kept: only where in the
log each run of new ones begins.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from workloads.account.audit.ledger_table import Transactions
from workloads.account.contract.accounts_pb2 import JournalTxn


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTransaction:
    """A transaction as published, without its commit time, which may differ when repeated."""

    content: bytes
    operation: int

    @classmethod
    def of(cls, table: Transactions, row: int) -> Self:
        message = JournalTxn.FromString(table.values.value(row))
        message.ClearField("t_commit_ns")
        return cls(
            content=message.SerializeToString(deterministic=True),
            operation=int(table.operation[row]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Where *count* new transactions stand in the log, from *first_seq* on."""

    first_seq: int
    count: int
    offset_bytes: int


class EarlierTransactions:
    """Fed with every stretch of new transactions, in order."""

    def __init__(self, read: Callable[[int], Iterable[Transactions]]) -> None:
        """*read* gives the ledger again, from an offset on."""
        self._read = read
        self._stretches: list[_Stretch] = []
        self._again: dict[
            int, PublishedTransaction
        ] = {}  # by journal_seq: published instead, or late
        # The stretch that was looked into last: (table, row) by journal_seq.
        self._near: dict[int, tuple[Transactions, int]] = {}
        self._near_index = -1

    def note(self, part: Transactions) -> None:
        """These are new."""
        first_seq = int(part.journal_seq[0])
        self._stretches.append(
            _Stretch(first_seq=first_seq, count=len(part), offset_bytes=part.offset_bytes)
        )

    def replace(self, seq: int, told: PublishedTransaction) -> None:
        """From now on *seq* is this transaction."""
        self._again[seq] = told

    def published(self, seq: int) -> PublishedTransaction | None:
        """What was published under *seq*, None if nothing was."""
        if seq in self._again:
            return self._again[seq]
        index = bisect_right(self._stretches, seq, key=lambda item: item.first_seq) - 1
        if index < 0:
            return None
        if index != self._near_index:
            self._near, self._near_index = self._rows(self._stretches[index]), index
        found = self._near.get(seq)
        return None if found is None else PublishedTransaction.of(*found)

    def _rows(self, stretch: _Stretch) -> dict[int, tuple[Transactions, int]]:
        found: dict[int, tuple[Transactions, int]] = {}
        for table in self._read(stretch.offset_bytes):
            seqs = table.journal_seq.tolist()
            if not found and stretch.first_seq not in seqs:
                continue
            start = 0 if found else seqs.index(stretch.first_seq)
            stop = start + stretch.count - len(found)
            found.update((seq, (table, row)) for row, seq in enumerate(seqs[start:stop], start))
            if len(found) == stretch.count:
                break
        return found
