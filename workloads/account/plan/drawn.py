"""
What a plan draws for its operations: sizes, limits, receivers; and from whose share.

Arrays of chance in, arrays of values out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.account.contract.accounts_pb2 import BUY, SELL
from workloads.account.plan.accounts import Accounts, ShardAccounts
from workloads.account.terms.market import Market
from workloads.account.terms.workload import Workload

_SIZE_FACES = 6  # order size 1 + U U U lots, each U uniform over 0..5 (exchange-core's generator)
LIMIT_OFFSET_MAX = 0.005  # limits lie up to 0.5 % from the mid


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardShare:
    """What one load process plans from: its accounts, and its share of the arrivals."""

    workload: Workload
    market: Market
    accounts: Accounts
    own: ShardAccounts
    offset_ns: NDArray[np.int64]
    seed: int
    shard: int
    shard_count: int


def draw_sizes(chance: np.random.Generator, count: int) -> NDArray[np.int32]:
    faces = chance.integers(_SIZE_FACES, size=(3, count), dtype=np.int32)
    lots: NDArray[np.int32] = 1 + faces.prod(axis=0, dtype=np.int32)
    return lots


def draw_sides(uniform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """BUY or SELL for each number in [0, 1)."""
    return np.where(uniform < 0.5, BUY, SELL).astype(np.uint8)


def crossing_ticks(
    listed: Market,
    instrument: NDArray[np.uint16],
    side: NDArray[np.uint8],
    uniform: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Limits on the far side of the mid, so that any buy and sell of an instrument cross."""
    mid = listed.mid_ticks[instrument.astype(np.int64) - 1].astype(np.int64)
    offset = np.floor(mid * LIMIT_OFFSET_MAX * uniform).astype(np.int64)
    limit: NDArray[np.int64] = np.where(side == BUY, mid + offset, mid - offset)
    return limit


def resting_ticks(
    listed: Market,
    instrument: NDArray[np.uint16],
    side: NDArray[np.uint8],
    uniform: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Limits on the near side of the mid, as quotes have them; at least a tick from it."""
    mid = listed.mid_ticks[instrument.astype(np.int64) - 1].astype(np.int64)
    offset = 1 + np.floor(mid * LIMIT_OFFSET_MAX * uniform).astype(np.int64)
    return np.where(side == BUY, mid - offset, mid + offset).astype(np.int32)


def draw_others(
    own: ShardAccounts, account: NDArray[np.uint32], uniform: NDArray[np.float64]
) -> NDArray[np.uint32]:
    """Another account of the same shard for each, as busy as any, never the account itself."""
    drawn = own.draw(uniform)
    step = own.index[1] - own.index[0] if len(own.index) > 1 else np.uint32(0)
    after = np.where(drawn == own.index[-1], own.index[0], drawn + step)
    return np.where(drawn == account, after, drawn).astype(np.uint32)
