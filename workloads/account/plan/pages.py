"""
From where a ledger page begins: a client reads the newest entries, or pages further back.

How many entries an account has when the page is asked for is known as far as the plan goes: one for
each operation that touches it and is planned before. What is not answered by then makes a page a
little short, which is what a client at the end of a ledger sees too.
"""

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.accounts import generator
from workloads.account.plan.drawn import ShardShare
from workloads.account.plan.table import PlanTable
from workloads.account.wire.kinds import MATCHES, READS, Kind

_PAGES = 9  # a stream of chance, see accounts.py
_OLDER_SHARE = 0.5  # of the pages, one further back; of those again, one further back ...


def with_pages(table: PlanTable, share: ShardShare) -> PlanTable:
    """*table* with the column from_seq, if it has ledger pages."""
    if not share.workload.mix.list_ledger:
        return table
    chance = generator(share.seed, _PAGES, share.shard)
    pages = np.flatnonzero(table.kind == Kind.LIST_LEDGER)
    back_count = chance.geometric(1 - _OLDER_SHARE, len(pages))
    newest = _entries_before(table, share, pages)
    from_seq = np.zeros(len(table), np.uint32)
    from_seq[pages] = np.maximum(1, newest + 1 - back_count * share.workload.page)
    table.columns["from_seq"] = from_seq
    return table


def _entries_before(
    table: PlanTable, share: ShardShare, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many ledger entries the account of each of *rows* should have by then."""
    columns, count = table.columns, len(table)
    is_write = ~np.isin(table.kind, (*READS, Kind.REPEAT)) & (columns["duplicate_of"] < 0)
    has_peer = np.isin(table.kind, (*MATCHES, Kind.INTERNAL_TRANSFER))
    account = columns["account"].astype(np.int64)
    peer = columns["peer_account"].astype(np.int64)
    writes, pairs = np.flatnonzero(is_write), np.flatnonzero(has_peer)
    touched = np.concatenate([account[writes] * count + writes, peer[pairs] * count + pairs])
    touched.sort()
    before = np.searchsorted(touched, account[rows] * count + rows)
    planned = before - np.searchsorted(touched, account[rows] * count)
    held = np.diff(share.accounts.held_start)
    seeded = np.zeros(len(rows), np.int64)
    existed = account[rows] < len(held)
    seeded[existed] = 1 + held[account[rows[existed]]]  # about: a quote asset, and the bases
    entries: NDArray[np.int64] = seeded + planned
    return entries
