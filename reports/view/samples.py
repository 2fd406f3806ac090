"""
The latencies of a run's operations as arrays of nanoseconds, by the definitions of the record.

    response  done - intended     service  done - sent      (operations that were answered)
    visible   visible - intended                            (effects that were seen)
    lateness  sent - eligible                               (operations that were sent)

Only operations of the measured phase. An operation that wanted an answer and had none is counted:
percentiles of response and service take it as slower than any sample.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.operation import ANSWERED, UNANSWERED

_ANSWERED_WORDS = tuple(outcome.name.lower() for outcome in ANSWERED)
_UNANSWERED_WORDS = tuple(outcome.name.lower() for outcome in UNANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The latencies of one set of operations, any order."""

    response_ns: NDArray[np.int64]
    service_ns: NDArray[np.int64]
    visible_ns: NDArray[np.int64]
    lateness_ns: NDArray[np.int64]
    unanswered_count: int  # wanted an answer and had none
    unanswered_sent_count: int  # of these: went out


def measured(operations: pd.DataFrame) -> pd.DataFrame:
    """The operations that were due in the measured phase."""
    return operations[operations["measured"].astype(bool)]


def answered(operations: pd.DataFrame) -> pd.DataFrame:
    """The operations that the target answered, in whichever sense."""
    return operations[operations["outcome"].isin(_ANSWERED_WORDS)]


def kinds_of(operations: pd.DataFrame) -> tuple[str, ...]:
    """The kinds that occur, in the order of the alphabet."""
    return tuple(sorted(str(kind) for kind in operations["kind"].unique()))


def latencies(operations: pd.DataFrame) -> Latencies:
    """All latencies of *operations*."""
    settled = answered(operations)
    unanswered = operations[operations["outcome"].isin(_UNANSWERED_WORDS)]
    return Latencies(
        response_ns=difference(settled, "done_ns", "intended_ns"),
        service_ns=difference(settled, "done_ns", "sent_ns"),
        visible_ns=difference(operations, "visible_ns", "intended_ns"),
        lateness_ns=difference(operations, "sent_ns", "eligible_ns"),
        unanswered_count=len(unanswered),
        unanswered_sent_count=int(unanswered["sent_ns"].notna().sum()),
    )


def difference(operations: pd.DataFrame, end: str, start: str) -> NDArray[np.int64]:
    """*end* - *start* of the operations that have both stamps."""
    return stamps(operations, end, also=start) - stamps(operations, start, also=end)


def stamps(operations: pd.DataFrame, name: str, also: str | None = None) -> NDArray[np.int64]:
    """The stamp *name* of the operations that have it (and, if given, the stamp *also*)."""
    present = operations[name].notna()
    if also is not None:
        present &= operations[also].notna()
    return operations.loc[present, name].to_numpy().astype(np.int64)
