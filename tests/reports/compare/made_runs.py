"""Sides made of small stored runs, for tests: written once, changed in memory."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reports.compare.comparison import SideInput
from reports.figures.run_evidence import RunEvidence
from reports.reading.run_folder import read_evidence
from tests.reports.synthetic import Shape, write_synthetic_run

RUN_COUNT = 6
_NOISE = 0.004  # of the speed of a start


def written_runs(folder: Path, name: str, *, slowdown: float = 1.0) -> tuple[RunEvidence, ...]:
    """RUN_COUNT process starts of one plan, read back from *folder*."""
    starts = sum(map(ord, name))
    runs = []
    for place in range(RUN_COUNT):
        noise = np.random.default_rng(starts + place).normal(0.0, _NOISE)
        shape = Shape(
            rate_per_s=600.0,
            measure_s=3,
            warmup_s=1,
            freeze_ns=0,
            start=starts + place,
            slowdown=slowdown * float(np.exp(noise)),
        )
        runs.append(read_evidence(write_synthetic_run(folder / f"{name}-{place}", shape)))
    return tuple(runs)


def side_input(name: str, runs: tuple[RunEvidence, ...]) -> SideInput:
    """A side of *runs*."""
    return SideInput(name=name, runs=runs)


def with_record(run: RunEvidence, **changes: Any) -> RunEvidence:
    """*run* whose record says something else."""
    return replace(run, record=replace(run.record, **changes))


def with_part(run: RunEvidence, field: str, changes: Mapping[str, Any]) -> RunEvidence:
    """*run* with other entries in one of its record's mappings."""
    return with_record(run, **{field: {**getattr(run.record, field), **changes}})


def first_changed(
    runs: tuple[RunEvidence, ...], change: Callable[[RunEvidence], RunEvidence]
) -> tuple[RunEvidence, ...]:
    """*runs*, the first of them changed."""
    return (change(runs[0]), *runs[1:])


def all_changed(
    runs: tuple[RunEvidence, ...], change: Callable[[RunEvidence], RunEvidence]
) -> tuple[RunEvidence, ...]:
    """*runs*, all of them changed."""
    return tuple(map(change, runs))
