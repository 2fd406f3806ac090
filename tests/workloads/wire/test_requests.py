"""Encoded plans: what the generated code reads from the hand-written bytes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.model.scenario import LoadTransport, Scenario
from harness.system import Payloads, ShardPlan
from tests.workloads.plan.test_plan import scenario
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import make_plan
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.identity import (
    REQUEST_ID,
    id_base,
    operation_of_cause,
    operation_of_id,
)
from workloads.account.wire.kinds import (
    KIND_SPECS,
    ON_STREAM,
    READS,
    RECORDS,
    REQUEST_ID_AT,
    STREAM_HEAD_BYTES,
    STREAM_SPECS,
    Kind,
)
from workloads.account.wire.requests import (
    ORIGIN_PLACEHOLDER,
    encode_plan,
    padded_varint,
    seal_execution,
    varint,
)

RUN_TAG = 0x0123_4567_89AB_CDEF
BASE = id_base(RUN_TAG, 1)
ORIGIN = int.from_bytes(ORIGIN_PLACEHOLDER, "little")
REQUESTS: dict[Kind, Any] = {
    Kind.RESERVE: contract.ReserveRequest,
    Kind.AMEND: contract.AmendRequest,
    Kind.RELEASE: contract.ReleaseRequest,
    Kind.TRANSFER: contract.TransferRequest,
    Kind.INTERNAL_TRANSFER: contract.InternalTransferRequest,
    Kind.CREATE_ACCOUNT: contract.CreateAccountRequest,
    Kind.GET_BALANCES: contract.BalancesRequest,
    Kind.LIST_LEDGER: contract.LedgerRequest,
    Kind.PEND: contract.TransferRequest,
    Kind.POST: contract.TransferRequest,
    Kind.VOID: contract.TransferRequest,
}
EVERYTHING = {
    "accounts": {"kind": "zipf", "count": 20_000, "theta": 0.9},
    "mix": {
        "reserve": "29%", "release": "22%", "fill": "4%", "amend": "10%", "ioc": "4%",
        "transfer": "5%", "internal_transfer": "4%", "create_account": "2%", "pend": "6%",
        "post": "3%", "void": "1%", "get_balances": "3%", "list_ledger": "3%", "duplicate": "4%",
    },
    "changed_duplicates": "50%",
    "repeated_records": "10%",
    "late_records": "10%",
    "read_your_writes": "50%",
    "new_accounts": "10%",
    "insufficient": "3%",
    "maker_fee_ppm": -100,
    "page": 20,
}  # fmt: skip
SWEEPS = {
    "accounts": {"kind": "zipf", "count": 500, "theta": 0.9},
    "holdings": "all",
    "instruments": 4,
    "mix": {"fill": "100%"},
    "sweeps": {"mean": 3.0, "max": 30},
    "order_life": "300ms",
    "maker_fee_ppm": -100,
}
MAKERS = {
    "accounts": {"kind": "uniform", "count": 20},
    "holdings": "all",
    "instruments": 4,
    "mix": {"reserve": "9%", "ioc": "3%", "release": "6%", "amend": "82%"},
    "reprice": "1%",
    "maker_fee_ppm": -100,
}


class Encoded:
    """A plan and its messages: the second of two shards, so that no identity is all zeros."""

    def __init__(self, workload: Mapping[str, Any], transport: LoadTransport) -> None:
        chosen = replace(scenario(rate_per_s=1_000.0), workload=workload)
        chosen = replace(chosen, load=replace(chosen.load, transport=transport))
        self.scenario: Scenario = chosen
        self.plan: ShardPlan = make_plan(chosen, seed=3, shard=1, shard_count=2)
        self.payloads: Payloads = encode_plan(chosen, self.plan, run_tag=RUN_TAG)
        self.is_stream = transport is LoadTransport.STREAM
        self.specs = STREAM_SPECS if self.is_stream else KIND_SPECS
        self.left_lots: dict[int, int] = {}

    def raw(self, index: int) -> bytes:
        """The bytes of one operation."""
        payloads = self.payloads
        return bytes(payloads.blob[payloads.start[index] : payloads.start[index + 1]])

    def kind(self, index: int) -> Kind:
        """Its kind."""
        return Kind(self.plan.kind[index])

    def request(self, index: int, raw: bytes) -> Any:
        """What a gRPC payload asks for, a stream's wrapping taken off."""
        kind = self.kind(index)
        if not (self.is_stream and kind in ON_STREAM):
            return REQUESTS[kind].FromString(raw)
        operation = contract.ReserveOp.FromString(raw)
        assert operation.client_tag == index
        assert operation.WhichOneof("op") == kind.name.lower()
        return getattr(operation, kind.name.lower())

    def cell(self, name: str, index: int) -> int:
        """One number of the plan."""
        return int(self.plan.columns[name][index])

    def expected(self, index: int) -> Any:
        """The message of an operation, by the generated code, from the columns."""
        kind = self.kind(index)
        if kind in RECORDS:
            return self._execution(index, kind)
        original = self.cell("duplicate_of", index)
        request = REQUESTS[kind](
            meta=contract.Meta(
                request_id=REQUEST_ID.pack(RUN_TAG, 1, original if original >= 0 else index),
                origin_ns=ORIGIN,
            ),
            account_id=FIRST_ACCOUNT_ID + self.cell("account", index),
        )
        if kind in {Kind.RESERVE, Kind.AMEND, Kind.RELEASE}:
            self._order_request(request, index, kind, original)
        elif kind is Kind.INTERNAL_TRANSFER:
            request.to_account_id = FIRST_ACCOUNT_ID + self.cell("peer_account", index)
        elif kind is Kind.LIST_LEDGER:
            request.from_account_seq, request.limit_count = self.cell("from_seq", index), 20
        if kind in {Kind.TRANSFER, Kind.INTERNAL_TRANSFER, Kind.PEND, Kind.POST, Kind.VOID}:
            request.asset_id = self.cell("asset", index)
            request.amount_minor = self.cell("amount_minor", index)
        if kind in {Kind.PEND, Kind.POST, Kind.VOID}:
            request.phase = {Kind.PEND: 1, Kind.POST: 2, Kind.VOID: 3}[kind]
        if kind in {Kind.POST, Kind.VOID}:
            request.pending_id = REQUEST_ID.pack(RUN_TAG, 1, self.cell("pending", index))
        if kind is Kind.TRANSFER:
            request.create_account = bool(self.cell("creates_account", index))
        return request

    def _order_request(self, request: Any, index: int, kind: Kind, original: int) -> None:
        lots, price = self.cell("qty_lots", index), self.cell("price_ticks", index)
        if kind is Kind.RESERVE:
            request.order_id = BASE | (original if original >= 0 else index)
            request.instrument_id = self.cell("instrument", index)
            request.side, request.price_ticks = self.cell("side", index), price
            request.qty_lots, request.fee_ppm = lots, 1_000
            self.left_lots[index] = lots
            return
        order = self.cell("order", index)
        request.order_id = BASE | order
        if kind is Kind.AMEND:
            request.price_ticks, request.leaves_lots = price, lots
            if lots and original < 0:
                self.left_lots[order] = lots
        elif "is_changed" in self.plan.columns and self.cell("is_changed", index):
            request.reason = 1

    def _execution(self, index: int, kind: Kind) -> Any:
        event = contract.ExecutionEvent(instrument_id=self.cell("instrument", index))
        if kind is Kind.ORDER_EVENT:
            order = self.cell("order", index)
            event.order.order_id, event.order.event_id = BASE | order, BASE | index
            event.order.account_id = FIRST_ACCOUNT_ID + self.cell("account", order)
            event.order.kind = contract.OrderEvent.EXPIRED
            event.order.leaves_lots = self.left_lots[order]
            return event
        lots = self.cell("qty_lots", index)
        event.match.match_id, event.match.qty_lots = BASE | index, lots
        event.match.price_ticks = self.cell("price_ticks", index)
        for leg, name, fee_ppm in (
            (event.match.taker, "order", 1_000),
            (event.match.maker, "peer_order", -100),
        ):
            order = self.cell(name, index)
            self.left_lots[order] -= lots
            leg.account_id = FIRST_ACCOUNT_ID + self.cell("account", order)
            leg.order_id, leg.side = BASE | order, self.cell("side", order)
            leg.leaves_lots, leg.fee_ppm = self.left_lots[order], fee_ppm
        return event


