"""Codes, idempotency and order life, as tables over the pure state machine."""

import pytest

from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    QUOTE,
    SELL,
    World,
    meta,
    release,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import inputs, machine
from workloads.account.reference.digest import state_digest
from workloads.account.reference.inputs import MalformedError, UnsupportedError
from workloads.account.reference.state import AMOUNT_MAX_MINOR, EXTERNAL, Outcome


def funded() -> World:
    """Alice and Bob with 1000 of each asset, Alice with an open bid 1 and a released bid 2."""
    world = World()
    world.seed(*((user, asset, 1000) for user in (ALICE, BOB) for asset in (BASE, QUOTE)))
    assert world.ask(reserve(ALICE, 1, BUY, 10, 10)) == contract.OK
    assert world.ask(reserve(ALICE, 2, BUY, 10, 10)) == contract.OK
    assert world.ask(release(ALICE, 2)) == contract.OK
    return world


def market_order(protect_ticks: int) -> contract.ReserveRequest:
    """A market buy of 10 lots."""
    request = reserve(ALICE, 9, BUY, 0, 10)
    request.limit_protect_ticks = protect_ticks
    return request


def unknown_instrument() -> contract.ReserveRequest:
    """A reservation in an instrument that is not there."""
    request = reserve(ALICE, 9, BUY, 1, 1)
    request.instrument_id = 77
    return request


def reducing() -> contract.ReserveRequest:
    """A reduce-only order, which spot can't have."""
    request = reserve(ALICE, 9, BUY, 1, 1)
    request.reduce_only = True
    return request


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (reserve(4444, 9, BUY, 1, 1), contract.ACCOUNT_NOT_FOUND),
        (reserve(EXTERNAL, 9, BUY, 1, 1), contract.ACCOUNT_NOT_FOUND),
        (unknown_instrument(), contract.INSTRUMENT_UNKNOWN),
        (reserve(ALICE, 1, BUY, 1, 1), contract.ORDER_DUPLICATE),
        (reserve(ALICE, 2, BUY, 1, 1), contract.ORDER_DUPLICATE),
        (reserve(BOB, 1, BUY, 1, 1), contract.ORDER_DUPLICATE),
        (reserve(ALICE, 9, BUY, 1, 0), contract.NON_POSITIVE),
        (reserve(ALICE, 9, BUY, 1, -1), contract.NON_POSITIVE),
        (reserve(ALICE, 9, BUY, -1, 1), contract.NON_POSITIVE),
        (reserve(ALICE, 9, BUY, 1, 1, fee_ppm=-1_000_000), contract.NON_POSITIVE),
        (market_order(0), contract.NON_POSITIVE),
        (market_order(90), contract.OK),
        (market_order(91), contract.INSUFFICIENT_AVAILABLE),
        (reducing(), contract.REDUCE_ONLY_VIOLATION),
        (reserve(ALICE, 9, BUY, 2**40, 2**40), contract.AMOUNT_OVERFLOW),
        (reserve(ALICE, 9, BUY, 901, 1), contract.INSUFFICIENT_AVAILABLE),
        (reserve(ALICE, 9, BUY, 900, 1), contract.OK),
        (reserve(ALICE, 9, BUY, 899, 1, fee_ppm=1112), contract.OK),
        (reserve(ALICE, 9, BUY, 899, 1, fee_ppm=1113), contract.INSUFFICIENT_AVAILABLE),
        (reserve(ALICE, 9, SELL, 1, 1001), contract.INSUFFICIENT_AVAILABLE),
        (release(4444, 1), contract.ACCOUNT_NOT_FOUND),
        (release(ALICE, 3), contract.ORDER_UNKNOWN),
        (release(BOB, 1), contract.ORDER_UNKNOWN),
        (release(BOB, 2), contract.ORDER_UNKNOWN),
        (release(ALICE, 2), contract.ORDER_TERMINAL),
        (release(ALICE, 1), contract.OK),
    ],
)
def test_each_request_has_its_code(
    request_: contract.ReserveRequest | contract.ReleaseRequest, code: int
) -> None:
    """A refused request changes no balance and makes no transaction."""
    world = funded()
    balances = [world.available(ALICE, QUOTE), world.locked(ALICE, QUOTE)]
    journal_seq = world.state.journal_seq

    assert world.ask(request_) == code
    if code != contract.OK:
        assert balances == [world.available(ALICE, QUOTE), world.locked(ALICE, QUOTE)]
    assert world.state.journal_seq - journal_seq == int(code == contract.OK)


