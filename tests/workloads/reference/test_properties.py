"""Whatever is asked in whatever order: money is conserved, and replay makes the same state."""

from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    INSTRUMENT,
    QUOTE,
    SELL,
    World,
    leg,
    market,
    match,
    meta,
    order_event,
    release,
    reserve,
    sum_by_asset,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.digest import state_digest
from workloads.account.reference.inputs import InputKind, replay_input
from workloads.account.reference.state import USER_ACCOUNT_ID_MIN, State

users = st.sampled_from([ALICE, BOB, CAROL])
order_ids = st.integers(1, 12)
sides = st.sampled_from([BUY, SELL])
prices = st.integers(0, 12)
quantities = st.integers(0, 12)
# Few ids, so that most sequences repeat some, with the same payload or another.
numbers = st.integers(1, 60)
fees_ppm = st.sampled_from([0, 1, 999, 250_000, -300])


@st.composite
def requests(draw: st.DrawFn) -> tuple[int, bytes]:
    """One input over gRPC."""
    account_id, number = draw(users), draw(numbers)
    kind = draw(st.sampled_from(["reserve", "reserve", "amend", "release", "transfer", "internal"]))
    if kind == "reserve":
        request = reserve(
            account_id,
            draw(order_ids),
            draw(sides),
            draw(prices),
            draw(quantities),
            fee_ppm=draw(fees_ppm),
            number=number,
        )
        return InputKind.RESERVE, request.SerializeToString()
    if kind == "amend":
        amend = contract.AmendRequest(
            meta=meta(number),
            account_id=account_id,
            order_id=draw(order_ids),
            price_ticks=draw(prices),
            leaves_lots=draw(quantities),
        )
        return InputKind.AMEND, amend.SerializeToString()
    if kind == "release":
        return InputKind.RELEASE, release(
            account_id, draw(order_ids), number=number
        ).SerializeToString()
    amount_minor = draw(st.integers(-60, 60))
    asset_id = draw(st.sampled_from([BASE, QUOTE]))
    if kind == "transfer":
        transfer = contract.TransferRequest(
            meta=meta(number), account_id=account_id, asset_id=asset_id, amount_minor=amount_minor
        )
        return InputKind.TRANSFER, transfer.SerializeToString()
    internal = contract.InternalTransferRequest(
        meta=meta(number),
        account_id=account_id,
        to_account_id=draw(users),
        asset_id=asset_id,
        amount_minor=amount_minor,
    )
    return InputKind.INTERNAL_TRANSFER, internal.SerializeToString()


class Execution(NamedTuple):
    """A record of the engine before the orders it names are known."""

    buy_index: int
    sell_index: int
    buy_fee_ppm: int
    sell_fee_ppm: int
    price_ticks: int
    qty_lots: int
    buyer_takes: bool
    is_order_event: bool
    seq_ahead: int

    def value(self, world: World) -> bytes:
        """The record, on orders that are open if any are."""
        state = world.state
        source = state.sources.get(("s", INSTRUMENT))
        seq = (source.last_seq if source else 0) + 1 + self.seq_ahead
        buys = [order for order in state.orders.values() if order.side == BUY]
        sells = [order for order in state.orders.values() if order.side == SELL]
        if not buys or not sells:
            return order_event(max(seq, 1), ALICE, 1, Kind.CANCELLED)
        buy, sell = buys[self.buy_index % len(buys)], sells[self.sell_index % len(sells)]
        if self.is_order_event:
            kind = (Kind.CANCELLED, Kind.AMENDED, Kind.DONE)[self.price_ticks % 3]
            fields = {"leaves_lots": self.qty_lots, "price_ticks": self.price_ticks}
            return order_event(max(seq, 1), buy.account_id, buy.order_id, kind, **fields)
        legs = [
            leg(buy.account_id, buy.order_id, BUY, self.buy_fee_ppm),
            leg(sell.account_id, sell.order_id, SELL, self.sell_fee_ppm),
        ]
        taker, maker = legs if self.buyer_takes else legs[::-1]
        return match(max(seq, 1), self.price_ticks, self.qty_lots, taker, maker)


