"""Kernels of the reference's state machine, its digest and its journal."""

import shutil
import tempfile
from fractions import Fraction
from math import ceil
from pathlib import Path

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import machine
from workloads.account.reference.digest import state_digest
from workloads.account.reference.fills import apply_match
from workloads.account.reference.journal import Entry, Journal
from workloads.account.reference.kernels import (
    BASE_ASSET_ID,
    INSTRUMENT_ID,
    QUOTE_ASSET_ID,
    apply_all,
    funded_state,
    reserve_release_calls,
)
from workloads.account.reference.machine import RESERVE
from workloads.account.reference.orders import BUY, PPM, SELL, LegEffect, Order, leg_effect
from workloads.account.reference.state import (
    AVAILABLE,
    LOCKED_ORDERS,
    USER_ACCOUNT_ID_MIN,
    ExecutionCause,
    State,
)
from workloads.micro.kernel import Kernel, Round, fault_if, first_fault, unequal

_COUNT = 1024
_ACCOUNT_COUNT = 64
_GROUP_COUNT = 256
_FUNDS_MINOR = 10**12
_FEES_ACCOUNT_ID = 1
_LOCK_MINOR = 11_500 * 17 * 10 + 1_955  # the notional of a reserve, and 1,000 ppm of it
_FILL_NOTIONAL_MINOR = 11_400 * 17 * 10
_TAKER_PPM, _MAKER_PPM = 1_000, -100
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder made in it is ours alone


def _total(state: State, asset_id: int, bucket: int) -> int:
    """What the users hold of the asset in the bucket."""
    return sum(
        account.balance(asset_id)[bucket]
        for account_id, account in state.accounts.items()
        if account_id >= USER_ACCOUNT_ID_MIN
    )


def _reserve() -> Round[State]:
    state = funded_state(_ACCOUNT_COUNT)
    calls = reserve_release_calls(_COUNT, _ACCOUNT_COUNT)[::2]

    def work() -> State:
        apply_all(state, calls)
        return state

    def fault(after: State) -> str:
        locked_minor = _total(after, QUOTE_ASSET_ID, LOCKED_ORDERS)
        return first_fault((
            unequal("the number of orders", len(after.orders), _COUNT),
            unequal("what is locked", locked_minor, _COUNT * _LOCK_MINOR),
        ))  # fmt: skip

    return Round(work=work, fault=fault)


def _with_orders() -> State:
    state = funded_state(_ACCOUNT_COUNT)
    apply_all(state, reserve_release_calls(_COUNT, _ACCOUNT_COUNT)[::2])
    return state


def _release() -> Round[State]:
    state = _with_orders()
    calls = reserve_release_calls(_COUNT, _ACCOUNT_COUNT)[1::2]

    def work() -> State:
        apply_all(state, calls)
        return state

    def fault(after: State) -> str:
        available_minor = _total(after, QUOTE_ASSET_ID, AVAILABLE)
        return first_fault((
            unequal("the number of open orders", len(after.orders), 0),
            unequal("the number of closed orders", len(after.closed_orders), _COUNT),
            unequal("what is available", available_minor, _ACCOUNT_COUNT * _FUNDS_MINOR),
        ))  # fmt: skip

    return Round(work=work, fault=fault)


def _matched_state() -> State:
    """Two orders a match: the even ones buy, the odd ones sell."""
    state = funded_state(_ACCOUNT_COUNT)
    for account_id in range(USER_ACCOUNT_ID_MIN, USER_ACCOUNT_ID_MIN + _ACCOUNT_COUNT):
        assert not machine.seed(state, account_id, BASE_ASSET_ID, _FUNDS_MINOR)
    for order_id in range(2 * _COUNT):
        account_id = USER_ACCOUNT_ID_MIN + order_id % _ACCOUNT_COUNT
        side, limit_ticks = (SELL, 11_300) if order_id % 2 else (BUY, 11_500)
        command = (
            *(RESERVE, account_id, INSTRUMENT_ID, order_id),
            *(side, limit_ticks, 17, 0, 0, _TAKER_PPM),
        )
        machine.apply(state, order_id.to_bytes(16, "big"), 0, command)
    state.transactions.clear()
    return state


def _match(number: int) -> contract.MatchEvent:
    def leg(order_id: int, side: int, fee_ppm: int) -> contract.Leg:
        account_id = USER_ACCOUNT_ID_MIN + order_id % _ACCOUNT_COUNT
        return contract.Leg(
            account_id=account_id,
            order_id=order_id,
            side=side,  # type: ignore[arg-type]  # the enum's number
            fee_ppm=fee_ppm,
        )

    return contract.MatchEvent(
        match_id=number,
        price_ticks=11_400,
        qty_lots=17,
        taker=leg(2 * number, BUY, _TAKER_PPM),
        maker=leg(2 * number + 1, SELL, _MAKER_PPM),
    )