@pytest.mark.parametrize(
    ("price_ticks", "leaves_lots", "code", "locked_minor"),
    [
        (20, 0, contract.OK, 200),
        (0, 5, contract.OK, 50),
        (100, 10, contract.OK, 1000),
        (101, 10, contract.INSUFFICIENT_AVAILABLE, 100),
        (-1, 0, contract.NON_POSITIVE, 100),
        (0, -1, contract.NON_POSITIVE, 100),
        (2**40, 2**40, contract.AMOUNT_OVERFLOW, 100),
    ],
)
def test_an_amendment_moves_the_difference_of_the_lock(
    price_ticks: int, leaves_lots: int, code: int, locked_minor: int
) -> None:
    """The lock follows the new limit and quantity, or nothing changes."""
    world = funded()
    request = contract.AmendRequest(
        meta=meta(), account_id=ALICE, order_id=1, price_ticks=price_ticks, leaves_lots=leaves_lots
    )

    assert world.ask(request) == code
    assert world.locked(ALICE, QUOTE) == locked_minor
    assert world.available(ALICE, QUOTE) == 1000 - locked_minor


def transfer(amount_minor: int, account_id: int = ALICE, **fields: int) -> Outcome:
    """The outcome of a deposit or withdrawal in the funded world."""
    request = contract.TransferRequest(
        meta=meta(),
        account_id=account_id,
        asset_id=fields.get("asset_id", QUOTE),
        amount_minor=amount_minor,
        create_account=bool(fields.get("create_account")),
    )
    return machine.apply(funded().state, *inputs.transfer_call(request))


def test_transfers_have_their_codes() -> None:
    """Deposits and withdrawals: what is available moves, and not a unit more."""
    assert transfer(5)[:2] == (contract.OK, 8)
    assert transfer(-900)[5] == 0
    assert transfer(-901)[0] == contract.INSUFFICIENT_AVAILABLE
    assert transfer(0)[0] == contract.NON_POSITIVE
    assert transfer(1, asset_id=77)[0] == contract.ASSET_UNKNOWN
    assert transfer(1, account_id=4444)[0] == contract.ACCOUNT_NOT_FOUND
    assert transfer(1, account_id=4444, create_account=1)[0] == contract.OK
    assert transfer(1, account_id=FEES_ID, create_account=1)[0] == contract.ACCOUNT_NOT_FOUND
    assert transfer(AMOUNT_MAX_MINOR - 2000)[0] == contract.OK
    assert transfer(AMOUNT_MAX_MINOR - 1999)[0] == contract.AMOUNT_OVERFLOW


FEES_ID = contract.FEES


def test_internal_transfers_have_their_codes() -> None:
    """Both accounts must be there, be two, and the amount available."""
    for to_account_id, amount_minor, code in (
        (BOB, 900, contract.OK),
        (BOB, 901, contract.INSUFFICIENT_AVAILABLE),
        (BOB, 0, contract.NON_POSITIVE),
        (ALICE, 1, contract.NON_POSITIVE),
        (4444, 1, contract.ACCOUNT_NOT_FOUND),
    ):
        request = contract.InternalTransferRequest(
            meta=meta(),
            account_id=ALICE,
            to_account_id=to_account_id,
            asset_id=QUOTE,
            amount_minor=amount_minor,
        )

        assert machine.apply(funded().state, *inputs.internal_transfer_call(request))[0] == code


