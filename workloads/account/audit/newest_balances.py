"""The newest balances that acct.balances.v1 told, by account and asset."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workloads.account.audit.grouped import Groups, Numbering
from workloads.account.audit.update_table import Updates
from workloads.account.wire.column_types import Column

_ASSET_BITS = 20
_BUCKET_COUNT = 4


class ToldBalances:
    """Fed with every record, in order; what is told again, of an older state, changes nothing."""

    def __init__(self) -> None:
        self._accounts = Numbering(np.zeros(0, np.uint64))
        self._assets = Numbering(np.zeros(0, np.int64))
        self._places = Numbering(np.zeros(0, np.int64))
        self._seq: Column = np.zeros(0, np.int64)  # by place
        self._amounts: NDArray[np.int64] = np.zeros((0, _BUCKET_COUNT), np.int64)

    def take(self, updates: Updates) -> None:
        """Some records."""
        told = updates.balances
        if not len(told):
            return
        account = self._accounts.of(updates.account_id)[told.owner]
        asset = self._assets.of(told.asset_id)
        assert len(self._assets) < 1 << _ASSET_BITS, "an exchange with fewer than a million assets"
        place = self._places.of(account << _ASSET_BITS | asset)
        self._grow(len(self._places))
        seq = updates.account_seq[told.owner]
        rows = _newest(place, seq)
        place, seq = place[rows], seq[rows]
        is_newer = seq >= self._seq[place]
        rows, place = rows[is_newer], place[is_newer]
        self._seq[place] = seq[is_newer]
        amounts = (
            told.available_minor,
            told.locked_orders_minor,
            told.locked_isolated_minor,
            told.locked_withdrawal_minor,
        )
        for bucket, column in enumerate(amounts):
            self._amounts[place, bucket] = column[rows]

    def result(self) -> Mapping[tuple[int, int], tuple[int, ...]]:
        """Amounts by account_id and asset_id, in the order of the contract's buckets."""
        places = self._places.ids
        accounts = self._accounts.ids[places >> _ASSET_BITS].tolist()
        assets = self._assets.ids[places & ((1 << _ASSET_BITS) - 1)].tolist()
        amounts = map(tuple, self._amounts[: len(places)].tolist())
        return dict(zip(zip(accounts, assets, strict=True), amounts, strict=True))

    def _grow(self, count: int) -> None:
        missing = count - len(self._seq)
        if missing > 0:
            room = max(missing, len(self._seq))  # twice as many: grown seldom
            self._seq = np.append(self._seq, np.full(room, -1))
            more = np.zeros((room, _BUCKET_COUNT), np.int64)
            self._amounts = np.concatenate([self._amounts, more])


def _newest(place: Column, seq: Column) -> Column:
    """The row of each place with the highest number, the last of those that share it."""
    groups = Groups(place)
    ordered = seq[groups.order]
    goes_back = (ordered[1:] < ordered[:-1]) & (groups.number[1:] == groups.number[:-1])
    if not goes_back.any():
        return groups.last
    order = np.lexsort((np.arange(len(seq)), seq, place))
    rows: Column = order[groups.end - 1]
    return rows
