"""Two-phase transfers, as tables over the pure state machine."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    QUOTE,
    World,
    pend,
    settle_pending,
    sum_by_asset,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.digest import state_digest
from workloads.account.reference.inputs import (
    InputKind,
    MalformedError,
    replay_input,
    transfer_call,
)
from workloads.account.reference.state import (
    AMOUNT_MAX_MINOR,
    EXTERNAL,
    USER_ACCOUNT_ID_MIN,
    State,
)

POST, VOID = contract.TransferRequest.POST, contract.TransferRequest.VOID
WITHDRAWAL, DEPOSIT = 1, 2  # request numbers of the two that are pending in `pending()`


def pending() -> World:
    """Alice has 1000 quote; a withdrawal of 300 and a deposit of 50 are pending."""
    world = World()
    world.seed((ALICE, QUOTE, 1000), (BOB, QUOTE, 1000))
    assert world.ask(pend(ALICE, QUOTE, -300, number=WITHDRAWAL)) == contract.OK
    assert world.ask(pend(ALICE, QUOTE, 50, number=DEPOSIT)) == contract.OK
    return world


def buckets(world: World, account_id: int = ALICE) -> tuple[int, int]:
    """Available and locked_withdrawal, of quote."""
    balance = world.state.accounts[account_id].balance(QUOTE)
    return balance[contract.AVAILABLE], balance[contract.LOCKED_WITHDRAWAL]


@pytest.mark.parametrize(
    ("number", "phase", "after", "external_minor"),
    [
        (WITHDRAWAL, POST, (700, 0), -1700),
        (WITHDRAWAL, VOID, (1000, 0), -2000),
        (DEPOSIT, POST, (750, 300), -2050),
        (DEPOSIT, VOID, (700, 300), -2000),
    ],
)
def test_pending_money_is_out_of_reach_until_settled(
    number: int,
    phase: "contract.TransferRequest.Phase.ValueType",
    after: tuple[int, int],
    external_minor: int,
) -> None:
    """A withdrawal is locked, a deposit is nowhere; POST lets it happen, VOID takes it back."""
    world = pending()
    before = buckets(world)
    code = world.ask(settle_pending(ALICE, phase, number))

    assert before == (700, 300)
    assert code == contract.OK
    assert buckets(world) == after
    assert world.available(EXTERNAL, QUOTE) == external_minor


@pytest.mark.parametrize(
    ("first", "again"),
    [(POST, contract.PENDING_ALREADY_POSTED), (VOID, contract.PENDING_ALREADY_VOIDED)],
)
@pytest.mark.parametrize("second", [POST, VOID])
def test_a_pending_transfer_is_settled_once(
    first: "contract.TransferRequest.Phase.ValueType",
    again: int,
    second: "contract.TransferRequest.Phase.ValueType",
) -> None:
    """A second POST or VOID with an id of its own says what became of it, and moves nothing."""
    world = pending()
    world.ask(settle_pending(ALICE, first, WITHDRAWAL))
    settled, count = buckets(world), len(world.transactions)

    assert world.ask(settle_pending(ALICE, second, WITHDRAWAL)) == again
    assert (buckets(world), len(world.transactions)) == (settled, count)


def test_the_same_request_again_is_replayed() -> None:
    """PENDING and POST with the id they had: the stored outcome, no second effect."""
    world = pending()
    requests = [
        pend(ALICE, QUOTE, -300, number=WITHDRAWAL),
        settle_pending(ALICE, POST, WITHDRAWAL, id_number=9),
    ]
    world.ask(requests[1])
    settled, count = buckets(world), len(world.transactions)

    assert [world.ask(request) for request in requests] == [contract.OK, contract.OK]
    assert (buckets(world), len(world.transactions)) == (settled, count)


@pytest.mark.parametrize(
    ("account_id", "number", "fields", "code"),
    [
        (ALICE, 77, {}, contract.PENDING_UNKNOWN),
        (BOB, WITHDRAWAL, {}, contract.PENDING_UNKNOWN),
        (4444, WITHDRAWAL, {}, contract.ACCOUNT_NOT_FOUND),
        (ALICE, WITHDRAWAL, {"amount_minor": -299}, contract.PENDING_MISMATCH),
        (ALICE, WITHDRAWAL, {"asset_id": BASE}, contract.PENDING_MISMATCH),
        (ALICE, WITHDRAWAL, {"amount_minor": -300, "asset_id": QUOTE}, contract.OK),
    ],
)
def test_what_can_be_settled(
    account_id: int, number: int, fields: dict[str, int], code: int
) -> None:
    """The account's own PENDING, all of it."""
    world = pending()
    request = settle_pending(account_id, POST, number, **fields)

    assert world.ask(request) == code


@pytest.mark.parametrize(
    ("asset_id", "amount_minor", "code"),
    [
        (QUOTE, -701, contract.INSUFFICIENT_AVAILABLE),
        (QUOTE, 0, contract.NON_POSITIVE),
        (77, 1, contract.ASSET_UNKNOWN),
        (QUOTE, AMOUNT_MAX_MINOR, contract.AMOUNT_OVERFLOW),
    ],
)
def test_a_refused_pending_is_none(asset_id: int, amount_minor: int, code: int) -> None:
    """It has the codes of a single transfer, and nothing can be posted of it."""
    world = pending()

    assert world.ask(pend(ALICE, asset_id, amount_minor, number=5)) == code
    assert world.ask(settle_pending(ALICE, POST, 5)) == contract.PENDING_UNKNOWN


