"""
The sentence beside a verdict: what was found, how sure it is, and what would settle it.

Pure words; decides nothing.
"""

import math
from dataclasses import dataclass

from harness.model.record import Better
from harness.model.text import share, significant, trimmed
from reports.compare.policy import Margins
from reports.compare.verdicts import Change, Estimate
from reports.text import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFindings:
    """What was found about one metric; reaches are log ratios."""

    status: Change
    estimate: Estimate
    better: Better
    margins: Margins
    equivalence_reach: float
    equivalence_alpha: float
    family_count: int
    run_count: int
    run_count_min: int
    is_contradicted: bool
    is_drift: bool
    is_difference: bool


def sentence_of(found: MetricFindings) -> str:
    match found.status:
        case Change.REGRESSED | Change.IMPROVED:
            return _changed(found)
        case Change.UNCHANGED:
            return (
                f"Within {_margin(found, found.margins.margin_share)} of the baseline:"
                f" {_worse_or_better(found, found.estimate.ratio)}"
                f" ({_two_sided(found.equivalence_alpha)}:"
                f" {_range(found, found.equivalence_reach)})."
            )
        case _:
            return _open(found)


def _two_sided(alpha: float) -> str:
    """The interval that two one-sided tests at *alpha* make: of 5 %, that of 90 %."""
    return f"{trimmed(100.0 * (1.0 - 2.0 * alpha))} %"


def _changed(found: MetricFindings) -> str:
    estimate = found.estimate
    text = f"{_capital(_worse_or_better(found, estimate.ratio))} (95 %: {_interval(found)})"
    if found.margins.is_exact:
        return (
            f"{_capital(_worse_or_better(found, estimate.ratio))}; one build gives the same number"
            " in every run, so this is no noise, though unrelated changes of a build move it too."
        )
    metrics = counted(found.family_count, "metric")
    return (
        f"{text}: beyond chance for {metrics} together, and over the floor of"
        f" {_margin(found, found.margins.floor_share)}."
    )


def _open(found: MetricFindings) -> str:
    where = f"Anywhere from {_interval(found)}"
    if found.run_count < found.run_count_min:
        return (
            f"{where}; {found.run_count} runs a side are too few for a verdict, at least"
            f" {found.run_count_min} are needed."
        )
    if found.is_drift:
        return (
            f"{_capital(_worse_or_better(found, found.estimate.ratio))}, but the runs of a side"
            " drift by as much from first to last: measure both sides alternately (gate)."
        )
    if found.is_contradicted:
        return (
            f"The middle is {_worse_or_better(found, found.estimate.ratio)}, but the ranks of the"
            " runs don't confirm it: the values of both sides overlap or come in clusters."
        )
    return f"{where}. {_remedy(found)}"


def _remedy(found: MetricFindings) -> str:
    seen = (
        f"A worsening of {_margin(found, found.estimate.mde_share)} would have been found (4 in 5)"
    )
    further = found.estimate.more_run_count
    if further is None:
        return f"{seen}; more runs alone won't settle it: measure both sides alternately (gate)."
    return f"{seen}; about {counted(further, 'more run')} a side would settle it."


def _interval(found: MetricFindings) -> str:
    low, high = found.estimate.low_ratio, found.estimate.high_ratio
    ends = (low, high) if found.better is Better.LESS else (high, low)
    return f"{_worse_or_better(found, ends[0])} to {_worse_or_better(found, ends[1])}"


def _range(found: MetricFindings, reach: float) -> str:
    middle = math.log(found.estimate.ratio)
    ends = [math.exp(middle + sign * reach) for sign in (-1, 1)]
    if found.better is Better.MORE:
        ends.reverse()
    return f"{_worse_or_better(found, ends[0])} to {_worse_or_better(found, ends[1])}"


def _worse_or_better(found: MetricFindings, ratio: float) -> str:
    """A ratio as "3.1 % worse"."""
    change = abs(ratio - 1.0)
    if change < 5e-5:
        return "no change"
    is_worse = (ratio > 1.0) is (found.better is Better.LESS)
    if found.is_difference:
        return f"{significant(100.0 * change, 2)} points {'worse' if is_worse else 'better'}"
    amount = f"{significant(ratio)} times" if ratio >= 3.0 else _percent(change)
    return f"{amount} {'worse' if is_worse else 'better'}"


def _margin(found: MetricFindings, part: float) -> str:
    return f"{trimmed(100.0 * part)} {'points' if found.is_difference else '%'}"


def _percent(part: float) -> str:
    """Two digits are what an estimate of a few runs is good for."""
    return share(part, 2)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
