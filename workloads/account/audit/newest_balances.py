"""The newest balances that acct.balances.v1 told, by account and asset."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workloads.account.audit.grouped import Groups, Numbering
from workloads.account.audit.movements import BUCKETS, Places
from workloads.account.audit.update_table import Updates
from workloads.account.wire.column_types import Column

_BUCKET_COUNT = len(BUCKETS)


class ToldBalances:
    """Fed with every record, in order; a repeated one of an older state changes nothing."""

    def __init__(self) -> None:
        self._places = Places()
        self._pairs = Numbering(np.zeros(0, np.int64))  # of account and asset
        self._seq: Column = np.zeros(0, np.int64)  # by pair
        self._amounts: NDArray[np.int64] = np.zeros((0, _BUCKET_COUNT), np.int64)

    def take(self, updates: Updates) -> None:
        told = updates.balances
        if not len(told):
            return
        account = self._places.accounts.of(updates.account_id)[told.owner]
        asset = self._places.assets.of(told.asset_id)
        pair = self._pairs.of(self._places.pair(account, asset))
        self._grow(len(self._pairs))
        seq = updates.account_seq[told.owner]
        rows = _newest(pair, seq)
        pair, seq = pair[rows], seq[rows]
        is_newer = seq >= self._seq[pair]
        rows, pair = rows[is_newer], pair[is_newer]
        self._seq[pair] = seq[is_newer]
        for bucket, column in enumerate(told.buckets):
            self._amounts[pair, bucket] = column[rows]

    def result(self) -> Mapping[tuple[int, int], tuple[int, ...]]:
        """Amounts by account_id and asset_id, in the order of the contract's buckets."""
        pairs = self._pairs.ids
        accounts = self._places.account_ids(pairs).tolist()
        assets = self._places.asset_ids(pairs).tolist()
        amounts = map(tuple, self._amounts[: len(pairs)].tolist())
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
