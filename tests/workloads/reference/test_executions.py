"""The inbox: order within a source, duplicates, gaps, and records that can't be applied."""

import random

import pytest

from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    INSTRUMENT,
    QUOTE,
    SELL,
    World,
    leg,
    match,
    order_event,
    release,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.digest import state_digest
from workloads.account.reference.executions import REORDER_MAX_COUNT

FILL_COUNT = 40
Kind = contract.OrderEvent


def crossed() -> World:
    """Alice's bid 1 and Bob's ask 2, 100 lots each at 10."""
    world = World()
    world.seed((ALICE, QUOTE, 5000), (BOB, BASE, 5000))
    world.ask(reserve(ALICE, 1, BUY, 10, 100, fee_ppm=1000))
    world.ask(reserve(BOB, 2, SELL, 10, 100))
    return world


def fill(seq: int, qty_lots: int = 1, price_ticks: int = 10) -> bytes:
    """A match of the two orders."""
    return match(seq, price_ticks, qty_lots, leg(ALICE, 1, BUY, 1000), leg(BOB, 2, SELL, 500))


def balances(world: World) -> list[list[int]]:
    """Everything that money is."""
    return [
        account.balance(asset_id)
        for _, account in sorted(world.state.accounts.items())
        for asset_id in (BASE, QUOTE)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_order_and_repetition_of_delivery_do_not_matter(seed: int) -> None:
    """Shuffled within the reorder buffer and delivered twice, fills apply once and in order."""
    expected, shuffled = crossed(), crossed()
    fills = [fill(seq) for seq in range(1, FILL_COUNT + 1)]
    expected.execute(*fills)
    deliveries = fills * 2
    random.Random(seed).shuffle(deliveries)
    shuffled.execute(*deliveries)

    assert balances(expected) == balances(shuffled)
    assert shuffled.state.duplicate_count == FILL_COUNT
    assert shuffled.state.sources["s", INSTRUMENT].last_seq == FILL_COUNT
    causes = [cause.source_seq for _, _, cause, *_ in shuffled.transactions[4:]]  # type: ignore[union-attr]
    assert causes == list(range(1, FILL_COUNT + 1))


def test_sources_have_their_own_sequences() -> None:
    """The same seq of another source or instrument is another record."""
    world = crossed()
    world.execute(fill(1), src="a")
    world.execute(fill(1), src="b")

    assert (world.state.duplicate_count, world.state.orders[1].leaves_lots) == (0, 98)


def test_a_gap_past_the_buffer_stops_the_partition() -> None:
    """64 records wait for a missing one; the next goes to the dead letters and says why."""
    world = crossed()
    world.execute(*(fill(seq) for seq in range(2, 2 + REORDER_MAX_COUNT)), partition=3)

    assert not world.state.stopped_partitions
    world.execute(fill(2 + REORDER_MAX_COUNT), partition=3)
    assert world.state.stopped_partitions == {3}
    assert "seq 1 of src s" in world.state.dead_letters[0].reason
    assert world.state.orders[1].leaves_lots == 100


def test_the_missing_record_lets_all_that_wait_through() -> None:
    """A full buffer empties at once when the gap closes, on whatever partition."""
    world = crossed()
    world.execute(*(fill(seq) for seq in range(2, 2 + REORDER_MAX_COUNT)))
    world.execute(fill(1), partition=2)

    assert world.state.orders[1].leaves_lots == 100 - 1 - REORDER_MAX_COUNT
    assert not world.state.sources["s", INSTRUMENT].waiting


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (match(1, 10, 1, leg(ALICE, 9, BUY), leg(BOB, 2, SELL)), "ORDER_UNKNOWN"),
        (match(1, 10, 1, leg(ALICE, 3, BUY), leg(BOB, 2, SELL)), "ORDER_TERMINAL"),
        (match(1, 10, 1, leg(BOB, 1, BUY), leg(BOB, 2, SELL)), "another account"),
        (match(1, 10, 101, leg(ALICE, 1, BUY), leg(BOB, 2, SELL)), "100 lots left"),
        (match(1, 10, 1, leg(ALICE, 1, SELL), leg(BOB, 2, SELL)), "other side"),
        (match(1, 10, 1, leg(ALICE, 1, BUY), leg(ALICE, 1, BUY)), "same side"),
        (match(1, 0, 1, leg(ALICE, 1, BUY), leg(BOB, 2, SELL)), "NON_POSITIVE"),
        (match(1, 2**62, 9, leg(ALICE, 1, BUY), leg(BOB, 2, SELL)), "AMOUNT_OVERFLOW"),
        (match(1, 10, 1, leg(ALICE, 1, BUY, 2_000_000), leg(BOB, 2, SELL)), "AMOUNT_OVERFLOW"),
        (match(1, 9999, 1, leg(ALICE, 1, BUY), leg(BOB, 2, SELL)), "INSUFFICIENT_AVAILABLE"),
        (
            match(1, 10, 1, leg(ALICE, 1, BUY), leg(BOB, 2, SELL), instrument_id=9),
            "INSTRUMENT_UNKNOWN",
        ),
        (order_event(1, ALICE, 9, Kind.CANCELLED), "ORDER_UNKNOWN"),
        (order_event(1, BOB, 1, Kind.CANCELLED), "another account"),
        (order_event(1, ALICE, 1, Kind.AMENDED, price_ticks=9999), "INSUFFICIENT_AVAILABLE"),
    ],
)
def test_a_record_that_cannot_be_applied_changes_no_money(value: bytes, reason: str) -> None:
    """It goes to the dead letters whole, with its reason, and its sequence number is used."""
    world = crossed()
    world.ask(reserve(ALICE, 3, BUY, 1, 1))
    world.ask(release(ALICE, 3))
    before, transaction_count = balances(world), len(world.transactions)
    world.execute(value)

    assert before == balances(world)
    assert len(world.transactions) == transaction_count
    assert reason in world.state.dead_letters[0].reason
    assert world.state.dead_letters[0].value == value
    world.execute(order_event(2, ALICE, 1, Kind.ACCEPTED))
    assert world.state.dead_letter_count == 1


