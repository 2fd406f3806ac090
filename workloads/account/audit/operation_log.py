"""
The operation log as the audit asks it: by operation, what must have happened, and what was asked.

Columns stay arrays; nothing is an object an operation.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.operation import Outcome
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID
from workloads.account.plan.identity import id_base, operation_of_id
from workloads.account.plan.kinds import Kind

_NONE = -1


class Duty(IntEnum):
    """How many effects an operation must have."""

    NONE = 0  # refused, or never sent
    ONE = 1  # acknowledged
    ANY = 2  # its outcome is not known: none or one


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns that folds read one by one: memoryviews, as they give plain ints, and faster."""

    kind: memoryview
    shard: memoryview
    index: memoryview
    account_id: memoryview
    peer_account_id: memoryview
    instrument: memoryview
    side: memoryview
    price_ticks: memoryview
    qty_lots: memoryview
    asset: memoryview
    amount_minor: memoryview
    order: memoryview
    peer_order: memoryview


_CELLS = tuple(field.name for field in fields(Cells))


class OperationLog:
    """
    The table of harness.system.AuditEvidence.

    Attributes:
        kind: Kind by row.
        duty: Duty by row; a duplicate has NONE of its own, its request is the original's.
        account_id, peer_account_id, ...: What was asked, by row; order, peer_order and duplicate_of
            are rows.
        cells: The same, for one operation at a time.
    """

    def __init__(self, table: Any, *, run_tag: int) -> None:
        self.count = len(table)
        self._run_tag = run_tag
        shards = table["shard"].to_numpy(np.int64)
        index = table["index"].to_numpy(np.int64)
        keys = shards << 32 | index
        assert bool(np.all(np.diff(keys) > 0)), "rows are in order of shard and index"
        self.shard_count = int(shards.max()) + 1 if self.count else 0
        self._first_row = np.searchsorted(shards, np.arange(self.shard_count + 1)).tolist()
        self.shard, self.index = shards, index
        self.kind = _kinds(table)
        self.outcome = table["outcome"].to_numpy(np.uint8)
        self.final_outcome = _final_outcome(table)
        self.sent_ns = table["sent_ns"].to_numpy(np.int64)
        self.done_ns = table["done_ns"].to_numpy(np.int64)
        self.sequence = table["sequence"].to_numpy(np.int64)
        self.replayed = _column(table, "replayed", np.bool_)
        self.account_id = table["account"].to_numpy(np.int64) + FIRST_ACCOUNT_ID
        self.peer_account_id = table["peer_account"].to_numpy(np.int64) + FIRST_ACCOUNT_ID
        for name in ("instrument", "side", "price_ticks", "qty_lots", "asset", "amount_minor"):
            setattr(self, name, table[name].to_numpy(np.int64))
        offset = np.asarray(self._first_row, dtype=np.int64)[shards] if self.count else shards
        self.order = _rows(table["order"].to_numpy(np.int64), offset)
        self.peer_order = _rows(table["peer_order"].to_numpy(np.int64), offset)
        self.duplicate_of = _rows(table["duplicate_of"].to_numpy(np.int64), offset)
        self.creates_account = table["creates_account"].to_numpy(np.bool_)
        self.visible_ns = table["visible_ns"].to_numpy(np.int64)
        self.is_overtaken = self._overtaken()
        self.duty = self._duties()
        self.cells = Cells(*(np.ascontiguousarray(getattr(self, name)).data for name in _CELLS))

    instrument: NDArray[np.int64]
    side: NDArray[np.int64]
    price_ticks: NDArray[np.int64]
    qty_lots: NDArray[np.int64]
    asset: NDArray[np.int64]
    amount_minor: NDArray[np.int64]

    def row_of(self, operation: int) -> int:
        """The row of (shard << 32 | index), -1 if there is none."""
        shard, index = operation >> 32, operation & 0xFFFF_FFFF
        if not 0 <= shard < self.shard_count:
            return _NONE
        row: int = self._first_row[shard] + index
        return row if row < self._first_row[shard + 1] else _NONE

    def order_id(self, row: int) -> int:
        """The id of the order that the reserve of *row* makes."""
        return id_base(self._run_tag, self.cells.shard[row]) | self.cells.index[row]

    def row_of_order(self, order_id: int) -> int:
        """The other way; -1 for an order of another run."""
        operation = operation_of_id(order_id, self._run_tag)
        return self.row_of(operation) if operation >= 0 else _NONE

    def describe(self, row: int) -> str:
        """An operation in a sentence about it."""
        kind = Kind(self.kind[row]).name.lower().replace("_", " ")
        return f"{kind} {self.shard[row]}/{self.index[row]} of account {self.account_id[row]}"

    def _overtaken(self) -> NDArray[np.bool_]:
        """
        Fills that were not seen before the release of one of their orders was sent.

        The load process waits for a fill to be visible, but not for ever; after that the release
        may be first, and what becomes of the fill is the harness's doing.
        """
        released_ns = np.zeros(self.count, dtype=np.int64)
        releases = np.flatnonzero((self.kind == Kind.RELEASE) & (self.sent_ns > 0))
        released_ns[self.order[releases]] = self.sent_ns[releases]
        overtaken = np.zeros(self.count, dtype=np.bool_)
        fills = np.flatnonzero((self.kind == Kind.FILL) & (self.sent_ns > 0))
        for orders in (self.order[fills], self.peer_order[fills]):
            first_ns = released_ns[orders]
            seen_ns = self.visible_ns[fills]
            overtaken[fills] |= (first_ns > 0) & ((seen_ns == 0) | (seen_ns > first_ns))
        return overtaken

    def _duties(self) -> NDArray[np.uint8]:
        final = self.final_outcome
        duty = np.full(self.count, Duty.ANY, dtype=np.uint8)
        duty[final == Outcome.ACKNOWLEDGED] = Duty.ONE
        without = (Outcome.REJECTED, Outcome.DROPPED, Outcome.CANCELLED, Outcome.PLANNED)
        duty[np.isin(final, without)] = Duty.NONE
        duty[self.is_overtaken & (duty == Duty.ONE)] = Duty.ANY
        repeats = np.flatnonzero(self.duplicate_of >= 0)
        originals = self.duplicate_of[repeats]
        # A repetition that was applied proves that the request was, by whichever of the two.
        proved = originals[final[repeats] == Outcome.ACKNOWLEDGED]
        duty[proved[duty[proved] == Duty.ANY]] = Duty.ONE
        duty[repeats] = Duty.NONE
        return duty


def _kinds(table: Any) -> NDArray[np.uint8]:
    names = {kind.name.lower(): int(kind) for kind in Kind}
    codes = [names[str(name)] for name in table["kind"].tolist()]
    return np.array(codes, dtype=np.uint8)


def _final_outcome(table: Any) -> NDArray[np.uint8]:
    outcome = table["outcome"].to_numpy(np.int64)
    resolved = table["resolved_outcome"].to_numpy(np.int64)
    final = np.where(resolved >= 0, resolved, outcome)
    never_sent = table["never_sent"].to_numpy(np.bool_) & (resolved < 0)
    final[never_sent] = Outcome.CANCELLED
    codes: NDArray[np.uint8] = final.astype(np.uint8)
    return codes


def _column(table: Any, name: str, kind: Any) -> NDArray[Any]:
    if name not in table.columns:
        return np.zeros(len(table), dtype=kind)
    values: NDArray[Any] = table[name].to_numpy(kind)
    return values


def _rows(index: NDArray[np.int64], offset: NDArray[np.int64]) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = np.where(index >= 0, index + offset, _NONE)
    return rows
