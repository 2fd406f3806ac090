"""The audit's own formulas: locks, fills and fees to the unit."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.account.audit.instruments import Instruments
from workloads.account.audit.order_model import (
    Followed,
    OrderStep,
    Steps,
    follow,
    no_steps,
    still_open,
)
from workloads.account.contract import accounts_pb2 as contract

# By instrument: base of a lot, quote of a tick and lot, taker's and maker's fee of a lot or ppm.
LISTED = {1: (7, 1, None), 2: (3, 11, (5, -2)), 3: (10**8, 4, None), 4: (1, 2, (0, 9))}
TAKER_PPM, MAKER_PPM = 1_000, -500


def instruments(taker_fee_ppm: int = TAKER_PPM, maker_fee_ppm: int = MAKER_PPM) -> Instruments:
    """Those of LISTED."""
    reference = contract.ReferenceData(
        instruments=[
            contract.Instrument(
                instrument_id=number,
                base_per_lot_minor=base,
                quote_per_tick_lot_minor=quote,
                fee_kind=contract.FEE_PPM if fees is None else contract.FEE_PER_LOT,
                # What is there without being of use must not be used.
                taker_fee_per_lot_minor=77 if fees is None else fees[0],
                maker_fee_per_lot_minor=77 if fees is None else fees[1],
            )
            for number, (base, quote, fees) in LISTED.items()
        ]
    )
    return Instruments.of(reference, taker_fee_ppm=taker_fee_ppm, maker_fee_ppm=maker_fee_ppm)


@dataclass(frozen=True)
class Did:
    """One step, as a test writes it."""

    what: OrderStep
    ticks: int = 0
    lots: int = 0
    is_maker: bool = False
    order: int = 0
    is_buy: bool = True
    instrument: int = 1


def table(did: list[Did]) -> Steps:
    """The steps as columns."""

    def column(name: str) -> np.ndarray:
        return np.array([int(getattr(step, name)) for step in did], np.int64)

    return Steps(
        order=column("order"),
        what=column("what"),
        is_buy=column("is_buy").astype(np.bool_),
        instrument=column("instrument"),
        ticks=column("ticks"),
        lots=column("lots"),
        is_maker=column("is_maker").astype(np.bool_),
        basis_ppm_minor=np.zeros(len(did), np.int64),
    )


def followed(*did: Did, **fees_ppm: int) -> Followed:
    """One order's life, or several."""
    return follow(table(list(did)), instruments(**fees_ppm))


def test_a_lock_rounds_the_fee_up() -> None:
    """One ppm of 1,000,000 locks 1,000,001."""
    found = followed(Did(OrderStep.RESERVE, 1, 1_000_000), taker_fee_ppm=1)

    assert found.lock_minor.tolist() == [1_000_001]
    assert found.lock_change_minor.tolist() == [1_000_001]


def test_two_half_fills_cost_what_one_costs() -> None:
    """The fee is rounded over the order's life: 1 for both halves together, never 1 each."""
    half = Did(OrderStep.FILL, 1, 500_000)
    found = followed(Did(OrderStep.RESERVE, 1, 1_000_000), half, half, taker_fee_ppm=1)

    assert found.fee_minor.tolist() == [0, 1, 0]
    assert found.lock_minor.tolist()[-1] == 0
    assert found.is_left_open.tolist() == [False, False, False]


def test_a_fill_below_the_limit_gives_back_the_difference() -> None:
    """Bought at 90 with a limit of 100: the lock is freed, notional and fee are at 90."""
    found = followed(Did(OrderStep.RESERVE, 100, 10_000), Did(OrderStep.FILL, 90, 10_000))

    assert found.lock_change_minor.tolist() == [1_001_000, -1_001_000]
    assert (found.notional_minor[1], found.fee_minor[1]) == (900_000, 900)


