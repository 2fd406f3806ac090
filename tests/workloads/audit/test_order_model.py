"""The audit's own formulas: locks, fills and fees to the unit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.account.audit.order_model import (
    AVAILABLE,
    FEES,
    LOCKED_ORDERS,
    Effect,
    OpenOrder,
    Terms,
    add,
    amend,
    fill,
    release_effect,
    reserve_effect,
)

TERMS = Terms(base_asset_id=2, quote_asset_id=1, base_per_lot_minor=7, quote_per_tick_lot_minor=1)
ALICE = 1_000


def order(*, is_buy: bool, limit_ticks: int, leaves_lots: int, fee_ppm: int) -> OpenOrder:
    """A new order of ALICE."""
    return OpenOrder(
        order_id=1,
        account_id=ALICE,
        terms=TERMS,
        is_buy=is_buy,
        limit_ticks=limit_ticks,
        leaves_lots=leaves_lots,
        fee_ppm=fee_ppm,
    )


def test_a_lock_rounds_the_fee_up() -> None:
    """One ppm of 1,000,000 locks 1,000,001."""
    assert order(is_buy=True, limit_ticks=1, leaves_lots=1_000_000, fee_ppm=1).lock_minor() == (
        1_000_001
    )


def test_two_half_fills_cost_what_one_costs() -> None:
    """The fee is rounded over the order's life: 1 for both halves together, never 1 each."""
    bought = order(is_buy=True, limit_ticks=1, leaves_lots=1_000_000, fee_ppm=1)
    fees = [fill(bought, price_ticks=1, lots=500_000, fee_ppm=1)[1] for _ in range(2)]

    assert fees == [1, 0]
    assert bought.lock_minor() == 0


def test_a_fill_below_the_limit_gives_back_the_difference() -> None:
    """Bought at 90 with a limit of 100: ten a lot, and the fee on them, are free again."""
    bought = order(is_buy=True, limit_ticks=100, leaves_lots=10_000, fee_ppm=1_000)
    effect, fee_minor = fill(bought, price_ticks=90, lots=10_000, fee_ppm=1_000)

    assert fee_minor == 900
    assert effect == {
        (ALICE, 1, LOCKED_ORDERS): -1_001_000,
        (ALICE, 1, AVAILABLE): 1_001_000 - 900_000 - 900,
        (ALICE, 2, AVAILABLE): 70_000,
        (FEES, 1, AVAILABLE): 900,
    }


def test_a_sell_pays_from_its_proceeds() -> None:
    """A sell locks base alone, and its fee is taken from the quote it gets."""
    sold = order(is_buy=False, limit_ticks=100, leaves_lots=10, fee_ppm=1_000)
    effect, fee_minor = fill(sold, price_ticks=101, lots=4, fee_ppm=1_000)

    assert fee_minor == 1
    assert effect == {
        (ALICE, 2, LOCKED_ORDERS): -28,
        (ALICE, 1, AVAILABLE): 403,
        (FEES, 1, AVAILABLE): 1,
    }
    assert sold.lock_minor() == 42


def test_a_rebate_rounds_the_same_way() -> None:
    """A negative fee is given back, rounded up: against the account."""
    bought = order(is_buy=True, limit_ticks=1, leaves_lots=1_999_999, fee_ppm=1)

    assert fill(bought, price_ticks=1, lots=1_999_999, fee_ppm=-1)[1] == -1


PRICES = st.integers(1, 10**6)
FILLS = st.lists(st.tuples(st.integers(1, 200), PRICES, st.integers(-500, 1_000)), max_size=6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(is_buy=st.booleans(), limit_ticks=PRICES, lots=st.integers(1, 500), fills=FILLS)
def test_whatever_happens_an_order_leaves_nothing_behind(
    is_buy: bool, limit_ticks: int, lots: int, fills: list[tuple[int, int, int]]
) -> None:
    """After fills at legal prices and a release no lock is left, and only trades moved quote."""
    actor = order(is_buy=is_buy, limit_ticks=limit_ticks, leaves_lots=lots, fee_ppm=1_000)
    total: Effect = {}
    effects = [reserve_effect(actor)]
    traded_minor = 0
    for wanted, price, fee_ppm in fills:
        taken = min(wanted, actor.leaves_lots)
        if not taken:
            break
        ticks = min(price, limit_ticks) if is_buy else max(price, limit_ticks)
        effect, fee_minor = fill(actor, price_ticks=ticks, lots=taken, fee_ppm=fee_ppm)
        notional_minor = taken * ticks
        traded_minor += -notional_minor - fee_minor if is_buy else notional_minor - fee_minor
        effects.append(effect)
        assert actor.lock_minor() >= 0
    effects.append(release_effect(actor))
    for effect in effects:
        for key, delta_minor in effect.items():
            add(total, key, delta_minor)

    assert (ALICE, actor.lock_asset_id, LOCKED_ORDERS) not in total
    assert total.get((ALICE, 1, AVAILABLE), 0) == traded_minor


def test_an_amendment_moves_the_difference() -> None:
    """Half the quantity at the same limit frees half the lock; 0 keeps a value."""
    actor = order(is_buy=False, limit_ticks=100, leaves_lots=10, fee_ppm=1_000)

    assert amend(actor, limit_ticks=0, leaves_lots=5)[ALICE, 2, LOCKED_ORDERS] == -35
    assert amend(actor, limit_ticks=120, leaves_lots=0) == {}
    assert (actor.limit_ticks, actor.leaves_lots) == (120, 5)
