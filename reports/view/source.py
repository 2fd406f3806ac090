"""
What a page is made from: one run's record and its two tables, in memory.

Columns are those that harness.store describes; reports.load reads them from a run folder.
"""

from dataclasses import dataclass

import pandas as pd

from harness.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """One run. A table that could not be read is empty, and *faults* says why."""

    record: RunRecord
    operations: pd.DataFrame
    samples: pd.DataFrame
    faults: tuple[str, ...]
