"""
What a page is made from: one run's record and its two tables, in memory.

Columns are those that harness.storage.run_folder describes; reports.reading.run_folder reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.model.profile import Metric, Profile
from harness.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledStart:
    """One process start: its record, and what profilers saw of it."""

    record: RunRecord
    profiles: tuple[Profile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledPass:
    """
    A run under a profiler: one beside the unprofiled run, or the run that is shown itself.

    Attributes:
        name: What was attached: "cpu", "memory".
        is_twin: Whether there is a plain run of the same plan to hold it against.
        missing: Why a profile is not there, or not whole; plain sentences.
    """

    name: str
    record: RunRecord
    profiles: tuple[Profile, ...]
    samples: pd.DataFrame
    is_twin: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """
    One run. A table that could not be read is empty, and *faults* says why.

    *passes* are its profiled runs, or the run itself if it was profiled; none of a plain run.
    """

    record: RunRecord
    operations: pd.DataFrame
    samples: pd.DataFrame
    faults: tuple[str, ...]
    passes: tuple[ProfiledPass, ...] = ()


def profiles_of(
    passes: Sequence[ProfiledPass], metric: Metric
) -> tuple[tuple[ProfiledPass, Profile], ...]:
    return tuple(
        (one, profile) for one in passes for profile in one.profiles if profile.metric is metric
    )
