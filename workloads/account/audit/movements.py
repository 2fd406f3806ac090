"""
What each transaction changes: its postings summed by account, asset and bucket.

Accounts, assets and buckets are numbered as they appear, so that a place can be computed with.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from workloads.account.audit.grouped import Groups, Numbering, exact, exact_together
from workloads.account.audit.ledger_table import Postings
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.column_types import Column, ColumnTable, Words

Effect = dict[tuple[int, int, int], int]
"""Change in minor units by (account_id, asset_id, bucket); no zeros."""

AVAILABLE: int = contract.AVAILABLE
LOCKED_ORDERS: int = contract.LOCKED_ORDERS
LOCKED_WITHDRAWAL: int = contract.LOCKED_WITHDRAWAL
FEES: int = contract.FEES
EXTERNAL: int = contract.EXTERNAL
BUCKETS = ("available", "locked_orders", "locked_isolated", "locked_withdrawal")
_ASSET_BITS = 20


class Places:
    """The numbers of everything that has a balance; a legal bucket's number is the bucket."""

    def __init__(self) -> None:
        self.accounts = Numbering(np.zeros(0, np.uint64))
        self.assets = Numbering(np.zeros(0, np.int64))
        self.buckets = Numbering(np.arange(len(BUCKETS)))

    def pair(self, account: Column, asset: Column) -> Column:
        """One number for an account and an asset, by their numbers."""
        assert len(self.assets) < 1 << _ASSET_BITS, "an exchange with fewer than a million assets"
        return account << _ASSET_BITS | asset

    def account_ids(self, pair: Column) -> Words:
        found: Words = self.accounts.ids[pair >> _ASSET_BITS]
        return found

    def asset_ids(self, pair: Column) -> Column:
        found: Column = self.assets.ids[pair & ((1 << _ASSET_BITS) - 1)]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Movements(ColumnTable):
    """
    A row for each transaction (*owner*), account, asset and bucket whose amount changes.

    In that order; a sum of 0 is no row. Accounts, assets and buckets by their numbers.
    """

    owner: Column
    account: Column
    asset: Column
    bucket: Column
    delta_minor: Column

    def of(self, places: Places, owner: int) -> Effect:
        first, last = np.searchsorted(self.owner, (owner, owner + 1))
        keys = zip(
            places.accounts.ids[self.account[first:last]].tolist(),
            places.assets.ids[self.asset[first:last]].tolist(),
            places.buckets.ids[self.bucket[first:last]].tolist(),
            strict=True,
        )
        return dict(zip(keys, self.delta_minor[first:last].tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(ColumnTable):
    """Rows like postings: who (*owner*: a transaction) moves how much where."""

    owner: Column
    account_id: Words
    asset_id: Column
    bucket: Column
    delta_minor: Column

    @classmethod
    def of(
        cls, owner: Column, account_id: Any, asset_id: Any, bucket: int, delta_minor: Column
    ) -> Self:
        """Lines of one bucket; an account or asset is one for all, or one a line."""
        count = len(owner)
        return cls(
            owner=owner,
            account_id=np.broadcast_to(np.asarray(account_id, np.uint64), count),
            asset_id=np.broadcast_to(np.asarray(asset_id, np.int64), count),
            bucket=np.full(count, bucket),
            delta_minor=delta_minor,
        )


def movements(places: Places, lines: Lines | Postings) -> Movements:
    return _summed(
        places,
        Movements(
            owner=lines.owner,
            account=places.accounts.of(lines.account_id),
            asset=places.assets.of(lines.asset_id),
            bucket=places.buckets.of(lines.bucket),
            delta_minor=lines.delta_minor,
        ),
    )


def differing(places: Places, expected: Movements, actual: Movements) -> Column:
    """The transactions whose *actual* movements are not the *expected* ones."""
    if all(
        np.array_equal(getattr(expected, item.name), getattr(actual, item.name))
        for item in fields(Movements)
    ):
        return np.zeros(0, np.int64)
    surplus = replace(
        Movements.joined([actual, expected]),
        delta_minor=exact_together(actual.delta_minor, -expected.delta_minor),
    )
    return np.unique(_summed(places, surplus).owner)


def _summed(places: Places, rows: Movements) -> Movements:
    """One row a place and transaction, in their order; none for a sum of 0."""
    asset_count, bucket_count = len(places.assets), len(places.buckets)
    place = (rows.owner * len(places.accounts) + rows.account) * asset_count + rows.asset
    groups = Groups(place * bucket_count + rows.bucket)
    sums = groups.sums(exact(rows.delta_minor))
    kept = groups.order[groups.first[sums != 0]]
    return replace(rows.rows(kept), delta_minor=sums[sums != 0])
