"""
The state machine's hot paths as functions to be timed: in process, without gRPC or a disk.

What a pair includes: fencing, idempotency (the key looked up and the outcome kept), validation,
the lock, both sequences, and the transaction with its postings and balances for the journal's
outbox, which is emptied as often as a busy service empties it. Not included: protobuf, hashing.
"""

from workloads.account.reference import machine
from workloads.account.reference.machine import RELEASE, RESERVE
from workloads.account.reference.orders import BUY, Instrument
from workloads.account.reference.state import USER_ACCOUNT_ID_MIN, Asset, Command, State

BASE_ASSET_ID, QUOTE_ASSET_ID, INSTRUMENT_ID = 1, 2, 1
# As many operations as a busy service applies between two commits.
GROUP_COUNT = 256


def funded_state(account_count: int) -> State:
    """A state with one spot market and *account_count* users who hold plenty of its quote."""
    state = State()
    for asset_id in (BASE_ASSET_ID, QUOTE_ASSET_ID):
        state.assets[asset_id] = Asset(asset_id=asset_id, symbol=f"A{asset_id}", scale=8)
    state.instruments[INSTRUMENT_ID] = Instrument(
        instrument_id=INSTRUMENT_ID,
        symbol="A1/A2",
        base_asset_id=BASE_ASSET_ID,
        quote_asset_id=QUOTE_ASSET_ID,
        base_per_lot_minor=1_000,
        quote_per_tick_lot_minor=10,
        charges_per_lot=False,
        taker_fee_per_lot_minor=0,
        maker_fee_per_lot_minor=0,
    )
    for account_id in range(USER_ACCOUNT_ID_MIN, USER_ACCOUNT_ID_MIN + account_count):
        fault = machine.seed(state, account_id, QUOTE_ASSET_ID, 10**12)
        assert not fault, fault
    state.transactions.clear()
    return state


def reserve_release_calls(pair_count: int, account_count: int) -> list[tuple[bytes, Command]]:
    """(request_id, command) of *pair_count* reserves, each followed by its release."""
    calls: list[tuple[bytes, Command]] = []
    for number in range(pair_count):
        account_id = USER_ACCOUNT_ID_MIN + number % account_count
        reserve = (RESERVE, account_id, INSTRUMENT_ID, number, BUY, 11_500, 17, 0, 0, 1_000)
        calls.append(((2 * number).to_bytes(16, "big"), reserve))
        calls.append(((2 * number + 1).to_bytes(16, "big"), (RELEASE, account_id, number, 0)))
    return calls


def apply_all(state: State, calls: list[tuple[bytes, Command]]) -> None:
    """Apply the calls in order; this is what is timed."""
    apply, transactions = machine.apply, state.transactions
    for first in range(0, len(calls), GROUP_COUNT):
        for request_id, command in calls[first : first + GROUP_COUNT]:
            apply(state, request_id, 0, command)
        transactions.clear()