@pytest.fixture(scope="module", params=["unary", "stream"])
def everything(request: pytest.FixtureRequest) -> Encoded:
    """Operations of every kind, on either transport."""
    return Encoded(EVERYTHING, LoadTransport(request.param))


@pytest.fixture(scope="module", params=[EVERYTHING, SWEEPS, MAKERS], ids=["all", "sweeps", "mm"])
def unary(request: pytest.FixtureRequest) -> Encoded:
    """Plans of each form."""
    return Encoded(request.param, LoadTransport.UNARY)


def test_every_kind_is_there(everything: Encoded) -> None:
    """So that the other tests prove something of each."""
    assert set(everything.plan.kind.tolist()) == {int(kind) for kind in Kind}


def test_messages_say_what_the_columns_say(unary: Encoded) -> None:
    """Each message, parsed by the generated code, is the one that the columns ask for."""
    for index in range(len(unary.plan)):
        kind, raw = unary.kind(index), unary.raw(index)
        if kind is Kind.REPEAT:
            assert raw == b""
            continue
        parsed = (
            contract.ExecutionEvent.FromString(raw)
            if kind in RECORDS
            else unary.request(index, raw)
        )
        assert parsed == unary.expected(index), index
    assert min(unary.left_lots.values()) >= 0


def test_sweeps_leave_nothing() -> None:
    """Every order of a sweep is filled to its end, and its last record says so."""
    sweeps = Encoded(SWEEPS, LoadTransport.UNARY)
    for index in range(len(sweeps.plan)):
        sweeps.expected(index)

    assert len(sweeps.left_lots) > 1_000
    assert set(sweeps.left_lots.values()) == {0}


