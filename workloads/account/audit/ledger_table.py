"""
acct.ledger.v1 as tables: a row a transaction, and a row a posting.

What the invariants are functions of. Read a chunk of the log at a time; whatever a message says,
the tables say what the generated class says.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from harness.engine.event_log import Values, read_chunks
from workloads.account.audit.causes import operation_of, operations_of
from workloads.account.audit.message_columns import Messages
from workloads.account.contract.accounts_pb2 import JournalTxn
from workloads.account.wire.bad_record import BadRecordError
from workloads.account.wire.column_types import Column, ColumnTable, Mask, Words

_SEQ_MAX = 2**63 - 1  # what a column holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings(ColumnTable):
    """
    A row a posting, in the order of the ledger.

    Attributes:
        owner: Index of the transaction in its table.
    """

    owner: Column
    account_id: Words
    asset_id: Column
    bucket: Column
    delta_minor: Column
    order_id: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """
    A row a transaction, in the order of the ledger.

    Attributes:
        operation: shard << 32 | index of what caused it, -1 for none of this run's.
        source_seq: Of the record that caused it, as its cause says; 0 for requests.
        first_posting: One more than rows: postings of row i are first_posting[i : i + 2].
        values: The messages.
        first_index: Of the first row among all records of the log.
        offset_bytes: Where in the log the chunk begins that they come from.
    """

    journal_seq: Column
    kind: Column
    operation: Column
    source_seq: Column
    first_posting: Column
    postings: Postings
    values: Values
    first_index: int
    offset_bytes: int

    def __len__(self) -> int:
        return len(self.journal_seq)

    @property
    def number(self) -> Column:
        """Of each row among all records of the log."""
        return self.first_index + np.arange(len(self))

    @property
    def has_none(self) -> Mask:
        """Which rows have no postings."""
        none: Mask = self.first_posting[1:] == self.first_posting[:-1]
        return none

    def part(self, first: int, last: int) -> "Transactions":
        if (first, last) == (0, len(self)):
            return self
        low, high = int(self.first_posting[first]), int(self.first_posting[last])
        lines = self.postings.rows(slice(low, high))
        values = self.values
        return Transactions(
            journal_seq=self.journal_seq[first:last],
            kind=self.kind[first:last],
            operation=self.operation[first:last],
            source_seq=self.source_seq[first:last],
            first_posting=self.first_posting[first : last + 1] - low,
            postings=replace(lines, owner=lines.owner - first),
            values=Values(
                data=values.data, start=values.start[first:last], length=values.length[first:last]
            ),
            first_index=self.first_index + first,
            offset_bytes=self.offset_bytes,
        )


def read_ledger(path: Path, *, run_tag: int, offset_bytes: int = 0) -> Iterator[Transactions]:
    """
    The ledger in order, some ten thousand transactions at a time.

    Raises:
        ValueError: a record is no transaction, or the log ends inside one; all before it were
            given.
    """
    number = 0
    for chunk in read_chunks(path, offset_bytes=offset_bytes):
        table, error = decode(
            chunk.values, run_tag=run_tag, number=number, offset_bytes=chunk.offset_bytes
        )
        number += len(table)
        if len(table):
            yield table
        if error is not None:
            place = error.index
            raise error.placed(partition=chunk.partition[place], offset=chunk.offset[place])


def decode(
    values: Values, *, run_tag: int, number: int = 0, offset_bytes: int = 0
) -> tuple[Transactions, BadRecordError | None]:
    """The transactions up to the first record that is none, and what is wrong with that one."""
    messages = Messages.of(values)
    causes = messages.span(1)
    journal_seq = messages.varint(2)
    messages.span(3)  # txn_id
    messages.varint(4, bits=32)  # shard
    kind = messages.varint(5, bits=31)
    messages.fixed64(6)  # t_commit_ns
    owner, lines = messages.repeated(7)
    plain = messages.finish()
    operation, source_seq = operations_of(messages.within(causes), plain, run_tag)
    postings = _postings(messages.within(lines), owner, plain)
    plain &= values.length > 0
    count, error, rewritten = len(values), None, []
    for index in np.flatnonzero(~plain).tolist():
        value = values.value(index)
        try:
            message = _parsed(value)
        except (DecodeError, OverflowError) as found:
            count, error = index, BadRecordError.of(index, value, found)
            break
        journal_seq[index], kind[index] = message.journal_seq, message.kind
        operation[index] = operation_of(message.cause, run_tag)
        source_seq[index] = min(message.cause.kafka.source_seq, _SEQ_MAX)
        rewritten.append(_postings_of(message, index))
    if not plain.all():
        postings = Postings.joined([postings.rows(plain[postings.owner]), *rewritten])
        postings = postings.rows(np.argsort(postings.owner, kind="stable"))
    table = Transactions(
        journal_seq=journal_seq,
        kind=kind,
        operation=operation,
        source_seq=source_seq,
        first_posting=np.searchsorted(postings.owner, np.arange(len(values) + 1)),
        postings=postings,
        values=values,
        first_index=number,
        offset_bytes=offset_bytes,
    )
    return table.part(0, count), error


def _postings(lines: Messages, owner: Column, plain: Mask) -> Postings:
    """The postings in *lines*; *plain* loses the transactions that have one written otherwise."""
    account_id = lines.varint(1)
    asset_id = lines.varint(2, bits=32)
    bucket = lines.varint(3, bits=31)
    delta_minor = lines.signed(4)
    order_id = lines.fixed64(5)
    plain[owner[~lines.finish()]] = False
    return Postings(
        owner=owner,
        account_id=account_id.astype(np.uint64),
        asset_id=asset_id,
        bucket=bucket,
        delta_minor=delta_minor,
        order_id=order_id,
    )


def _parsed(value: bytes) -> JournalTxn:
    if not value:
        raise DecodeError("no transaction")
    message = JournalTxn.FromString(value)
    if message.journal_seq > _SEQ_MAX:
        raise OverflowError(f"journal_seq {message.journal_seq} is past {_SEQ_MAX}")
    return message


def _postings_of(message: JournalTxn, index: int) -> Postings:
    lines = message.postings
    return Postings(
        owner=np.full(len(lines), index),
        account_id=np.array([line.account_id for line in lines], np.uint64),
        asset_id=np.array([line.asset_id for line in lines], np.int64),
        bucket=np.array([line.bucket for line in lines], np.int64),
        delta_minor=np.array([line.delta_minor for line in lines], np.int64),
        order_id=np.array([line.order_id for line in lines], np.uint64),
    )
