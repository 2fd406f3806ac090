"""
What keeps one metric from being compared at all, each in a sentence with its remedy.

Pure. Fail closed: whatever is missing, torn or absurd is a fault, never a zero and never a pass.
"""

import math

import numpy as np

from harness.model.quantiles import needed_count
from harness.model.text import plain
from reports.compare.policy import Design
from reports.figures.samples import Compared, MeasuredMetric, RunTails, RunValues


def fault_of(a: MeasuredMetric | None, b: MeasuredMetric | None, design: Design) -> str:
    """Why baseline *a* and candidate *b* can't be compared; empty if they can."""
    if a is None and b is None:
        return "neither side has it"
    if b is None:
        return "the candidate doesn't have it any more; measure it again, or drop it on both sides"
    if a is None:
        return ""
    if a.unit != b.unit:
        return f"its unit changed from {plain(a.unit)!r} to {plain(b.unit)!r}"
    if a.better is not b.better:
        return f"{a.better} was better in the baseline, {b.better} is in the candidate"
    if a.compared is not b.compared:
        return f"a {a.compared} in the baseline, a {b.compared} in the candidate"
    match a.data, b.data:
        case RunTails(), RunTails():
            if a.data.q != b.data.q:
                return f"the baseline has quantile {a.data.q:g}, the candidate {b.data.q:g}"
        case RunValues(), RunValues():
            pass
        case _:
            return "one side has a number a run, the other samples a run"
    for name, side in (("baseline", a), ("candidate", b)):
        fault = fault_of_data(side.data, side.compared)
        if fault:
            return f"{name}: {fault}"
    if design is Design.PAIRED and a.data.run_count != b.data.run_count:
        return f"paired runs, but {a.data.run_count} in the baseline, {b.data.run_count} not"
    return ""


def fault_of_data(data: RunValues | RunTails, compared: Compared = Compared.RATIO) -> str:
    """What is wrong with the numbers of one side; empty if nothing."""
    if not data.run_count:
        return "no run has a value"
    if isinstance(data, RunValues):
        missing = [place for place, value in enumerate(data.values, 1) if math.isnan(value)]
        if missing:
            return f"run {missing[0]} has no value: nan is not a number that a run can measure"
        return (
            _fault_of_shares(data.values)
            if compared is Compared.DIFFERENCE
            else _fault_of_numbers(data.values)
        )
    if not 0.0 < data.q < 1.0:
        return f"{data.q:g} is no quantile; write a share between 0 and 1"
    for place, run in enumerate(data.runs, start=1):
        if not len(run.ordered):
            return f"run {place} has no samples"
        fault = _fault_of_numbers((float(run.ordered[0]), float(run.ordered[-1])))
        if fault or not np.isfinite(run.ordered).all():
            return f"run {place}: {fault or 'a sample is not a number'}"
    if is_unanswered(data):
        return f"the quantile {data.q:g} falls among operations that were never answered"
    count, needed = sum(run.count for run in data.runs), needed_count(data.q)
    if count < needed:
        return f"{count} samples are too few for the quantile {data.q:g}, which needs {needed}"
    return ""


def is_unanswered(data: RunTails) -> bool:
    """Whether the quantile falls among operations that were never answered."""
    unanswered_count = sum(run.unanswered_count for run in data.runs)
    return 0 < unanswered_count >= (1.0 - data.q) * sum(run.count for run in data.runs)


def _fault_of_shares(values: tuple[float, ...]) -> str:
    strange = [value for value in values if not 0.0 <= value <= 1.0]
    return f"{strange[0]} is no share of operations" if strange else ""


def _fault_of_numbers(values: tuple[float, ...]) -> str:
    strange = [value for value in values if not math.isfinite(value)]
    if strange:
        return f"{strange[0]} is not a number that a run can measure"
    if any(values) and min(values) <= 0.0:
        return f"{min(values):g} has no ratio to anything; give it an absolute limit instead"
    return ""
