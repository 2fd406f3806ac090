"""
The account core's state machine: one request in, one outcome out, the transaction in the outbox.

Deterministic: the outcome is a function of the state and the order of the inputs, nothing else.
It does no I/O and reads no clock. The one idea: `apply` is the only door for requests, so that
fencing and idempotency hold for every kind of command, rejected ones included.
"""

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import transfers
from workloads.account.reference.orders import Order, lock_required_minor
from workloads.account.reference.state import (
    ACCOUNT_NOT_FOUND,
    AMOUNT_MAX_MINOR,
    AMOUNT_OVERFLOW,
    AVAILABLE,
    EXTERNAL,
    INSUFFICIENT_AVAILABLE,
    NON_POSITIVE,
    OK,
    USER_ACCOUNT_ID_MIN,
    Account,
    Command,
    Outcome,
    State,
    refused,
)

INSTRUMENT_UNKNOWN: int = contract.INSTRUMENT_UNKNOWN
REDUCE_ONLY_VIOLATION: int = contract.REDUCE_ONLY_VIOLATION
ORDER_UNKNOWN: int = contract.ORDER_UNKNOWN
ORDER_TERMINAL: int = contract.ORDER_TERMINAL
ORDER_DUPLICATE: int = contract.ORDER_DUPLICATE
IDEMPOTENCY_MISMATCH: int = contract.IDEMPOTENCY_MISMATCH
FENCED: int = contract.FENCED

TXN_CREATE_ACCOUNT: int = contract.TXN_CREATE_ACCOUNT
TXN_RESERVE: int = contract.TXN_RESERVE
TXN_AMEND: int = contract.TXN_AMEND
TXN_RELEASE: int = contract.TXN_RELEASE
TXN_SEED: int = contract.TXN_SEED

# Kinds of command: the first number of each, and an index into _HANDLERS.
CREATE_ACCOUNT, TRANSFER, INTERNAL_TRANSFER, RESERVE, AMEND, RELEASE, PEND, POST, VOID = range(9)


_NOTHING: dict[bytes, tuple[Command, Outcome]] = {}


def apply(state: State, request_id: bytes, epoch: int, command: Command) -> Outcome:
    """
    Apply one request, or give the stored outcome of the same one.

    Args:
        state: Changed in place; state.revision is raised if and only if anything changed.
        request_id: Idempotency key; its scope is the command's account.
        epoch: Of the client; lower than the highest seen is FENCED.
        command: The payload, starting with its kind and its account_id.
    """
    if epoch != state.epoch:
        if epoch < state.epoch:
            return refused(state, None, FENCED)
        state.epoch = epoch
        state.revision += 1
    outcomes = state.outcomes
    scope = outcomes.newer.get(command[1])
    known = scope.get(request_id) if scope is not None else None
    if known is None and outcomes.older:
        known = outcomes.older.get(command[1], _NOTHING).get(request_id)
    if known is not None:
        if known[0] != command:
            return refused(state, state.accounts.get(command[1]), IDEMPOTENCY_MISMATCH)
        return (*known[1][:6], True)
    outcome = _HANDLERS[command[0]](state, request_id, command)
    if scope is None:
        scope = outcomes.newer[command[1]] = {}
    scope[request_id] = (command, outcome)
    state.outcome_count += 1
    state.revision += 1
    return outcome


def seed(state: State, account_id: int, asset_id: int, amount_minor: int) -> str:
    """
    Credit a starting balance against EXTERNAL, making the account if it is not there.

    An amount of 0 makes the account alone. A seed repeated is a seed added.

    Returns:
        What is wrong with the record; empty when it was applied.
    """
    if account_id < USER_ACCOUNT_ID_MIN:
        return f"account_id {account_id}: below {USER_ACCOUNT_ID_MIN} are the system's accounts"
    if amount_minor < 0:
        return f"amount_minor {amount_minor}: a seed is not negative"
    if amount_minor and asset_id not in state.assets:
        return f"asset_id {asset_id}: unknown; load the reference data first"
    external = state.accounts[EXTERNAL].balance(asset_id) if amount_minor else [0, 0, 0, 0]
    if external[AVAILABLE] - amount_minor < -AMOUNT_MAX_MINOR:
        return f"amount_minor {amount_minor}: the asset's supply would pass 2^62"
    account = state.accounts.get(account_id)
    if account is None:
        account = state.accounts[account_id] = Account(account_id)
    state.revision += 1
    state.seed_count += 1
    # A seed carries no request id: its place among the seeds is as unique, and replays the same.
    cause = (account_id, b"seed" + state.seed_count.to_bytes(12, "big"))
    if amount_minor:
        postings = transfers.credit(state, account, asset_id, amount_minor)
        state.post(TXN_SEED, cause, postings, ((account, (asset_id,)),))
    else:
        state.post(TXN_CREATE_ACCOUNT, cause, (), ((account, ()),))
    return ""


