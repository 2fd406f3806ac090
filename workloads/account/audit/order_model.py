"""
What an order must lock and what its fills must move: the contract's formulas, and nothing else.

Written from the header of accounts.proto, apart from any service, so that a service that rounds
otherwise is found out. Integers only. Orders are columns: what happens to all of them is one table
of steps, and an order's life is its own rows of it, from the step that makes it to the one that
ends it.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np

from workloads.account.audit.grouped import EXACT_MAX, Groups, magnitude, within
from workloads.account.audit.instruments import Instruments
from workloads.account.wire.column_types import Column, ColumnTable, Mask

PPM = 1_000_000


class OrderStep(IntEnum):
    """What may happen to an order."""

    OPEN = 0  # it is open already: as it was left by the steps before these
    RESERVE = 1
    AMEND = 2
    FILL = 3
    RELEASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(ColumnTable):
    """
    A row a step, in the order in which they happen.

    Attributes:
        order: A number of the order.
        what: A OrderStep.
        is_buy, instrument: Of the order; an instrument_id.
        ticks, lots: RESERVE and OPEN: limit, and lots to be filled. AMEND: the same anew, 0 keeps
            what was. FILL: price, and lots traded. RELEASE: unused.
        is_maker: FILL: this leg is the maker's.
        basis_ppm_minor: OPEN: fees of its fills so far, in millionths of a unit; else 0.
    """

    order: Column
    what: Column
    is_buy: Mask
    instrument: Column
    ticks: Column
    lots: Column
    is_maker: Mask
    basis_ppm_minor: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed(ColumnTable):
    """
    What each step must do, a row a step.

    Attributes:
        is_open: The order was there to be changed; otherwise the step does nothing, and the rest
            of its row means nothing.
        lock_change_minor: Of what the order holds: quote of a buy, base of a sell.
        notional_minor, fee_minor: FILL: in quote; 0 for others.
        is_left_open: It is the order's last step here, and the order is still there after it.
        limit_ticks, leaves_lots, basis_ppm_minor: The order's, after it.
        lock_minor: What it must hold after it.
    """

    is_open: Mask
    lock_change_minor: Column
    notional_minor: Column
    fee_minor: Column
    is_left_open: Mask
    limit_ticks: Column
    leaves_lots: Column
    basis_ppm_minor: Column
    lock_minor: Column


def ceil_ppm(value: Any) -> Any:
    """*value* / 1e6, rounded towards plus infinity."""
    return -(-value // PPM)


def lock_minor(
    instruments: Instruments,
    *,
    is_buy: Any,
    instrument: Any,
    limit_ticks: Any,
    leaves_lots: Any,
    basis: Any,
) -> Any:
    """
    What an order must hold.

    A sell the base of what is left. A buy the notional of what is left at its limit, and the fee
    on it: rounded up once over the order's life, less what its fills were charged.
    """
    notional_minor = limit_ticks * leaves_lots * instruments.quote_per_tick_lot_minor[instrument]
    to_come = notional_minor * instruments.taker_fee_ppm[instrument] + leaves_lots * (
        PPM * instruments.taker_fee_per_lot_minor[instrument]
    )
    owed_minor, charged_minor = ceil_ppm(basis + to_come), ceil_ppm(basis)
    base_minor = leaves_lots * instruments.base_per_lot_minor[instrument]
    return np.where(is_buy, notional_minor + owed_minor - charged_minor, base_minor)


def follow(steps: Steps, instruments: Instruments) -> Followed:
    groups = Groups(steps.order)
    ordered = _exact(steps.rows(groups.order), instruments)
    what, lots = ordered.what, ordered.lots
    is_fill = what == OrderStep.FILL
    # A life begins where the order is made; steps of an order that was never made begin one too,
    # in which nothing is open.
    makes = (what == OrderStep.RESERVE) | (what == OrderStep.OPEN)
    begins = makes.copy()
    begins[groups.first] = True
    first, life = np.flatnonzero(begins), np.cumsum(begins) - 1
    changes = makes | (what == OrderStep.AMEND)
    limit_ticks = ordered.ticks[_latest(changes & (ordered.ticks != 0) | makes)]
    sized = _latest(changes & (lots != 0) | makes)
    filled_lots = np.cumsum(np.where(is_fill, lots, 0))
    leaves_lots = lots[sized] - (filled_lots - filled_lots[sized])
    tick_minor = instruments.quote_per_tick_lot_minor[ordered.instrument]
    notional_minor = np.where(is_fill, ordered.ticks * lots * tick_minor, 0)
    fees_ppm_minor = np.where(is_fill, _fees_ppm_minor(ordered, notional_minor, instruments), 0)
    basis = within(ordered.basis_ppm_minor + fees_ppm_minor, first, life)
    ends = (what == OrderStep.RELEASE) | (is_fill & (leaves_lots <= 0))
    is_open = makes[first][life] & (within(ends, first, life) == ends)
    lock = lock_minor(
        instruments,
        is_buy=ordered.is_buy,
        instrument=ordered.instrument,
        limit_ticks=limit_ticks,
        leaves_lots=leaves_lots,
        basis=basis,
    )
    lock[what == OrderStep.RELEASE] = 0
    lock_change = lock - _before(lock, begins)
    lock_change[what == OrderStep.OPEN] = 0
    charged = ceil_ppm(basis)
    is_last = np.zeros(len(steps), np.bool_)
    is_last[groups.back(np.arange(len(steps)))[groups.last]] = True
    followed = Followed(
        is_open=is_open,
        lock_change_minor=lock_change,
        notional_minor=notional_minor,
        fee_minor=np.where(is_fill, charged - _before(charged, begins), 0),
        is_left_open=is_open & ~ends & is_last,
        limit_ticks=limit_ticks,
        leaves_lots=leaves_lots,
        basis_ppm_minor=basis,
        lock_minor=lock,
    )
    return followed.rows(groups.back(np.arange(len(steps))))


def no_steps() -> Steps:
    empty = np.zeros(0, np.int64)
    return Steps(
        order=empty,
        what=empty,
        is_buy=np.zeros(0, np.bool_),
        instrument=empty,
        ticks=empty,
        lots=empty,
        is_maker=np.zeros(0, np.bool_),
        basis_ppm_minor=empty,
    )


def still_open(steps: Steps, followed: Followed) -> Steps:
    """The orders that are open after all *steps*, each as the step OPEN that goes on with it."""
    chosen = followed.is_left_open
    return replace(
        steps.rows(chosen),
        what=np.full(int(np.count_nonzero(chosen)), int(OrderStep.OPEN)),
        ticks=followed.limit_ticks[chosen],
        lots=followed.leaves_lots[chosen],
        basis_ppm_minor=followed.basis_ppm_minor[chosen],
    )


def _latest(is_set: Mask) -> Column:
    """The last row up to each that is set; the very first one if none is."""
    latest: Column = np.maximum.accumulate(np.where(is_set, np.arange(len(is_set)), 0))
    return latest


def _before(values: Column, begins: Mask) -> Column:
    """The value of the row before, 0 where a life begins."""
    before = np.roll(values, 1)
    before[begins] = 0
    return before


def _fees_ppm_minor(steps: Steps, notional_minor: Column, instruments: Instruments) -> Column:
    """What fills are charged, in millionths of a unit: of the notional, or for each lot."""
    maker, instrument = steps.is_maker, steps.instrument
    ppm = np.where(
        maker, instruments.maker_fee_ppm[instrument], instruments.taker_fee_ppm[instrument]
    )
    per_lot_minor = np.where(
        maker,
        instruments.maker_fee_per_lot_minor[instrument],
        instruments.taker_fee_per_lot_minor[instrument],
    )
    fees: Column = notional_minor * ppm + steps.lots * (PPM * per_lot_minor)
    return fees


def _exact(steps: Steps, instruments: Instruments) -> Steps:
    """The steps, their numbers without bound if what is computed of them could pass 63 bits."""
    traded = np.flatnonzero(np.bincount(steps.instrument))

    def most(*columns: Column) -> float:
        return float(max(int(np.abs(column[traded]).max(initial=0)) for column in columns))

    is_fill = steps.what == OrderStep.FILL
    lots = float(np.abs(steps.lots).max(initial=0)) + magnitude(steps.lots[is_fill])
    ticks = float(np.abs(steps.ticks).max(initial=0))
    notional_minor = ticks * lots * most(instruments.quote_per_tick_lot_minor)
    fee_ppm = max(most(instruments.taker_fee_ppm, instruments.maker_fee_ppm), 1)
    per_lot_minor = most(instruments.taker_fee_per_lot_minor, instruments.maker_fee_per_lot_minor)
    fees_ppm_minor = notional_minor * fee_ppm + lots * per_lot_minor * PPM
    bound = fees_ppm_minor + float(np.abs(steps.basis_ppm_minor).max(initial=0))
    if max(bound, lots * most(instruments.base_per_lot_minor)) < EXACT_MAX:
        return steps
    return replace(
        steps,
        ticks=steps.ticks.astype(object),
        lots=steps.lots.astype(object),
        basis_ppm_minor=steps.basis_ppm_minor.astype(object),
    )
