"""
What the matching engine's events do to the state: fills, cancellations, amendments.

Pure like the machine. The one idea: everything a match needs is computed and checked before
anything is changed, so a match is applied whole or, with a reason, not at all.
"""

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.machine import amend_order
from workloads.account.reference.orders import (
    BUY,
    PPM,
    SELL,
    Instrument,
    LegEffect,
    leg_effect,
)
from workloads.account.reference.state import (
    AMOUNT_MAX_MINOR,
    AVAILABLE,
    FEES,
    LOCKED_ORDERS,
    OK,
    Cause,
    Posting,
    State,
)

TXN_FILL: int = contract.TXN_FILL
TXN_RELEASE: int = contract.TXN_RELEASE
TXN_EXPIRE: int = contract.TXN_EXPIRE
TXN_AMEND: int = contract.TXN_AMEND

_FREEING_KINDS: dict[int, int] = {
    contract.OrderEvent.REJECTED: TXN_RELEASE,
    contract.OrderEvent.CANCELLED: TXN_RELEASE,
    contract.OrderEvent.EXPIRED: TXN_EXPIRE,
    contract.OrderEvent.DONE: TXN_RELEASE,
}


def apply_order_event(
    state: State, instrument_id: int, event: contract.OrderEvent, cause: Cause
) -> str:
    """Apply the end or amendment of an order at the engine, a repeated end once; why not, or ""."""
    order = state.orders.get(event.order_id)
    if order is None:
        if state.closed_orders.get(event.order_id) == event.account_id:
            return ""
        return f"ORDER_UNKNOWN: order {event.order_id}"
    if order.account_id != event.account_id or order.instrument.instrument_id != instrument_id:
        return f"ORDER_UNKNOWN: order {event.order_id} is another account's or instrument's"
    account = state.accounts[order.account_id]
    freeing_kind = _FREEING_KINDS.get(event.kind)
    if freeing_kind is not None:
        state.close_order(freeing_kind, cause, account, order)
    elif event.kind == contract.OrderEvent.AMENDED:
        code, delta_minor = amend_order(state, order, event.price_ticks, event.leaves_lots)
        if code != OK:
            return f"{contract.Code.Name(code)}: amendment of order {event.order_id}"  # type: ignore[arg-type]
        order.limit_ticks = event.price_ticks or order.limit_ticks
        order.leaves_lots = event.leaves_lots or order.leaves_lots
        order.locked_minor += delta_minor
        state.move_lock(TXN_AMEND, cause, account, order, delta_minor)
    return ""


def apply_match(state: State, instrument_id: int, match: contract.MatchEvent, cause: Cause) -> str:
    """Apply both legs of a match as one transaction, or none; why not, "" if applied."""
    instrument = state.instruments.get(instrument_id)
    if instrument is None:
        return f"INSTRUMENT_UNKNOWN: instrument {instrument_id}"
    if match.price_ticks <= 0 or match.qty_lots <= 0:
        return "NON_POSITIVE: a match has a price and a quantity"
    notional_minor = match.price_ticks * match.qty_lots * instrument.quote_per_tick_lot_minor
    if notional_minor > AMOUNT_MAX_MINOR:
        return "AMOUNT_OVERFLOW: the notional passes 2^62"
    orders = []
    for leg in (match.taker, match.maker):
        fault = _leg_fault(state, instrument, leg, match.qty_lots)
        if fault:
            return fault
        orders.append(state.orders[leg.order_id])
    if match.taker.side == match.maker.side:
        return "both legs are on the same side"
    effects = [
        leg_effect(order, notional_minor, match.qty_lots, leg.fee_ppm, fee_per_lot_minor)
        for order, leg, fee_per_lot_minor in (
            (orders[0], match.taker, instrument.taker_fee_per_lot_minor),
            (orders[1], match.maker, instrument.maker_fee_per_lot_minor),
        )
    ]
    for effect in effects:
        balance = state.accounts[effect.order.account_id].balance(instrument.quote_asset_id)
        if balance[AVAILABLE] + effect.quote_minor < 0:
            return (
                f"INSUFFICIENT_AVAILABLE: order {effect.order.order_id} locked "
                f"{effect.order.locked_minor}, which does not cover this fill and its fee"
            )
    _fill(state, instrument, match.qty_lots, effects, cause)
    return ""


def _leg_fault(state: State, instrument: Instrument, leg: contract.Leg, qty_lots: int) -> str:
    order = state.orders.get(leg.order_id)
    if order is None:
        if leg.order_id in state.closed_orders:
            return f"ORDER_TERMINAL: order {leg.order_id}"
        return f"ORDER_UNKNOWN: order {leg.order_id}"
    if order.account_id != leg.account_id or order.instrument is not instrument:
        return f"ORDER_UNKNOWN: order {leg.order_id} is another account's or instrument's"
    if leg.side not in {BUY, SELL} or leg.side != order.side:
        return f"order {leg.order_id} is on the other side"
    if qty_lots > order.leaves_lots:
        return f"order {leg.order_id} has {order.leaves_lots} lots left, the match {qty_lots}"
    if abs(leg.fee_ppm) > PPM:
        return f"AMOUNT_OVERFLOW: a fee of {leg.fee_ppm} ppm is more than the notional"
    return ""


def _fill(
    state: State, instrument: Instrument, qty_lots: int, effects: list[LegEffect], cause: Cause
) -> None:
    quote_asset_id, base_asset_id = instrument.quote_asset_id, instrument.base_asset_id
    fees = state.accounts[FEES].balance(quote_asset_id)
    postings: list[Posting] = []
    for effect in effects:
        order = effect.order
        account_id, order_id = order.account_id, order.order_id
        account = state.accounts[account_id]
        unlocked_minor = order.locked_minor - effect.lock_after_minor
        account.balance(order.asset_id)[LOCKED_ORDERS] -= unlocked_minor
        account.balance(quote_asset_id)[AVAILABLE] += effect.quote_minor
        account.balance(base_asset_id)[AVAILABLE] += effect.base_minor
        fees[AVAILABLE] += effect.fee_minor
        postings += (
            (account_id, order.asset_id, LOCKED_ORDERS, -unlocked_minor, order_id),
            (account_id, quote_asset_id, AVAILABLE, effect.quote_minor, order_id),
            (account_id, base_asset_id, AVAILABLE, effect.base_minor, order_id),
            (FEES, quote_asset_id, AVAILABLE, effect.fee_minor, order_id),
        )
        order.leaves_lots -= qty_lots
        order.locked_minor = effect.lock_after_minor
        order.fee_basis_ppm_minor = effect.fee_basis_ppm_minor
        order.charged_minor += effect.fee_minor
        if order.leaves_lots == 0:
            del state.orders[order_id]
            state.closed_orders[order_id] = account_id
    asset_ids = (base_asset_id, quote_asset_id)
    account_ids = dict.fromkeys(effect.order.account_id for effect in effects)
    touched = tuple((state.accounts[account_id], asset_ids) for account_id in account_ids)
    # A delta of 0 (a fill at the limit frees nothing) moves nothing, so it is not a posting.
    moved = tuple(posting for posting in postings if posting[3])
    state.post(TXN_FILL, cause, moved, touched)
