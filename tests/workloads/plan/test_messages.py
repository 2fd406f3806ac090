"""Encoded plans: what the generated code reads from the hand-written bytes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.model.scenario import Scenario
from harness.system import Channel, Payloads, ShardPlan
from tests.workloads.plan.test_plan import scenario
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID
from workloads.account.plan.identity import (
    REQUEST_ID,
    id_base,
    operation_of_cause,
    operation_of_id,
)
from workloads.account.plan.kinds import KIND_SPECS, ORIGIN_AT, REQUEST_ID_AT, Kind
from workloads.account.plan.messages import encode_plan, seal_execution
from workloads.account.plan.planner import make_plan

RUN_TAG = 0x0123_4567_89AB_CDEF
MESSAGES = {
    Kind.RESERVE: contract.ReserveRequest,
    Kind.AMEND: contract.AmendRequest,
    Kind.RELEASE: contract.ReleaseRequest,
    Kind.TRANSFER: contract.TransferRequest,
    Kind.INTERNAL_TRANSFER: contract.InternalTransferRequest,
    Kind.CREATE_ACCOUNT: contract.CreateAccountRequest,
    Kind.FILL: contract.ExecutionEvent,
}
EVERYTHING = {
    "accounts": {"kind": "zipf", "count": 20_000, "theta": 0.9},
    "mix": {
        "reserve": "38%", "release": "35%", "fill": "4%", "amend": "10%", "transfer": "5%",
        "internal_transfer": "4%", "create_account": "2%", "duplicate": "2%",
    },
    "new_accounts": "10%",
    "insufficient": "3%",
    "maker_fee_ppm": -100,
}  # fmt: skip


@pytest.fixture(scope="module")
def chosen() -> Scenario:
    """A scenario with operations of every kind."""
    return replace(scenario(rate_per_s=1_000.0), workload=EVERYTHING)


@pytest.fixture(scope="module")
def plan(chosen: Scenario) -> ShardPlan:
    """The second of two shards, so that no identity is all zeros."""
    return make_plan(chosen, seed=3, shard=1, shard_count=2)


@pytest.fixture(scope="module")
def payloads(chosen: Scenario, plan: ShardPlan) -> Payloads:
    """Its messages."""
    return encode_plan(chosen, plan, run_tag=RUN_TAG)


def payload(payloads: Payloads, index: int) -> bytes:
    """The bytes of one operation."""
    return bytes(payloads.blob[payloads.start[index] : payloads.start[index + 1]])


def messages(plan: ShardPlan, payloads: Payloads, kind: Kind) -> list[tuple[int, Any]]:
    """Every operation of a kind, parsed."""
    return [
        (index, MESSAGES[kind].FromString(payload(payloads, index)))
        for index in np.flatnonzero(plan.kind == kind).tolist()
    ]


@pytest.mark.parametrize("kind", list(Kind))
def test_bytes_are_canonical(plan: ShardPlan, payloads: Payloads, kind: Kind) -> None:
    """Parsed and written again by the generated code, each message is the same bytes."""
    found = messages(plan, payloads, kind)

    assert found
    for index, message in found:
        assert message.SerializeToString(deterministic=True) == payload(payloads, index)


def test_identity_and_origin_lie_where_they_are_patched(
    plan: ShardPlan, payloads: Payloads
) -> None:
    """The request id is at byte 4, the origin time at byte 21 of every gRPC request."""
    stamp = (1_234_567_890_123).to_bytes(8, "little")
    for index in range(len(plan)):
        kind = Kind(plan.kind[index])
        if KIND_SPECS[kind].channel is Channel.KAFKA:
            continue
        patched = bytearray(payload(payloads, index))
        patched[ORIGIN_AT : ORIGIN_AT + 8] = stamp
        meta = MESSAGES[kind].FromString(bytes(patched)).meta
        original = int(plan.columns["duplicate_of"][index])
        identity = REQUEST_ID.pack(RUN_TAG, 1, original if original >= 0 else index)

        assert meta.origin_ns == 1_234_567_890_123
        assert meta.request_id == identity
        assert payload(payloads, index)[REQUEST_ID_AT : REQUEST_ID_AT + 16] == identity


def test_reserves_say_what_the_columns_say(plan: ShardPlan, payloads: Payloads) -> None:
    """Account, instrument, side, price, quantity, fee and order id are the plan's."""
    columns = plan.columns
    for index, message in messages(plan, payloads, Kind.RESERVE):
        assert message.account_id == FIRST_ACCOUNT_ID + columns["account"][index]
        assert message.instrument_id == columns["instrument"][index]
        assert message.side == columns["side"][index]
        assert message.price_ticks == columns["price_ticks"][index]
        assert message.qty_lots == columns["qty_lots"][index]
        assert message.fee_ppm == 1_000
        assert operation_of_id(message.order_id, RUN_TAG) == 1 << 32 | index


