"""
The operation log as the audit asks it: by operation, what must have happened, and what was asked.

Columns stay the arrays that they are, as narrow as the plan made them: at millions of operations a
wider copy of each would be most of the audit's memory. Who computes with them widens what it takes.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.operation import Outcome
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.column_types import Column, Words
from workloads.account.wire.identity import OPERATION_BITS, REQUEST_ID, id_base, tag_of_ids
from workloads.account.wire.kinds import MATCHES, READS, Kind

_NONE = -1
INSTRUMENT_BITS = 32
_INDEX_BITS = 32
_INDEX_MASK = (1 << _INDEX_BITS) - 1


class Duty(IntEnum):
    """How many effects an operation must have."""

    NONE = 0  # rejected, or never sent
    ONE = 1  # acknowledged
    ANY = 2  # its outcome is not known: none or one


class OperationLog:
    """
    The table of harness.system.AuditEvidence.

    Attributes:
        kind: Kind by row.
        duty: Duty by row; a duplicate has NONE of its own, its request is the original's.
        account, peer_account: Indices of accounts, see `account_id`.
        instrument, side, price_ticks, ...: What was asked, by row; order, peer_order,
            duplicate_of, pending and write (that a read must see) are rows.
        is_match: Fills, late ones too.
        is_changed: A duplicate that asks for something else under its original's request id.
        told_seq: The journal_seq that the reply named, 0 for none; of use where it `tells`.
    """

    def __init__(self, table: Any, *, run_tag: int) -> None:
        self.count = len(table)
        self._run_tag = run_tag
        self.shard, self.index = _array(table, "shard"), _array(table, "index")
        self.shard_count = int(self.shard[-1]) + 1 if self.count else 0
        self._first_row = np.searchsorted(self.shard, np.arange(self.shard_count + 1))
        self._check_order()
        self.kind = _kinds(table)
        self.is_match = np.isin(self.kind, MATCHES)
        self.outcome = table["outcome"].to_numpy(np.uint8)
        self.final_outcome, self.final_code = _final_outcome(table), _final_code(table)
        self.sent_ns, self.done_ns = _array(table, "sent_ns"), _array(table, "done_ns")
        self.visible_ns = _array(table, "visible_ns")
        self.sequence = _array(table, "sequence")
        self.replayed = _optional(table, "replayed", np.bool_)
        self.account, self.peer_account = _array(table, "account"), _array(table, "peer_account")
        self.instrument, self.side = _array(table, "instrument"), _array(table, "side")
        self.price_ticks, self.qty_lots = _array(table, "price_ticks"), _array(table, "qty_lots")
        self.asset, self.amount_minor = _array(table, "asset"), _array(table, "amount_minor")
        self.order = self._rows(_array(table, "order"))
        self.peer_order = self._rows(_array(table, "peer_order"))
        self.duplicate_of = self._rows(_array(table, "duplicate_of"))
        self.is_changed = _optional(table, "is_changed", np.bool_)
        self.pending = self.order
        if "pending" in table.columns:
            self.pending = self._rows(_array(table, "pending"))
        self.write = np.full(self.count, _NONE)
        if "write" in table.columns:
            self.write = self._rows(_array(table, "write"))
        self.told_seq = _optional(table, "journal_seq", np.int64)
        # Acknowledged by a reply of its own: what that says of its transaction can be held to it.
        self.tells = (self.outcome == Outcome.ACKNOWLEDGED) & (self.sequence == 0) & ~self.replayed
        self.is_overtaken = self._overtaken()
        self.duty = self._duties()

    def account_id(self, rows: Any) -> Any:
        """Who asked, in *rows* (one or an array)."""
        return self.account[rows].astype(np.int64) + FIRST_ACCOUNT_ID

    def peer_account_id(self, rows: Any) -> Any:
        """The other side, in *rows* (one or an array)."""
        return self.peer_account[rows].astype(np.int64) + FIRST_ACCOUNT_ID

    def source(self, rows: Column) -> Column:
        """Who sends an execution, as a number: shard << INSTRUMENT_BITS | instrument_id."""
        found: Column = self.shard[rows].astype(np.int64) << INSTRUMENT_BITS | self.instrument[rows]
        return found

    def rows_of(self, operation: Column) -> Column:
        """The row of each (shard << 32 | index), -1 if there is none."""
        shard, index = operation >> _INDEX_BITS, operation & _INDEX_MASK
        is_shard = (shard >= 0) & (shard < self.shard_count)
        shard = np.where(is_shard, shard, 0)
        row = np.append(self._first_row, 0)[shard] + index
        is_row = is_shard & (row < np.append(self._first_row[1:], 0)[shard])
        return np.where(is_row, row, _NONE)

    def row_of(self, operation: int) -> int:
        return int(self.rows_of(np.array([operation]))[0])

    def order_ids(self, rows: Column) -> Words:
        """The ids of the orders that the reserves in *rows* make."""
        base = id_base(self._run_tag, 0)
        numbers = self.shard[rows].astype(np.uint64) << np.uint64(_INDEX_BITS)
        ids: Words = np.uint64(base) | numbers | self.index[rows].astype(np.uint64)
        return ids

    def rows_of_orders(self, order_ids: Words) -> Column:
        """The other way; -1 for orders of another run."""
        bits = np.uint64(OPERATION_BITS)
        is_ours = order_ids >> bits == np.uint64(tag_of_ids(self._run_tag))
        operation = (order_ids & np.uint64((1 << OPERATION_BITS) - 1)).astype(np.int64)
        return np.where(is_ours, self.rows_of(operation), _NONE)

    def rows_of_requests(self, request_ids: Iterable[bytes]) -> Column:
        """The rows of those request ids that are of this run."""
        named = (REQUEST_ID.unpack(item) for item in request_ids if len(item) == REQUEST_ID.size)
        operation = [
            shard << _INDEX_BITS | index
            for tag, shard, index in named
            if tag == self._run_tag and shard < self.shard_count
        ]
        rows = self.rows_of(np.array(operation, np.int64))
        found: Column = rows[rows >= 0]
        return found

    def describe(self, row: int) -> str:
        kind = Kind(self.kind[row]).name.lower().replace("_", " ")
        return f"{kind} {self.shard[row]}/{self.index[row]} of account {self.account_id(row)}"

    def _check_order(self) -> None:
        """Row and operation follow from each other by arithmetic."""
        assert bool(np.all(self.shard[1:] >= self.shard[:-1])), "rows are in order of their shard"
        for first, last in zip(self._first_row[:-1], self._first_row[1:], strict=True):
            numbers = np.arange(last - first, dtype=self.index.dtype)
            assert np.array_equal(self.index[first:last], numbers), "and of their index"

    def _rows(self, index: NDArray[Any]) -> NDArray[Any]:
        """Rows from indices within each operation's own shard."""
        if self.shard_count <= 1:
            return index
        first: NDArray[Any] = self._first_row.astype(index.dtype)[self.shard]
        return np.where(index >= 0, index + first, index)

    def _overtaken(self) -> NDArray[np.bool_]:
        """
        Fills that were not seen before the release of one of their orders was sent.

        The load process waits for a fill to be visible, but not for ever; after that the release
        may be first, and what becomes of the fill is the harness's doing.
        """
        released_ns = np.zeros(self.count, dtype=np.int64)
        is_release = (self.kind == Kind.RELEASE) & (self.duplicate_of < 0)
        releases = np.flatnonzero(is_release & (self.sent_ns > 0))
        released_ns[self.order[releases]] = self.sent_ns[releases]
        overtaken = np.zeros(self.count, dtype=np.bool_)
        fills = np.flatnonzero(self.is_match & (self.sent_ns > 0))
        for orders in (self.order[fills], self.peer_order[fills]):
            first_ns = released_ns[orders]
            seen_ns = self.visible_ns[fills]
            overtaken[fills] |= (first_ns > 0) & ((seen_ns == 0) | (seen_ns > first_ns))
        return overtaken

    def _duties(self) -> NDArray[np.uint8]:
        final = self.final_outcome
        duty = np.full(self.count, Duty.ANY, dtype=np.uint8)
        duty[final == Outcome.ACKNOWLEDGED] = Duty.ONE
        unsent = (Outcome.DROPPED, Outcome.CANCELLED, Outcome.STRANDED, Outcome.PLANNED)
        for without in (Outcome.REJECTED, *unsent):
            duty[final == without] = Duty.NONE
        duty[self.is_overtaken & (duty == Duty.ONE)] = Duty.ANY
        repeats = np.flatnonzero(self.duplicate_of >= 0)
        originals = self.duplicate_of[repeats]
        # A repetition that was applied proves that the request was, by whichever of the two.
        proved = originals[(final[repeats] == Outcome.ACKNOWLEDGED) & ~self.is_changed[repeats]]
        duty[proved[duty[proved] == Duty.ANY]] = Duty.ONE
        duty[repeats] = Duty.NONE
        duty[np.isin(self.kind, (*READS, Kind.REPEAT))] = Duty.NONE
        return duty


def _kinds(table: Any) -> NDArray[np.uint8]:
    column = pd.Categorical(table["kind"])
    codes = np.array([Kind[str(name).upper()] for name in column.categories], np.uint8)
    kinds: NDArray[np.uint8] = codes[column.codes]
    return kinds


def _final_outcome(table: Any) -> NDArray[np.uint8]:
    resolved = _array(table, "resolved_outcome")
    final = np.where(resolved >= 0, resolved, _array(table, "outcome")).astype(np.uint8)
    final[_array(table, "never_sent") & (resolved < 0)] = Outcome.CANCELLED
    return final


def _final_code(table: Any) -> NDArray[np.int32]:
    resolved = _array(table, "resolved_outcome") >= 0
    codes: NDArray[np.int32] = np.where(
        resolved, _array(table, "resolved_code"), _array(table, "code")
    )
    return codes


def _array(table: Any, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table[name].to_numpy()
    return values


def _optional(table: Any, name: str, kind: Any) -> NDArray[Any]:
    if name not in table.columns:
        return np.zeros(len(table), dtype=kind)
    values: NDArray[Any] = table[name].to_numpy(kind)
    return values
