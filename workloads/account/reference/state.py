"""
The whole state of the account core: what a replay of the journal must rebuild to the last bit.

Integers, text and bytes only; no clock, no I/O. Transactions leave through two outboxes
(`transactions`, `dead_letters`), which are not state: whoever applies inputs drains them.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.memory import Memory
from workloads.account.reference.orders import Instrument, Order

# An asset's supply; two of them still fit the wire's sint64 (domain rule: 2^62).
AMOUNT_MAX_MINOR = 2**62 - 1
USER_ACCOUNT_ID_MIN = 1000
FEES: int = contract.FEES
EXTERNAL: int = contract.EXTERNAL
SYSTEM_ACCOUNT_IDS: tuple[int, ...] = tuple(
    account_id for account_id in contract.SystemAccount.values() if account_id
)

# Codes that more than one module answers with.
OK: int = contract.OK
ACCOUNT_NOT_FOUND: int = contract.ACCOUNT_NOT_FOUND
AMOUNT_OVERFLOW: int = contract.AMOUNT_OVERFLOW
NON_POSITIVE: int = contract.NON_POSITIVE
INSUFFICIENT_AVAILABLE: int = contract.INSUFFICIENT_AVAILABLE

# A balance is a list indexed by the contract's Bucket.
AVAILABLE: int = contract.AVAILABLE
LOCKED_ORDERS: int = contract.LOCKED_ORDERS
LOCKED_WITHDRAWAL: int = contract.LOCKED_WITHDRAWAL
Balance = list[int]

# Tuples, because several are made for every operation: a frozen dataclass costs ten times as much.
# (account_id, asset_id, bucket, delta_minor, order_id)
Posting = tuple[int, int, int, int, int]
# (asset_id, available, locked_orders, locked_isolated, locked_withdrawal) after the transaction
BalanceAfter = tuple[int, int, int, int, int]
# (account_id, account_seq, balances that changed)
AccountChange = tuple[int, int, tuple[BalanceAfter, ...]]
# (account_id, request_id)
RequestCause = tuple[int, bytes]


class ExecutionCause(NamedTuple):
    """Where a record of me.executions.v1 was, and which one of its source's it is."""

    partition: int
    offset: int
    source_seq: int
    src: str
    instrument_id: int
    match_id: int


Cause = RequestCause | ExecutionCause
# (journal_seq, kind, cause, postings, changes)
Transaction = tuple[int, int, Cause, tuple[Posting, ...], tuple[AccountChange, ...]]
# (code, journal_seq, account_seq, asset_id, locked_minor, available_minor, replayed)
Outcome = tuple[int, int, int, int, int, int, bool]
# (kind, account_id, ...): the payload of a request without its Meta
Command = tuple[int, ...]
# (account_id, the PENDING's request_id as a number)
PendingKey = tuple[int, int]


class Position:
    """A derivative position. None is made yet: spot alone never opens one."""

    __slots__ = ("entry_value_minor", "funding_index", "isolated_margin_minor", "size_lots")

    def __init__(self) -> None:
        self.size_lots = 0
        self.entry_value_minor = 0
        self.isolated_margin_minor = 0
        self.funding_index = 0


class Account:
    """Balances by asset, positions by instrument, and the account's own gap-free sequence."""

    __slots__ = ("account_id", "balances", "positions", "seq")

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.seq = 0
        self.balances: dict[int, Balance] = {}
        self.positions: dict[int, Position] = {}

    def balance(self, asset_id: int) -> Balance:
        """The account's balance of the asset, made when first needed."""
        balance = self.balances.get(asset_id)
        if balance is None:
            balance = self.balances[asset_id] = [0, 0, 0, 0]
        return balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A currency: amounts are integers of 10^-scale."""

    asset_id: int
    symbol: str
    scale: int


@dataclass(slots=True, kw_only=True)
class Source:
    """
    One gap-free stream of executions: a sender and an instrument.

    Attributes:
        last_seq: Newest sequence number applied.
        waiting: Reorder buffer: (partition, offset, value) by sequence number.
    """

    last_seq: int = 0
    waiting: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that could not be applied, as it came, and why."""

    number: int
    value: bytes
    reason: str