def test_a_sell_locks_base_alone() -> None:
    """Its fee is taken from the quote that it gets."""
    found = followed(
        Did(OrderStep.RESERVE, 100, 10, is_buy=False),
        Did(OrderStep.FILL, 101, 4, is_buy=False),
    )

    assert found.lock_change_minor.tolist() == [70, -28]
    assert (found.notional_minor[1], found.fee_minor[1]) == (404, 1)
    assert found.lock_minor.tolist()[-1] == 42


def test_a_rebate_rounds_the_same_way() -> None:
    """A negative fee is given back, rounded up: against the account."""
    found = followed(
        Did(OrderStep.RESERVE, 1, 1_999_999),
        Did(OrderStep.FILL, 1, 1_999_999, is_maker=True),
        taker_fee_ppm=1,
        maker_fee_ppm=-1,
    )

    assert found.fee_minor.tolist() == [0, -1]


def test_an_amendment_moves_the_difference() -> None:
    """Half the quantity at the same limit frees half the lock; 0 keeps a value."""
    found = followed(
        Did(OrderStep.RESERVE, 100, 10, is_buy=False),
        Did(OrderStep.AMEND, 0, 5, is_buy=False),
        Did(OrderStep.AMEND, 120, 0, is_buy=False),
    )

    assert found.lock_change_minor.tolist() == [70, -35, 0]
    assert (found.limit_ticks[2], found.leaves_lots[2]) == (120, 5)


def test_a_fee_per_lot_is_not_rounded_and_not_of_the_price() -> None:
    """Each lot locks the taker's fee; a maker is charged its own, be it a rebate."""
    found = followed(
        Did(OrderStep.RESERVE, 100, 10, instrument=2),
        Did(OrderStep.FILL, 100, 4, instrument=2),
        Did(OrderStep.FILL, 90, 6, is_maker=True, instrument=2),
    )

    assert found.lock_change_minor.tolist() == [11_000 + 50, -4_400 - 20, -6_600 - 30]
    assert found.fee_minor.tolist() == [0, 20, -12]
    assert found.lock_minor.tolist()[-1] == 0


def test_each_order_has_the_numbers_of_its_instrument() -> None:
    """The same two orders on three instruments lock what theirs say."""
    found = followed(
        *(
            Did(OrderStep.RESERVE, 1_000, 10, order=10 * is_buy + instrument, is_buy=is_buy,
                instrument=instrument)
            for is_buy in (False, True) for instrument in (1, 2, 3)
        )
    )  # fmt: skip

    assert found.lock_minor.tolist() == [70, 30, 10**9, 10_010, 110_050, 40_040]


def test_what_comes_after_the_end_does_nothing() -> None:
    """A fill of a released order, and any step of an order that was never made, move nothing."""
    found = followed(
        Did(OrderStep.RESERVE, 100, 10),
        Did(OrderStep.RELEASE),
        Did(OrderStep.FILL, 100, 10),
        Did(OrderStep.FILL, 100, 10, order=5),
    )

    assert found.is_open.tolist() == [True, True, False, False]
    assert not found.is_left_open.any()


