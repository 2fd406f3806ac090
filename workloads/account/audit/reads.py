"""
I21: a read shows a state that the account had, and never one older than was required.

A reply names the state that it shows; the ledger says what the account held in it. So a stale read
is found even where it claims to be newer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.account.audit.account_moments import SEQ_MAX, AccountHistory, Moments
from workloads.account.audit.grouped import Groups
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump, TargetState
from workloads.account.wire.column_types import Column, ColumnTable, Mask, Words

_FLAWS = (
    "",
    "has a total that is not the sum of its parts",
    "lists an asset twice",
    "has entries that are not consecutive",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads(ColumnTable):
    """
    A row a read that was answered.

    Attributes:
        row: In the operation log.
        account_id: Whose.
        wanted_seq: The journal_seq that the answer must not be older than; 0 for any.
        journal_seq, account_seq: Of the state shown; of a page, of its last entry.
        print: The number of all that was told (fingerprint).
        flaw: What is wrong with the reply by itself, an index into _FLAWS.
        from_seq, limit_count, first_seq, entry_count: Of a page: asked, and told.
    """

    row: Column
    account_id: Words
    wanted_seq: Column
    journal_seq: Column
    account_seq: Column
    print: Words
    flaw: Column
    from_seq: Column
    limit_count: Column
    first_seq: Column
    entry_count: Column


class ReadFold:
    """
    Fed with every new transaction, in order.

    Args:
        log: For words.
        balances: GetBalances of all assets.
        pages: ListLedger.
        opening: The state that the ledger goes on from.
    """

    def __init__(
        self, log: OperationLog, balances: Reads, pages: Reads, *, opening: TargetState
    ) -> None:
        self.tally = Tally("I21")
        self._log = log
        self._balances, self._pages = balances, pages
        self._opening_seq = opening.journal_seq or 0
        self._history: AccountHistory | None = None
        if opening.accounts is None or opening.journal_seq is None:
            self.tally.lacks("the opening balances are not known")
            return
        self._balances = seen = self._covered(balances, opening.accounts)
        self._pages = told = self._covered(pages, opening.accounts)
        first, last = _begin(told), _last(told)
        # Of balances the state shown and the one after it; of a page the states before it, at its
        # end, and after it.
        asked = (
            (seen.account_id, seen.account_seq),
            (seen.account_id, seen.account_seq + 1),
            (told.account_id, first - 1),
            (told.account_id, last),
            (told.account_id, last + 1),
        )
        self._ends = np.cumsum([len(account_id) for account_id, _ in asked])[:-1]
        self._history = AccountHistory(
            opening.accounts,
            opening.journal_seq,
            account_id=np.concatenate([account_id for account_id, _ in asked]),
            seq=np.clip(np.concatenate([seq for _, seq in asked]), 0, SEQ_MAX),
        )

    def take(self, part: Transactions, asked_by: Column) -> None:
        """Some new transactions; *asked_by* as of AccountHistory.take."""
        if self._history is not None:
            self._history.take(part, asked_by)

    def finish(self, closing: TargetState) -> None:
        tally = self.tally
        tally.checked_count += len(self._balances) + len(self._pages)
        self._check_flaws(self._balances)
        self._check_flaws(self._pages)
        history = self._history
        if history is None:
            return
        if closing.journal_seq is None:
            tally.lacks("the closing journal_seq is not known")
        elif history.journal_seq != closing.journal_seq:
            tally.lacks(
                f"the ledger topic ends at journal_seq {history.journal_seq}, "
                f"the journal at {closing.journal_seq}"
            )
            return
        if history.broken:
            tally.lacks(f"reads can't be held to the ledger: {history.broken}")
            return
        shown, following, before, end, beyond = history.moments(self._ends)
        self._check_balances(shown, following)
        self._check_pages(before, end, beyond, history)

    def _covered(self, reads: Reads, opening: AccountsDump) -> Reads:
        is_covered = np.array(
            [opening.covers(item) for item in reads.account_id.tolist()], np.bool_
        )
        if not is_covered.all():
            self.tally.lacks("the opening balances of some accounts that were read are not known")
        return reads.rows(is_covered)

    def _check_flaws(self, reads: Reads) -> None:
        self._violate(reads, reads.flaw > 0, lambda row: _FLAWS[reads.flaw[row]])

    def _check_balances(self, shown: Moments, following: Moments) -> None:
        reads = self._balances
        at = reads.journal_seq
        is_old = at < np.maximum(reads.wanted_seq, self._opening_seq)
        self._violate(
            reads,
            is_old,
            lambda row: f"is stale: shows journal_seq {at[row]}, required {reads.wanted_seq[row]}",
        )
        is_none = (~shown.is_told & ~shown.is_older) | (shown.journal_seq > at)
        self._violate(
            reads,
            ~is_old & is_none,
            lambda row: (
                f"shows account_seq {reads.account_seq[row]} at journal_seq {at[row]}, "
                "which the account had not reached"
            ),
        )
        is_stale = shown.is_older | (following.journal_seq <= at)
        self._violate(
            reads,
            ~is_old & ~is_none & is_stale,
            lambda row: (
                f"shows account_seq {reads.account_seq[row]} at journal_seq {at[row]}, "
                "by which the account had changed again"
            ),
        )
        self._violate(
            reads,
            shown.is_told & ~is_old & ~is_none & ~is_stale & (shown.state != reads.print),
            lambda row: (
                f"shows balances at account_seq {reads.account_seq[row]} that are not those of "
                "the ledger"
            ),
        )

    def _check_pages(
        self, before: Moments, end: Moments, beyond: Moments, history: AccountHistory
    ) -> None:
        pages, first, last = self._pages, _begin(self._pages), _last(self._pages)
        has_entries = pages.entry_count > 0
        is_misplaced = has_entries & ((pages.first_seq != first) | (pages.account_seq != last))
        is_misplaced |= pages.entry_count > pages.limit_count
        self._violate(
            pages,
            is_misplaced,
            lambda row: (
                f"asked for {pages.limit_count[row]} entries from account_seq {first[row]}, got "
                f"{pages.entry_count[row]} from {pages.first_seq[row]} "
                f"to {pages.account_seq[row]}"
            ),
        )
        must_see = np.maximum(pages.wanted_seq, self._opening_seq)
        is_short = (pages.entry_count < pages.limit_count) & (beyond.journal_seq <= must_see)
        self._violate(
            pages,
            ~is_misplaced & is_short,
            lambda row: (
                f"ends before account_seq {last[row] + 1}, which was journal_seq "
                f"{beyond.journal_seq[row]} when {must_see[row]} was required"
            ),
        )
        is_none = has_entries & ~end.is_told & ~end.is_older
        self._violate(
            pages,
            ~is_misplaced & is_none,
            lambda row: f"has entries up to account_seq {last[row]}, which is not on the ledger",
        )
        judged = has_entries & ~is_misplaced & ~is_none & end.is_told
        self._check_contents(np.flatnonzero(judged), before, end, history)

    def _check_contents(
        self, judged: Column, before: Moments, end: Moments, history: AccountHistory
    ) -> None:
        """
        The entries of pages, against the ledger's.

        What a page has from before the opening is not on the ledger that was seen, but it is the
        same in all pages that begin at the same place: their rests must agree.
        """
        pages = self._pages.rows(judged)
        ledger = end.history[judged] - before.history[judged]
        rest = pages.print - ledger
        opening_seq = history.opening_seq(pages.account_id)
        first = _begin(pages)
        is_wrong = (first > opening_seq) & (rest != 0)
        older = np.flatnonzero(first <= opening_seq)
        _, accounts = np.unique(pages.account_id[older], return_inverse=True)
        alike = Groups(accounts * (SEQ_MAX + 1) + first[older])
        ordered = rest[older][alike.order]
        is_other = ordered != ordered[alike.first][alike.number]
        is_wrong[older[alike.order[is_other]]] = True
        self._violate(
            pages,
            is_wrong,
            lambda row: (
                f"has entries from account_seq {first[row]} to {pages.account_seq[row]} that are "
                "not the ledger's"
            ),
        )

    def _violate(self, reads: Reads, broken: Mask, words: Any) -> None:
        self.tally.violate_all(
            broken,
            lambda row: f"{self._log.describe(int(reads.row[row]))} {words(row)}",
            at=reads.journal_seq,
        )


def _begin(pages: Reads) -> Column:
    """The account_seq that each page begins with."""
    return np.maximum(pages.from_seq, 1)


def _last(pages: Reads) -> Column:
    """The account_seq that each page ends with, by its length."""
    last: Column = _begin(pages) + pages.entry_count - 1
    return last