class State:
    """Everything that the inputs so far have made."""

    __slots__ = (
        "accounts",
        "assets",
        "closed_orders",
        "dead_letter_count",
        "dead_letters",
        "duplicate_count",
        "epoch",
        "instruments",
        "journal_seq",
        "next_offsets",
        "older_outcome_count",
        "orders",
        "outcome_count",
        "outcomes",
        "pending",
        "revision",
        "seed_count",
        "settled",
        "sources",
        "stopped_partitions",
        "transactions",
    )

    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.instruments: dict[int, Instrument] = {}
        self.accounts = {account_id: Account(account_id) for account_id in SYSTEM_ACCOUNT_IDS}
        self.orders: dict[int, Order] = {}
        self.closed_orders: Memory[int, int] = Memory()  # order_id -> account_id
        self.pending: dict[PendingKey, tuple[int, int]] = {}  # -> asset_id, amount_minor
        # -> asset_id, amount_minor, code of a second try
        self.settled: Memory[PendingKey, tuple[int, int, int]] = Memory()
        # Idempotency: account_id -> request_id -> (command, outcome)
        self.outcomes: Memory[int, dict[bytes, tuple[Command, Outcome]]] = Memory()
        self.outcome_count = self.older_outcome_count = 0
        self.epoch = 0
        self.journal_seq = 0
        self.seed_count = 0
        self.sources: dict[tuple[str, int], Source] = {}
        self.next_offsets: dict[int, int] = {}
        self.stopped_partitions: set[int] = set()
        self.duplicate_count = 0
        self.dead_letter_count = 0
        # Not state: raised with every change, so that a caller knows what it must journal.
        self.revision = 0
        self.transactions: list[Transaction] = []
        self.dead_letters: list[DeadLetter] = []

    def forget(self) -> list[dict[Any, Any]]:
        """Drop outcomes, ended orders and settled transfers from before the last call."""
        self.revision += 1
        self.outcome_count -= self.older_outcome_count
        self.older_outcome_count = self.outcome_count
        return [self.outcomes.forget(), self.closed_orders.forget(), self.settled.forget()]

    def user(self, account_id: int) -> Account | None:
        """The user's account; system accounts take no commands."""
        return self.accounts.get(account_id) if account_id >= USER_ACCOUNT_ID_MIN else None

    def post(
        self,
        kind: int,
        cause: Cause,
        postings: tuple[Posting, ...],
        touched: tuple[tuple[Account, tuple[int, ...]], ...],
    ) -> None:
        """
        Close a transaction whose effect on the balances is already made.

        Args:
            kind: The contract's TxnKind.
            cause: What made it.
            postings: Sum to 0 per asset.
            touched: The user accounts concerned, each once, with the assets that changed.
        """
        self.journal_seq += 1
        changes = []
        for account, asset_ids in touched:
            account.seq += 1
            after: tuple[BalanceAfter, ...] = tuple(
                (asset_id, *account.balances[asset_id])  # type: ignore[misc]  # four buckets
                for asset_id in asset_ids
            )
            changes.append((account.account_id, account.seq, after))
        self.transactions.append((self.journal_seq, kind, cause, postings, tuple(changes)))

    def move_lock(
        self, kind: int, cause: Cause, account: Account, order: Order, delta_minor: int
    ) -> None:
        """Move *delta_minor* from available into the order's lock (negative: back out)."""
        asset_id, account_id = order.asset_id, account.account_id
        balance = account.balances[asset_id]
        balance[AVAILABLE] -= delta_minor
        balance[LOCKED_ORDERS] += delta_minor
        available, locked_orders, locked_isolated, locked_withdrawal = balance
        self.journal_seq = journal_seq = self.journal_seq + 1
        account.seq = account_seq = account.seq + 1
        after = (asset_id, available, locked_orders, locked_isolated, locked_withdrawal)
        postings: tuple[Posting, ...] = (
            (
                (account_id, asset_id, AVAILABLE, -delta_minor, order.order_id),
                (account_id, asset_id, LOCKED_ORDERS, delta_minor, order.order_id),
            )
            if delta_minor
            else ()
        )
        change = (account_id, account_seq, (after,))
        self.transactions.append((journal_seq, kind, cause, postings, (change,)))

    def close_order(self, kind: int, cause: Cause, account: Account, order: Order) -> None:
        """Free all that the order holds, and remember that it was there."""
        self.move_lock(kind, cause, account, order, -order.locked_minor)
        del self.orders[order.order_id]
        self.closed_orders[order.order_id] = order.account_id

    def bury(self, value: bytes, reason: str) -> None:
        """Put a record that can't be applied into the dead letters."""
        self.dead_letter_count += 1
        self.dead_letters.append(
            DeadLetter(number=self.dead_letter_count, value=value, reason=reason)
        )


def refused(state: State, account: Account | None, code: int, asset_id: int = 0) -> Outcome:
    """The outcome of a request that changes nothing."""
    if account is None:
        return (code, state.journal_seq, 0, asset_id, 0, 0, False)
    balance = account.balances.get(asset_id)
    available_minor = balance[AVAILABLE] if balance else 0
    return (code, state.journal_seq, account.seq, asset_id, 0, available_minor, False)
