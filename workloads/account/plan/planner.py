"""
A shard's plan: the arrivals of the whole run, this shard's share of them, and what each sends.

Offsets are drawn for the whole run and dealt to shards, so the total is exactly the process asked
for, whatever the number of load processes. All chance comes from the seed and a stream number; the
same arguments give the same plan, byte for byte.

Columns of a plan (what the audit must know of each operation):
    account          the account's index (id - FIRST_ACCOUNT_ID); of a fill: the taker's
    peer_account     of a fill the maker's, of an internal transfer the receiver's; else the same
    instrument       instrument_id, 0 for none
    side             Side of the order; of a fill: the taker's
    price_ticks      the limit; of a fill: the trade price
    qty_lots         of the order; of a fill: traded; of an amend: what is to be left, 0 keeps it
    order            index of the order's reserve; of a fill: the taker's
    peer_order       of a fill: index of the maker's reserve
    duplicate_of     index of the write that is repeated
    asset            asset_id of a transfer
    amount_minor     of a transfer; < 0 is a withdrawal
    creates_account  the flag of a transfer
and, where the workload has such:
    pending          of a post or void: index of its first phase
    write            of a read: index of the write that it must see, -1 for none
    from_seq         of a ledger page: account_seq of the first entry that is asked for
    is_changed       of a duplicate: it asks for something else than what it repeats
    is_ioc           of a reserve: the engine matches it at once
    is_derived       it is there because of another operation: the arrivals and the mix know it not
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals import offsets_ns
from harness.model.scenario import LoadTransport, Scenario
from harness.system import ShardPlan
from workloads.account.plan.accounts import (
    generator,
    make_accounts,
    shard_accounts,
    shard_of_slots,
)
from workloads.account.plan.drawn import ShardShare
from workloads.account.plan.mixed import mixed_table
from workloads.account.plan.pages import with_pages
from workloads.account.plan.sweeps import sweep_table
from workloads.account.plan.table import PlanTable, arranged, with_disturbed_records
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.terms.workload import parse_workload
from workloads.account.wire.kinds import ON_STREAM, RECORDS, Kind

_RECORDS = 7  # a stream of chance, see accounts.py


def make_plan(scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
    """The operations of one shard."""
    workload = parse_workload(scenario.workload)
    accounts = make_accounts(workload, workload.listed, seed=seed)
    offsets = offsets_ns(
        scenario.arrivals,
        warmup_ns=scenario.warmup_ns,
        measure_ns=scenario.measure_ns,
        seed=seed,
    )
    dealt = shard_of_slots(accounts, len(offsets), shard_count=shard_count, seed=seed)
    share = ShardShare(
        workload=workload,
        market=workload.listed,
        accounts=accounts,
        own=shard_accounts(accounts, shard=shard, shard_count=shard_count),
        offset_ns=offsets[dealt == shard],
        seed=seed,
        shard=shard,
        shard_count=shard_count,
    )
    table = sweep_table(share) if workload.sweeps is not None else mixed_table(share)
    chance = generator(seed, _RECORDS, shard)
    table = with_pages(arranged(with_disturbed_records(table, workload, chance)), share)
    return ShardPlan(
        shard=shard,
        shard_count=shard_count,
        intended_offset_ns=table.offset_ns,
        kind=table.kind,
        needs_a=table.needs_a,
        needs_b=table.needs_b,
        after=table.after,
        stream=_streams(table, scenario.load.transport),
        late_by=table.late_by,
        columns=table.columns,
    )


def _streams(table: PlanTable, transport: LoadTransport) -> NDArray[np.int32]:
    """A record's instrument; on standing streams, the account's own lane."""
    instrument = table.columns["instrument"].astype(np.int32)
    streams = np.where(_is_of(RECORDS)[table.kind], instrument, np.int32(-1))
    if transport is LoadTransport.STREAM:
        goes = _is_of(ON_STREAM)[table.kind]
        streams[goes] = table.columns["account"][goes]
    return streams


def _is_of(kinds: Sequence[Kind]) -> NDArray[np.bool_]:
    return np.array([kind in kinds for kind in Kind])


def account_ids(scenario: Scenario, *, seed: int) -> tuple[int, ...]:
    """Every account that a run is about: those that exist at its start, and those that it makes."""
    workload = parse_workload(scenario.workload)
    indices = np.arange(workload.accounts.count, dtype=np.int64)
    if workload.new_accounts or workload.mix.create_account:
        shard_count = scenario.load.worker_count
        for shard in range(shard_count):
            plan = make_plan(scenario, seed=seed, shard=shard, shard_count=shard_count)
            makes = plan.columns["creates_account"] | (plan.kind == Kind.CREATE_ACCOUNT)
            indices = np.union1d(indices, plan.columns["account"][makes].astype(np.int64))
    return tuple((indices + FIRST_ACCOUNT_ID).tolist())