def test_fills_say_what_the_columns_say(plan: ShardPlan, payloads: Payloads) -> None:
    """Both legs name their order and account, what is left of it, and the right fee."""
    columns, base = plan.columns, id_base(RUN_TAG, 1)
    for index, message in messages(plan, payloads, Kind.FILL):
        match = message.match
        assert message.instrument_id == columns["instrument"][index] == plan.stream[index]
        assert operation_of_id(match.match_id, RUN_TAG) == 1 << 32 | index
        assert match.price_ticks == columns["price_ticks"][index]
        for leg, name, fee_ppm in (
            (match.taker, "order", 1_000),
            (match.maker, "peer_order", -100),
        ):
            order = int(columns[name][index])
            assert leg.order_id == base | order
            assert leg.account_id == FIRST_ACCOUNT_ID + columns["account"][order]
            assert leg.side == columns["side"][order]
            assert leg.leaves_lots == columns["qty_lots"][order] - match.qty_lots
            assert leg.fee_ppm == fee_ppm


def test_sealing_adds_sequence_and_time(plan: ShardPlan, payloads: Payloads) -> None:
    """A sealed execution is the same event with its seq and ts_ns."""
    index = int(np.flatnonzero(plan.kind == Kind.FILL)[0])
    raw = payload(payloads, index)
    for sequence in (1, 127, 128, 70_000):
        event = contract.ExecutionEvent.FromString(
            seal_execution(memoryview(raw), sequence, 987_654_321)
        )
        assert (event.seq, event.ts_ns) == (sequence, 987_654_321)
        event.ClearField("seq")
        event.ClearField("ts_ns")
        assert event.SerializeToString(deterministic=True) == raw


def test_only_the_run_tag_differs(chosen: Scenario, plan: ShardPlan, payloads: Payloads) -> None:
    """Another run of the same plan has the same bytes but for the run's identity."""
    other = encode_plan(chosen, plan, run_tag=0)
    again = encode_plan(chosen, plan, run_tag=RUN_TAG)

    assert again.blob == payloads.blob
    assert other.start.tolist() == payloads.start.tolist()
    index = int(np.flatnonzero(plan.kind == Kind.TRANSFER)[0])
    here, there = payload(payloads, index), payload(other, index)
    assert here[:REQUEST_ID_AT] == there[:REQUEST_ID_AT]
    assert here[REQUEST_ID_AT + 8 :] == there[REQUEST_ID_AT + 8 :]


def test_foreign_identities_are_nobodys() -> None:
    """Ids of another run, or of another form, join no operation."""
    assert operation_of_id(id_base(RUN_TAG + 1, 1) | 5, RUN_TAG) == -1
    for cause in (
        contract.Cause(),
        contract.Cause(request_id=b"short"),
        contract.Cause(request_id=REQUEST_ID.pack(RUN_TAG + 1, 1, 5)),
        contract.Cause(kafka=contract.KafkaRef(src="x", source_seq=1)),
    ):
        assert operation_of_cause(cause, RUN_TAG) == -1
