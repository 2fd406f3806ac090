"""
What an order must lock and what its fills must move: the contract's formulas, and nothing else.

Written from the header of accounts.proto, apart from any service, so that a service that rounds
otherwise is found out. Integers only.
"""

from dataclasses import dataclass

from workloads.account.contract import accounts_pb2 as contract

PPM = 1_000_000

AVAILABLE: int = contract.AVAILABLE
LOCKED_ORDERS: int = contract.LOCKED_ORDERS
FEES: int = contract.FEES
EXTERNAL: int = contract.EXTERNAL

Effect = dict[tuple[int, int, int], int]
"""Change in minor units by (account_id, asset_id, bucket); no zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an instrument is worth: asset ids, and minor units of a lot and of a tick of a lot."""

    base_asset_id: int
    quote_asset_id: int
    base_per_lot_minor: int
    quote_per_tick_lot_minor: int


@dataclass(slots=True, kw_only=True)
class OpenOrder:
    """
    An order between its reserve and its end.

    Attributes:
        fee_ppm: What it reserves.
        fee_basis_ppm_minor: Sum of notional_minor * fee_ppm over its fills so far.
        charged_minor: Fees paid so far.
    """

    order_id: int
    account_id: int
    terms: Terms
    is_buy: bool
    limit_ticks: int
    leaves_lots: int
    fee_ppm: int
    fee_basis_ppm_minor: int = 0
    charged_minor: int = 0

    @property
    def lock_asset_id(self) -> int:
        """A buy locks quote, a sell base."""
        return self.terms.quote_asset_id if self.is_buy else self.terms.base_asset_id

    def notional_minor(self, price_ticks: int, lots: int) -> int:
        """Quote units of *lots* at *price_ticks*."""
        return price_ticks * lots * self.terms.quote_per_tick_lot_minor

    def lock_minor(self) -> int:
        """What it must hold now, in lock_asset_id."""
        if not self.is_buy:
            return self.leaves_lots * self.terms.base_per_lot_minor
        notional_minor = self.notional_minor(self.limit_ticks, self.leaves_lots)
        owed = self.fee_basis_ppm_minor + notional_minor * self.fee_ppm
        return notional_minor + ceil_ppm(owed) - self.charged_minor


def ceil_ppm(value: int) -> int:
    """*value* / 1e6, rounded towards plus infinity."""
    return -(-value // PPM)


def reserve_effect(order: OpenOrder) -> Effect:
    """A new order's lock."""
    return move_lock(order, order.lock_minor())


def release_effect(order: OpenOrder) -> Effect:
    """The end of an order: all that it held."""
    return move_lock(order, -order.lock_minor())


def amend(order: OpenOrder, *, limit_ticks: int, leaves_lots: int) -> Effect:
    """Change the order (0 keeps a value); the difference of its locks."""
    before_minor = order.lock_minor()
    order.limit_ticks = limit_ticks or order.limit_ticks
    order.leaves_lots = leaves_lots or order.leaves_lots
    return move_lock(order, order.lock_minor() - before_minor)


def fill(order: OpenOrder, *, price_ticks: int, lots: int, fee_ppm: int) -> tuple[Effect, int]:
    """
    Fill one leg: the order is changed; what moves, FEES included, and the fee in quote units.

    A buy spends from its lock and gets back what the new lock doesn't need; a sell pays its fee
    from the proceeds. An order with nothing left holds nothing.
    """
    terms, account_id = order.terms, order.account_id
    before_minor = order.lock_minor()
    notional_minor = order.notional_minor(price_ticks, lots)
    order.fee_basis_ppm_minor += notional_minor * fee_ppm
    fee_minor = ceil_ppm(order.fee_basis_ppm_minor) - order.charged_minor
    order.charged_minor += fee_minor
    order.leaves_lots -= lots
    freed_minor = before_minor - order.lock_minor()
    base_minor = lots * terms.base_per_lot_minor
    effect: Effect = {}
    add(effect, (account_id, order.lock_asset_id, LOCKED_ORDERS), -freed_minor)
    if order.is_buy:
        change_minor = freed_minor - notional_minor - fee_minor
        add(effect, (account_id, terms.quote_asset_id, AVAILABLE), change_minor)
        add(effect, (account_id, terms.base_asset_id, AVAILABLE), base_minor)
    else:
        add(effect, (account_id, terms.quote_asset_id, AVAILABLE), notional_minor - fee_minor)
    add(effect, (FEES, terms.quote_asset_id, AVAILABLE), fee_minor)
    return effect, fee_minor


def move_lock(order: OpenOrder, delta_minor: int) -> Effect:
    """From available to locked."""
    effect: Effect = {}
    add(effect, (order.account_id, order.lock_asset_id, AVAILABLE), -delta_minor)
    add(effect, (order.account_id, order.lock_asset_id, LOCKED_ORDERS), delta_minor)
    return effect


def transfer_effect(account_id: int, contra_id: int, asset_id: int, amount_minor: int) -> Effect:
    """*amount_minor* to the account, from its contra."""
    effect: Effect = {}
    add(effect, (account_id, asset_id, AVAILABLE), amount_minor)
    add(effect, (contra_id, asset_id, AVAILABLE), -amount_minor)
    return effect


def add(effect: Effect, key: tuple[int, int, int], delta_minor: int) -> None:
    """Add to *effect* in place; a sum of 0 is no entry."""
    total = effect.get(key, 0) + delta_minor
    if total:
        effect[key] = total
    else:
        effect.pop(key, None)
