"""
What two sides of a comparison consist of: metrics, and for each what every run said.

Pure values. A run is a whole process start: what varies from start to start (memory layout, hash
seeds, what the machine does) is not seen by repeating inside one process (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", ISMM 2013; Georges et al., OOPSLA 2007).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from harness.model.record import Better


class Compared(StrEnum):
    """What of two sides is compared."""

    RATIO = "ratio"  # candidate / baseline; zero has none
    DIFFERENCE = "difference"  # of shares of failures, which are zero in most runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """One number a run, in the order of the runs; NaN where a run has none."""

    values: tuple[float, ...]

    @property
    def run_count(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSamples:
    """
    The samples of one run, sorted ascending.

    *unanswered_count* operations have no sample and count as larger than all that have.
    """

    ordered: NDArray[np.float64]
    unanswered_count: int = 0

    @property
    def count(self) -> int:
        """All operations, answered or not."""
        return len(self.ordered) + self.unanswered_count


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTails:
    """The quantile *q* of what all runs saw together; each run brings its samples."""

    q: float
    runs: tuple[RunSamples, ...]

    @property
    def run_count(self) -> int:
        return len(self.runs)


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """One metric of one side, in *unit*."""

    name: str
    unit: str
    better: Better
    data: RunValues | RunTails
    compared: Compared = Compared.RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """
    One side: a name for the reader, and its metrics.

    Attributes:
        faults: Why the whole side can't support a verdict, in sentences; none: it can.
        doubts: What keeps it from proving anything good, though what it shows is true, such as a
            invariant of the audit that the scenario requires and nobody could check.
        is_audit_failed: One of its runs lost or created money: a fault of its own exit code.
    """

    name: str
    metrics: tuple[MeasuredMetric, ...]
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    is_audit_failed: bool = False
