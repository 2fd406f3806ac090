"""
Who trades: how busy each account is, which shard it belongs to, what it holds.

Busy-ness is exact: the inverse of the distribution function over all ranks, for any Zipf exponent
(rejection samplers need theta > 1, YCSB's formula needs theta < 1). Ranks are dealt to accounts by
the seed. A shard owns the accounts with index % shard_count == shard, so that one load process
keeps an account's order; an operation falls to a shard as often as its accounts are busy.
"""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from workloads.account.terms.market import Market, pareto
from workloads.account.terms.workload import HotAccounts, UniformAccounts, Workload, ZipfAccounts

_ASSETS_SCALE, _ASSETS_SHAPE = 1.0, 1.5  # assets an account, exchange-core's generators

# Streams of chance: one for each use, so that a change of one doesn't move the others.
_RANKS, _HOLDINGS, _SHARDS = 1, 2, 3


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The random generator of one *stream* of *seed*."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *stream])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """
    The accounts that exist at the start; account i has the id FIRST_ACCOUNT_ID + i.

    Attributes:
        weights: Share of the operations of account i; sum 1.
        held_start, held: Account i trades instruments held[held_start[i]:held_start[i + 1]], with
            repetitions: an instrument named twice is traded twice as often.
    """

    weights: NDArray[np.float64]
    held_start: NDArray[np.int64]
    held: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAccounts:
    """The accounts of one shard and how often each is drawn."""

    index: NDArray[np.uint32]
    cumulated: NDArray[np.float64]

    def draw(self, uniform: NDArray[np.float64]) -> NDArray[np.uint32]:
        """An account for each number in [0, 1)."""
        return self.index[_inverse(self.cumulated, uniform)]


def make_accounts(workload: Workload, market: Market, *, seed: int) -> Accounts:
    """The same accounts for the same workload and seed, whatever the number of shards."""
    count = workload.accounts.count
    ranks = generator(seed, _RANKS).permutation(count)
    by_rank = rank_weights(workload)
    chance = generator(seed, _HOLDINGS)
    if workload.holdings == "all":
        listed = market.instrument_count
        return Accounts(
            weights=by_rank[ranks],
            held_start=np.arange(count + 1, dtype=np.int64) * listed,
            held=np.tile(np.arange(1, listed + 1, dtype=np.uint16), count),
        )
    kinds = pareto(chance.random(count), _ASSETS_SCALE, _ASSETS_SHAPE)
    held_count = np.minimum(np.floor(kinds), market.instrument_count).astype(np.int64)
    held_start = np.concatenate([[0], np.cumsum(held_count)])
    held = _inverse(np.cumsum(market.weights), chance.random(int(held_start[-1]))) + 1
    return Accounts(weights=by_rank[ranks], held_start=held_start, held=held.astype(np.uint16))


def rank_weights(workload: Workload) -> NDArray[np.float64]:
    """Share of the operations by rank, busiest first; sum 1."""
    accounts = workload.accounts
    ranks = np.arange(1, accounts.count + 1, dtype=np.float64)
    match accounts:
        case UniformAccounts():
            raw = np.ones(accounts.count)
        case ZipfAccounts():
            raw = ranks**-accounts.theta
        case HotAccounts():
            cold_count = accounts.count - accounts.hot_count
            raw = np.where(
                ranks <= accounts.hot_count,
                accounts.hot_share / accounts.hot_count,
                (1 - accounts.hot_share) / cold_count,
            )
        case _:
            assert_never(accounts)
    weights: NDArray[np.float64] = raw / raw.sum()
    return weights


def shard_accounts(accounts: Accounts, *, shard: int, shard_count: int) -> ShardAccounts:
    index = np.arange(shard, len(accounts), shard_count, dtype=np.uint32)
    return ShardAccounts(index=index, cumulated=np.cumsum(accounts.weights[index]))


def shard_of_slots(
    accounts: Accounts, slot_count: int, *, shard_count: int, seed: int
) -> NDArray[np.uint8]:
    """Which shard each slot of the whole schedule falls to."""
    if shard_count == 1:
        return np.zeros(slot_count, dtype=np.uint8)
    weights = [accounts.weights[shard::shard_count].sum() for shard in range(shard_count)]
    uniform = generator(seed, _SHARDS).random(slot_count)
    return _inverse(np.cumsum(weights), uniform).astype(np.uint8)


def instruments_of(
    accounts: Accounts, account: NDArray[np.uint32], uniform: NDArray[np.float64]
) -> NDArray[np.uint16]:
    """An instrument for each account, of those that it trades."""
    start = accounts.held_start[account]
    count = accounts.held_start[account + np.uint32(1)] - start
    chosen: NDArray[np.uint16] = accounts.held[start + (uniform * count).astype(np.int64)]
    return chosen


def _inverse(cumulated: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """The index whose stretch of *cumulated* (its last value is the total) holds each number."""
    found = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    index: NDArray[np.int64] = np.minimum(found, len(cumulated) - 1)
    return index
