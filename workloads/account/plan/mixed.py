"""
A plan by the mix: what the walk decided, with accounts, terms and amounts for each row.

Every slot draws as if it were a new order or transfer; one that acts on an earlier operation takes
over the account and terms of that *subject*.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.accounts import generator, instruments_of
from workloads.account.plan.drawn import (
    ShardShare,
    crossing_ticks,
    draw_others,
    draw_sides,
    draw_sizes,
    resting_ticks,
)
from workloads.account.plan.rows import Slots, Walked
from workloads.account.plan.table import Columns, PlanTable
from workloads.account.plan.walk import walk
from workloads.account.wire.kinds import Kind

REFUSED_QTY_LOTS = 2_000_000_000  # more than any account can pay for, and far below an overflow

_SLOTS, _WALK, _AMOUNTS, _CHANGES = 4, 5, 6, 8  # streams of chance, see accounts.py
_AMOUNT_MINOR_MAX = 1_000_000
_PHASES = (Kind.PEND, Kind.POST, Kind.VOID)
_CHANGED_BY = {  # what a duplicate that asks for something else has one more of
    Kind.RESERVE: "qty_lots",
    Kind.AMEND: "price_ticks",
    Kind.TRANSFER: "amount_minor",
    Kind.PEND: "amount_minor",
    Kind.POST: "amount_minor",
    Kind.VOID: "amount_minor",
}


def mixed_table(share: ShardShare) -> PlanTable:
    """The operations of a shard, those that follow from others behind the slots."""
    slots = _draw_slots(share)
    chance = random.Random(int(generator(share.seed, _WALK, share.shard).integers(2**63)))
    walked = walk(slots, share.workload, chance, mid_ticks=share.market.mid_ticks)
    drawn = _Drawn(share=share, slots=slots, walked=walked)
    amounts = generator(share.seed, _AMOUNTS, share.shard)
    columns = _order_columns(drawn, amounts)
    columns |= _transfer_columns(drawn, columns, amounts)
    columns |= _occasional_columns(drawn)
    _make_accounts_new(columns, drawn)
    _follow_others(columns, drawn)
    is_act = np.isin(walked.kind, (Kind.RELEASE, Kind.AMEND)) & (walked.original < 0)
    return PlanTable(
        offset_ns=walked.offset_ns,
        kind=walked.kind,
        needs_a=walked.needs_a,
        needs_b=walked.needs_b,
        after=np.where(is_act, walked.after, np.int32(-1)),
        late_by=np.zeros(0, np.uint8),
        columns=columns,
    )


def _draw_slots(share: ShardShare) -> Slots:
    chance = generator(share.seed, _SLOTS, share.shard)
    workload, count = share.workload, len(share.offset_ns)
    account = share.own.draw(chance.random(count))
    sizes = draw_sizes(chance, count)
    is_refused = chance.random(count) < workload.insufficient
    by_mix = chance.random(count)
    life_ns = (chance.standard_exponential(count) * workload.order_life).astype(np.int64)
    instrument = instruments_of(share.accounts, account, chance.random(count))
    side = draw_sides(chance.random(count))
    limit_ticks = np.zeros(0, dtype=np.int32)
    if workload.reprice:
        limit_ticks = resting_ticks(share.market, instrument, side, chance.random(count))
    return Slots(
        offset_ns=share.offset_ns,
        chance=by_mix,
        life_ns=life_ns,
        account=account,
        instrument=instrument,
        side=side,
        qty_lots=np.where(is_refused, REFUSED_QTY_LOTS, sizes).astype(np.int32),
        limit_ticks=limit_ticks,
        is_refused=is_refused,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What columns are made of."""

    share: ShardShare
    slots: Slots
    walked: Walked

    @property
    def subject(self) -> NDArray[np.int64]:
        """The slot whose terms each row has: its own, or that of what it acts on."""
        walked = self.walked
        earlier = np.maximum(np.maximum(walked.order, walked.original), walked.pending)
        return np.where(earlier >= 0, earlier, np.arange(len(earlier)))

    @property
    def own(self) -> NDArray[np.int64]:
        """The slot of each row; of one that follows from a slot, its subject."""
        rows = np.arange(len(self.walked.kind))
        return np.where(rows < self.walked.slot_count, rows, self.subject)


