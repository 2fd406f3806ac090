"""Columns of the ledger say what the generated class says, whatever the bytes are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.engine.event_log import Values
from workloads.account.audit.ledger_table import Transactions, decode
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.identity import REQUEST_ID, id_base, operation_of_cause

RUN_TAG = 0x5EED_0000_00C0_FFEE
UINT64 = st.one_of(st.integers(0, 300), st.integers(0, 2**56), st.integers(0, 2**64 - 1))
UINT32 = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
SINT64 = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
SEQ = st.one_of(st.integers(0, 2**40), st.integers(0, 2**63 - 1))
TEXT = st.text(max_size=12)

REQUESTS = st.one_of(
    st.binary(max_size=20),
    st.builds(
        REQUEST_ID.pack,
        st.sampled_from([RUN_TAG, 1]),
        st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1), st.just(2**31)),
        st.integers(0, 2**32 - 1),
    ),
).map(lambda request_id: contract.Cause(request_id=request_id))
RECORDS = st.builds(
    contract.KafkaRef,
    topic=TEXT,
    partition=UINT32,
    offset=UINT64,
    source_seq=UINT64,
    src=TEXT,
    instrument_id=UINT32,
    match_id=st.one_of(
        UINT64, st.integers(0, 2**32 - 1).map(lambda index: id_base(RUN_TAG, 3) | index)
    ),
).map(lambda record: contract.Cause(kafka=record))
POSTINGS = st.builds(
    contract.Posting,
    account_id=UINT64,
    asset_id=UINT32,
    bucket=st.integers(-3, 9),
    delta_minor=SINT64,
    order_id=UINT64,
)
TRANSACTIONS = st.builds(
    contract.JournalTxn,
    cause=st.one_of(st.none(), REQUESTS, RECORDS),
    journal_seq=SEQ,
    txn_id=st.binary(max_size=30),
    shard=UINT32,
    kind=st.integers(-1, 300),
    t_commit_ns=UINT64,
    postings=st.lists(POSTINGS, max_size=5),
)


def rows(table: Transactions) -> Iterator[tuple[Any, ...]]:
    """Each transaction as plain values."""
    lines = table.postings
    for row in range(len(table)):
        first, last = table.first_posting[row : row + 2].tolist()
        assert (lines.owner[first:last] == row).all()
        columns = (
            lines.account_id, lines.asset_id, lines.bucket, lines.delta_minor, lines.order_id,
        )  # fmt: skip
        postings = list(zip(*(column[first:last].tolist() for column in columns), strict=True))
        yield (
            int(table.journal_seq[row]), int(table.kind[row]), int(table.operation[row]),
            int(table.source_seq[row]), postings,
        )  # fmt: skip


def expected(value: bytes) -> tuple[Any, ...]:
    """The same by the generated class."""
    message = contract.JournalTxn.FromString(value)
    postings = [
        (line.account_id, line.asset_id, line.bucket, line.delta_minor, line.order_id)
        for line in message.postings
    ]
    operation = operation_of_cause(message.cause, RUN_TAG)
    operation = operation if operation < 2**63 else -1  # no shard has such a number
    source_seq = min(message.cause.kafka.source_seq, 2**63 - 1)  # what a column holds
    return message.journal_seq, message.kind, operation, source_seq, postings


@settings(max_examples=300, deadline=None, derandomize=True)
@given(messages=st.lists(TRANSACTIONS, max_size=8))
def test_columns_are_what_the_generated_class_reads(messages: list[contract.JournalTxn]) -> None:
    """Any transaction: absent fields, huge numbers, foreign text, negative enums."""
    values = [message.SerializeToString() for message in messages]
    assume(all(values))  # no bytes: a record without a value
    table, error = decode(Values.joined(values), run_tag=RUN_TAG)

    assert error is None
    assert list(rows(table)) == [expected(value) for value in values]


def scrambled(message: contract.JournalTxn, order: list[int]) -> bytes:
    """The same message with its fields in another order, and one of them split in two."""
    parts = []
    for name in ("cause", "journal_seq", "txn_id", "shard", "kind", "t_commit_ns"):
        part = contract.JournalTxn()
        field = getattr(message, name)
        if name == "cause":
            part.cause.CopyFrom(field)
        else:
            setattr(part, name, field)
        parts.append(part.SerializeToString())
    parts += [
        contract.JournalTxn(postings=[posting]).SerializeToString() for posting in message.postings
    ]
    ranked = sorted(range(len(parts)), key=lambda place: order[place % len(order)])
    return b"".join(parts[place] for place in ranked)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    messages=st.lists(TRANSACTIONS, min_size=1, max_size=6),
    order=st.lists(st.integers(0, 99), min_size=12, max_size=12),
    unknown=st.sampled_from([b"", b"\xa0\x06\x01", b"\x10\x05", b"\x2a\x00"]),
)
def test_any_legal_way_to_write_a_message_reads_the_same(
    messages: list[contract.JournalTxn], order: list[int], unknown: bytes
) -> None:
    """Fields out of order, twice, or unknown: legal protobuf, read by the generated class."""
    values = [scrambled(message, order) + unknown for message in messages]
    values += [message.SerializeToString() for message in messages]
    assume(all(values))  # no bytes: a record without a value
    table, error = decode(Values.joined(values), run_tag=RUN_TAG)

    assert error is None
    assert list(rows(table)) == [expected(value) for value in values]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    messages=st.lists(TRANSACTIONS, min_size=1, max_size=4),
    at=st.integers(0, 10**6),
    bit=st.integers(0, 7),
    cut=st.booleans(),
)
def test_damaged_bytes_are_judged_as_the_generated_class_judges_them(
    messages: list[contract.JournalTxn], at: int, bit: int, cut: bool
) -> None:
    """A flipped bit or a lost tail: what can't be read stops the table just there."""
    values = [message.SerializeToString() for message in messages]
    whole = bytearray(values[0] or b"\x00")
    place = at % len(whole)
    if cut:
        del whole[place:]
    else:
        whole[place] ^= 1 << bit
    values.insert(len(values) // 2, bytes(whole))
    readable = []
    for value in values:
        try:
            row = expected(value)
        except DecodeError:
            break
        if row[0] > 2**63 - 1:
            break
        readable.append(row)
    assume(all(values))  # no bytes: a record without a value
    table, error = decode(Values.joined(values), run_tag=RUN_TAG)

    assert list(rows(table)) == readable
    assert (error is None) == (len(readable) == len(values))


def test_what_services_write_is_read_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message of a well-behaved encoder falls back to an object each, whatever its kind."""
    postings = [
        contract.Posting(account_id=1_000_000, asset_id=60, bucket=bucket, delta_minor=delta,
                         order_id=id_base(RUN_TAG, 1) | 7)
        for bucket, delta in ((0, -(10**15)), (1, 10**15))
    ]  # fmt: skip
    causes = [
        contract.Cause(request_id=REQUEST_ID.pack(RUN_TAG, 1, 7)),
        contract.Cause(
            kafka=contract.KafkaRef(
                topic="run.me.executions.v1",
                partition=3,
                offset=10**12,
                source_seq=10**9,
                src="5eed000000c0ffee-1",
                instrument_id=50,
                match_id=id_base(RUN_TAG, 1) | 9,
            )
        ),
    ]
    values = [
        contract.JournalTxn(
            cause=cause, journal_seq=10**12, txn_id=b"x" * 24, kind=contract.TXN_FILL,
            t_commit_ns=2**60, postings=postings * 3,
        ).SerializeToString()
        for cause in causes
    ]  # fmt: skip
    wanted = [expected(value) for value in values]

    def refuse(value: bytes) -> Any:
        raise AssertionError(f"parsed by itself: {value!r}")

    monkeypatch.setattr("workloads.account.audit.ledger_table._parsed", refuse)
    table, _ = decode(Values.joined(values), run_tag=RUN_TAG)

    assert list(rows(table)) == wanted


def test_a_part_is_its_rows() -> None:
    """Cut anywhere, the parts have the transactions and postings of the whole."""
    values = [
        contract.JournalTxn(
            journal_seq=seq,
            postings=[contract.Posting(account_id=seq, delta_minor=n) for n in range(seq % 3)],
        ).SerializeToString()
        for seq in range(1, 8)
    ]
    table, _ = decode(Values.joined(values), run_tag=RUN_TAG, number=100)
    parts = [table.part(0, 3), table.part(3, 3), table.part(3, 7)]

    assert [row for part in parts for row in rows(part)] == list(rows(table))
    assert np.concatenate([part.number for part in parts]).tolist() == list(range(100, 107))
