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
    qty_lots         of the order; of a fill: traded; of an amend: what is to be left
    order            index of the order's reserve; of a fill: the taker's
    peer_order       of a fill: index of the maker's reserve
    duplicate_of     index of the transfer that is repeated
    asset            asset_id of a transfer
    amount_minor     of a transfer; < 0 is a withdrawal
    creates_account  the flag of a transfer
"""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals import offsets_ns
from harness.model.scenario import Scenario
from harness.system import ShardPlan
from workloads.account.contract.accounts_pb2 import BUY, SELL
from workloads.account.plan.accounts import (
    FIRST_ACCOUNT_ID,
    Accounts,
    ShardAccounts,
    generator,
    instruments_of,
    make_accounts,
    shard_accounts,
    shard_of_slots,
)
from workloads.account.plan.kinds import Kind
from workloads.account.plan.market import BASE_ASSET_OFFSET, QUOTE_ASSET_ID, Market, market
from workloads.account.plan.parameters import Workload, parse_workload
from workloads.account.plan.walk import Slots, Walked, walk

REFUSED_QTY_LOTS = 2_000_000_000  # more than any account can pay for, and far below an overflow

_SLOTS, _WALK, _AMOUNTS = 4, 5, 6  # streams of chance, see accounts.py
_SIZE_FACES = 6  # order size 1 + U U U lots, each U uniform over 0..5 (exchange-core's generator)
_LIMIT_OFFSET_MAX = 0.005  # limits lie up to 0.5 % on the far side of the mid, so that pairs cross
_AMOUNT_MINOR_MAX = 1_000_000


Columns = dict[str, NDArray[Any]]


def make_plan(scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
    """The operations of one shard."""
    workload = parse_workload(scenario.workload)
    listed = market(workload.instruments)
    accounts = make_accounts(workload, listed, seed=seed)
    offsets = offsets_ns(
        scenario.arrivals,
        warmup_ns=scenario.warmup_ns,
        measure_ns=scenario.measure_ns,
        seed=seed,
    )
    dealt = shard_of_slots(accounts, len(offsets), shard_count=shard_count, seed=seed)
    own = shard_accounts(accounts, shard=shard, shard_count=shard_count)
    chance = generator(seed, _SLOTS, shard)
    slots = _draw_slots(workload, accounts, own, offsets[dealt == shard], chance)
    walked = walk(slots, workload, _walk_chance(seed, shard))
    shard_slots = _ShardSlots(market=listed, accounts=own, slots=slots, walked=walked)
    amounts = generator(seed, _AMOUNTS, shard)
    columns = _order_columns(shard_slots, amounts)
    columns |= _transfer_columns(shard_slots, columns, workload, amounts)
    _make_accounts_new(columns, walked, workload, shard=shard, shard_count=shard_count, seed=seed)
    is_fill = walked.kind == Kind.FILL
    is_release = walked.kind == Kind.RELEASE
    return ShardPlan(
        shard=shard,
        shard_count=shard_count,
        intended_offset_ns=slots.offset_ns,
        kind=walked.kind,
        needs_a=np.maximum(walked.order, walked.original),
        needs_b=walked.peer_order,
        after=np.where(is_release, walked.after, np.int32(-1)),
        stream=np.where(is_fill, columns["instrument"], -1).astype(np.int32),
        columns=columns,
    )


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


def _walk_chance(seed: int, shard: int) -> random.Random:
    return random.Random(int(generator(seed, _WALK, shard).integers(2**63)))


def _draw_slots(
    workload: Workload,
    accounts: Accounts,
    own: ShardAccounts,
    offset_ns: NDArray[np.int64],
    chance: np.random.Generator,
) -> Slots:
    count = len(offset_ns)
    account = own.draw(chance.random(count))
    faces = chance.integers(_SIZE_FACES, size=(3, count), dtype=np.int32)
    is_refused = chance.random(count) < workload.insufficient
    qty_lots = np.where(is_refused, REFUSED_QTY_LOTS, 1 + faces.prod(axis=0, dtype=np.int32))
    return Slots(
        offset_ns=offset_ns,
        chance=chance.random(count),
        life_ns=(chance.standard_exponential(count) * workload.order_life).astype(np.int64),
        account=account,
        instrument=instruments_of(accounts, account, chance.random(count)),
        side=np.where(chance.random(count) < 0.5, BUY, SELL).astype(np.uint8),
        qty_lots=qty_lots.astype(np.int32),
        is_refused=is_refused,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShardSlots:
    """
    What columns are made of.

    Every slot draws as if it were a new order or transfer; one that acts on an earlier operation
    takes over the account and terms of that *subject*.
    """

    market: Market
    accounts: ShardAccounts
    slots: Slots
    walked: Walked

    @property
    def subject(self) -> NDArray[np.int64]:
        """The reserve or transfer that each slot is about: its own, or an earlier one."""
        earlier = np.maximum(self.walked.order, self.walked.original)
        return np.where(earlier >= 0, earlier, np.arange(len(earlier)))


def _order_columns(shard: _ShardSlots, chance: np.random.Generator) -> Columns:
    slots, walked, subject = shard.slots, shard.walked, shard.subject
    kind, maker = walked.kind, np.maximum(walked.peer_order, 0)
    is_fill, is_amend = kind == Kind.FILL, kind == Kind.AMEND
    has_terms = is_fill | is_amend | (kind == Kind.RESERVE)
    has_order = has_terms | (kind == Kind.RELEASE)
    instrument, side = slots.instrument[subject], slots.side[subject]
    limit = _limit_ticks(shard.market, instrument, side, chance.random(len(kind)))
    # A trade is at the limit of the order that was there first: the maker.
    price = np.where(is_fill, limit[maker], limit)
    lots = np.where(is_fill, walked.fill_lots, slots.qty_lots)
    lots = np.where(is_amend & slots.is_refused, slots.qty_lots[subject], lots)
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


def _transfer_columns(
    shard: _ShardSlots, columns: Columns, workload: Workload, chance: np.random.Generator
) -> Columns:
    kind, subject, count = shard.walked.kind, shard.subject, len(shard.walked.kind)
    is_internal = kind == Kind.INTERNAL_TRANSFER
    is_transfer = (kind == Kind.TRANSFER) | is_internal
    receiver = _others(shard.accounts, columns["account"], chance.random(count))
    amount = chance.integers(1, _AMOUNT_MINOR_MAX, size=count, endpoint=True)
    withdraws = ~is_internal & (chance.random(count) < workload.withdrawals)
    base_asset = shard.slots.instrument + BASE_ASSET_OFFSET
    asset = np.where(chance.random(count) < 0.5, QUOTE_ASSET_ID, base_asset)
    return {
        "peer_account": np.where(is_internal, receiver, columns["peer_account"]),
        "duplicate_of": shard.walked.original,
        "asset": np.where(is_transfer, asset[subject], 0).astype(np.uint16),
        "amount_minor": np.where(
            is_transfer, np.where(withdraws, -amount, amount)[subject], 0
        ).astype(np.int32),
        "creates_account": np.zeros(count, dtype=np.bool_),
    }


def _limit_ticks(
    listed: Market,
    instrument: NDArray[np.uint16],
    side: NDArray[np.uint8],
    uniform: NDArray[np.float64],
) -> NDArray[np.int64]:
    mid = listed.mid_ticks[instrument.astype(np.int64) - 1].astype(np.int64)
    offset = np.floor(mid * _LIMIT_OFFSET_MAX * uniform).astype(np.int64)
    limit: NDArray[np.int64] = np.where(side == BUY, mid + offset, mid - offset)
    return limit


def _others(
    own: ShardAccounts, account: NDArray[np.uint32], uniform: NDArray[np.float64]
) -> NDArray[np.uint32]:
    """A receiver of the same shard for each account, as busy as any, never the account itself."""
    drawn = own.draw(uniform)
    step = own.index[1] - own.index[0] if len(own.index) > 1 else np.uint32(0)
    after = np.where(drawn == own.index[-1], own.index[0], drawn + step)
    return np.where(drawn == account, after, drawn).astype(np.uint32)


def _make_accounts_new(
    columns: Columns,
    walked: Walked,
    workload: Workload,
    *,
    shard: int,
    shard_count: int,
    seed: int,
) -> None:
    """Give the accounts that come into being indices behind those that exist, in this shard."""
    kind, count = walked.kind, len(walked.kind)
    chance = generator(seed, _AMOUNTS, shard, 1)
    first_time = (kind == Kind.TRANSFER) & (walked.original < 0)
    creates = first_time & (chance.random(count) < workload.new_accounts)
    is_new = creates | (kind == Kind.CREATE_ACCOUNT)
    base = -(-workload.accounts.count // shard_count) * shard_count + shard
    fresh = base + np.arange(int(is_new.sum())) * shard_count
    columns["account"][is_new] = fresh
    columns["peer_account"][is_new] = fresh
    columns["amount_minor"][creates] = np.abs(columns["amount_minor"][creates])
    columns["creates_account"][creates] = True
    # A repeated request is the same in every field.
    repeats = np.flatnonzero(walked.original >= 0)
    for name in ("account", "peer_account", "amount_minor", "creates_account"):
        columns[name][repeats] = columns[name][walked.original[repeats]]
