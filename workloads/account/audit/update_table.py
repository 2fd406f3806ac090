"""acct.balances.v1 as tables: a row an update, and a row a balance in it."""

from dataclasses import dataclass, fields

import numpy as np
from google.protobuf.message import DecodeError

from harness.engine.event_log import Values
from workloads.account.audit.causes import operations_of
from workloads.account.audit.message_columns import Messages
from workloads.account.contract.accounts_pb2 import AccountUpdate
from workloads.account.wire.bad_record import BadRecordError
from workloads.account.wire.column_types import Column, ColumnTable, Mask, Words

_SEQ_MAX = 2**63 - 1  # what a column holds
_ANY_RUN = 0  # whose operation caused an update is not asked here


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances(ColumnTable):
    """
    A row a balance, in the order of the topic.

    Attributes:
        owner: Index of the update in its table.
    """

    owner: Column
    asset_id: Column
    total_minor: Column
    locked_orders_minor: Column
    locked_isolated_minor: Column
    locked_withdrawal_minor: Column
    available_minor: Column

    @property
    def buckets(self) -> tuple[Column, ...]:
        """The four parts of the total, in the order of the contract's buckets."""
        return (
            self.available_minor,
            self.locked_orders_minor,
            self.locked_isolated_minor,
            self.locked_withdrawal_minor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """A row an update, in the order of the topic."""

    account_id: Words
    account_seq: Column
    is_snapshot: Mask
    journal_seq: Column
    balances: Balances

    def __len__(self) -> int:
        return len(self.account_id)


_AMOUNTS = tuple(item.name for item in fields(Balances) if item.name.endswith("_minor"))


def decode(values: Values) -> Updates:
    """
    The updates in *values*.

    Raises:
        BadRecordError: one is no AccountUpdate, or a sequence number is past 63 bits.
    """
    messages = Messages.of(values)
    account_id = messages.varint(1).astype(np.uint64)
    account_seq = messages.varint(2)
    is_snapshot = messages.varint(3, bits=1)
    messages.fixed64(4)  # t_commit_ns
    owner, lines = messages.repeated(5)
    causes = messages.span(8)
    journal_seq = messages.varint(9)
    plain = messages.finish() & (values.length > 0)
    operations_of(messages.within(causes), plain, _ANY_RUN)
    balances = _balances(messages.within(lines), owner, plain)
    rewritten = []
    for index in np.flatnonzero(~plain).tolist():
        message = _parsed(index, values.value(index))
        account_id[index], account_seq[index] = message.account_id, message.account_seq
        is_snapshot[index], journal_seq[index] = message.snapshot, message.journal_seq
        rewritten.append(_balances_of(message, index))
    if not plain.all():
        balances = Balances.joined([balances.rows(plain[balances.owner]), *rewritten])
        balances = balances.rows(np.argsort(balances.owner, kind="stable"))
    return Updates(
        account_id=account_id,
        account_seq=account_seq,
        is_snapshot=is_snapshot.astype(np.bool_),
        journal_seq=journal_seq,
        balances=balances,
    )


def _parsed(index: int, value: bytes) -> AccountUpdate:
    try:
        message = AccountUpdate.FromString(value)
    except DecodeError as error:
        raise BadRecordError.of(index, value, error) from error
    if not value:
        raise BadRecordError.of(index, value, "no update")
    if max(message.account_seq, message.journal_seq) > _SEQ_MAX:
        raise BadRecordError.of(index, value, f"a number is past {_SEQ_MAX}")
    return message


def _balances(lines: Messages, owner: Column, plain: Mask) -> Balances:
    """The balances in *lines*; *plain* loses the updates that have one written otherwise."""
    asset_id = lines.varint(1, bits=32)
    # In the order of their numbers in the contract, which is that of the class.
    amounts = {name: lines.signed(number) for number, name in enumerate(_AMOUNTS, 2)}
    plain[owner[~lines.finish()]] = False
    return Balances(owner=owner, asset_id=asset_id, **amounts)


def _balances_of(message: AccountUpdate, index: int) -> Balances:
    lines = message.balances
    columns = {
        name: np.array([getattr(line, name) for line in lines], np.int64)
        for name in ("asset_id", *_AMOUNTS)
    }
    return Balances(owner=np.full(len(lines), index), **columns)