def test_numbers_past_63_bits_are_exact() -> None:
    """A lock that no 64-bit register holds is still right to the unit."""
    lots, ticks = 2_000_000_000, 2_000_000_000
    found = followed(Did(OrderStep.RESERVE, ticks, lots), Did(OrderStep.RELEASE))
    notional = ticks * lots

    assert found.lock_change_minor.tolist() == [notional + notional // 1_000, -found.lock_minor[0]]


@dataclass
class Order:
    """The same formulas, an order and a step at a time."""

    is_buy: bool
    instrument: int
    limit: int
    lots: int
    basis: int = 0
    charged: int = 0

    def lock(self) -> int:
        base, quote, fees = LISTED[self.instrument]
        if not self.is_buy:
            return self.lots * base
        notional = self.limit * self.lots * quote
        if fees is not None:
            return notional + self.lots * fees[0]
        return notional - (-(self.basis + notional * TAKER_PPM) // 1_000_000) - self.charged

    def fill(self, ticks: int, lots: int, *, is_maker: bool) -> int:
        """The fee of it."""
        _, quote, fees = LISTED[self.instrument]
        self.lots -= lots
        if fees is not None:
            return lots * fees[is_maker]
        self.basis += ticks * lots * quote * (MAKER_PPM if is_maker else TAKER_PPM)
        fee = -(-self.basis // 1_000_000) - self.charged
        self.charged += fee
        return fee


def one_by_one(did: list[Did]) -> list[tuple[bool, int, int]]:
    """For each step: was the order open, how did its lock change, what fee was charged."""
    orders: dict[int, Order] = {}
    found = []
    for step in did:
        order, fee = orders.get(step.order), 0
        if step.what is OrderStep.RESERVE:
            order = orders[step.order] = Order(step.is_buy, step.instrument, step.ticks, step.lots)
            found.append((True, order.lock(), 0))
            continue
        if order is None:
            found.append((False, 0, 0))
            continue
        before = order.lock()
        if step.what is OrderStep.RELEASE:
            del orders[step.order]
            found.append((True, -before, 0))
            continue
        if step.what is OrderStep.AMEND:
            order.limit, order.lots = step.ticks or order.limit, step.lots or order.lots
        else:
            fee = order.fill(step.ticks, step.lots, is_maker=step.is_maker)
            if order.lots <= 0:
                del orders[step.order]
        found.append((True, order.lock() - before, fee))
    return found


STEPS = st.lists(
    st.builds(
        Did,
        what=st.sampled_from(
            [OrderStep.RESERVE, OrderStep.AMEND, OrderStep.FILL, OrderStep.FILL, OrderStep.RELEASE]
        ),
        ticks=st.integers(0, 10**6),
        lots=st.integers(0, 300),
        is_maker=st.booleans(),
        order=st.integers(0, 3),
    ),
    max_size=24,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(did=STEPS, cut=st.integers(0, 24), buys=st.integers(0, 15))
def test_all_orders_at_once_are_each_order_by_itself(did: list[Did], cut: int, buys: int) -> None:
    """Whatever the order of steps, and wherever the table is cut in two."""
    sided = [
        replace(step, is_buy=bool(buys >> step.order & 1), instrument=step.order + 1)
        for step in did
    ]
    open_orders, found = no_steps(), []
    for part in (sided[:cut], sided[cut:]):
        steps = Steps.joined([open_orders, table(part)])
        result = follow(steps, instruments())
        carried = len(open_orders)
        open_orders = still_open(steps, result)
        columns = (result.is_open, result.lock_change_minor, result.fee_minor)
        rows = zip(*(column.tolist()[carried:] for column in columns), strict=True)
        found += [row if row[0] else (False, 0, 0) for row in rows]

    assert found == one_by_one(sided)


PRICES = st.integers(1, 10**6)
FILLS = st.lists(st.tuples(st.integers(1, 200), PRICES, st.booleans()), max_size=6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    is_buy=st.booleans(),
    limit_ticks=PRICES,
    lots=st.integers(1, 500),
    fills=FILLS,
    instrument=st.sampled_from(list(LISTED)[:3]),
)
def test_whatever_happens_an_order_leaves_nothing_behind(
    is_buy: bool,
    limit_ticks: int,
    lots: int,
    fills: list[tuple[int, int, bool]],
    instrument: int,
) -> None:
    """After fills at legal prices and a release no lock is left, and none is ever negative."""
    order = Did(OrderStep.RESERVE, limit_ticks, lots, is_buy=is_buy, instrument=instrument)
    did, left = [order], lots
    for wanted, price, is_maker in fills:
        taken = min(wanted, left)
        ticks = min(price, limit_ticks) if is_buy else max(price, limit_ticks)
        if taken:
            fill = replace(order, what=OrderStep.FILL, ticks=ticks, lots=taken, is_maker=is_maker)
            did.append(fill)
            left -= taken
    did.append(replace(order, what=OrderStep.RELEASE))
    found = followed(*did)

    assert sum(found.lock_change_minor[found.is_open].tolist()) == 0
    assert (found.lock_minor >= 0).all()
