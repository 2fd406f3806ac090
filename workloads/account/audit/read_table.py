"""The reads of a run, from the table of operations: what was asked, and what was told."""

from typing import Any

import numpy as np

from harness.model.operation import Outcome
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.reads import Reads
from workloads.account.wire.column_types import Column
from workloads.account.wire.kinds import Kind


def reads_of(table: Any, log: OperationLog, kind: Kind, *, limit_count: int) -> Reads:
    """The answered reads of *kind*; *limit_count*: the most entries that a page was asked for."""
    is_answered = log.final_outcome == Outcome.ACKNOWLEDGED
    row = np.flatnonzero((log.kind == kind) & is_answered)

    def column(name: str, rows: Column = row) -> Column:
        values: Column = table[name].to_numpy()[rows].astype(np.int64)
        return values

    write = log.write[row]
    return Reads(
        row=row,
        account_id=log.account_id(row).astype(np.uint64),
        wanted_seq=np.where(write >= 0, column("journal_seq", write), 0),
        journal_seq=column("journal_seq"),
        account_seq=column("account_seq"),
        print=column("told_print").view(np.uint64),
        flaw=column("told_flaw"),
        from_seq=column("from_seq") if kind is Kind.LIST_LEDGER else np.zeros(len(row), np.int64),
        limit_count=np.full(len(row), limit_count),
        first_seq=column("told_first_seq"),
        entry_count=column("told_count"),
    )