def _order_columns(drawn: _Drawn, chance: np.random.Generator) -> Columns:
    slots, walked, subject = drawn.slots, drawn.walked, drawn.subject
    kind, maker = walked.kind, np.maximum(walked.peer_order, 0)
    is_fill, is_amend = kind == Kind.FILL, kind == Kind.AMEND
    has_terms = is_fill | is_amend | (kind == Kind.RESERVE)
    has_order = has_terms | (kind == Kind.RELEASE) | (kind == Kind.ORDER_EVENT)
    instrument, side = slots.instrument[subject], slots.side[subject]
    price: NDArray[np.int64] | NDArray[np.int32] = walked.ticks
    lots = np.where(is_fill, walked.fill_lots, slots.qty_lots[drawn.own])
    if drawn.share.workload.reprice:
        lots = np.where(is_amend, 0, lots)
    else:
        limit = crossing_ticks(drawn.share.market, instrument, side, chance.random(len(kind)))
        # A trade is at the limit of the order that was there first: the maker, as last amended.
        price = np.where(is_fill, limit[np.maximum(walked.needs_b, 0)], limit)
        lots = np.where(is_amend & slots.is_refused[drawn.own], slots.qty_lots[subject], lots)
    account = slots.account[subject]
    return {
        "account": account,
        "peer_account": np.where(is_fill, slots.account[maker], account),
        "instrument": np.where(has_order, instrument, 0).astype(np.uint16),
        "side": np.where(has_order, side, 0).astype(np.uint8),
        "price_ticks": np.where(has_terms, price, 0).astype(np.int32),
        "qty_lots": np.where(has_terms, lots, 0).astype(np.int32),
        "order": walked.order,
        "peer_order": walked.peer_order,
    }


def _transfer_columns(drawn: _Drawn, columns: Columns, chance: np.random.Generator) -> Columns:
    kind, subject = drawn.walked.kind, drawn.subject
    count, workload = len(kind), drawn.share.workload
    is_internal = kind == Kind.INTERNAL_TRANSFER
    is_transfer = (kind == Kind.TRANSFER) | is_internal | np.isin(kind, _PHASES)
    receiver = draw_others(drawn.share.own, columns["account"], chance.random(count))
    amount = chance.integers(1, _AMOUNT_MINOR_MAX, size=count, endpoint=True)
    withdraws = ~is_internal & (chance.random(count) < workload.withdrawals)
    listed, traded = drawn.share.market, drawn.slots.instrument[drawn.own].astype(np.int64) - 1
    asset = np.where(
        chance.random(count) < 0.5, listed.quote_asset_id[traded], listed.base_asset_id[traded]
    )
    return {
        "peer_account": np.where(is_internal, receiver, columns["peer_account"]),
        "duplicate_of": drawn.walked.original,
        "asset": np.where(is_transfer, asset[subject], 0).astype(np.uint16),
        "amount_minor": np.where(
            is_transfer, np.where(withdraws, -amount, amount)[subject], 0
        ).astype(np.int32),
        "creates_account": np.zeros(count, dtype=np.bool_),
    }


def _occasional_columns(drawn: _Drawn) -> Columns:
    """Those that only some workloads have; the same ones in every shard."""
    walked, workload = drawn.walked, drawn.share.workload
    mix, columns = workload.mix, Columns()
    if mix.pend:
        columns["pending"] = walked.pending
    if mix.get_balances or mix.list_ledger:
        columns["write"] = walked.write
    if mix.ioc:
        columns["is_ioc"] = walked.is_ioc
    if mix.ioc or workload.repeated_records:
        columns["is_derived"] = np.arange(len(walked.kind)) >= walked.slot_count
    if workload.changed_duplicates:
        chance = generator(drawn.share.seed, _CHANGES, drawn.share.shard)
        drawn_changed = chance.random(len(walked.kind)) < workload.changed_duplicates
        columns["is_changed"] = drawn_changed & (walked.original >= 0)
    return columns


def _make_accounts_new(columns: Columns, drawn: _Drawn) -> None:
    """Give new accounts of this shard indices after the existing ones."""
    share, walked = drawn.share, drawn.walked
    chance = generator(share.seed, _AMOUNTS, share.shard, 1)
    first_time = (walked.kind == Kind.TRANSFER) & (walked.original < 0)
    creates = first_time & (chance.random(len(walked.kind)) < share.workload.new_accounts)
    is_new = creates | (walked.kind == Kind.CREATE_ACCOUNT)
    shard_count = share.shard_count
    base = -(-share.workload.accounts.count // shard_count) * shard_count + share.shard
    fresh = base + np.arange(int(is_new.sum())) * shard_count
    columns["account"][is_new] = fresh
    columns["peer_account"][is_new] = fresh
    columns["amount_minor"][creates] = np.abs(columns["amount_minor"][creates])
    columns["creates_account"][creates] = True


def _follow_others(columns: Columns, drawn: _Drawn) -> None:
    """A repeated request is the same in every field, or in all but one; a read is of its write."""
    walked = drawn.walked
    repeats = np.flatnonzero(walked.original >= 0)
    for name in columns.keys() - {"duplicate_of", "is_changed", "is_derived", "is_ioc"}:
        columns[name] = _writable(columns[name])
        columns[name][repeats] = columns[name][walked.original[repeats]]
    if "is_changed" in columns:
        for kind, name in _CHANGED_BY.items():
            columns[name][columns["is_changed"] & (walked.kind == kind)] += 1
    if "write" in columns:
        reads = np.flatnonzero(walked.write >= 0)
        for name in ("account", "peer_account"):
            columns[name][reads] = columns[name][walked.write[reads]]


def _writable(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values if values.flags.writeable else values.copy()
