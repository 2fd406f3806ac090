"""
Attributes an incorrect transaction to the invariant it violates.

Each difference counts against one invariant: fees, locks, or (what neither explains) the effect.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from workloads.account.audit.effects import EffectFold
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.movements import (
    AVAILABLE,
    BUCKETS,
    FEES,
    LOCKED_ORDERS,
    LOCKED_WITHDRAWAL,
    Effect,
)
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """
    A transaction whose effect is not the expected one.

    Attributes:
        part, index: Where it stands on the ledger.
        row_index: Of the operation that asked for it.
        leg_fees_minor: Of a match: what each order must pay, by order_id.
        is_balanced: It sums to 0 in every asset.
    """

    part: Transactions
    index: int
    row_index: int
    expected: Effect
    actual: Effect
    leg_fees_minor: Mapping[int, int]
    is_balanced: bool

    @property
    def number(self) -> int:
        """Among all records of the ledger."""
        return self.part.first_index + self.index

    def fees_paid_minor(self) -> dict[int, int]:
        """What it moved to FEES by order_id, as far as its postings name orders."""
        postings = self.part.postings
        first, last = self.part.first_posting[self.index : self.index + 2].tolist()
        paid_minor: dict[int, int] = defaultdict(int)
        for line in range(first, last):
            if postings.account_id[line] == FEES and postings.order_id[line]:
                paid_minor[int(postings.order_id[line])] += int(postings.delta_minor[line])
        return paid_minor


class Attribution:
    """Attributes an incorrect transaction to the invariant that it violates."""

    def __init__(
        self, log: OperationLog, *, locks: Tally, fees: Tally, effects: EffectFold
    ) -> None:
        self._log, self._locks, self._fees, self._effects = log, locks, fees, effects

    def attribute(self, suspect: Suspect) -> None:
        """Report each difference; that a transaction does not sum to 0 violates I1 alone."""
        seq = suspect.part.journal_seq[suspect.index]
        what = f"{self._log.describe(suspect.row_index)} at journal_seq {seq}"
        fees_off_minor: dict[int, int] = defaultdict(int)  # by asset: too much or too little
        users: dict[tuple[int, int], int] = defaultdict(int)
        has_wrong_bucket = False
        for key in {**suspect.expected, **suspect.actual}:
            account_id, asset_id, bucket = key
            wanted, got = suspect.expected.get(key, 0), suspect.actual.get(key, 0)
            if wanted == got:
                continue
            if account_id == FEES:
                fees_off_minor[asset_id] += abs(got - wanted)
                self._fees.violate(
                    f"{what}: fee {got} in asset {asset_id}, must be {wanted}",
                    size=abs(got - wanted),
                    at=suspect.number,
                )
                continue
            users[account_id, asset_id] += got - wanted
            has_wrong_bucket |= bucket != AVAILABLE
            if bucket == LOCKED_ORDERS:
                self._locks.violate(
                    f"{what}: moved the lock of account {account_id} by {got}, must be {wanted}",
                    size=abs(got - wanted),
                    at=suspect.number,
                )
            elif bucket != AVAILABLE:
                self._effects.wrong(
                    suspect.row_index,
                    f"{_moved(account_id, asset_id, bucket, got)}, must be {wanted}",
                    size=abs(got - wanted),
                    at=suspect.number,
                )
        legs_off_minor = self._check_legs(suspect, what, is_reported=not fees_off_minor)
        # A wrong fee is missing to who paid it: that is one fault. What goes beyond it is another.
        wrong = {
            (account_id, asset_id): delta
            for (account_id, asset_id), delta in users.items()
            if abs(delta) > fees_off_minor.get(asset_id, 0) + legs_off_minor
        }
        if wrong and suspect.is_balanced:
            (account_id, asset_id), delta = max(wrong.items(), key=lambda item: abs(item[1]))
            self._effects.wrong(
                suspect.row_index,
                f"account {account_id} changed by {delta:+} of asset {asset_id} beyond the request",
                size=abs(delta),
                at=suspect.number,
            )
        elif suspect.is_balanced and not (fees_off_minor or legs_off_minor or has_wrong_bucket):
            self._effects.wrong(
                suspect.row_index,
                f"differs from the request at journal_seq {seq}",
                size=0,
                at=suspect.number,
            )

    def _check_legs(self, suspect: Suspect, what: str, *, is_reported: bool) -> int:
        """How far the fees of the sides are off, as far as FEES names them; reports the first."""
        paid_minor = suspect.fees_paid_minor()
        if not paid_minor:
            return 0
        off_minor = {
            order_id: abs(paid_minor[order_id] - must_be)
            for order_id, must_be in suspect.leg_fees_minor.items()
            if paid_minor[order_id] != must_be
        }
        if off_minor and is_reported:
            order_id, size = next(iter(off_minor.items()))
            self._fees.violate(
                f"{what}: order {order_id:#018x} paid a fee of {paid_minor[order_id]}, "
                f"must be {suspect.leg_fees_minor[order_id]}",
                size=size,
                at=suspect.number,
            )
        return sum(off_minor.values())


def _moved(account_id: int, asset_id: int, bucket: int, delta_minor: int) -> str:
    if bucket == LOCKED_WITHDRAWAL:
        return f"locked {delta_minor} of asset {asset_id} for a withdrawal"
    name = BUCKETS[bucket] if 0 <= bucket < len(BUCKETS) else f"bucket {bucket}"
    return f"moved {delta_minor} of asset {asset_id} of account {account_id} to {name}"
