"""
A plan of fills: aggressive orders that sweep several resting ones, one at each arrival.

The arrivals are the fills, so that they, and nothing else, have the bursts that are asked for; the
orders are reserved beforehand, the resting ones long enough to smooth a burst out. Every order is
filled to its end: a resting one by one fill, an aggressive one by all of its sweep. A fill needs
the one before it in its sweep, so that what is left of the aggressive order is what the record
says, whatever becomes of a resting order's reserve.
"""

import numpy as np
from numpy.typing import NDArray

from workloads.account.contract.accounts_pb2 import BUY, SELL
from workloads.account.plan.accounts import generator, instruments_of
from workloads.account.plan.drawn import (
    LIMIT_OFFSET_MAX,
    ShardShare,
    draw_others,
    draw_sides,
    draw_sizes,
)
from workloads.account.plan.table import Columns, PlanTable
from workloads.account.terms.workload import SWEEP_LIFE_MAX, Sweeps, sweep_lead_ns
from workloads.account.wire.kinds import Kind

_SWEEPS = 10  # a stream of chance, see accounts.py
_SWEEP_LIFE_MIN = 2 - SWEEP_LIFE_MAX  # of order_life; the mean is order_life


def sweep_table(share: ShardShare) -> PlanTable:
    """Fills at the arrivals, then the resting orders, one a fill, then the aggressive ones."""
    workload = share.workload
    assert workload.sweeps is not None, "a workload of sweeps"
    chance = generator(share.seed, _SWEEPS, share.shard)
    fills_ns = share.offset_ns[share.offset_ns >= sweep_lead_ns(workload)]
    fill_count = len(fills_ns)
    first = _first_fills(workload.sweeps, fill_count, chance)
    sweep = np.repeat(np.arange(len(first)), np.diff(np.append(first, fill_count)))
    life_ns = chance.uniform(_SWEEP_LIFE_MIN, SWEEP_LIFE_MAX, fill_count) * workload.order_life
    makers_ns = fills_ns - workload.expected_reply - life_ns.astype(np.int64)
    takers_ns = fills_ns[first] - 2 * workload.expected_reply
    kind = np.full(2 * fill_count + len(first), Kind.RESERVE, np.uint8)
    kind[:fill_count] = Kind.FILL
    fills = np.arange(fill_count, dtype=np.int32)
    makers, takers = fill_count + fills, (2 * fill_count + sweep).astype(np.int32)
    none = np.full(len(kind), -1, np.int32)
    needs_a, needs_b = none.copy(), none.copy()
    needs_a[:fill_count] = np.where(np.isin(fills, first), takers, fills - 1)
    needs_b[:fill_count] = makers
    columns = _columns(share, sweep, first, chance)
    columns["order"][:fill_count], columns["peer_order"][:fill_count] = takers, makers
    return PlanTable(
        offset_ns=np.concatenate([fills_ns, makers_ns, takers_ns]),
        kind=kind,
        needs_a=needs_a,
        needs_b=needs_b,
        after=none,
        late_by=np.zeros(0, np.uint8),
        columns=columns,
    )


def _first_fills(sweeps: Sweeps, fill_count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Which fills begin a sweep; the last sweep ends with the plan."""
    sizes = np.minimum(chance.geometric(1 / sweeps.mean, fill_count), sweeps.max)
    first = np.concatenate([[0], np.cumsum(sizes)])
    return first[first < fill_count]


def _columns(
    share: ShardShare,
    sweep: NDArray[np.int64],
    first: NDArray[np.int64],
    chance: np.random.Generator,
) -> Columns:
    """Of fills, resting and aggressive orders, in this order."""
    fill_count, sweep_count = len(sweep), len(first)
    taker = share.own.draw(chance.random(sweep_count))
    maker = draw_others(share.own, taker[sweep], chance.random(fill_count))
    instrument = instruments_of(share.accounts, taker, chance.random(sweep_count))
    side = draw_sides(chance.random(sweep_count))
    lots = draw_sizes(chance, fill_count)
    swept_lots = np.add.reduceat(lots, first) if fill_count else lots
    price, limit = _prices(share, sweep, instrument, side, chance)
    count = 2 * fill_count + sweep_count
    zeros = np.zeros(count, np.int32)
    fill_side, fill_instrument = side[sweep], instrument[sweep]
    other_side = (BUY + SELL - fill_side).astype(np.uint8)
    return {
        "account": np.concatenate([taker[sweep], maker, taker]),
        "peer_account": np.concatenate([maker, maker, taker]),
        "instrument": np.concatenate([fill_instrument, fill_instrument, instrument]),
        "side": np.concatenate([fill_side, other_side, side]),
        "price_ticks": np.concatenate([price, price, limit]).astype(np.int32),
        "qty_lots": np.concatenate([lots, lots, swept_lots]).astype(np.int32),
        "order": np.full(count, -1, np.int32),
        "peer_order": np.full(count, -1, np.int32),
        "duplicate_of": np.full(count, -1, np.int32),
        "asset": zeros.astype(np.uint16),
        "amount_minor": zeros,
        "creates_account": zeros.astype(np.bool_),
        "is_derived": np.arange(count) >= fill_count,
    }


def _prices(
    share: ShardShare,
    sweep: NDArray[np.int64],
    instrument: NDArray[np.uint16],
    side: NDArray[np.uint8],
    chance: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Price of each fill, worse from fill to fill of a sweep; and the limit price of each sweep."""
    mid = share.market.mid_ticks[instrument.astype(np.int64) - 1].astype(np.int64)
    direction = np.where(side == BUY, 1, -1)
    farthest = np.ceil(mid * LIMIT_OFFSET_MAX).astype(np.int64)
    uniform = chance.random(len(sweep))
    depth = uniform[np.lexsort((uniform, sweep))]  # ascending within each sweep
    offset = np.floor(farthest[sweep] * depth).astype(np.int64)
    return mid[sweep] + direction[sweep] * offset, mid + direction * farthest
