"""
What an open order locks and what its fills cost: pure integer formulas.

Nothing here knows accounts or balances. The one idea: fees are rounded once over an order's life
(the ceil of the cumulative sum, less what was charged before), so two half fills cost what one
whole fill costs, and the lock is that same ceil carried to the end of the order.
"""

from dataclasses import dataclass

from workloads.account.contract import accounts_pb2 as contract

PPM = 1_000_000
BUY: int = contract.BUY
SELL: int = contract.SELL
FEE_PER_LOT: int = contract.FEE_PER_LOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """
    A spot market: what a lot and a tick are worth, and how it charges.

    Attributes:
        base_per_lot_minor: Base units in one lot.
        quote_per_tick_lot_minor: Quote units that one lot costs at a price of one tick.
        charges_per_lot: The fee is absolute per lot; otherwise it is in ppm of the notional.
        taker_fee_per_lot_minor, maker_fee_per_lot_minor: Quote units, where it charges per lot.
    """

    instrument_id: int
    symbol: str
    base_asset_id: int
    quote_asset_id: int
    base_per_lot_minor: int
    quote_per_tick_lot_minor: int
    charges_per_lot: bool
    taker_fee_per_lot_minor: int
    maker_fee_per_lot_minor: int


class Order:
    """
    An open order: mutable, because a fill changes four numbers of it and nothing else.

    Attributes:
        limit_ticks: Worst price; of a market order its protection price.
        leaves_lots: Quantity not filled yet.
        fee_ppm: Worst-case fee that a buy locks.
        fee_basis_ppm_minor: Sum of notional_minor * fee_ppm over the fills so far.
        charged_minor: Fees charged so far.
        locked_minor: What it holds of asset_id in its account's locked_orders.
    """

    __slots__ = (
        "account_id",
        "asset_id",
        "charged_minor",
        "fee_basis_ppm_minor",
        "fee_ppm",
        "instrument",
        "leaves_lots",
        "limit_ticks",
        "locked_minor",
        "order_id",
        "side",
    )

    def __init__(  # noqa: PLR0917  # made once per reserve, and keywords cost time
        self,
        order_id: int,
        account_id: int,
        instrument: Instrument,
        side: int,
        limit_ticks: int,
        leaves_lots: int,
        fee_ppm: int,
    ) -> None:
        self.order_id = order_id
        self.account_id = account_id
        self.instrument = instrument
        self.side = side
        self.limit_ticks = limit_ticks
        self.leaves_lots = leaves_lots
        self.fee_ppm = fee_ppm
        self.fee_basis_ppm_minor = 0
        self.charged_minor = 0
        if side == SELL:
            self.asset_id = instrument.base_asset_id
            self.locked_minor = leaves_lots * instrument.base_per_lot_minor
        else:
            self.asset_id = instrument.quote_asset_id
            notional_minor = limit_ticks * leaves_lots * instrument.quote_per_tick_lot_minor
            self.locked_minor = notional_minor + (
                leaves_lots * instrument.taker_fee_per_lot_minor
                if instrument.charges_per_lot
                else -(-notional_minor * fee_ppm // PPM)
            )


def lock_required_minor(
    order: Order, limit_ticks: int, leaves_lots: int, fee_basis_ppm_minor: int, charged_minor: int
) -> int:
    """What *order* must hold when the rest of its state is as given."""
    instrument = order.instrument
    if order.side == SELL:
        return leaves_lots * instrument.base_per_lot_minor
    notional_minor = limit_ticks * leaves_lots * instrument.quote_per_tick_lot_minor
    if instrument.charges_per_lot:
        return notional_minor + leaves_lots * instrument.taker_fee_per_lot_minor
    fees_at_the_end_minor = -(-(fee_basis_ppm_minor + notional_minor * order.fee_ppm) // PPM)
    return notional_minor + fees_at_the_end_minor - charged_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEffect:
    """
    What a fill does to one order; nothing is changed until both legs are known to be possible.

    Attributes:
        fee_minor: Charged now, in quote; negative for a rebate.
        fee_basis_ppm_minor, lock_after_minor: The order's, after the fill.
        quote_minor: Change of the account's available quote.
        base_minor: Change of the account's available base.
    """

    order: Order
    fee_minor: int
    fee_basis_ppm_minor: int
    lock_after_minor: int
    quote_minor: int
    base_minor: int


def leg_effect(
    order: Order, notional_minor: int, qty_lots: int, fee_ppm: int, fee_per_lot_minor: int
) -> LegEffect:
    """The effect on *order* of filling *qty_lots* of it for *notional_minor*."""
    if order.instrument.charges_per_lot:
        fee_basis_ppm_minor = order.fee_basis_ppm_minor
        fee_minor = qty_lots * fee_per_lot_minor
    else:
        fee_basis_ppm_minor = order.fee_basis_ppm_minor + notional_minor * fee_ppm
        fee_minor = -(-fee_basis_ppm_minor // PPM) - order.charged_minor
    lock_after_minor = lock_required_minor(
        order,
        order.limit_ticks,
        order.leaves_lots - qty_lots,
        fee_basis_ppm_minor,
        order.charged_minor + fee_minor,
    )
    if order.side == SELL:
        quote_minor, base_minor = notional_minor - fee_minor, 0
    else:
        unlocked_minor = order.locked_minor - lock_after_minor
        quote_minor = unlocked_minor - notional_minor - fee_minor
        base_minor = qty_lots * order.instrument.base_per_lot_minor
    return LegEffect(
        order=order,
        fee_minor=fee_minor,
        fee_basis_ppm_minor=fee_basis_ppm_minor,
        lock_after_minor=lock_after_minor,
        quote_minor=quote_minor,
        base_minor=base_minor,
    )
