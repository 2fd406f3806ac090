"""
I7 and I23: each acknowledged request and each match has one effect, the others have none.

An effect is a transaction on the ledger, joined by the identity that every request carries.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from harness.model.operation import Outcome
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.audit.transaction import Transaction
from workloads.account.plan.kinds import Kind

_NO_EFFECT_NEEDED = (Kind.AMEND, Kind.CREATE_ACCOUNT)  # asked for what already is: nothing changes
_FILL = int(Kind.FILL)  # an enum member costs a look-up of its own, here once a transaction


class EffectFold:
    """Fed with every new transaction."""

    def __init__(
        self, log: OperationLog, *, restarts_ns: tuple[int, ...], is_attached: bool
    ) -> None:
        self.exactly_once = Tally(
            "I7",
            "Each request and match has exactly one effect",
            facts="operations and transactions",
            law="Every acknowledged operation is on the ledger once, as asked, and nothing else is",
        )
        self.durable = Tally(
            "I23",
            "What was acknowledged survives a kill",
            facts="operations acknowledged before a kill",
            law="Every operation acknowledged before a kill is there after it, once",
        )
        self._log = log
        self._restarts_ns = restarts_ns
        self.is_attached = is_attached
        self._kind = log.cells.kind
        self._count = array("i", bytes(4 * log.count))

    def take(self, transaction: Transaction) -> bool:
        """One transaction; whether it is its operation's first (only that one is legal)."""
        row = transaction.row
        if row < 0:
            if not self.is_attached:
                self.exactly_once.check(
                    False, f"journal_seq {transaction.journal_seq} was asked for by nobody"
                )
            return False
        self._count[row] += 1
        if self._count[row] == 1 and self._kind[row] == _FILL:
            self._check_groups(transaction)
        return self._count[row] == 1

    def revoke(self, row: int) -> None:
        """A transaction whose number was given to another one is not there any more."""
        if row >= 0:
            self._count[row] -= 1

    def wrong(self, transaction: Transaction, what: str, *, size: int) -> None:
        """An effect that is not what was asked for."""
        self.exactly_once.violate(f"{self._log.describe(transaction.row)}: {what}", size=size)

    def finish(self, *, put_aside_count: int | None) -> None:
        """
        Every operation against its duty.

        Args:
            put_aside_count: Records among the dead letters since the opening; None: not known.
        """
        counts = np.frombuffer(self._count, dtype=np.int32)
        log, tally = self._log, self.exactly_once
        tally.checked_count += log.count
        unknown = int(np.count_nonzero((log.duty == Duty.ANY) & ~log.is_overtaken))
        if unknown:
            tally.note(f"{unknown:,} whose outcome was never learnt may have none or one")
        self._check_overtaken(counts, put_aside_count)
        may_be_none = np.isin(log.kind, _NO_EFFECT_NEEDED)
        lost = (log.duty == Duty.ONE) & (counts == 0) & ~may_be_none
        self._report(lost, "was acknowledged and has no effect")
        self._report((log.duty == Duty.NONE) & (counts > 0), "was refused or not sent, and applied")
        self._report((log.duty != Duty.NONE) & (counts > 1), "was applied more than once")
        self._check_duplicates()
        self._check_durability(counts, lost)

    def _check_overtaken(self, counts: NDArray[np.int32], put_aside_count: int | None) -> None:
        """A release that came first may make a match impossible: then it is put aside, not lost."""
        was_produced = self._log.final_outcome == Outcome.ACKNOWLEDGED
        without_effect = np.flatnonzero(self._log.is_overtaken & was_produced & (counts == 0))
        count = len(without_effect)
        if put_aside_count is not None and count > put_aside_count:
            self.exactly_once.violate(
                f"of {count:,} matches without an effect, {self._log.describe(without_effect[0])} "
                f"first, {put_aside_count:,} were put aside, the others are lost",
                size=count - put_aside_count,
            )
        elif count:
            self.exactly_once.lacks(
                f"{count:,} matches were not seen before the release that follows them"
            )

    def _check_groups(self, transaction: Transaction) -> None:
        """Both sides of a match must have postings of their own."""
        row = transaction.row
        present = {line.account_id for line in transaction.postings}
        for account_id in (int(self._log.account_id[row]), int(self._log.peer_account_id[row])):
            self.exactly_once.check(
                account_id in present,
                f"{self._log.describe(row)}: account {account_id} has no postings of it",
            )

    def _check_duplicates(self) -> None:
        log = self._log
        repeats = np.flatnonzero(
            (log.duplicate_of >= 0) & (log.outcome == Outcome.ACKNOWLEDGED) & ~log.replayed
        )
        # Its original may have been the one that came second: one of the two is the first.
        for row in repeats.tolist():
            original = int(log.duplicate_of[row])
            if not log.replayed[original]:
                self.exactly_once.violate(
                    f"{log.describe(row)} repeats a request and was answered as a new one"
                )

    def _check_durability(self, counts: NDArray[np.int32], lost: NDArray[np.bool_]) -> None:
        if not self._restarts_ns:
            return
        log = self._log
        before = (log.done_ns > 0) & (log.done_ns <= max(self._restarts_ns))
        promised = before & (log.outcome == Outcome.ACKNOWLEDGED) & (log.duplicate_of < 0)
        self.durable.checked_count += int(np.count_nonzero(promised))
        for row in np.flatnonzero(promised & (lost | (counts > 1))).tolist():
            how = "is gone" if counts[row] < 1 else f"is there {counts[row]} times"
            self.durable.violate(f"{log.describe(row)} was acknowledged before a kill and {how}")

    def _report(self, broken: NDArray[np.bool_], what: str) -> None:
        for row in np.flatnonzero(broken).tolist():
            self.exactly_once.violate(f"{self._log.describe(row)} {what}")
