"""
I8: the records of a source are applied in its order.

A source is one sender of executions of one instrument; each of its records has the next number. On
the ledger those that have an effect stand in the order of their numbers, however they arrived:
those that came too early had to wait.
"""

import numpy as np

from workloads.account.audit.grouped import Groups, Numbering
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.wire.column_types import Column, Mask


class SourceOrder:
    """Fed with every new transaction, in order."""

    def __init__(self, log: OperationLog, tally: Tally) -> None:
        self._log, self._tally = log, tally
        self._sources = Numbering(np.zeros(0, np.int64))
        self._newest: Column = np.zeros(0, np.int64)  # sequence number by number of the source

    def take(self, part: Transactions, row: Column, *, is_first: Mask) -> None:
        """Check new transactions of records; only an operation's first counts, repeats are I7's."""
        log, tally = self._log, self._tally
        chosen = np.flatnonzero(is_first)
        chosen = chosen[log.sequence[row[chosen]] > 0]
        if not len(chosen):
            return
        rows, number = row[chosen], part.number[chosen]
        sequence = log.sequence[rows].astype(np.int64)
        before = self._newest_before(rows, sequence)
        tally.violate_all(
            sequence <= before,
            lambda index: (
                f"{log.describe(rows[index])} is number {sequence[index]} of its source and was "
                f"applied after number {before[index]}"
            ),
            at=number,
            checked_count=len(chosen),
        )
        told = part.source_seq[chosen]
        tally.violate_all(
            (told > 0) & (told != sequence),
            lambda index: (
                f"{log.describe(rows[index])} is number {sequence[index]} of its source, its "
                f"transaction says {told[index]}"
            ),
            at=number,
        )

    def _newest_before(self, rows: Column, sequence: Column) -> Column:
        """The highest number of the same source that was applied before each, 0 for none."""
        groups = Groups(self._sources.of(self._log.source(rows)))
        newest = np.zeros(len(self._sources), np.int64)
        newest[: len(self._newest)] = self._newest
        carried = newest[groups.key]
        # Each source's numbers lifted above those of the one before it: a running maximum of all
        # is then one of each.
        span = int(max(sequence.max(), carried.max())) + 1
        lifted = sequence[groups.order] + groups.number * span
        before = np.roll(np.maximum.accumulate(lifted), 1) - groups.number * span
        before[groups.first] = 0
        before = np.maximum(before, carried[groups.number])
        newest[groups.key] = np.maximum(
            carried, np.maximum.reduceat(sequence[groups.order], groups.first)
        )
        self._newest = newest
        return groups.back(before)
