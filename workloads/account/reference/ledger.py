"""
The ledger as bytes: each transaction as its event, kept for the paged history.

It holds durable transactions only. The one idea: the event of acct.ledger.v1 is encoded once, at
commit, and serves the topic and ListLedger alike, so the two can't disagree; kept as bytes
(100 to 200 each) they cost the garbage collector nothing.
"""

from array import array
from collections.abc import Iterator

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.state import (
    Account,
    BalanceAfter,
    Cause,
    ExecutionCause,
    Position,
    Transaction,
)


class Ledger:
    """
    The history of all accounts.

    Args:
        executions_topic: Named in the causes of transactions that came over Kafka.
    """

    def __init__(self, executions_topic: str) -> None:
        self._executions_topic = executions_topic
        self._events: list[bytes] = []  # by journal_seq - 1
        self._of_account: dict[int, array[int]] = {}  # journal_seq by account_seq - 1

    def __len__(self) -> int:
        return len(self._events)

    def append(self, transaction: Transaction, t_commit_ns: int) -> bytes:
        """Keep a durable transaction; its event."""
        journal_seq, kind, cause, postings, changes = transaction
        event = contract.JournalTxn(
            cause=self.cause(cause),
            journal_seq=journal_seq,
            txn_id=_txn_id(cause),
            kind=kind,  # type: ignore[arg-type]  # the enum's number
            t_commit_ns=t_commit_ns,
        )
        add = event.postings.add
        for account_id, asset_id, bucket, delta_minor, order_id in postings:
            add(
                account_id=account_id,
                asset_id=asset_id,
                bucket=bucket,
                delta_minor=delta_minor,
                order_id=order_id,
            )
        encoded = event.SerializeToString()
        self._events.append(encoded)
        for account_id, _, _ in changes:
            history = self._of_account.get(account_id)
            if history is None:
                history = self._of_account[account_id] = array("Q")
            history.append(journal_seq)
        return encoded

    def page(self, account_id: int, from_account_seq: int, count: int) -> Iterator[bytes]:
        """At most *count* LedgerEntry messages of the account from *from_account_seq* on."""
        history = self._of_account.get(account_id, array("Q"))
        first = max(from_account_seq, 1)
        for account_seq in range(first, min(first + count, len(history) + 1)):
            event = contract.JournalTxn.FromString(self._events[history[account_seq - 1] - 1])
            entry = contract.LedgerEntry(
                account_seq=account_seq,
                journal_seq=event.journal_seq,
                kind=event.kind,
                cause=event.cause,
                postings=[
                    posting for posting in event.postings if posting.account_id == account_id
                ],
            )
            yield entry.SerializeToString()

    def updates(self, transaction: Transaction, t_commit_ns: int) -> list[tuple[int, int, bytes]]:
        """(account_id, account_seq, AccountUpdate) of each user account it touched."""
        journal_seq, _, cause, _, changes = transaction
        return [
            (
                account_id,
                account_seq,
                contract.AccountUpdate(
                    account_id=account_id,
                    account_seq=account_seq,
                    t_commit_ns=t_commit_ns,
                    balances=[balance_message(balance) for balance in balances],
                    cause=self.cause(cause),
                    journal_seq=journal_seq,
                ).SerializeToString(),
            )
            for account_id, account_seq, balances in changes
        ]

    def cause(self, cause: Cause) -> contract.Cause:
        if not isinstance(cause, ExecutionCause):
            return contract.Cause(request_id=cause[1])
        partition, offset, source_seq, src, instrument_id, match_id = cause
        return contract.Cause(
            kafka=contract.KafkaRef(
                topic=self._executions_topic,
                partition=partition,
                offset=offset,
                source_seq=source_seq,
                src=src,
                instrument_id=instrument_id,
                match_id=match_id,
            )
        )


def balance_message(balance: BalanceAfter) -> contract.Balance:
    asset_id, available, locked_orders, locked_isolated, locked_withdrawal = balance
    return contract.Balance(
        asset_id=asset_id,
        total_minor=available + locked_orders + locked_isolated + locked_withdrawal,
        locked_orders_minor=locked_orders,
        locked_isolated_minor=locked_isolated,
        locked_withdrawal_minor=locked_withdrawal,
        available_minor=available,
    )


def balance_messages(account: Account) -> list[contract.Balance]:
    """Every balance of *account*, by asset."""
    return [
        balance_message((asset_id, *balance))  # type: ignore[arg-type]  # four buckets
        for asset_id, balance in sorted(account.balances.items())
    ]


def position_messages(account: Account) -> list[contract.Position]:
    """Every position of *account*, by instrument."""
    return [
        _position_message(instrument_id, position)
        for instrument_id, position in sorted(account.positions.items())
    ]


def _position_message(instrument_id: int, position: Position) -> contract.Position:
    return contract.Position(
        instrument_id=instrument_id,
        size_lots=position.size_lots,
        entry_value_minor=position.entry_value_minor,
        isolated_margin_minor=position.isolated_margin_minor,
        funding_index=position.funding_index,
    )


def _txn_id(cause: Cause) -> bytes:
    # What makes the cause unique, spelled out: no hash needed, and the same after a restart.
    if not isinstance(cause, ExecutionCause):
        account_id, request_id = cause
        return account_id.to_bytes(8, "big") + request_id
    place = cause.instrument_id.to_bytes(4, "big") + cause.source_seq.to_bytes(8, "big")
    return place + cause.src.encode()