def amend_order(state: State, order: Order, price_ticks: int, leaves_lots: int) -> tuple[int, int]:
    """(code, change of its lock in minor units) of an amendment, not applied; 0 keeps a value."""
    if price_ticks < 0 or leaves_lots < 0:
        return NON_POSITIVE, 0
    lock_minor = lock_required_minor(
        order,
        price_ticks or order.limit_ticks,
        leaves_lots or order.leaves_lots,
        order.fee_basis_ppm_minor,
        order.charged_minor,
    )
    if lock_minor > AMOUNT_MAX_MINOR:
        return AMOUNT_OVERFLOW, 0
    if lock_minor <= 0:
        return NON_POSITIVE, 0
    delta_minor = lock_minor - order.locked_minor
    if delta_minor > state.accounts[order.account_id].balances[order.asset_id][AVAILABLE]:
        return INSUFFICIENT_AVAILABLE, 0
    return OK, delta_minor


def _create_account(state: State, request_id: bytes, command: Command) -> Outcome:
    account_id = command[1]
    if account_id < USER_ACCOUNT_ID_MIN:
        return refused(state, None, ACCOUNT_NOT_FOUND)
    account = state.accounts.get(account_id)
    if account is None:
        account = state.accounts[account_id] = Account(account_id)
        state.post(TXN_CREATE_ACCOUNT, (account_id, request_id), (), ((account, ()),))
    return (OK, state.journal_seq, account.seq, 0, 0, 0, False)


def _reserve(state: State, request_id: bytes, command: Command) -> Outcome:
    (
        _,
        account_id,
        instrument_id,
        order_id,
        side,
        price_ticks,
        qty_lots,
        limit_protect_ticks,
        reduces_only,
        fee_ppm,
    ) = command
    account = state.accounts.get(account_id)
    if account is None or account_id < USER_ACCOUNT_ID_MIN:
        return refused(state, None, ACCOUNT_NOT_FOUND)
    instrument = state.instruments.get(instrument_id)
    if instrument is None:
        return refused(state, account, INSTRUMENT_UNKNOWN)
    if order_id in state.orders or order_id in state.closed_orders:
        return refused(state, account, ORDER_DUPLICATE)
    if qty_lots <= 0 or price_ticks < 0 or (price_ticks or limit_protect_ticks) <= 0:
        return refused(state, account, NON_POSITIVE)
    if reduces_only:  # on spot there is no position that an order could reduce
        return refused(state, account, REDUCE_ONLY_VIOLATION)
    order = Order(
        order_id,
        account_id,
        instrument,
        side,
        price_ticks or limit_protect_ticks,
        qty_lots,
        fee_ppm,
    )
    asset_id, lock_minor = order.asset_id, order.locked_minor
    if lock_minor > AMOUNT_MAX_MINOR:
        return refused(state, account, AMOUNT_OVERFLOW, asset_id)
    if lock_minor <= 0:  # a rebate of the whole notional or more
        return refused(state, account, NON_POSITIVE, asset_id)
    balance = account.balances.get(asset_id)
    if balance is None or balance[AVAILABLE] < lock_minor:
        return refused(state, account, INSUFFICIENT_AVAILABLE, asset_id)
    state.orders[order_id] = order
    state.move_lock(TXN_RESERVE, (account_id, request_id), account, order, lock_minor)
    return (OK, state.journal_seq, account.seq, asset_id, lock_minor, balance[AVAILABLE], False)


def _amend(state: State, request_id: bytes, command: Command) -> Outcome:
    _, account_id, order_id, price_ticks, leaves_lots = command
    account = state.user(account_id)
    order = state.orders.get(order_id)
    if account is None or order is None or order.account_id != account_id:
        return _no_open_order(state, account, order_id)
    asset_id, balance = order.asset_id, account.balances[order.asset_id]
    code, delta_minor = amend_order(state, order, price_ticks, leaves_lots)
    if code == OK:
        limit_ticks, quantity_lots = order.limit_ticks, order.leaves_lots
        order.limit_ticks = price_ticks or limit_ticks
        order.leaves_lots = leaves_lots or quantity_lots
        order.locked_minor += delta_minor
        if (limit_ticks, quantity_lots) != (order.limit_ticks, order.leaves_lots):
            state.move_lock(TXN_AMEND, (account_id, request_id), account, order, delta_minor)
    locked_minor = order.locked_minor
    available_minor = balance[AVAILABLE]
    return (code, state.journal_seq, account.seq, asset_id, locked_minor, available_minor, False)


def _release(state: State, request_id: bytes, command: Command) -> Outcome:
    account_id, order_id = command[1], command[2]
    account = state.accounts.get(account_id)
    order = state.orders.get(order_id)
    if account is None or order is None or order.account_id != account_id:
        return _no_open_order(state, account, order_id)
    state.close_order(TXN_RELEASE, (account_id, request_id), account, order)
    asset_id = order.asset_id
    available_minor = account.balances[asset_id][AVAILABLE]
    return (OK, state.journal_seq, account.seq, asset_id, 0, available_minor, False)


def _no_open_order(state: State, account: Account | None, order_id: int) -> Outcome:
    if account is None or account.account_id < USER_ACCOUNT_ID_MIN:
        return refused(state, None, ACCOUNT_NOT_FOUND)
    if state.closed_orders.get(order_id) == account.account_id:
        return refused(state, account, ORDER_TERMINAL)
    return refused(state, account, ORDER_UNKNOWN)


_HANDLERS = (
    _create_account,
    transfers.transfer,
    transfers.internal_transfer,
    _reserve,
    _amend,
    _release,
    transfers.pend,
    transfers.post,
    transfers.void,
)
