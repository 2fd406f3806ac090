"""
A plan as bytes of accounts.v1, made before the clock starts.

Written by hand in the order of the fields: the protobuf runtime builds an object a message first,
which costs several times as much, and the positions of request id and origin time must be known.
The tests hold these bytes against the generated code, message by message.

Seconds of a plan are bought with tables: small varints (nearly all values here) are looked up.
"""

import struct

import numpy as np

from harness.model.scenario import Scenario
from harness.system import Payloads, ShardPlan
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID
from workloads.account.plan.identity import REQUEST_ID, id_base
from workloads.account.plan.kinds import Kind
from workloads.account.plan.parameters import Workload, parse_workload

ORIGIN_PLACEHOLDER = b"\xff" * 8  # not 0: proto3 leaves zeros out, and the field must be there

_META_HEAD = b"\x0a\x1b\x0a\x10"  # meta (27 bytes), request_id (16 bytes)
_META_TAIL = b"\x11" + ORIGIN_PLACEHOLDER
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


def _unsigned(value: int) -> bytes:
    return _VARINTS[value] if value < _VARINT_TABLE_COUNT else varint(value)


def _signed(value: int) -> bytes:
    """Zigzag: 0, -1, 1, -2 are 0, 1, 2, 3."""
    zigzag = value << 1 if value >= 0 else (-value << 1) - 1
    return _VARINTS[zigzag] if zigzag < _VARINT_TABLE_COUNT else varint(zigzag)


def _field(tag: bytes, value: int) -> bytes:
    """A signed field; proto3 leaves zeros out."""
    return tag + _signed(value) if value else b""


class _Encoder:
    """One plan's messages, one method a kind."""

    def __init__(self, plan: ShardPlan, workload: Workload, *, run_tag: int) -> None:
        column = plan.columns
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
        self._reserve_fee = _field(b"\x58", workload.taker_fee_ppm)
        self._taker_fee = _field(b"\x28", workload.taker_fee_ppm)
        self._maker_fee = _field(b"\x28", workload.maker_fee_ppm)
        self.by_kind = {
            Kind.RESERVE: self._reserve,
            Kind.AMEND: self._amend,
            Kind.RELEASE: self._release,
            Kind.TRANSFER: self._transfer,
            Kind.INTERNAL_TRANSFER: self._internal_transfer,
            Kind.CREATE_ACCOUNT: self._create_account,
            Kind.FILL: self._fill,
        }

    def _head(self, index: int) -> bytes:
        """Meta and account_id, with which every request begins."""
        original = self._original[index]
        identity = REQUEST_ID.pack(self._run_tag, self._shard, original if original >= 0 else index)
        account = _unsigned(FIRST_ACCOUNT_ID + self._account[index])
        return _META_HEAD + identity + _META_TAIL + b"\x10" + account

    def _order_id(self, order: int) -> bytes:
        return _FIXED64.pack(self._id_base | order)

    def _reserve(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._instrument[index]),
            b"\x21", self._order_id(index),
            b"\x28", _unsigned(self._side[index]),
            b"\x30", _signed(self._price[index]),
            b"\x38", _signed(self._lots[index]),
            self._reserve_fee,
        ))  # fmt: skip

    def _amend(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x19", self._order_id(self._order[index]),
            b"\x20", _signed(self._price[index]),
            b"\x28", _signed(self._lots[index]),
        ))  # fmt: skip

    def _release(self, index: int) -> bytes:
        return self._head(index) + b"\x19" + self._order_id(self._order[index])

    def _transfer(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(self._asset[index]),
            b"\x20", _signed(self._amount[index]),
            b"\x40\x01" if self._creates[index] else b"",
        ))  # fmt: skip

    def _internal_transfer(self, index: int) -> bytes:
        return b"".join((
            self._head(index),
            b"\x18", _unsigned(FIRST_ACCOUNT_ID + self._peer_account[index]),
            b"\x20", _unsigned(self._asset[index]),
            b"\x28", _signed(self._amount[index]),
        ))  # fmt: skip

    def _create_account(self, index: int) -> bytes:
        return self._head(index)

    def _fill(self, index: int) -> bytes:
        taker, maker, lots = self._order[index], self._peer_order[index], self._lots[index]
        match = b"".join((
            b"\x09", _FIXED64.pack(self._id_base | index),
            b"\x10", _signed(self._price[index]),
            b"\x18", _signed(lots),
            b"\x22", self._leg(taker, lots, self._taker_fee),
            b"\x2a", self._leg(maker, lots, self._maker_fee),
        ))  # fmt: skip
        return (
            b"\x08" + _unsigned(self._instrument[index]) + b"\x2a" + _unsigned(len(match)) + match
        )

    def _leg(self, order: int, filled_lots: int, fee: bytes) -> bytes:
        """A Leg, its length in front; an order is filled once, so what is left is a difference."""
        leg = b"".join((
            b"\x08", _unsigned(FIRST_ACCOUNT_ID + self._account[order]),
            b"\x11", self._order_id(order),
            b"\x18", _unsigned(self._side[order]),
            _field(b"\x20", self._lots[order] - filled_lots),
            fee,
        ))  # fmt: skip
        return _unsigned(len(leg)) + leg


def encode_plan(scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> Payloads:
    """Every message of *plan*, in its order."""
    encoder = _Encoder(plan, parse_workload(scenario.workload), run_tag=run_tag)
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
