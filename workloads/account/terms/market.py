"""
The markets of the workloads: instruments that trade a base asset each against a quote asset.

The same for every run (no seed), and a longer list begins with the shorter one. Weights are
Pareto(0.001, 1.5), as exchange-core's generators weigh their symbols: a few carry most of the flow.

In the *uniform* market all instruments have the numbers of the first one. In the *varied* market
lot size, tick value, quote asset and fee kind go by turns, each of another length: neighbours
differ in all four, and every combination comes up. Only what amounts are worth differs: prices,
quantities and weights are the same in both.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIRST_ACCOUNT_ID = 1_000  # those below are the system's
INSTRUMENT_COUNT_MAX = 1_000
MarketKind = Literal["uniform", "varied"]

_MID_TICKS_LOW, _MID_TICKS_HIGH = 10_000, 1_000_000
_PARETO_SCALE, _PARETO_SHAPE = 0.001, 1.5
_MARKET_SEED = 20_100_103  # any constant: the market is not part of a run's chance
_TAKER_FEE_PPM, _MAKER_FEE_PPM = 1_000, 400  # of the mid price, where fees are per lot
_PPM = 1_000_000


class Currency(NamedTuple):
    """An asset that others are priced in; an amount of 1 is 10^scale minor units."""

    symbol: str
    scale: int


class _Turns(NamedTuple):
    """What instruments 1, 2, 3, ... have by turns."""

    quotes: tuple[Currency, ...]
    base_scales: tuple[int, ...]
    base_per_lot_minor: tuple[int, ...]
    quote_per_tick_lot_minor: tuple[int, ...]
    charges_per_lot: tuple[bool, ...]


# Of the largest numbers, an account's funds outlast hours of fills: see Workload.seed_minor.
_TURNS = {
    "uniform": _Turns((Currency("USD", 6),), (8,), (10**5,), (10,), (False,)),
    "varied": _Turns(
        (Currency("USD", 6), Currency("EUR", 2), Currency("XBT", 8)),
        (8, 0, 9, 3, 6),
        (10**5, 1, 10**7, 2_500, 40_000),
        (10, 1, 25, 3, 16, 7, 2),
        (False, True),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """
    Instruments 1 to instrument_count; columns are by instrument_id - 1.

    Attributes:
        mid_ticks: Price around which orders lie.
        weights: Share of the flow; sum 1.
        quotes: The quote assets, which are assets 1, 2, ...; the bases come behind them.
        base_scale: Decimal places of an instrument's base asset.
        charges_per_lot: Fees are absolute per lot, not in ppm of the notional.
        taker_fee_per_lot_minor, maker_fee_per_lot_minor: 0 where fees are in ppm.
    """

    instrument_count: int
    mid_ticks: NDArray[np.int32]
    weights: NDArray[np.float64]
    quotes: tuple[Currency, ...]
    base_scale: NDArray[np.int64]
    base_asset_id: NDArray[np.int64]
    quote_asset_id: NDArray[np.int64]
    base_per_lot_minor: NDArray[np.int64]
    quote_per_tick_lot_minor: NDArray[np.int64]
    charges_per_lot: NDArray[np.bool_]
    taker_fee_per_lot_minor: NDArray[np.int64]
    maker_fee_per_lot_minor: NDArray[np.int64]


@cache
def market(instrument_count: int, kind: MarketKind = "uniform") -> Market:
    """The first *instrument_count* (at most INSTRUMENT_COUNT_MAX) instruments."""
    assert 1 <= instrument_count <= INSTRUMENT_COUNT_MAX
    generator = np.random.Generator(np.random.PCG64(_MARKET_SEED))
    low, high = np.log(_MID_TICKS_LOW), np.log(_MID_TICKS_HIGH)
    mids = np.exp(generator.uniform(low, high, INSTRUMENT_COUNT_MAX)).astype(np.int32)
    raw = pareto(generator.random(INSTRUMENT_COUNT_MAX), _PARETO_SCALE, _PARETO_SHAPE)
    mid_ticks = mids[:instrument_count].copy()
    turns = _TURNS[kind]

    def by_turns(values: Any) -> NDArray[Any]:
        return np.resize(np.array(values), instrument_count)

    tick_minor, per_lot = by_turns(turns.quote_per_tick_lot_minor), by_turns(turns.charges_per_lot)
    lot_minor = (
        mid_ticks * tick_minor * per_lot
    )  # what a lot costs at the mid, where fees are by it
    quote_count = len(turns.quotes)
    columns = {
        "mid_ticks": mid_ticks,
        "weights": raw[:instrument_count] / raw[:instrument_count].sum(),
        "base_scale": by_turns(turns.base_scales),
        "base_asset_id": np.arange(instrument_count) + quote_count + 1,
        "quote_asset_id": by_turns(range(1, quote_count + 1)),
        "base_per_lot_minor": by_turns(turns.base_per_lot_minor),
        "quote_per_tick_lot_minor": tick_minor,
        "charges_per_lot": per_lot,
        "taker_fee_per_lot_minor": lot_minor * _TAKER_FEE_PPM // _PPM,
        "maker_fee_per_lot_minor": lot_minor * _MAKER_FEE_PPM // _PPM,
    }
    for array in columns.values():
        array.setflags(write=False)
    return Market(instrument_count=instrument_count, quotes=turns.quotes, **columns)


def pareto(uniform: NDArray[np.float64], scale: float, shape: float) -> NDArray[np.float64]:
    """Pareto values by the inverse of their distribution function."""
    values: NDArray[np.float64] = scale * (1.0 - uniform) ** (-1.0 / shape)
    return values
