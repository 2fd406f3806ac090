"""
Money into, out of and between accounts: at once, or in two phases.

Pure like the machine, whose handlers these are. The one idea: a pending withdrawal is money moved
to locked_withdrawal, so nothing else can spend it; a pending deposit is nobody's money yet, so no
balance shows it until it is posted.
"""

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.state import (
    ACCOUNT_NOT_FOUND,
    AMOUNT_MAX_MINOR,
    AMOUNT_OVERFLOW,
    AVAILABLE,
    EXTERNAL,
    INSUFFICIENT_AVAILABLE,
    LOCKED_WITHDRAWAL,
    NON_POSITIVE,
    OK,
    USER_ACCOUNT_ID_MIN,
    Account,
    Command,
    Outcome,
    PendingKey,
    Posting,
    State,
    refused,
)

ASSET_UNKNOWN: int = contract.ASSET_UNKNOWN
IDEMPOTENCY_MISMATCH: int = contract.IDEMPOTENCY_MISMATCH
PENDING_ALREADY_POSTED: int = contract.PENDING_ALREADY_POSTED
PENDING_ALREADY_VOIDED: int = contract.PENDING_ALREADY_VOIDED
PENDING_UNKNOWN: int = contract.PENDING_UNKNOWN
PENDING_MISMATCH: int = contract.PENDING_MISMATCH

TXN_TRANSFER: int = contract.TXN_TRANSFER
TXN_INTERNAL_TRANSFER: int = contract.TXN_INTERNAL_TRANSFER
TXN_PENDING: int = contract.TXN_PENDING
TXN_POST: int = contract.TXN_POST
TXN_VOID: int = contract.TXN_VOID


def transfer(state: State, request_id: bytes, command: Command) -> Outcome:
    account = _admitted(state, command)
    if isinstance(account, tuple):
        return account
    _, account_id, asset_id, amount_minor, _ = command
    postings = credit(state, account, asset_id, amount_minor)
    state.post(TXN_TRANSFER, (account_id, request_id), postings, ((account, (asset_id,)),))
    return _applied(state, account, asset_id)


def pend(state: State, request_id: bytes, command: Command) -> Outcome:
    """First phase of a deposit or withdrawal; the request_id identifies it."""
    account = _admitted(state, command)
    if isinstance(account, tuple):
        return account
    _, account_id, asset_id, amount_minor, _ = command
    key = (account_id, int.from_bytes(request_id, "big"))
    if key in state.pending:  # its outcome was forgotten, the money is still set aside
        return refused(state, account, IDEMPOTENCY_MISMATCH, asset_id)
    state.pending[key] = (asset_id, amount_minor)
    postings: tuple[Posting, ...] = ()
    if amount_minor < 0:
        postings = _lock(account, asset_id, -amount_minor)
    touched = ((account, (asset_id,) if postings else ()),)
    state.post(TXN_PENDING, (account_id, request_id), postings, touched)
    return _applied(state, account, asset_id)


def post(state: State, request_id: bytes, command: Command) -> Outcome:
    account, key = _named(state, command), (command[1], command[2])
    if isinstance(account, tuple):
        return account
    asset_id, amount_minor = state.pending[key]
    if amount_minor < 0:
        postings = _withdraw_locked(state, account, asset_id, -amount_minor)
    elif _passes_supply(state, asset_id, amount_minor):
        return refused(state, account, AMOUNT_OVERFLOW, asset_id)
    else:
        postings = credit(state, account, asset_id, amount_minor)
    del state.pending[key]
    state.settled[key] = (asset_id, amount_minor, PENDING_ALREADY_POSTED)
    state.post(TXN_POST, (command[1], request_id), postings, ((account, (asset_id,)),))
    return _applied(state, account, asset_id)


def void(state: State, request_id: bytes, command: Command) -> Outcome:
    account, key = _named(state, command), (command[1], command[2])
    if isinstance(account, tuple):
        return account
    asset_id, amount_minor = state.pending.pop(key)
    state.settled[key] = (asset_id, amount_minor, PENDING_ALREADY_VOIDED)
    postings: tuple[Posting, ...] = ()
    if amount_minor < 0:
        postings = _lock(account, asset_id, amount_minor)
    touched = ((account, (asset_id,) if postings else ()),)
    state.post(TXN_VOID, (command[1], request_id), postings, touched)
    return _applied(state, account, asset_id)


