"""
Fold acct.balances.v1: do an account's numbers follow each other, is each total its parts' sum.

Fed with some thousand records at a time, so that a long run costs a few bytes an account.
"""

from collections.abc import Sequence

import numpy as np

from harness.engine.event_log import Values
from workloads.account.audit.grouped import Groups, Numbering, exact_together, within
from workloads.account.audit.newest_balances import ToldBalances
from workloads.account.audit.target_state import AccountsDump, UpdatesDump
from workloads.account.audit.update_table import Balances, Updates, decode
from workloads.account.wire.column_types import Column

_NONE = -1  # of an account: no number is known yet


class UpdatesFold:
    """Fed with every record of the topic since the opening, in order per account."""

    def __init__(self, opening: AccountsDump | None) -> None:
        """*opening*: the accounts before; of those it doesn't cover, any first number will do."""
        self._opening = opening
        self._accounts = Numbering(np.zeros(0, np.uint64))
        self._last_seq: Column = np.zeros(0, np.int64)  # by number of the account
        self._update_count = self._balance_count = self._repeated_count = 0
        self._mismatch_count = self._gap_count = 0
        self._mismatch_first = self._gap_first = ""
        self._told = ToldBalances()

    def fold(self, values: Sequence[bytes]) -> None:
        """Take some records, or none: BadRecordError if one is no AccountUpdate."""
        self.take(Values.joined(values))

    def take(self, values: Values) -> None:
        """The same of records that lie in one buffer."""
        updates = decode(values)
        self._update_count += len(updates)
        self._check_totals(updates, updates.balances)
        self._check_sequences(updates)
        self._told.take(updates)

    def result(self) -> UpdatesDump:
        return UpdatesDump(
            update_count=self._update_count,
            balance_count=self._balance_count,
            mismatch_count=self._mismatch_count,
            mismatch_first=self._mismatch_first,
            gap_count=self._gap_count,
            gap_first=self._gap_first,
            repeated_count=self._repeated_count,
            last_seq=dict(zip(self._accounts.ids.tolist(), self._last_seq.tolist(), strict=True)),
            balances=self._told.result(),
        )

    def _check_totals(self, updates: Updates, balances: Balances) -> None:
        self._balance_count += len(balances)
        parts_minor = exact_together(*balances.buckets).reshape(4, -1).sum(axis=0)
        wrong = np.flatnonzero(parts_minor != balances.total_minor)
        self._mismatch_count += len(wrong)
        if len(wrong) and not self._mismatch_first:
            row = wrong[0]
            owner = balances.owner[row]
            self._mismatch_first = (
                f"account {updates.account_id[owner]} asset {balances.asset_id[row]} "
                f"at account_seq {updates.account_seq[owner]}: total {balances.total_minor[row]}, "
                f"its parts sum to {parts_minor[row]}"
            )

    def _check_sequences(self, updates: Updates) -> None:
        """Each account's numbers, against the one before; most simply follow it."""
        number = self._numbered(updates)
        groups = Groups(number)
        seq = updates.account_seq[groups.order]
        expected = np.roll(seq, 1) + 1
        expected[groups.first] = self._last_seq[groups.key] + 1
        follows = within(seq != expected, groups.first, groups.number)[groups.end - 1] == 0
        gaps: list[tuple[int, str]] = []
        for group in np.flatnonzero(~follows).tolist():
            self._follow(updates, groups.order[groups.first[group] : groups.end[group]], gaps)
        regular = np.flatnonzero(follows)
        self._last_seq[groups.key[regular]] = seq[groups.end[regular] - 1]
        self._gap_count += len(gaps)
        if gaps and not self._gap_first:
            self._gap_first = min(gaps)[1]

    def _follow(self, updates: Updates, rows: Column, gaps: list[tuple[int, str]]) -> None:
        """Check one account's updates in order: repeated ones, gaps, snapshots."""
        account_id = updates.account_id[rows[0]]
        number = self._accounts.known(updates.account_id[rows[:1]])
        last = int(self._last_seq[number][0])
        for row in rows.tolist():
            seq = int(updates.account_seq[row])
            if last != _NONE and seq <= last:
                self._repeated_count += 1
                continue
            if last not in {_NONE, seq - 1} and not updates.is_snapshot[row]:
                gaps.append((row, f"account {account_id}: account_seq {seq} follows {last}"))
            last = seq
        self._last_seq[number] = last

    def _numbered(self, updates: Updates) -> Column:
        """The numbers of the accounts; those that are new begin where the opening left them."""
        number = self._accounts.of(updates.account_id)
        fresh = self._accounts.ids[len(self._last_seq) :].tolist()
        begun = np.array([self._begun(account_id) for account_id in fresh], np.int64)
        self._last_seq = np.append(self._last_seq, begun)
        return number

    def _begun(self, account_id: int) -> int:
        if self._opening is None or not self._opening.covers(account_id):
            return _NONE
        return self._opening.account_seq.get(account_id, 0)