def test_a_stream_asks_for_the_same(everything: Encoded) -> None:
    """Wrapped for a stream or not, the request is the same; its tag is the operation's index."""
    for index in range(len(everything.plan)):
        if everything.kind(index) in ON_STREAM:
            request = everything.request(index, everything.raw(index))
            assert request == everything.expected(index)
            lane = int(everything.plan.stream[index])
            assert lane == (everything.cell("account", index) if everything.is_stream else -1)


def test_bytes_are_canonical(unary: Encoded) -> None:
    """Written again by the generated code a message is the same bytes, but for padded numbers."""
    for index in range(len(unary.plan)):
        kind, raw = unary.kind(index), unary.raw(index)
        if kind in REQUESTS and kind not in READS:
            again = unary.request(index, raw).SerializeToString(deterministic=True)
            assert again == raw


def test_what_is_patched_lies_where_it_is_said(everything: Encoded) -> None:
    """Request id, origin time and min_applied_seq are patched in place, of every gRPC request."""
    origin, seen = 1_234_567_890_123, 2**63 + 77
    for index in range(len(everything.plan)):
        kind = everything.kind(index)
        if kind in RECORDS:
            continue
        spec, patched = everything.specs[kind], bytearray(everything.raw(index))
        patched[spec.origin_at : spec.origin_at + 8] = origin.to_bytes(8, "little")
        if spec.seen_at >= 0:
            patched[spec.seen_at : spec.seen_at + 10] = padded_varint(seen, 10)
        head_bytes = STREAM_HEAD_BYTES if everything.is_stream and kind in ON_STREAM else 0
        id_at = head_bytes + REQUEST_ID_AT
        meta = everything.request(index, bytes(patched)).meta

        assert meta.origin_ns == origin
        assert meta.request_id == bytes(patched[id_at : id_at + 16])
        assert meta.min_applied_seq == (seen if kind in READS else 0)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**31 - 1])
def test_padded_numbers_are_numbers(value: int) -> None:
    """Five bytes always, read as the same number as its shortest form."""
    padded = contract.ReserveOp.FromString(b"\x08" + padded_varint(value, 5))

    assert len(padded_varint(value, 5)) == 5
    assert padded == contract.ReserveOp.FromString(b"\x08" + varint(value))


def test_sealing_adds_sequence_and_time(unary: Encoded) -> None:
    """A sealed execution is the same event with its seq and ts_ns."""
    index = int(np.flatnonzero(unary.plan.kind == Kind.FILL)[0])
    raw = unary.raw(index)
    for sequence in (1, 127, 128, 70_000):
        event = contract.ExecutionEvent.FromString(
            seal_execution(memoryview(raw), sequence, 987_654_321)
        )
        assert (event.seq, event.ts_ns) == (sequence, 987_654_321)
        event.ClearField("seq")
        event.ClearField("ts_ns")
        assert event.SerializeToString(deterministic=True) == raw


def test_only_the_run_tag_differs(unary: Encoded) -> None:
    """Another run of the same plan has the same bytes but for the run's identity."""
    chosen, plan, payloads = unary.scenario, unary.plan, unary.payloads
    other = encode_plan(chosen, plan, run_tag=0)
    again = encode_plan(chosen, plan, run_tag=RUN_TAG)

    assert again.blob == payloads.blob
    assert other.start.tolist() == payloads.start.tolist()
    index = int(np.flatnonzero(plan.kind == Kind.RESERVE)[0])
    there = bytes(other.blob[other.start[index] : other.start[index + 1]])
    assert unary.raw(index)[:REQUEST_ID_AT] == there[:REQUEST_ID_AT]
    assert unary.raw(index)[REQUEST_ID_AT + 8 : REQUEST_ID_AT + 16] == there[12:20]


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