executions = st.builds(
    Execution,
    buy_index=st.integers(0, 5),
    sell_index=st.integers(0, 5),
    buy_fee_ppm=fees_ppm,
    sell_fee_ppm=fees_ppm,
    price_ticks=st.integers(1, 12),
    qty_lots=st.integers(1, 6),
    buyer_takes=st.booleans(),
    is_order_event=st.integers(0, 5).map(lambda number: number == 0),
    seq_ahead=st.sampled_from([0, 0, 0, 0, 0, 1, 2, -1]),
)
Kind = contract.OrderEvent
steps = st.lists(st.one_of(requests(), executions), min_size=15, max_size=40)


def check(world: World) -> None:
    """Every law that holds after every input."""
    state = world.state
    totals = sum_by_asset(
        (asset_id, sum(balance))
        for account in state.accounts.values()
        for asset_id, balance in account.balances.items()
    )
    assert not any(totals.values())
    locked = {
        (account_id, asset_id): balance[contract.LOCKED_ORDERS]
        for account_id, account in state.accounts.items()
        for asset_id, balance in account.balances.items()
    }
    for order in state.orders.values():
        locked[order.account_id, order.asset_id] -= order.locked_minor
        notional_minor = order.limit_ticks * order.leaves_lots * 7
        required_minor = (
            order.leaves_lots * 3
            if order.side == SELL
            else notional_minor
            - (-(order.fee_basis_ppm_minor + notional_minor * order.fee_ppm) // 1_000_000)
            - order.charged_minor
        )
        assert order.locked_minor == required_minor
    assert not any(locked.values())
    for account_id, account in state.accounts.items():
        for balance in account.balances.values():
            assert account_id < USER_ACCOUNT_ID_MIN or min(balance) >= 0


def check_history(world: World) -> None:
    """The transactions alone make the balances, without a gap."""
    folded: dict[tuple[int, int, int], int] = {}
    account_seqs: dict[int, int] = {}
    for number, (journal_seq, _, _, postings, changes) in enumerate(world.transactions, start=1):
        assert journal_seq == number
        sums = sum_by_asset((asset_id, delta) for _, asset_id, _, delta, _ in postings)
        assert not any(sums.values())
        for account_id, asset_id, bucket, delta_minor, _ in postings:
            place = account_id, asset_id, bucket
            folded[place] = folded.get(place, 0) + delta_minor
        for account_id, account_seq, balances in changes:
            assert account_seq == account_seqs.get(account_id, 0) + 1
            account_seqs[account_id] = account_seq
            for asset_id, *buckets in balances:
                assert buckets == [
                    folded.get((account_id, asset_id, bucket), 0) for bucket in range(4)
                ]
    for account_id, account in world.state.accounts.items():
        assert account.seq == account_seqs.get(account_id, 0)
        for asset_id, balance in account.balances.items():
            assert balance == [folded.get((account_id, asset_id, bucket), 0) for bucket in range(4)]


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(steps=steps)
def test_any_sequence_keeps_the_laws(steps: list[tuple[int, bytes] | Execution]) -> None:
    """Sum 0 per asset, no negative bucket, locks as required, gap-free sequences, same digest."""
    world = World(market(base_per_lot_minor=3, quote_per_tick_lot_minor=7))
    world.seed(*((user, asset, 1500) for user in (ALICE, BOB, CAROL) for asset in (BASE, QUOTE)))
    for order_id, (user, side) in enumerate([(ALICE, BUY), (BOB, SELL), (CAROL, BUY)], start=101):
        world.ask(reserve(user, order_id, side, 9, 12, fee_ppm=1000))
    for step in steps:
        if isinstance(step, Execution):
            world.execute(step.value(world))
        else:
            world.put(*step)
        check(world)
    check_history(world)
    replayed = State()
    for kind, payload in world.inputs:
        replay_input(replayed, kind, payload)

    assert state_digest(replayed) == state_digest(world.state)
