"""
The latencies of a run's operations as arrays of nanoseconds, as harness.model.operation has them.

Only operations that were due in the measured phase; of lateness those that could go in it, since it
is the generator's and not the plan's. An operation that wanted an answer and had none is counted:
percentiles of response and service take it as slower than any sample.

A large run has ten million operations: columns are looked at one by one, and the table is never
copied row by row.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.operation import ANSWERED, UNANSWERED, Outcome
from harness.model.record import RunRecord
from harness.model.turns import Turns
from harness.model.window import Window, ordered_lateness_ns

ALL_KINDS = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The latencies of one set of operations, any order."""

    response_ns: NDArray[np.int64]
    service_ns: NDArray[np.int64]
    visible_ns: NDArray[np.int64]
    unanswered_count: int  # wanted an answer and had none
    unanswered_sent_count: int  # of these: went out


@dataclass(frozen=True, slots=True, kw_only=True)
class StampColumn:
    """Some stamps of operations; those that did not happen are not *present*."""

    ns: NDArray[np.int64]
    present: NDArray[np.bool_]

    def taken(self, rows: NDArray[np.intp]) -> "StampColumn":
        return StampColumn(ns=self.ns[rows], present=self.present[rows])


def latencies_by_kind(operations: pd.DataFrame) -> dict[str, Latencies]:
    """Of all measured operations, as ALL_KINDS, then of each kind in alphabetical order."""
    rows = np.flatnonzero(operations["measured"].to_numpy(np.bool_))
    kind = operations["kind"].astype("category").cat
    code = kind.codes.to_numpy()[rows]
    in_order = np.argsort(code, kind="stable")  # a kind's operations lie together from here on
    rows, code = rows[in_order], code[in_order]
    intended, sent, done, visible = (
        stamps(operations, f"{name}_ns").taken(rows)
        for name in ("intended", "sent", "done", "visible")
    )
    is_answered = answered(operations)[rows]
    is_unanswered = unanswered(operations)[rows]
    response_ns = _Parts(code, done, intended, is_answered)
    service_ns = _Parts(code, done, sent, is_answered)
    visible_ns = _Parts(code, visible, intended)

    def of(chosen: int | None) -> Latencies:
        here = _span(code, chosen)
        return Latencies(
            response_ns=response_ns.of(chosen),
            service_ns=service_ns.of(chosen),
            visible_ns=visible_ns.of(chosen),
            unanswered_count=int(np.count_nonzero(is_unanswered[here])),
            unanswered_sent_count=int(np.count_nonzero((is_unanswered & sent.present)[here])),
        )

    named = {str(kind.categories[item]): of(item) for item in np.unique(code).tolist()}
    return {ALL_KINDS: of(None), **{name: named[name] for name in sorted(named)}}


def lateness_ns(record: RunRecord, operations: pd.DataFrame) -> NDArray[np.int64]:
    """What the generator added, of the operations that the record's lateness is of; sorted."""
    eligible, sent = stamps(operations, "eligible_ns"), stamps(operations, "sent_ns")
    said = record.load.get("turns")
    turns = said and Turns(**{name: said[name] for name in ("begins", "window_ns", "guard_ns")})
    measure_ns = int(record.phases.get("measure_ns", 0))
    window = Window(start_ns=0, end_ns=measure_ns, turns=turns or None)
    return ordered_lateness_ns(eligible.ns, sent.ns, eligible.present & sent.present, window)


class _Parts:
    """The differences of two stamps, those of a kind together."""

    def __init__(
        self,
        code: NDArray[np.integer],
        end: StampColumn,
        start: StampColumn,
        chosen: NDArray[np.bool_] | None = None,
    ) -> None:
        present = end.present & start.present
        if chosen is not None:
            present &= chosen
        self._ns = end.ns[present] - start.ns[present]
        self._code = code[present]

    def of(self, chosen: int | None) -> NDArray[np.int64]:
        return self._ns[_span(self._code, chosen)]


def _span(code: NDArray[np.integer], chosen: int | None) -> slice:
    """Where *chosen* lies in the ascending *code*; None: all of it."""
    if chosen is None:
        return slice(None)
    wanted = np.array([chosen], code.dtype)
    return slice(
        int(np.searchsorted(code, wanted, side="left")[0]),
        int(np.searchsorted(code, wanted, side="right")[0]),
    )


def measured_count(operations: pd.DataFrame) -> int:
    return int(np.count_nonzero(operations["measured"].to_numpy(np.bool_)))


def answered(operations: pd.DataFrame) -> NDArray[np.bool_]:
    """Which operations the target answered, in whichever sense."""
    return _ended(operations, ANSWERED)


def unanswered(operations: pd.DataFrame) -> NDArray[np.bool_]:
    """Which operations wanted an answer and had none."""
    return _ended(operations, UNANSWERED)


def _ended(operations: pd.DataFrame, outcomes: Collection[Outcome]) -> NDArray[np.bool_]:
    words = [outcome.name.lower() for outcome in outcomes]
    return operations["outcome"].isin(words).to_numpy(np.bool_)


def stamps(operations: pd.DataFrame, name: str) -> StampColumn:
    column = operations[name]
    return StampColumn(ns=column.to_numpy(np.int64, na_value=0), present=column.notna().to_numpy())
