"""
Published numeric examples of spot locks, fills and fees.

Source: exchange-core ITFeesExchange.java and risk.feature (Apache-2.0), as numbers only. The
first market: a lot is 1,000,000 units of base, a tick is 10,000 of quote a lot, the taker pays
1,900 and the maker 700 a lot.
"""

import pytest

from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    QUOTE,
    SELL,
    World,
    leg,
    market,
    match,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.state import FEES


def fees_market() -> World:
    """The market of the examples A1 to A7."""
    return World(
        market(
            base_per_lot_minor=1_000_000,
            quote_per_tick_lot_minor=10_000,
            fees_per_lot_minor=(1_900, 700),
        )
    )


def resting_bid(*, filled_lots: int) -> World:
    """A2's bid of 1731 lots, hit by a seller for *filled_lots* at 11,500."""
    world = fees_market()
    world.seed((ALICE, QUOTE, 200_000_000_000), (BOB, BASE, 2_000_000_000))
    assert world.ask(reserve(ALICE, 1, BUY, 11_553, 1731)) == contract.OK
    if filled_lots:
        assert world.ask(reserve(BOB, 2, SELL, 11_500, filled_lots)) == contract.OK
        world.execute(match(1, 11_500, filled_lots, leg(BOB, 2, SELL), leg(ALICE, 1, BUY)))
    return world


@pytest.mark.parametrize(
    ("funds_minor", "code"),
    [
        (3_420_000_000 + 56_999, contract.INSUFFICIENT_AVAILABLE),
        (3_420_000_000 + 57_000, contract.OK),
    ],
)
def test_a_bid_needs_its_notional_and_the_taker_fee(funds_minor: int, code: int) -> None:
    """A1: 30 lots at 11,400 need 57,000 for the fee, to the unit."""
    world = fees_market()
    world.seed((ALICE, QUOTE, funds_minor))

    assert world.ask(reserve(ALICE, 1, BUY, 11_400, 30)) == code


def test_a_bid_locks_at_its_limit() -> None:
    """A2: 1731 lots reserved at 11,553 leave 14,281,100 of 200,000,000,000."""
    assert resting_bid(filled_lots=0).available(ALICE, QUOTE) == 14_281_100


def test_a_filled_maker_gets_back_price_and_fee_difference() -> None:
    """A3: filled at 11,500 as maker, 933,788,300 are left, and no lock."""
    world = resting_bid(filled_lots=1731)

    assert (world.available(ALICE, QUOTE), world.locked(ALICE, QUOTE)) == (933_788_300, 0)


def test_a_taker_sells_for_the_notional_less_its_fee() -> None:
    """A4: the seller gets 199,061,711,100."""
    assert resting_bid(filled_lots=1731).available(BOB, QUOTE) == 199_061_711_100


def test_fees_and_balances_add_up_to_the_deposit() -> None:
    """A5, A6: fees are 4,500,600, and with both balances exactly what was paid in."""
    world = resting_bid(filled_lots=1731)
    total_minor = world.available(ALICE, QUOTE) + world.available(BOB, QUOTE)

    assert world.available(FEES, QUOTE) == 4_500_600
    assert total_minor + 4_500_600 == 200_000_000_000


def test_a_partial_fill_frees_only_its_own_difference() -> None:
    """A7: 1000 of 1731 lots filled leave 545,481,100 available."""
    assert resting_bid(filled_lots=1000).available(ALICE, QUOTE) == 545_481_100


@pytest.mark.parametrize(
    ("side", "asset_id", "funds_minor", "left_minor"),
    [
        (BUY, QUOTE, 2_000_000, None),
        (BUY, QUOTE, 2_100_000, 0),
        (SELL, BASE, 699_999, None),
        (SELL, BASE, 700_000, 0),
    ],
)
def test_a_lock_takes_the_last_unit(
    side: "contract.Side.ValueType", asset_id: int, funds_minor: int, left_minor: int | None
) -> None:
    """A8: 7 lots at 30,000 lock 2,100,000 of quote or 700,000 of base, no unit less."""
    world = World(market(base_per_lot_minor=100_000, quote_per_tick_lot_minor=10))
    world.seed((ALICE, asset_id, funds_minor))
    code = world.ask(reserve(ALICE, 1, side, 30_000, 7))

    assert code == (contract.OK if left_minor == 0 else contract.INSUFFICIENT_AVAILABLE)
    assert world.available(ALICE, asset_id) == (funds_minor if left_minor is None else left_minor)


def test_a_better_price_frees_the_difference() -> None:
    """A9, A10: reserved at 18,500 1,500,000 are left; filled at 17,500 it is 6,500,000."""
    world = World(market(quote_per_tick_lot_minor=10))
    world.seed((ALICE, QUOTE, 94_000_000), (BOB, BASE, 500))
    world.ask(reserve(ALICE, 1, BUY, 18_500, 500))
    reserved_minor = world.available(ALICE, QUOTE)
    world.ask(reserve(BOB, 2, SELL, 17_500, 500))
    world.execute(match(1, 17_500, 500, leg(ALICE, 1, BUY), leg(BOB, 2, SELL)))

    assert (reserved_minor, world.available(ALICE, QUOTE)) == (1_500_000, 6_500_000)


@pytest.mark.parametrize("parts_lots", [(10,), (5, 5), (1, 2, 3, 4)])
def test_part_fills_cost_what_one_fill_costs(parts_lots: tuple[int, ...]) -> None:
    """1 ppm of 1,000,000 locks 1,000,001 and charges 1 in all, however it is filled."""
    world = World(market(quote_per_tick_lot_minor=100_000))
    world.seed((ALICE, QUOTE, 1_000_001), (BOB, BASE, 10))
    assert world.ask(reserve(ALICE, 1, BUY, 1, 10, fee_ppm=1)) == contract.OK
    world.ask(reserve(BOB, 2, SELL, 1, 10))
    for seq, qty_lots in enumerate(parts_lots, start=1):
        world.execute(match(seq, 1, qty_lots, leg(ALICE, 1, BUY, 1), leg(BOB, 2, SELL, 1)))

    assert (world.available(ALICE, QUOTE), world.locked(ALICE, QUOTE)) == (0, 0)
    assert (world.available(FEES, QUOTE), world.available(BOB, QUOTE)) == (2, 999_999)


def test_a_rebate_is_floored() -> None:
    """A maker rebate of 0.5 units credits nothing: the same ceil, of a negative number."""
    world = World()
    world.seed((ALICE, QUOTE, 10), (BOB, BASE, 1))
    world.ask(reserve(ALICE, 1, BUY, 5, 1))
    world.ask(reserve(BOB, 2, SELL, 5, 1))
    world.execute(match(1, 5, 1, leg(BOB, 2, SELL), leg(ALICE, 1, BUY, -100_000)))

    assert (world.available(ALICE, QUOTE), world.available(FEES, QUOTE)) == (5, 0)
