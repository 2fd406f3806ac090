"""
A plan as bytes of accounts.v1, made before the clock starts.

Written by hand in the order of the fields: the protobuf runtime builds an object a message first,
which costs several times as much, and the positions of request id and origin time must be known.
The tests hold these bytes against the generated code, message by message.

Seconds of a plan are bought with tables: small varints (nearly all values here) are looked up.
"""

import struct
from array import array
from collections.abc import Callable

import numpy as np

from harness.model.scenario import LoadTransport, Scenario
from harness.system import Payloads, ShardPlan
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.terms.workload import parse_workload
from workloads.account.wire.identity import REQUEST_ID, id_base
from workloads.account.wire.kinds import SEEN_BYTES, Kind

ORIGIN_PLACEHOLDER = b"\xff" * 8  # not 0: proto3 leaves zeros out, and the field must be there

_META_HEAD = b"\x0a\x1b\x0a\x10"  # meta (27 bytes), request_id (16 bytes)
_META_TAIL = b"\x11" + ORIGIN_PLACEHOLDER
_READ_META_HEAD = b"\x0a\x26\x0a\x10"  # meta (38 bytes): with min_applied_seq
_PENDING, _POST, _VOID = b"\x28\x01", b"\x28\x02", b"\x28\x03"  # TransferRequest.phase
_ON_STREAM = {Kind.RESERVE: b"\x12", Kind.AMEND: b"\x1a", Kind.RELEASE: b"\x22"}  # ReserveOp.op
_FIXED64 = struct.Struct("<Q")
_VARINT_TABLE_COUNT = 1 << 14
_CHUNK_COUNT = 1 << 14  # payloads joined at a time, so that no list of all of them is held


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte, low ones first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_VARINTS = tuple(varint(value) for value in range(_VARINT_TABLE_COUNT))


def padded_varint(value: int, byte_count: int) -> bytes:
    """The same in exactly *byte_count* bytes: longer than need be, and legal."""
    low = [value >> 7 * place & 0x7F | 0x80 for place in range(byte_count - 1)]
    return bytes([*low, value >> 7 * (byte_count - 1)])


_SEEN_ANYTHING = b"\x20" + padded_varint(0, SEEN_BYTES)  # min_applied_seq, patched at send


def _unsigned(value: int) -> bytes:
    return _VARINTS[value] if value < _VARINT_TABLE_COUNT else varint(value)


def _signed(value: int) -> bytes:
    """Zigzag: 0, -1, 1, -2 are 0, 1, 2, 3."""
    zigzag = value << 1 if value >= 0 else (-value << 1) - 1
    return _VARINTS[zigzag] if zigzag < _VARINT_TABLE_COUNT else varint(zigzag)


def _field(tag: bytes, value: int) -> bytes:
    """A signed field; proto3 leaves zeros out."""
    return tag + _signed(value) if value else b""


def _count_field(tag: bytes, value: int) -> bytes:
    return tag + _unsigned(value) if value else b""