def test_the_same_request_again_is_told_the_same() -> None:
    """A repeated request, accepted or refused, gives the stored outcome and changes nothing."""
    world = funded()
    for request in (reserve(ALICE, 7, BUY, 10, 1), reserve(ALICE, 8, BUY, 9999, 1)):
        call = inputs.reserve_call(request)
        first = machine.apply(world.state, *call)
        world.seed((ALICE, QUOTE, 1_000_000))  # what was refused could be accepted now
        digest = state_digest(world.state)
        again = machine.apply(world.state, *call)

        assert again == (*first[:6], True)
        assert digest == state_digest(world.state)


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (reserve(ALICE, 7, BUY, 11, 1, number=1), contract.IDEMPOTENCY_MISMATCH),
        (reserve(ALICE, 7, SELL, 10, 1, number=1), contract.IDEMPOTENCY_MISMATCH),
        (reserve(BOB, 8, BUY, 10, 1, number=1), contract.OK),  # another account: another scope
        (reserve(ALICE, 7, BUY, 10, 1, number=1), contract.OK),
    ],
)
def test_an_id_belongs_to_one_payload_of_one_account(
    second: contract.ReserveRequest, code: int
) -> None:
    """The id of an account with another payload is a mismatch, which leaves no trace."""
    world = funded()
    machine.apply(world.state, *inputs.reserve_call(reserve(ALICE, 7, BUY, 10, 1, number=1)))
    revision = world.state.revision
    outcome = machine.apply(world.state, *inputs.reserve_call(second))

    assert outcome[0] == code
    assert (revision == world.state.revision) == (second.account_id == ALICE)


def test_amounts_one_apart_are_two_payloads() -> None:
    """-1 and -2 hash alike in Python; the payloads are compared, not their hashes."""
    world = funded()
    codes = [
        machine.apply(
            world.state,
            *inputs.transfer_call(
                contract.TransferRequest(
                    meta=meta(5), account_id=ALICE, asset_id=QUOTE, amount_minor=amount_minor
                )
            ),
        )[0]
        for amount_minor in (-1, -2)
    ]

    assert codes == [contract.OK, contract.IDEMPOTENCY_MISMATCH]


def test_the_highest_epoch_fences_the_lower() -> None:
    """A lower client_epoch is FENCED and remembered nowhere; an equal or higher one works."""
    world = funded()
    epochs_and_codes = [(3, contract.OK), (2, contract.FENCED), (3, contract.OK), (4, contract.OK)]
    for order_id, (epoch, code) in enumerate(epochs_and_codes, start=10):
        request = reserve(ALICE, order_id, BUY, 1, 1, epoch=epoch)

        assert machine.apply(world.state, *inputs.reserve_call(request))[0] == code


def test_a_market_is_not_changed_once_loaded() -> None:
    """The same data again is fine, other data is refused with every fault, and not loaded."""
    world = World()
    other = contract.ReferenceData(
        assets=[contract.Asset(asset_id=BASE, scale=10)],
        instruments=[contract.Instrument(instrument_id=5, base_asset_id=8, quote_asset_id=9)],
    )
    revision = world.state.revision

    with pytest.raises(MalformedError, match=r"scale 10.*differs.*asset 8.*asset 9.*worth"):
        inputs.load_reference_data(world.state, other)
    assert revision == world.state.revision


def test_a_batch_is_checked_whole_before_any_of_it_applies() -> None:
    """A malformed item is named; nothing of its batch is applied."""
    batch = contract.BatchReserveRequest()
    batch.items.add(reserve=reserve(ALICE, 1, BUY, 1, 1))
    batch.items.add()

    with pytest.raises(MalformedError, match=r"items\[1\]\.op is not set"):
        inputs.batch_calls(batch)


def test_what_is_not_supported_is_said() -> None:
    """Margin modes and expiry are refused by name, never ignored."""
    margin, expiring = reserve(ALICE, 1, BUY, 1, 1), reserve(ALICE, 1, BUY, 1, 1)
    margin.mode, expiring.ttl_ms = contract.CROSS, 1

    with pytest.raises(UnsupportedError, match="mode"):
        inputs.reserve_call(margin)
    with pytest.raises(UnsupportedError, match="ttl_ms"):
        inputs.reserve_call(expiring)
    with pytest.raises(MalformedError, match="16 are needed"):
        inputs.release_call(contract.ReleaseRequest())
