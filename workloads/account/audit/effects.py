"""
I7 and I23: each acknowledged request and each match has one effect, the others have none.

An effect is a transaction on the ledger, joined by the identity that every request carries.
"""

import numpy as np
from numpy.typing import NDArray

from harness.model.operation import Outcome
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.column_types import Column, Mask
from workloads.account.wire.kinds import Kind


class EffectFold:
    """Fed with every new transaction."""

    def __init__(
        self, log: OperationLog, *, restarts_ns: tuple[int, ...], is_attached: bool
    ) -> None:
        self.exactly_once = Tally("I7")
        self.durable = Tally("I23")
        self._log = log
        self._restarts_ns = restarts_ns
        self.is_attached = is_attached
        self._count = np.zeros(log.count, np.int32)  # of the effects, by row

    def take(self, part: Transactions, row: Column) -> Mask:
        """Which of *part* are the first of their operation; *row* is -1 for none of this run's."""
        is_ours = row >= 0
        if not self.is_attached:
            self.exactly_once.violate_all(
                ~is_ours,
                lambda index: (
                    f"journal_seq {part.journal_seq[index]} was caused by no operation of this run"
                ),
                at=part.number,
                checked_count=int(np.count_nonzero(~is_ours)),
            )
        rows, place = np.unique(row[is_ours], return_index=True)
        first = np.flatnonzero(is_ours)[place]
        is_first = np.zeros(len(part), np.bool_)
        is_first[first[self._count[rows] == 0]] = True
        np.add.at(self._count, row[is_ours], 1)
        firsts = np.flatnonzero(is_first)
        self._check_told(part, row, firsts)
        self._check_groups(part, row, firsts[self._log.is_match[row[firsts]]])
        return is_first

    def revoke(self, operation: int) -> None:
        """Uncount a transaction whose journal_seq was given to another one."""
        row = self._log.row_of(operation)
        if row >= 0:
            self._count[row] -= 1

    def wrong(self, row: int, what: str, *, size: int, at: int) -> None:
        self.exactly_once.violate(f"{self._log.describe(row)}: {what}", size=size, at=at)

    def finish(self, *, dead_letter_count: int | None, is_whole: bool) -> None:
        """Check every operation; *is_whole*: no more effects can come, so a missing one is lost."""
        log, tally, counts = self._log, self.exactly_once, self._count
        tally.checked_count += log.count
        unknown = int(np.count_nonzero((log.duty == Duty.ANY) & ~log.is_overtaken))
        if unknown:
            tally.note(f"{unknown:,} with unknown outcome may have one effect or none")
        if is_whole:
            self._check_overtaken(counts, dead_letter_count)
        lost = is_whole & (log.duty == Duty.ONE) & (counts == 0) & ~self._may_be_none()
        self._report(lost, "was acknowledged and has no effect")
        self._report(
            (log.duty == Duty.NONE) & (counts > 0), "was rejected or not sent, but applied"
        )
        self._report((log.duty != Duty.NONE) & (counts > 1), "was applied more than once")
        self._check_duplicates()
        self._check_durability(counts, lost)

    def _may_be_none(self) -> Mask:
        """
        What may have asked for what already was, so that nothing changed.

        An account of an attached target may have been there before. Of an amendment an effect can
        be demanded where it changes the order, be it that no money moves: a new limit, or another
        quantity of an order that was never filled; and where all that was asked of that order was
        answered at once, so that what it was before is known.
        """
        log = self._log
        may_be: Mask = log.kind == Kind.AMEND
        if self.is_attached:
            may_be |= log.kind == Kind.CREATE_ACCOUNT
        amends = np.flatnonzero((log.kind == Kind.AMEND) & (log.duty != Duty.NONE))
        if not len(amends):
            return may_be
        reserves = np.unique(log.order[amends]).astype(np.int64)  # an order is its reserve's row
        acts = np.concatenate([reserves, amends])
        order = np.concatenate([reserves, log.order[amends].astype(np.int64)])
        in_turn = np.lexsort((acts, order))
        acts, order = acts[in_turn], order[in_turn]
        follows = np.zeros(len(acts), np.bool_)
        follows[1:] = order[1:] == order[:-1]
        matched = np.flatnonzero(log.is_match)
        filled = np.union1d(log.order[matched], log.peer_order[matched])
        changes = _differs(log.price_ticks[acts], follows)
        changes |= _differs(log.qty_lots[acts], follows) & ~np.isin(order, filled)
        unknown = np.unique(order[log.outcome[acts] != Outcome.ACKNOWLEDGED])
        may_be[acts[changes & ~np.isin(order, unknown)]] = False
        return may_be

    def _check_overtaken(self, counts: NDArray[np.int32], dead_letter_count: int | None) -> None:
        """A match that came after the release of its order may be a dead letter; it is not lost."""
        was_produced = self._log.final_outcome == Outcome.ACKNOWLEDGED
        without_effect = np.flatnonzero(self._log.is_overtaken & was_produced & (counts == 0))
        count = len(without_effect)
        if dead_letter_count is not None and count > dead_letter_count:
            self.exactly_once.violate(
                f"of {count:,} matches without an effect, {self._log.describe(without_effect[0])} "
                f"first, {dead_letter_count:,} are dead letters, the others are lost",
                size=count - dead_letter_count,
            )
        elif count:
            self.exactly_once.lacks(
                f"{count:,} matches were not seen before the release that follows them"
            )

    def _check_told(self, part: Transactions, row: Column, firsts: Column) -> None:
        """The journal_seq in a reply is that of its transaction: later reads wait for it."""
        log, rows = self._log, row[firsts]
        told, made = log.told_seq[rows], part.journal_seq[firsts]
        self.exactly_once.violate_all(
            log.tells[rows] & (told != 0) & (told != made),
            lambda index: (
                f"{log.describe(int(rows[index]))} is journal_seq {made[index]}, "
                f"and its reply says {told[index]}"
            ),
            at=part.number[firsts],
        )

    def _check_groups(self, part: Transactions, row: Column, matches: Column) -> None:
        """Both sides of a match must have postings of their own."""
        if not len(matches):
            return
        log, postings = self._log, part.postings
        match_of = np.full(len(part), -1)
        match_of[matches] = np.arange(len(matches))
        match = match_of[postings.owner]
        for account_id in (log.account_id(row[matches]), log.peer_account_id(row[matches])):
            named = (match >= 0) & (postings.account_id == account_id[match].astype(np.uint64))
            is_present = np.zeros(len(matches), np.bool_)
            is_present[match[named]] = True
            self.exactly_once.violate_all(
                ~is_present,
                lambda index, ids=account_id: (  # type: ignore[misc]
                    f"{log.describe(int(row[matches[index]]))}: "
                    f"account {ids[index]} has no postings of it"
                ),
                at=part.number[matches],
                checked_count=len(matches),
            )

    def _check_duplicates(self) -> None:
        """A repeated request gets its original's answer; with another payload it is rejected."""
        log = self._log
        repeated = log.duplicate_of >= 0
        is_same, is_changed = repeated & ~log.is_changed, repeated & log.is_changed
        acknowledged = log.final_outcome == Outcome.ACKNOWLEDGED
        rejected = log.final_outcome == Outcome.REJECTED
        anew = is_same & (log.outcome == Outcome.ACKNOWLEDGED) & ~log.replayed
        # Its original may have been the one that came second: one of the two is the first.
        anew &= ~log.replayed[log.duplicate_of]
        self._report(anew, "repeats a request, but was answered as a new one")
        flipped = is_same & rejected & acknowledged[log.duplicate_of]
        self._report(flipped, "repeats a request that was applied, but was rejected")
        self._report(
            is_changed & acknowledged,
            "reuses the id of a request with another payload, but was accepted",
        )
        other_reason = is_changed & rejected & (log.final_code != contract.IDEMPOTENCY_MISMATCH)
        self._report(
            other_reason, "reuses the id of another request, and was rejected for another reason"
        )

    def _check_durability(self, counts: NDArray[np.int32], lost: NDArray[np.bool_]) -> None:
        if not self._restarts_ns:
            return
        log = self._log
        before = (log.done_ns > 0) & (log.done_ns <= max(self._restarts_ns))
        promised = before & (log.outcome == Outcome.ACKNOWLEDGED) & (log.duplicate_of < 0)
        self.durable.checked_count += int(np.count_nonzero(promised))

        def describe(row: int) -> str:
            how = "is gone" if counts[row] < 1 else f"is there {counts[row]} times"
            return f"{log.describe(row)} was acknowledged before a kill and {how}"

        self.durable.violate_all(promised & (lost | (counts > 1)), describe)

    def _report(self, broken: NDArray[np.bool_], what: str) -> None:
        self.exactly_once.violate_all(broken, lambda row: f"{self._log.describe(row)} {what}")


def _differs(values: Column, follows: Mask) -> Mask:
    """
    Where a row changes its order's terms.

    *follows*: it has a row of its order before it. 0 repeats the terms of that one.
    """
    places = np.arange(len(values))
    said = np.maximum.accumulate(np.where((values > 0) | ~follows, places, 0))
    terms = values[said] if len(values) else values
    differs = np.zeros(len(values), np.bool_)
    differs[1:] = follows[1:] & (terms[1:] != terms[:-1])
    return differs