@pytest.mark.parametrize(
    ("value", "src"),
    [(b"\xff", "s"), (b"", "s"), (fill(0), "s"), (fill(1), ""), (b"\x08\x01\x10\x01", "s")],
)
def test_poison_is_buried_and_read_past(value: bytes, src: str) -> None:
    """Bytes that are no event, no seq, no event in it, no source: dead letters, offset moves."""
    world = crossed()
    world.execute(value, src=src, partition=2)

    assert (world.state.dead_letter_count, world.state.next_offsets) == (1, {2: 1})


@pytest.mark.parametrize("kind", [Kind.REJECTED, Kind.CANCELLED, Kind.EXPIRED, Kind.DONE])
def test_the_end_of_an_order_frees_its_lock(kind: "contract.OrderEvent.Kind.ValueType") -> None:
    """What a partly filled order still holds comes back; the same end again changes nothing."""
    world = crossed()
    world.execute(fill(1, 30), order_event(2, ALICE, 1, kind))
    digest_after = (world.locked(ALICE, QUOTE), world.available(ALICE, QUOTE))
    world.execute(order_event(3, ALICE, 1, kind))

    assert digest_after == (0, 5000 - 300 - 1)
    assert (world.state.dead_letter_count, world.transactions[-1][0]) == (0, 6)
    assert world.ask(release(ALICE, 1)) == contract.ORDER_TERMINAL


def test_an_engine_amendment_moves_the_lock() -> None:
    """AMENDED sets limit and quantity left, and the lock with them."""
    world = crossed()
    world.execute(order_event(1, ALICE, 1, Kind.AMENDED, price_ticks=20, leaves_lots=50))

    assert world.locked(ALICE, QUOTE) == 1000 + 1


def test_a_trade_with_oneself_conserves_money() -> None:
    """Both legs of one account: one transaction, one step of its sequence."""
    world = World()
    world.seed((ALICE, QUOTE, 100), (ALICE, BASE, 10))
    world.ask(reserve(ALICE, 1, BUY, 10, 10))
    world.ask(reserve(ALICE, 2, SELL, 10, 10))
    account_seq = world.state.accounts[ALICE].seq
    world.execute(match(1, 10, 10, leg(ALICE, 1, BUY), leg(ALICE, 2, SELL, 10_000)))

    assert (world.available(ALICE, QUOTE), world.available(ALICE, BASE)) == (99, 10)
    assert world.state.accounts[ALICE].seq == account_seq + 1


def test_the_digest_sees_the_reorder_buffer() -> None:
    """What waits is state: with and without it the digest differs."""
    one, two = crossed(), crossed()
    one.execute(fill(3))
    two.execute(fill(4))

    assert state_digest(one.state) != state_digest(two.state)
