"""
The reference data of the workloads: one quote asset, and instruments that trade a base against it.

The same for every run (no seed), and a longer list begins with the shorter one. Weights are
Pareto(0.001, 1.5), as exchange-core's generators weigh their symbols: a few carry most of the flow.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

FIRST_ACCOUNT_ID = 1_000  # those below are the system's
QUOTE_ASSET_ID = 1
BASE_ASSET_OFFSET = 1  # instrument i trades asset i + 1
QUOTE_SCALE = 6
BASE_SCALE = 8
BASE_PER_LOT_MINOR = 10**5  # a lot is 0.001 of a base asset
QUOTE_PER_TICK_LOT_MINOR = 10  # a tick is 0.01 quote: 0.01 * 0.001 * 10^6
INSTRUMENT_COUNT_MAX = 1_000

_MID_TICKS_LOW, _MID_TICKS_HIGH = 10_000, 1_000_000  # 100 to 10,000 quote units
_PARETO_SCALE, _PARETO_SHAPE = 0.001, 1.5
_MARKET_SEED = 20_100_103  # any constant: the market is not part of a run's chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Instruments 1 to instrument_count; i trades asset i + BASE_ASSET_OFFSET for quote."""

    instrument_count: int
    mid_ticks: NDArray[np.int32]  # by instrument_id - 1
    weights: NDArray[np.float64]  # by instrument_id - 1; sum 1

    @property
    def asset_ids(self) -> tuple[int, ...]:
        """The quote asset and every base."""
        return tuple(range(1, self.instrument_count + BASE_ASSET_OFFSET + 1))


@cache
def market(instrument_count: int) -> Market:
    """The first *instrument_count* (at most INSTRUMENT_COUNT_MAX) instruments."""
    assert 1 <= instrument_count <= INSTRUMENT_COUNT_MAX
    generator = np.random.Generator(np.random.PCG64(_MARKET_SEED))
    low, high = np.log(_MID_TICKS_LOW), np.log(_MID_TICKS_HIGH)
    mids = np.exp(generator.uniform(low, high, INSTRUMENT_COUNT_MAX)).astype(np.int32)
    raw = pareto(generator.random(INSTRUMENT_COUNT_MAX), _PARETO_SCALE, _PARETO_SHAPE)
    weights = raw[:instrument_count] / raw[:instrument_count].sum()
    mid_ticks = mids[:instrument_count].copy()
    for array in (mid_ticks, weights):
        array.setflags(write=False)
    return Market(instrument_count=instrument_count, mid_ticks=mid_ticks, weights=weights)


def pareto(uniform: NDArray[np.float64], scale: float, shape: float) -> NDArray[np.float64]:
    """Pareto values by the inverse of their distribution function."""
    values: NDArray[np.float64] = scale * (1.0 - uniform) ** (-1.0 / shape)
    return values