def _fill() -> Round[list[str]]:
    state = _matched_state()
    matches = [
        (_match(number), ExecutionCause(0, number, number + 1, "me", INSTRUMENT_ID, number))
        for number in range(_COUNT)
    ]

    def work() -> list[str]:
        transactions = state.transactions
        reasons = []
        for first in range(0, _COUNT, _GROUP_COUNT):
            for match, cause in matches[first : first + _GROUP_COUNT]:
                reasons.append(apply_match(state, INSTRUMENT_ID, match, cause))
            transactions.clear()
        return reasons

    def fault(reasons: list[str]) -> str:
        fees_minor = state.accounts[_FEES_ACCOUNT_ID].balance(QUOTE_ASSET_ID)[AVAILABLE]
        a_match_minor = _ceil_fee(_TAKER_PPM) + _ceil_fee(_MAKER_PPM)
        funds_minor = _ACCOUNT_COUNT * _FUNDS_MINOR
        return first_fault((
            first_fault(reasons),
            unequal("the number of open orders", len(state.orders), 0),
            unequal("the fees", fees_minor, _COUNT * a_match_minor),
            unequal("quote", _total(state, QUOTE_ASSET_ID, AVAILABLE) + fees_minor, funds_minor),
            unequal("base", _total(state, BASE_ASSET_ID, AVAILABLE), funds_minor),
        ))  # fmt: skip

    return Round(work=work, fault=fault)


def _ceil_fee(fee_ppm: int) -> int:
    """The fee of one leg, rounded up, in fractions: apart from the reference's arithmetic."""
    return ceil(Fraction(_FILL_NOTIONAL_MINOR * fee_ppm, PPM))


def _fees() -> Round[list[LegEffect]]:
    state = _matched_state()
    orders: list[Order] = [state.orders[order_id] for order_id in range(_COUNT)]

    def work() -> list[LegEffect]:
        return [leg_effect(order, _FILL_NOTIONAL_MINOR, 17, _TAKER_PPM, 0) for order in orders]

    def fault(effects: list[LegEffect]) -> str:
        fee_minor = sum(effect.fee_minor for effect in effects)
        lock_minor = sum(effect.lock_after_minor for effect in effects)
        return first_fault((
            unequal("the fees", fee_minor, _COUNT * _ceil_fee(_TAKER_PPM)),
            unequal("what stays locked", lock_minor, 0),
        ))  # fmt: skip

    return Round(work=work, fault=fault)


def _digest() -> Round[bytes]:
    state = _with_orders()

    def fault(digest: bytes) -> str:
        twin = _with_orders()
        same = state_digest(twin)
        twin.accounts[USER_ACCOUNT_ID_MIN].balance(QUOTE_ASSET_ID)[AVAILABLE] += 1
        return first_fault((
            unequal("the digest of an equal state", same, digest),
            fault_if(state_digest(twin) == digest, "one more unit does not change the digest"),
        ))  # fmt: skip

    return Round(work=lambda: state_digest(state), fault=fault)


def _journal_append() -> Round[Journal]:
    # In memory where there is such a folder: the kernel is our code, not the disk.
    place = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="acctbench-", dir=place))
    journal = Journal(folder)
    entries: list[Entry] = [
        (1 + number % 8, number.to_bytes(96, "big")) for number in range(_COUNT)
    ]

    def work() -> Journal:
        for first in range(0, _COUNT, _GROUP_COUNT):
            emitted = {"ledger": first, "balances": first}
            journal.write(entries[first : first + _GROUP_COUNT], emitted)
        return journal

    def close() -> None:
        journal.close()
        shutil.rmtree(folder)

    return Round(
        work=work,
        fault=lambda after: unequal("what the journal holds", list(after.read()), entries),
        close=close,
    )


KERNELS = (
    Kernel(
        name="reference.reserve",
        title="lock money for an order, with fencing and idempotency",
        operation_count=_COUNT,
        prepare=_reserve,
    ),
    Kernel(
        name="reference.release",
        title="free what an order locked",
        operation_count=_COUNT,
        prepare=_release,
    ),
    Kernel(
        name="reference.fill",
        title="apply a match to its two orders",
        operation_count=_COUNT,
        prepare=_fill,
    ),
    Kernel(
        name="reference.fees",
        title="fee, lock and balances of one leg of a match",
        operation_count=_COUNT,
        prepare=_fees,
    ),
    Kernel(
        name="reference.digest",
        title="digest of a state of 64 accounts and 1,024 open orders",
        operation_count=1,
        prepare=_digest,
    ),
    Kernel(
        name="reference.journal-append",
        title="chain and store an entry, 256 a commit, in memory",
        operation_count=_COUNT,
        prepare=_journal_append,
    ),
)
