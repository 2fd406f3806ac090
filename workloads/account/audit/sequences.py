"""
I8: no gap and no reordering in journal, accounts, sources and amendments.

A transaction that is emitted again after a restart is legal if it is the same but for the time of
its commit; one number for two transactions is not.
"""

from collections.abc import Callable, Iterator

import numpy as np

from workloads.account.audit.grouped import Groups, stable_order
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.movements import Places
from workloads.account.audit.operation_log import INSTRUMENT_BITS, Duty, OperationLog
from workloads.account.audit.retold import EarlierTransactions, PublishedTransaction
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import TargetState
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.column_types import Column
from workloads.account.wire.kinds import Kind


class SequenceFold:
    """
    Fed with the whole ledger topic, repeated records included.

    Attributes:
        has_gap: Transactions are missing, in the middle or at the end.
    """

    def __init__(
        self,
        opening: TargetState,
        places: Places,
        earlier: EarlierTransactions,
        *,
        on_replaced: Callable[[int], None],
    ) -> None:
        """*on_replaced* is told the cause of a transaction whose number was given again."""
        self.tally = Tally("I8")
        self.has_gap = False
        self._first_seq = self._next_seq = (opening.journal_seq or 0) + 1
        self._is_anchored = opening.journal_seq is not None
        self._opening, self._places, self._earlier = opening, places, earlier
        self._on_replaced = on_replaced
        self._touch_count: Column = np.zeros(0, np.int64)  # by number of the account

    def new_parts(self, table: Transactions) -> Iterator[Transactions]:
        """Runs of new transactions, to be folded one by one; repeated ones are checked here."""
        seq = table.journal_seq
        if not self._is_anchored:
            self._first_seq = self._next_seq = int(seq[0])
            self._is_anchored = True
        newest = np.maximum.accumulate(np.append(self._next_seq - 1, seq))
        missing = seq - newest[:-1] - 1
        is_new = missing >= 0
        self.has_gap |= bool((missing > 0).any())
        self.tally.violate_all(
            missing > 0,
            lambda row: f"journal_seq {seq[row]} follows {newest[row]}: {missing[row]} missing",
            size=missing,
            at=table.number,
            checked_count=int(np.count_nonzero(is_new)),
        )
        edges = np.flatnonzero(np.diff(is_new, prepend=~is_new[:1]))
        for first, last in zip(edges, np.append(edges[1:], len(seq)), strict=True):
            part = table.part(int(first), int(last))
            if is_new[first]:
                self._earlier.note(part)
                yield part
            else:
                yield from self._new_after_all(part)
        self._next_seq = int(newest[-1]) + 1

    def touch(self, part: Transactions, account_id: Column) -> None:
        """
        Count the account_seq that each touched account gets.

        *account_id* is who asked for each transaction, 0 for nobody: without postings, that account
        was made, or changed without money.
        """
        postings, accounts = part.postings, self._places.accounts
        quiet = np.flatnonzero(part.has_none & (account_id > 0))
        owner = np.concatenate([postings.owner, quiet])
        touched = np.concatenate([postings.account_id, account_id[quiet].astype(np.uint64)])
        is_user = touched >= FIRST_ACCOUNT_ID
        number = accounts.of(touched[is_user])
        once = Groups(owner[is_user] * len(accounts) + number).key % max(1, len(accounts))
        grown = np.bincount(once, minlength=len(accounts))
        grown[: len(self._touch_count)] += self._touch_count
        self._touch_count = grown

    def finish(
        self, closing: TargetState, log: OperationLog, source_of: Callable[[int], str]
    ) -> None:
        """Check the ends of the sequences against what the target reports of itself."""
        if closing.journal_seq is None:
            self.tally.lacks("the closing journal_seq is not known")
        elif self._is_anchored:
            self.has_gap |= self._next_seq - 1 < closing.journal_seq
            self.tally.check_equal(
                self._next_seq - 1,
                closing.journal_seq,
                f"the ledger topic ends at journal_seq {self._next_seq - 1}, "
                f"the journal at {closing.journal_seq}",
            )
        self.check_updates(closing)
        self._check_accounts(closing)
        self._check_sources(closing, log, source_of)
        self._check_amendments(log)

    def _new_after_all(self, part: Transactions) -> Iterator[Transactions]:
        """Of transactions with a journal_seq published before: those that differ from it."""
        first = 0  # of the run that is new
        for row, seq in enumerate(part.journal_seq.tolist()):
            told, before = PublishedTransaction.of(part, row), self._earlier.published(seq)
            # From before the opening: emitted again, or the topic was joined a little early. Its
            # effect is part of the opening state, so it can't be judged and must not be folded.
            is_older = seq < self._first_seq
            is_same = before is not None and before.content == told.content
            if is_older or is_same or before is not None:
                if first < row:
                    yield part.part(first, row)
                first = row
            if is_older or is_same:
                first = row + 1
                continue
            if before is not None:
                self.tally.check(
                    False,
                    f"journal_seq {seq} was given to two transactions",
                    at=int(part.number[row]),
                )
                self._on_replaced(before.operation)
            self._earlier.replace(seq, told)
        if first < len(part):
            yield part.part(first, len(part))

    def check_updates(self, closing: TargetState) -> None:
        """The accounts' numbers on acct.balances.v1 follow each other."""
        updates = closing.updates
        if updates is None:
            self.tally.lacks("acct.balances.v1 was not read")
        else:
            self.tally.checked_count += updates.update_count
            if updates.gap_count:
                count = updates.gap_count
                self.tally.violate(updates.gap_first, size=count, count=count)

    def _check_accounts(self, closing: TargetState) -> None:
        updates = closing.updates
        if closing.accounts is None or self._opening.accounts is None:
            self.tally.lacks("the accounts' own numbers are not known")
            return
        before = self._opening.accounts.account_seq
        touched = self._touched()
        for account_id, seq in closing.accounts.account_seq.items():
            if account_id < FIRST_ACCOUNT_ID:
                continue
            expected = before.get(account_id, 0) + touched.get(account_id, 0)
            self.tally.check_equal(
                seq,
                expected,
                f"account {account_id} is at account_seq {seq}, its transactions make {expected}",
            )
            if updates is not None:
                # An account without an update is where it was: silence is no proof of anything.
                last = updates.last_seq.get(account_id, before.get(account_id, 0))
                self.tally.check_equal(
                    last,
                    seq,
                    f"account {account_id} is at account_seq {seq}, its updates end at {last}",
                )

    def _touched(self) -> dict[int, int]:
        ids = self._places.accounts.ids[: len(self._touch_count)].tolist()
        return dict(zip(ids, self._touch_count.tolist(), strict=True))

    def _check_sources(
        self, closing: TargetState, log: OperationLog, source_of: Callable[[int], str]
    ) -> None:
        sent = np.flatnonzero(log.sequence > 0)
        if not len(sent):
            return
        if closing.sources is None:
            self.tally.lacks("the target's positions in the executions are not known")
            return
        streams = Groups(log.source(sent))
        sequence = log.sequence[sent].astype(np.int64)[streams.order]
        is_certain = (log.duty[sent] == Duty.ONE)[streams.order]
        high = np.maximum.reduceat(sequence, streams.first)
        low = np.maximum.reduceat(np.where(is_certain, sequence, 0), streams.first)
        for code, least, newest in zip(
            streams.key.tolist(), low.tolist(), high.tolist(), strict=True
        ):
            key = source_of(code >> INSTRUMENT_BITS), code & ((1 << INSTRUMENT_BITS) - 1)
            reached = closing.sources.get(key, 0)
            self.tally.check(
                least <= reached <= newest,
                f"source {key[0]} instrument {key[1]}: the target is at {reached}, "
                f"produced were {newest}",
                size=abs(newest - reached),
            )

    def _check_amendments(self, log: OperationLog) -> None:
        """An amendment sent after another of its order was answered has a higher journal_seq."""
        answered = (log.kind == Kind.AMEND) & (log.duplicate_of < 0) & log.tells
        rows = np.flatnonzero(answered & (log.told_seq > 0))
        rows = rows[stable_order(log.order[rows].astype(np.int64))]
        first, second = rows[:-1], rows[1:]
        follows = (log.order[first] == log.order[second]) & (
            log.done_ns[first] <= log.sent_ns[second]
        )
        self.tally.violate_all(
            follows & (log.told_seq[second] < log.told_seq[first]),
            lambda index: (
                f"{log.describe(second[index])} is journal_seq {log.told_seq[second[index]]}, and "
                f"was sent when the one before it was answered, {log.told_seq[first[index]]}"
            ),
            checked_count=int(np.count_nonzero(follows)),
        )
