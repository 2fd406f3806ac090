"""
The public measurements of unchanged code that the evidence rests on, and shares with intervals.

The data: test data of golang/perf's benchseries: one set of Go programs, 51 benchmarks, 25
repetitions a day on 23 consecutive days on one quiet machine. It is not part of this repository;
the programs take a gzipped CSV with the columns day, benchmark, repetition, ns_per_op.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Z_95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Nanoseconds an operation by day, benchmark and repetition; NaN where one is missing."""

    days: tuple[str, ...]
    benchmarks: tuple[str, ...]
    ns: NDArray[np.float64]


def read_measurements(path: Path) -> Measurements:
    """The measurements in the file *path*."""
    table = pd.read_csv(path, dtype={"day": str, "benchmark": str})
    days = sorted(table["day"].unique())
    benchmarks = sorted(table["benchmark"].unique())
    repetition_count = int(table["repetition"].max()) + 1
    ns = np.full((len(days), len(benchmarks), repetition_count), np.nan)
    day = table["day"].map({name: place for place, name in enumerate(days)})
    benchmark = table["benchmark"].map({name: place for place, name in enumerate(benchmarks)})
    ns[day, benchmark, table["repetition"]] = table["ns_per_op"]
    return Measurements(days=tuple(days), benchmarks=tuple(benchmarks), ns=ns)


def wilson(hit_count: int, total_count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, JASA 22, 1927, p. 209)."""
    if not total_count:
        return 0.0, 1.0
    share, weight = hit_count / total_count, Z_95**2 / total_count
    middle = (share + weight / 2.0) / (1.0 + weight)
    reach = (weight * (share * (1.0 - share) + weight / 4.0)) ** 0.5 / (1.0 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def share_text(hit_count: int, total_count: int) -> str:
    """A share with its count and interval: "0.023 (1/44; 0.004-0.118)"."""
    low, high = wilson(hit_count, total_count)
    share = hit_count / total_count if total_count else float("nan")
    return f"{share:.3f} ({hit_count}/{total_count}; {low:.3f}-{high:.3f})"
