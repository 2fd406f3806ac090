"""
A plan's operations as one table, before and after they are put in order of time.

While a plan is made rows may stand in any order and refer to each other by number; `arranged` sorts
them, leaves out what is not sent, and gives every reference its new number. What is done wrong on
purpose to records on Kafka (some late, some twice) is added here too.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.rows import LEFT_OUT
from workloads.account.terms.workload import Workload
from workloads.account.wire.kinds import MATCHES, RECORDS, Kind

Columns = dict[str, NDArray[Any]]

_REFERENCES = ("order", "peer_order", "duplicate_of", "pending", "write")  # columns of row numbers
_REPEAT_DELAY_NS = 20_000_000  # mean time until a record is sent again
_NONE = np.int32(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTable:
    """
    A row an operation; see harness.system.ShardPlan and planner.py.

    Attributes:
        late_by: Empty if no record is late.
    """

    offset_ns: NDArray[np.int64]
    kind: NDArray[np.uint8]
    needs_a: NDArray[np.int32]
    needs_b: NDArray[np.int32]
    after: NDArray[np.int32]
    late_by: NDArray[np.uint8]
    columns: Columns

    def __len__(self) -> int:
        return len(self.kind)


def arranged(table: PlanTable) -> PlanTable:
    """The rows in order of time, those of equal time as they stand; what is left out is gone."""
    is_sent = table.kind != LEFT_OUT
    if is_sent.all() and bool(np.all(np.diff(table.offset_ns) >= 0)):
        return table
    order = np.argsort(table.offset_ns, kind="stable")
    order = order[is_sent[order]]
    number = np.full(len(table) + 1, _NONE)  # the last one is what -1 refers to: nothing
    number[order] = np.arange(len(order), dtype=np.int32)

    def renumbered(references: NDArray[np.int32]) -> NDArray[np.int32]:
        found: NDArray[np.int32] = number[references[order]]
        return found

    return PlanTable(
        offset_ns=table.offset_ns[order],
        kind=table.kind[order],
        needs_a=renumbered(table.needs_a),
        needs_b=renumbered(table.needs_b),
        after=renumbered(table.after),
        late_by=table.late_by[order] if len(table.late_by) else table.late_by,
        columns={
            name: renumbered(values) if name in _REFERENCES else values[order]
            for name, values in table.columns.items()
        },
    )


def with_disturbed_records(
    table: PlanTable, workload: Workload, chance: np.random.Generator
) -> PlanTable:
    """Some of the records late, some of them sent once more, as the workload asks."""
    if workload.late_records:
        table = _with_late(table, workload, chance)
    if workload.repeated_records:
        table = _with_repeats(table, workload, chance)
    return table


def _with_late(table: PlanTable, workload: Workload, chance: np.random.Generator) -> PlanTable:
    count = len(table)
    is_late = np.isin(table.kind, MATCHES) & (chance.random(count) < workload.late_records)
    late_by = chance.integers(1, workload.late_max, size=count, endpoint=True)
    return replace(
        table,
        kind=np.where(is_late, np.uint8(Kind.LATE_FILL), table.kind).astype(np.uint8),
        late_by=np.where(is_late, late_by, 0).astype(np.uint8),
    )


def _with_repeats(table: PlanTable, workload: Workload, chance: np.random.Generator) -> PlanTable:
    is_record = np.isin(table.kind, RECORDS)
    chosen = np.flatnonzero(is_record & (chance.random(len(table)) < workload.repeated_records))
    delay_ns = 1 + (chance.standard_exponential(len(chosen)) * _REPEAT_DELAY_NS).astype(np.int64)
    none = np.full(len(chosen), _NONE)
    copied = {"account", "peer_account", "instrument"}  # whose stream and books it is about

    def extended(name: str, values: NDArray[Any]) -> NDArray[Any]:
        if name in _REFERENCES:
            more = none
        elif name == "is_derived":
            more = np.ones(len(chosen), dtype=np.bool_)
        else:
            more = values[chosen] if name in copied else np.zeros(len(chosen), values.dtype)
        return np.concatenate([values, more])

    late_by = table.late_by
    if len(late_by):
        late_by = np.concatenate([late_by, np.zeros(len(chosen), np.uint8)])
    return PlanTable(
        offset_ns=np.concatenate([table.offset_ns, table.offset_ns[chosen] + delay_ns]),
        kind=np.concatenate([table.kind, np.full(len(chosen), Kind.REPEAT, np.uint8)]),
        needs_a=np.concatenate([table.needs_a, chosen.astype(np.int32)]),
        needs_b=np.concatenate([table.needs_b, none]),
        after=np.concatenate([table.after, none]),
        late_by=late_by,
        columns={name: extended(name, values) for name, values in table.columns.items()},
    )
