"""
What the ledger makes of accounts at given moments: asked for beforehand, found as it goes by.

A moment is an account and one of its own sequence numbers. Each transaction that touches an account
gives it the next number, so the ledger alone says which transaction was which number, what the
account held after it, and what its history was up to there. Only accounts that are asked about are
followed, and only their moments are kept.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workloads.account.audit.grouped import Groups, Numbering, within
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.target_state import AccountsDump
from workloads.account.wire import row_digest as fingerprint
from workloads.account.wire.column_types import Column, ColumnTable, Mask, Words
from workloads.account.wire.row_digest import Holding, print_of_state

_SEQ_BITS = 40
SEQ_MAX = (1 << _SEQ_BITS) - 1
NEVER = 1 << 62  # a journal_seq that is later than any


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments(ColumnTable):
    """
    A row a moment.

    Attributes:
        is_told: The opening state or the ledger tells of it.
        is_older: It is before the opening; of it is known only that it was.
        journal_seq: Of the transaction that made it; 0 up to the opening, NEVER if there is none.
        state: The number of what the account then held.
        history: The sum of the numbers of its entries since the opening.
    """

    is_told: Mask
    is_older: Mask
    journal_seq: Column
    state: Words
    history: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touches:
    """A row for each transaction and account that it touches, by account, then in order."""

    account: Column
    owner: Column
    state: Words  # what it adds
    lines: Words


class AccountHistory:
    """
    Fed with every new transaction, in order.

    Attributes:
        broken: Why counting transactions proves nothing; empty while it does.
    """

    def __init__(
        self, opening: AccountsDump, journal_seq: int, *, account_id: Words, seq: Column
    ) -> None:
        """
        Ask for moments.

        Args:
            opening: The state that the ledger goes on from.
            journal_seq: Of the newest transaction in it.
            account_id: Of each moment, in any order, repeated or not.
            seq: The account's number of each moment, 0 to SEQ_MAX.
        """
        self._accounts = Numbering(np.unique(account_id))
        self._opening_seq, self._state = self._begin(opening)
        self._seq = self._opening_seq.copy()
        self._history: Words = np.zeros(len(self._accounts), np.uint64)
        asked = self._key(self._accounts.known(account_id), seq)
        self._asked = np.unique(asked)
        self._row: Column = np.searchsorted(self._asked, asked)
        self._account_of_row = self._accounts.known(account_id)
        self._seq_of_row = seq
        count = len(self._asked)
        self._found = Moments(
            is_told=np.zeros(count, np.bool_),
            is_older=np.zeros(count, np.bool_),
            journal_seq=np.full(count, NEVER),
            state=np.zeros(count, np.uint64),
            history=np.zeros(count, np.uint64),
        )
        self._next_seq = journal_seq + 1
        self.broken = ""

    def take(self, part: Transactions, account_id: Column) -> None:
        """Fold new transactions; *account_id*: who asked for each, as of SequenceFold.touch."""
        seqs = part.journal_seq
        if int(seqs[0]) != self._next_seq or int(seqs[-1]) - int(seqs[0]) != len(part) - 1:
            self.broken = "the ledger has a gap or told transactions late (I8)"
        self._next_seq = int(seqs[-1]) + 1
        touches = self._touches(part, account_id)
        if not len(touches.account):
            return
        groups = Groups(touches.account)  # in order already
        first, number = groups.first, groups.number
        account = touches.account
        seq = self._seq[account] + within(np.ones(len(account), np.int64), first, number)
        state = self._state[account] + _running(touches.state, first, number)
        entry = fingerprint.entries(
            seq, seqs[touches.owner], part.kind[touches.owner], touches.lines
        )
        history = self._history[account] + _running(entry, first, number)
        self._keep(account, seq, seqs[touches.owner], state, history)
        last = groups.last
        self._seq[groups.key] = seq[last]
        self._state[groups.key] = state[last]
        self._history[groups.key] = history[last]

    @property
    def journal_seq(self) -> int:
        """Of the newest transaction."""
        return self._next_seq - 1

    def moments(self, ends: Column) -> list[Moments]:
        """The moments in the order in which they were asked for, cut at *ends*."""
        account, seq = self._account_of_row, self._seq_of_row
        found = self._found.rows(self._row)
        before = self._opening_seq[account]
        is_opening = seq == before
        found.is_told[is_opening] = True
        found.is_older[:] = seq < before
        found.journal_seq[seq <= before] = 0
        found.state[is_opening] = self._opening_state[account[is_opening]]
        edges = [0, *ends.tolist(), len(found)]
        return [found.rows(slice(first, last)) for first, last in pairwise(edges)]

    def opening_seq(self, account_id: Words) -> Column:
        had: Column = self._opening_seq[self._accounts.known(account_id)]
        return had

    def _begin(self, opening: AccountsDump) -> tuple[Column, Words]:
        """Sequence number and state of each account that is followed, at the opening."""
        ids = self._accounts.ids.tolist()
        numbers = {account_id: number for number, account_id in enumerate(ids)}
        held: list[list[Holding]] = [[] for _ in ids]
        for (account_id, asset_id), dump in opening.balances.items():
            number = numbers.get(account_id)
            if number is not None:
                amounts = enumerate(dump[:4])
                held[number] += [Holding(asset_id, bucket, amount) for bucket, amount in amounts]
        seqs = np.array([opening.account_seq.get(item, 0) for item in ids], np.int64)
        state: Words = np.array([print_of_state(item) for item in held], np.uint64)
        self._opening_state = state
        return seqs, state.copy()

    def _touches(self, part: Transactions, account_id: Column) -> _Touches:
        postings = part.postings
        account = self._accounts.known(postings.account_id)
        rows = np.flatnonzero(account >= 0)
        lines = postings.rows(rows)
        if (account_id[part.has_none] <= 0).any():
            self.broken = "transactions of others don't say whose they are"
        quiet = np.flatnonzero(part.has_none & (account_id > 0))
        quiet_account = self._accounts.known(account_id[quiet].astype(np.uint64))
        quiet, quiet_account = quiet[quiet_account >= 0], quiet_account[quiet_account >= 0]
        owner = np.concatenate([lines.owner, quiet])
        places = (lines.asset_id, lines.bucket, lines.delta_minor)
        nothing = np.zeros(len(quiet), np.uint64)
        groups = Groups(np.concatenate([account[rows], quiet_account]) * len(part) + owner)
        touched, touching = np.divmod(groups.key, len(part))
        return _Touches(
            account=touched,
            owner=touching,
            state=_sums(groups, fingerprint.state_changes(*places), nothing),
            lines=_sums(groups, fingerprint.lines(*places, lines.order_id), nothing),
        )

    def _keep(
        self,
        account: Column,
        seq: Column,
        journal_seq: Column,
        state: Words,
        history: Words,
    ) -> None:
        key = self._key(account, seq)
        place = np.searchsorted(self._asked, key)
        place[place == len(self._asked)] = 0
        hit = np.flatnonzero(self._asked[place] == key)
        row = place[hit]
        self._found.is_told[row] = True
        self._found.journal_seq[row] = journal_seq[hit]
        self._found.state[row] = state[hit]
        self._found.history[row] = history[hit]

    @staticmethod
    def _key(account: Column, seq: Column) -> Column:
        return account << _SEQ_BITS | seq


def _running(words: Words, first: Column, number: Column) -> Words:
    return within(words, first, number).astype(np.uint64, copy=False)


def _sums(groups: Groups, *words: Words) -> Words:
    together = np.concatenate(words)
    return groups.sums(together).astype(np.uint64, copy=False)  # type: ignore[arg-type]
