"""The system as the harness sees it: the two readers that run once a message, and decoding."""

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.system import MalformedReplyError, Replies, load_system
from tests.workloads.plan.test_plan import scenario
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import make_plan
from workloads.account.wire.identity import REQUEST_ID, id_base
from workloads.account.wire.kinds import Kind

RUN_TAG = 0x0123_4567_89AB_CDEF
SYSTEM = load_system("workloads.account:SYSTEM")
CODEC, PROBE = SYSTEM.codec, SYSTEM.probe

ACKS = st.builds(
    contract.Ack,
    code=st.sampled_from(contract.Code.values()),
    journal_seq=st.integers(0, 2**40),
    account_seq=st.integers(0, 2**20),
    replayed=st.booleans(),
    t_ingress_ns=st.integers(0, 2**62),
    t_commit_ns=st.integers(0, 2**62),
    detail=st.text(max_size=200),
)
REPLIES = st.one_of(
    ACKS,
    st.builds(contract.ReserveReply, ack=ACKS, order_id=st.integers(0, 2**64 - 1),
              asset_id=st.integers(0, 99), locked_minor=st.integers(-(2**62), 2**62)),
    st.builds(contract.TransferReply, ack=ACKS, asset_id=st.integers(0, 99)),
)  # fmt: skip


def ack_of(reply: Any) -> contract.Ack:
    """The Ack in any reply."""
    found: contract.Ack = reply if isinstance(reply, contract.Ack) else reply.ack
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(REPLIES)
def test_reply_codes_are_read_from_bytes(reply: Any) -> None:
    """The code and the replayed flag of any reply are what protobuf reads."""
    raw = reply.SerializeToString()

    assert CODEC.reply_code(raw) == CODEC.reply_code(memoryview(raw)) == ack_of(reply).code
    assert CODEC.reply_replayed(raw) == ack_of(reply).replayed


def test_other_orders_of_fields_are_read_too() -> None:
    """An encoder that writes the Ack behind other fields is legal, and understood."""
    ack = contract.TransferReply(ack=contract.Ack(code=contract.INSUFFICIENT_AVAILABLE))
    rest = contract.TransferReply(asset_id=7, available_minor=9)

    assert CODEC.reply_code(rest.SerializeToString() + ack.SerializeToString()) == 2001
    assert CODEC.reply_code(b"") == 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    operation=st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1)),
    offset=st.integers(0, 2**40),
    source=st.text(max_size=120),
    is_ours=st.booleans(),
    is_match=st.booleans(),
)
def test_events_join_their_operation(
    operation: tuple[int, int], offset: int, source: str, is_ours: bool, is_match: bool
) -> None:
    """A transaction names its operation by request id or match id; others' name none."""
    shard, index = operation
    tag = RUN_TAG if is_ours else RUN_TAG ^ 1
    if is_match:
        reference = contract.KafkaRef(
            topic="me.executions.v1", offset=offset, src=source, instrument_id=3,
            match_id=id_base(tag, shard) | index,
        )  # fmt: skip
        cause = contract.Cause(kafka=reference)
    else:
        cause = contract.Cause(request_id=REQUEST_ID.pack(tag, shard, index))
    txn = contract.JournalTxn(cause=cause, journal_seq=9, t_commit_ns=3)
    txn.postings.add(account_id=1_000, asset_id=1, delta_minor=5)
    expected = shard << 32 | index if is_ours else -1

    assert PROBE.event_reader(run_tag=RUN_TAG)(txn.SerializeToString()) == expected


@pytest.mark.parametrize("value", [b"", b"\x0a", b"nonsense", b"\x0a\x12\x0a\x10short"])
def test_what_is_no_event_joins_nothing(value: bytes) -> None:
    """Broken records are the audit's to tell of; the observer goes on."""
    assert PROBE.event_reader(run_tag=RUN_TAG)(value) == -1


def test_order_events_are_nobodys() -> None:
    """An execution without a match id is not joined by arithmetic."""
    reference = contract.KafkaRef(topic="me.executions.v1", src="9" * 30, source_seq=4)
    txn = contract.JournalTxn(cause=contract.Cause(kafka=reference), journal_seq=1)

    assert PROBE.event_reader(run_tag=RUN_TAG)(txn.SerializeToString()) == -1


def test_what_repeats_a_request_causes_no_event_of_its_own() -> None:
    """Every first request does; its duplicate's event is joined to the first."""
    table = pd.DataFrame({"kind": ["reserve", "transfer", "transfer"], "duplicate_of": [-1, -1, 1]})

    assert PROBE.causes_event(table).tolist() == [True, True, False]


def test_replies_are_decoded_by_operation() -> None:
    """Columns have the length of the plan, 0 where there was no reply; the last reply counts."""
    plan = make_plan(scenario(rate_per_s=100.0), seed=1, shard=0, shard_count=1)
    index = int(np.flatnonzero(plan.kind == Kind.RESERVE)[0])
    messages = [
        contract.ReserveReply(
            ack=contract.Ack(journal_seq=seq, account_seq=2, replayed=seq == 8, t_commit_ns=5),
            locked_minor=-3,
            available_minor=11,
        ).SerializeToString()
        for seq in (7, 8)
    ]
    replies = Replies(
        operation=np.array([index, index], dtype=np.int32),
        blob=b"".join(messages),
        start=np.cumsum([0, *map(len, messages)]),
    )
    columns = CODEC.decode_replies(plan, replies)

    assert {len(values) for values in columns.values()} == {len(plan)}
    assert (columns["journal_seq"][index], bool(columns["replayed"][index])) == (8, True)
    assert (columns["locked_minor"][index], columns["available_minor"][index]) == (-3, 11)
    assert int(columns["journal_seq"].sum()) == 8


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=40), st.builds(lambda ack, cut: ack.SerializeToString()[:cut],
                                                   REPLIES, st.integers(0, 12))))  # fmt: skip
def test_bytes_that_are_no_reply_raise_nothing_else(raw: bytes) -> None:
    """Whatever a target writes is read, or refused with the one error that the harness expects."""
    for read in (CODEC.reply_code, CODEC.reply_replayed, CODEC.reply_position):
        with suppress(MalformedReplyError):
            assert isinstance(read(memoryview(raw)), int)


def test_malformed_replies_are_marked_and_the_others_decoded() -> None:
    """A reply cut short marks its own operation; the rest of the run is read as ever."""
    plan = make_plan(scenario(rate_per_s=100.0), seed=1, shard=0, shard_count=1)
    first, second = np.flatnonzero(plan.kind == Kind.RESERVE)[:2].tolist()
    whole = contract.ReserveReply(
        ack=contract.Ack(journal_seq=7), order_id=5, locked_minor=3
    ).SerializeToString()
    replies = Replies(
        operation=np.array([first, second], dtype=np.int32),
        blob=whole[:-3] + whole,
        start=np.cumsum([0, len(whole) - 3, len(whole)]),
    )
    columns = CODEC.decode_replies(plan, replies)

    assert np.flatnonzero(columns["malformed"]).tolist() == [first]
    assert columns["journal_seq"][second] == 7
    assert columns["journal_seq"][first] == 0


def test_codes_have_the_contracts_names() -> None:
    """Known codes by name, unknown ones by number."""
    assert CODEC.code_name(2001) == "INSUFFICIENT_AVAILABLE"
    assert CODEC.code_name(7777) == "CODE_7777"