def test_a_deposit_that_would_overflow_stays_pending() -> None:
    """Each of two deposits fits alone; the second POST is refused and can be voided."""
    world = World()
    world.seed((ALICE, QUOTE, 0))
    half_minor = AMOUNT_MAX_MINOR // 2 + 1
    for number in (1, 2):
        assert world.ask(pend(ALICE, QUOTE, half_minor, number=number)) == contract.OK

    assert world.ask(settle_pending(ALICE, POST, 1)) == contract.OK
    assert world.ask(settle_pending(ALICE, POST, 2)) == contract.AMOUNT_OVERFLOW
    assert world.ask(settle_pending(ALICE, VOID, 2)) == contract.OK


def test_each_phase_is_a_transaction_of_its_own_kind() -> None:
    """A deposit's PENDING and VOID have no postings but count in account_seq."""
    world = pending()
    world.ask(settle_pending(ALICE, POST, WITHDRAWAL))
    world.ask(settle_pending(ALICE, VOID, DEPOSIT))
    kinds = [(kind, len(postings)) for _, kind, _, postings, _ in world.transactions[2:]]

    assert kinds == [
        (contract.TXN_PENDING, 2),
        (contract.TXN_PENDING, 0),
        (contract.TXN_POST, 2),
        (contract.TXN_VOID, 0),
    ]
    assert world.state.accounts[ALICE].seq == 5


def test_a_deposit_may_make_its_account() -> None:
    """PENDING with create_account makes the account at once; only POST gives it money."""
    world = World()
    request = pend(CAROL, QUOTE, 5, number=1)
    request.create_account = True

    assert world.ask(request) == contract.OK
    assert buckets(world, CAROL) == (0, 0)
    assert world.ask(settle_pending(CAROL, POST, 1)) == contract.OK
    assert buckets(world, CAROL) == (5, 0)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (contract.TransferRequest(phase=POST), "pending_id: 0 bytes; 16 are needed"),
        (contract.TransferRequest(pending_id=b"x"), "only POST and VOID"),
        (contract.TransferRequest.FromString(b"\x28\x09"), "phase: 9"),
    ],
)
def test_a_malformed_phase_is_named(request_: contract.TransferRequest, words: str) -> None:
    """No domain code could answer it."""
    with pytest.raises(MalformedError, match=words):
        transfer_call(request_)


class Step(NamedTuple):
    """One request on transfers."""

    account_id: int
    phase: "contract.TransferRequest.Phase.ValueType"
    asset_id: int
    amount_minor: int
    number: int
    pending_number: int

    def payload(self) -> bytes:
        """The request."""
        if self.phase in {POST, VOID}:
            return settle_pending(
                self.account_id, self.phase, self.pending_number, id_number=self.number
            ).SerializeToString()
        request = pend(self.account_id, self.asset_id, self.amount_minor, number=self.number)
        request.phase = self.phase
        return request.SerializeToString()


numbers = st.integers(1, 25)
steps = st.builds(
    Step,
    account_id=st.sampled_from([ALICE, BOB, CAROL]),
    phase=st.sampled_from([*contract.TransferRequest.Phase.values(), POST, VOID]),
    asset_id=st.sampled_from([BASE, QUOTE]),
    amount_minor=st.integers(-150, 150),
    number=numbers,
    pending_number=numbers,
)


def check(world: World) -> None:
    """Every law of transfers, after any input."""
    state = world.state
    amounts = [
        (account_id, asset_id, balance)
        for account_id, account in state.accounts.items()
        for asset_id, balance in account.balances.items()
    ]
    locked = sum_by_asset(
        (asset_id, -amount_minor)
        for asset_id, amount_minor in state.pending.values()
        if amount_minor < 0
    )
    assert not any(sum_by_asset((asset_id, sum(b)) for _, asset_id, b in amounts).values())
    assert all(min(b) >= 0 for account_id, _, b in amounts if account_id >= USER_ACCOUNT_ID_MIN)
    held = sum_by_asset((asset_id, b[contract.LOCKED_WITHDRAWAL]) for _, asset_id, b in amounts)
    assert {key: amount for key, amount in held.items() if amount} == locked
    assert not any(key in state.settled for key in state.pending)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps=st.lists(steps, min_size=10, max_size=60))
def test_any_sequence_of_phases_keeps_the_laws(steps: list[Step]) -> None:
    """Sum 0, none negative, locked_withdrawal = what is pending; and a replay makes the same."""
    world = World()
    world.seed(*((user, asset, 200) for user in (ALICE, BOB, CAROL) for asset in (BASE, QUOTE)))
    for step in steps:
        world.put(InputKind.TRANSFER, step.payload())
        check(world)
    posted = sum_by_asset(
        (asset_id, delta_minor)
        for _, kind, _, postings, _ in world.transactions
        if kind == contract.TXN_POST
        for account_id, asset_id, _, delta_minor, _ in postings
        if account_id == EXTERNAL
    )
    settled = sum_by_asset(
        (asset_id, -amount_minor)
        for asset_id, amount_minor, code in world.state.settled.newer.values()
        if code == contract.PENDING_ALREADY_POSTED
    )
    replayed = State()
    for kind, payload in world.inputs:
        replay_input(replayed, kind, payload)

    assert posted == settled
    assert state_digest(replayed) == state_digest(world.state)
