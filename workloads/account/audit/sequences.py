"""
I8: nothing is missing and nothing is out of order: journal, accounts and sources.

A transaction that is emitted again after a restart is legal if it is the same but for the time of
its commit; one number for two transactions is not.
"""

from array import array
from collections.abc import Callable

import numpy as np

from workloads.account.audit.evidence import TargetState
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.contract.accounts_pb2 import JournalTxn
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID
from workloads.account.plan.kinds import Kind


class SequenceFold:
    """Fed with every record of the ledger topic, repeated ones included."""

    def __init__(self, opening: TargetState, *, on_replaced: Callable[[int], None]) -> None:
        """*on_replaced* is called with the row of a transaction whose number was given again."""
        self.tally = Tally(
            "I8",
            "Sequences have no gaps",
            facts="sequence numbers",
            law="journal_seq, account_seq and the sources' numbers follow each other",
        )
        self._first_seq = self._next_seq = (opening.journal_seq or 0) + 1
        self._is_anchored = opening.journal_seq is not None
        self._hashes = array("q")
        self._rows = array("q")
        self._on_replaced = on_replaced
        self._touch_count: dict[int, int] = {}
        self._opening = opening
        self._older_count = 0

    def take(self, message: JournalTxn, row: int) -> bool:
        """Whether this is a new transaction."""
        seq, mark = message.journal_seq, hash(message.SerializeToString())
        if not self._is_anchored:
            self._first_seq = self._next_seq = seq
            self._is_anchored = True
        if seq < self._next_seq:
            return self._take_again(seq, mark, row)
        self.tally.checked_count += 1
        if seq > self._next_seq:
            missing = seq - self._next_seq
            self.tally.violate(
                f"journal_seq {seq} follows {self._next_seq - 1}: {missing} missing", size=missing
            )
            self._hashes.extend([0] * missing)
            self._rows.extend([-1] * missing)
        self._hashes.append(mark)
        self._rows.append(row)
        self._next_seq = seq + 1
        return True

    def touch(self, account_ids: set[int]) -> None:
        """These accounts got a new account_seq by a new transaction."""
        for account_id in account_ids:
            if account_id >= FIRST_ACCOUNT_ID:
                self._touch_count[account_id] = self._touch_count.get(account_id, 0) + 1

    def finish(
        self, closing: TargetState, log: OperationLog, source_of: Callable[[int], str]
    ) -> None:
        """Hold the ends of the sequences to what the target says of itself."""
        if self._older_count:
            self.tally.note(f"{self._older_count:,} records from before the opening were left out")
        if closing.journal_seq is None:
            self.tally.lacks("the closing journal_seq is not known")
        elif self._is_anchored:
            self.tally.check(
                self._next_seq - 1 == closing.journal_seq,
                f"the ledger topic ends at journal_seq {self._next_seq - 1}, "
                f"the journal at {closing.journal_seq}",
                size=abs(closing.journal_seq - self._next_seq + 1),
            )
        self._check_accounts(closing)
        self._check_sources(closing, log, source_of)

    def _take_again(self, seq: int, mark: int, row: int) -> bool:
        position = seq - self._first_seq
        if position < 0:
            # From before the opening: emitted again, or the topic was joined a little early. Its
            # effect is part of the opening state, so it can't be judged and must not be folded.
            return False
        if self._hashes[position] == mark:
            return False
        if self._hashes[position] != 0:
            self.tally.check(False, f"journal_seq {seq} was given to two transactions")
        self._on_replaced(self._rows[position])
        self._hashes[position], self._rows[position] = mark, row
        return True

    def _check_accounts(self, closing: TargetState) -> None:
        updates = closing.updates
        if updates is None:
            self.tally.lacks("acct.balances.v1 was not read")
        else:
            self.tally.checked_count += updates.update_count
            if updates.gap_count:
                self.tally.violate(updates.gap_first, size=updates.gap_count)
                self.tally.violation_count += updates.gap_count - 1
        if closing.accounts is None or self._opening.accounts is None:
            self.tally.lacks("the accounts' own numbers are not known")
            return
        before = self._opening.accounts.account_seq
        for account_id, seq in closing.accounts.account_seq.items():
            if account_id < FIRST_ACCOUNT_ID:
                continue
            expected = before.get(account_id, 0) + self._touch_count.get(account_id, 0)
            self.tally.check(
                seq == expected,
                f"account {account_id} is at account_seq {seq}, its transactions make {expected}",
                size=abs(seq - expected),
            )
            if updates is not None and account_id in updates.last_seq:
                last = updates.last_seq[account_id]
                self.tally.check(
                    last == seq,
                    f"account {account_id} is at account_seq {seq}, its last update says {last}",
                    size=abs(seq - last),
                )

    def _check_sources(
        self, closing: TargetState, log: OperationLog, source_of: Callable[[int], str]
    ) -> None:
        sent = np.flatnonzero((log.kind == Kind.FILL) & (log.sequence > 0))
        if not len(sent):
            return
        if closing.sources is None:
            self.tally.lacks("the target's positions in the executions are not known")
            return
        low: dict[tuple[str, int], int] = {}
        high: dict[tuple[str, int], int] = {}
        for row in sent.tolist():
            key = source_of(int(log.shard[row])), int(log.instrument[row])
            sequence = int(log.sequence[row])
            high[key] = max(high.get(key, 0), sequence)
            if log.duty[row] == Duty.ONE:
                low[key] = max(low.get(key, 0), sequence)
        for key, newest in high.items():
            reached = closing.sources.get(key, 0)
            self.tally.check(
                low.get(key, 0) <= reached <= newest,
                f"source {key[0]} instrument {key[1]}: the target is at {reached}, "
                f"produced were {newest}",
                size=abs(newest - reached),
            )