class PlanEncoder:
    """One plan's messages, one method a kind, called in the order of the plan."""

    def __init__(self, scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> None:
        column, workload = plan.columns, parse_workload(scenario.workload)
        self._shard, self._run_tag = plan.shard, run_tag
        self._id_base = id_base(run_tag, plan.shard)
        self._account = column["account"].data
        self._peer_account = column["peer_account"].data
        self._instrument = column["instrument"].data
        self._side = column["side"].data
        self._price = column["price_ticks"].data
        self._lots = column["qty_lots"].data
        self._order = column["order"].data
        self._peer_order = column["peer_order"].data
        self._original = column["duplicate_of"].data
        self._asset = column["asset"].data
        self._amount = column["amount_minor"].data
        self._creates = column["creates_account"].data
        self._is_changed = _optional(plan, "is_changed")
        self._pending = _optional(plan, "pending")
        self._from_seq = _optional(plan, "from_seq")
        self._left_lots = array("i", bytes(4 * len(plan)))  # of the order that a row reserves
        self._reserve_fee = _field(b"\x58", workload.taker_fee_ppm)
        self._taker_fee = _field(b"\x28", workload.taker_fee_ppm)
        self._maker_fee = _field(b"\x28", workload.maker_fee_ppm)
        self._page = b"\x20" + _unsigned(workload.page)
        self.by_kind: dict[Kind, Callable[[int], bytes]] = {
            Kind.RESERVE: self._reserve,
            Kind.AMEND: self._amend,
            Kind.RELEASE: self._release,
            Kind.TRANSFER: self._transfer,
            Kind.INTERNAL_TRANSFER: self._internal_transfer,
            Kind.CREATE_ACCOUNT: self._head,
            Kind.FILL: self._fill,
            Kind.GET_BALANCES: self._read,
            Kind.LIST_LEDGER: self._list_ledger,
            Kind.PEND: self._pend,
            Kind.POST: lambda index: self._settle(index, _POST),
            Kind.VOID: lambda index: self._settle(index, _VOID),
            Kind.ORDER_EVENT: self._order_event,
            Kind.LATE_FILL: self._fill,
            Kind.REPEAT: lambda _: b"",  # the record of another
        }
        if scenario.load.transport is LoadTransport.STREAM:
            for kind, tag in _ON_STREAM.items():
                self.by_kind[kind] = self._wrapped(self.by_kind[kind], tag)

    def _identity(self, index: int) -> bytes:
        original = self._original[index]
        return REQUEST_ID.pack(self._run_tag, self._shard, original if original >= 0 else index)

    def _head(self, index: int) -> bytes:
        """Meta and account_id, with which every request begins."""
        account = _unsigned(FIRST_ACCOUNT_ID + self._account[index])
        return _META_HEAD + self._identity(index) + _META_TAIL + b"\x10" + account

    def _order_id(self, order: int) -> bytes:
        return _FIXED64.pack(self._id_base | order)

    def _reserve(self, index: int) -> bytes:
        original = self._original[index]
        self._left_lots[index] = self._lots[index]
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._instrument[index]),
            b"\x21", self._order_id(original if original >= 0 else index),
            b"\x28", _unsigned(self._side[index]),
            b"\x30", _signed(self._price[index]),
            b"\x38", _signed(self._lots[index]),
            self._reserve_fee,
        ))  # fmt: skip

    def _amend(self, index: int) -> bytes:
        order, lots = self._order[index], self._lots[index]
        if lots and self._original[index] < 0:
            self._left_lots[order] = lots
        return b"".join((
            self._head(index),
            b"\x19", self._order_id(order),
            b"\x20", _signed(self._price[index]),
            _field(b"\x28", lots),
        ))  # fmt: skip

    def _release(self, index: int) -> bytes:
        reason = b"\x20\x01" if self._is_changed and self._is_changed[index] else b""
        return self._head(index) + b"\x19" + self._order_id(self._order[index]) + reason

    def _transfer(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._asset[index]),
            b"\x20", _signed(self._amount[index]),
            b"\x40\x01" if self._creates[index] else b"",
        ))  # fmt: skip

    def _pend(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._asset[index]),
            b"\x20", _signed(self._amount[index]),
            _PENDING,
            b"\x40\x01" if self._creates[index] else b"",
        ))  # fmt: skip

    def _settle(self, index: int, phase: bytes) -> bytes:
        assert self._pending is not None, "a plan with second phases says of what"
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._asset[index]),
            b"\x20", _signed(self._amount[index]),
            phase,
            b"\x32\x10", REQUEST_ID.pack(self._run_tag, self._shard, self._pending[index]),
        ))  # fmt: skip

    def _internal_transfer(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(FIRST_ACCOUNT_ID + self._peer_account[index]),
            b"\x20", _unsigned(self._asset[index]),
            b"\x28", _signed(self._amount[index]),
        ))  # fmt: skip

    def _read(self, index: int) -> bytes:
        account = _unsigned(FIRST_ACCOUNT_ID + self._account[index])
        return b"".join((
            _READ_META_HEAD, self._identity(index), _META_TAIL,
            _SEEN_ANYTHING,
            b"\x10", account,
        ))  # fmt: skip

    def _list_ledger(self, index: int) -> bytes:
        assert self._from_seq is not None, "a plan with ledger pages says from where"
        return self._read(index) + _count_field(b"\x18", self._from_seq[index]) + self._page

    def _fill(self, index: int) -> bytes:
        taker, maker, lots = self._order[index], self._peer_order[index], self._lots[index]
        match = b"".join((
            b"\x09", self._order_id(index),
            b"\x10", _signed(self._price[index]),
            b"\x18", _signed(lots),
            b"\x22", self._leg(taker, lots, self._taker_fee),
            b"\x2a", self._leg(maker, lots, self._maker_fee),
        ))  # fmt: skip
        return (
            b"\x08" + _unsigned(self._instrument[index]) + b"\x2a" + _unsigned(len(match)) + match
        )

    def _leg(self, order: int, filled_lots: int, fee: bytes) -> bytes:
        """A Leg, its length in front; what is left of its order is known, as fills go in order."""
        self._left_lots[order] -= filled_lots
        leg = b"".join((
            b"\x08", _unsigned(FIRST_ACCOUNT_ID + self._account[order]),
            b"\x11", self._order_id(order),
            b"\x18", _unsigned(self._side[order]),
            _field(b"\x20", self._left_lots[order]),
            fee,
        ))  # fmt: skip
        return _unsigned(len(leg)) + leg

    def _order_event(self, index: int) -> bytes:
        """The engine lets go what is left of an order that could not wait."""
        order = self._order[index]
        event = b"".join((
            b"\x09", self._order_id(order),
            b"\x10", _unsigned(FIRST_ACCOUNT_ID + self._account[order]),
            b"\x18", _unsigned(contract.OrderEvent.EXPIRED),
            _field(b"\x28", self._left_lots[order]),
            b"\x39", self._order_id(index),
        ))  # fmt: skip
        return (
            b"\x08" + _unsigned(self._instrument[index]) + b"\x22" + _unsigned(len(event)) + event
        )

    def _wrapped(self, encode: Callable[[int], bytes], tag: bytes) -> Callable[[int], bytes]:
        """As a ReserveOp, whose client_tag is the operation's index."""

        def encode_op(index: int) -> bytes:
            request = encode(index)
            assert len(request) < 1 << 7, "a length of one byte keeps what is patched in its place"
            return b"\x08" + padded_varint(index, 5) + tag + _unsigned(len(request)) + request

        return encode_op


def _optional(plan: ShardPlan, name: str) -> memoryview | None:
    return plan.columns[name].data if name in plan.columns else None


def encode_plan(scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> Payloads:
    encoder = PlanEncoder(scenario, plan, run_tag=run_tag)
    by_kind = [encoder.by_kind[kind] for kind in Kind]
    lengths = np.zeros(len(plan) + 1, dtype=np.int64)
    parts, kinds = [], plan.kind.data
    for first in range(0, len(plan), _CHUNK_COUNT):
        last = min(first + _CHUNK_COUNT, len(plan))
        chunk = [by_kind[kinds[index]](index) for index in range(first, last)]
        lengths[first + 1 : last + 1] = [len(message) for message in chunk]
        parts.append(b"".join(chunk))
    # Joined once: a buffer that grows ends an eighth larger than what it holds.
    return Payloads(blob=bytearray().join(parts), start=np.cumsum(lengths))


def seal_execution(payload: memoryview, sequence: int, origin_ns: int) -> bytes:
    """An ExecutionEvent with its seq (field 2) and ts_ns (field 3) behind: any order is legal."""
    return b"".join((payload, b"\x10", _unsigned(sequence), b"\x19", _FIXED64.pack(origin_ns)))