def internal_transfer(state: State, request_id: bytes, command: Command) -> Outcome:
    _, account_id, to_account_id, asset_id, amount_minor = command
    account, receiver = state.user(account_id), state.user(to_account_id)
    if account is None or receiver is None:
        return refused(state, account, ACCOUNT_NOT_FOUND, asset_id)
    if asset_id not in state.assets:
        return refused(state, account, ASSET_UNKNOWN, asset_id)
    if amount_minor <= 0 or account is receiver:  # to itself: nothing would move
        return refused(state, account, NON_POSITIVE, asset_id)
    balance = account.balance(asset_id)
    if balance[AVAILABLE] < amount_minor:
        return refused(state, account, INSUFFICIENT_AVAILABLE, asset_id)
    balance[AVAILABLE] -= amount_minor
    receiver.balance(asset_id)[AVAILABLE] += amount_minor
    postings = (
        (account_id, asset_id, AVAILABLE, -amount_minor, 0),
        (to_account_id, asset_id, AVAILABLE, amount_minor, 0),
    )
    touched = ((account, (asset_id,)), (receiver, (asset_id,)))
    state.post(TXN_INTERNAL_TRANSFER, (account_id, request_id), postings, touched)
    return _applied(state, account, asset_id)


def credit(
    state: State, account: Account, asset_id: int, amount_minor: int
) -> tuple[Posting, Posting]:
    """Move an amount from EXTERNAL to the account: the postings of it."""
    account.balance(asset_id)[AVAILABLE] += amount_minor
    state.accounts[EXTERNAL].balance(asset_id)[AVAILABLE] -= amount_minor
    return (
        (account.account_id, asset_id, AVAILABLE, amount_minor, 0),
        (EXTERNAL, asset_id, AVAILABLE, -amount_minor, 0),
    )


def _admitted(state: State, command: Command) -> Account | Outcome:
    """The account that a new transfer is for, made if it may be; or why it can't be."""
    _, account_id, asset_id, amount_minor, creates_account = command
    account = state.user(account_id)
    if account is None and not (creates_account and account_id >= USER_ACCOUNT_ID_MIN):
        return refused(state, None, ACCOUNT_NOT_FOUND)
    if asset_id not in state.assets:
        return refused(state, account, ASSET_UNKNOWN, asset_id)
    if amount_minor == 0:
        return refused(state, account, NON_POSITIVE, asset_id)
    if amount_minor < -AMOUNT_MAX_MINOR or _passes_supply(state, asset_id, amount_minor):
        return refused(state, account, AMOUNT_OVERFLOW, asset_id)
    available_minor = account.balance(asset_id)[AVAILABLE] if account else 0
    if available_minor + amount_minor < 0:
        return refused(state, account, INSUFFICIENT_AVAILABLE, asset_id)
    if account is None:
        account = state.accounts[account_id] = Account(account_id)
    return account


def _named(state: State, command: Command) -> Account | Outcome:
    """The account whose pending transfer a POST or VOID names; or why it can't be settled."""
    _, account_id, number, asset_id, amount_minor = command
    account = state.user(account_id)
    if account is None:
        return refused(state, None, ACCOUNT_NOT_FOUND)
    key: PendingKey = (account_id, number)
    settled = state.settled.get(key)
    if settled is not None:
        return refused(state, account, settled[2], settled[0])
    pending = state.pending.get(key)
    if pending is None:
        return refused(state, account, PENDING_UNKNOWN)
    if (asset_id or pending[0], amount_minor or pending[1]) != pending:
        return refused(state, account, PENDING_MISMATCH, pending[0])
    return account


def _passes_supply(state: State, asset_id: int, amount_minor: int) -> bool:
    # EXTERNAL mirrors the supply: bounding it bounds every account.
    external_minor = state.accounts[EXTERNAL].balance(asset_id)[AVAILABLE]
    return external_minor - amount_minor < -AMOUNT_MAX_MINOR


def _lock(account: Account, asset_id: int, amount_minor: int) -> tuple[Posting, Posting]:
    """From available to locked_withdrawal; a negative amount goes back."""
    balance = account.balance(asset_id)
    balance[AVAILABLE] -= amount_minor
    balance[LOCKED_WITHDRAWAL] += amount_minor
    return (
        (account.account_id, asset_id, AVAILABLE, -amount_minor, 0),
        (account.account_id, asset_id, LOCKED_WITHDRAWAL, amount_minor, 0),
    )


def _withdraw_locked(
    state: State, account: Account, asset_id: int, amount_minor: int
) -> tuple[Posting, Posting]:
    account.balance(asset_id)[LOCKED_WITHDRAWAL] -= amount_minor
    state.accounts[EXTERNAL].balance(asset_id)[AVAILABLE] += amount_minor
    return (
        (account.account_id, asset_id, LOCKED_WITHDRAWAL, -amount_minor, 0),
        (EXTERNAL, asset_id, AVAILABLE, amount_minor, 0),
    )


def _applied(state: State, account: Account, asset_id: int) -> Outcome:
    available_minor = account.balance(asset_id)[AVAILABLE]
    return (OK, state.journal_seq, account.seq, asset_id, 0, available_minor, False)
