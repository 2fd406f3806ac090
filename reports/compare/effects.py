"""
The effect of one metric, or the verdict that no effect is needed for. Pure.

Faults, zeros, single runs, and improvements too good to be true are settled here, before any
statistics of several metrics. Where a quantile of the candidate falls among operations that were
never answered, it is worse than any number; whether that is more than chance is asked of the share
of such operations, run by run, as of any other metric.
"""

import math
from dataclasses import replace

from harness.model.text import plain, trimmed
from reports.compare.estimates import (
    RUN_COUNT_NEEDED,
    MetricPair,
    estimated,
    side_values,
    without_noise,
)
from reports.compare.input_faults import fault_of, fault_of_data, is_unanswered
from reports.compare.policy import FAILURE_MARGINS, ComparisonPolicy, Design, Margins
from reports.compare.verdicts import Change, MetricVerdict
from reports.figures.samples import Compared, MeasuredMetric, RunTails, RunValues
from reports.statistics.location import Effect


def effect_or_verdict(
    a: MeasuredMetric | None, b: MeasuredMetric | None, policy: ComparisonPolicy
) -> tuple[MetricPair, Effect] | MetricVerdict:
    """The effect of one metric, or the verdict that no effect is needed for."""
    known = a or b
    assert known is not None
    margins = policy.margins_of(known)
    try:
        unanswered = _unanswered_pair(a, b, policy)
        if unanswered:
            return unanswered, estimated(unanswered, policy.design)
        fault = fault_of(a, b, policy.design)
        if fault:
            return unestimated(a, b, Change.INVALID, f"{fault}.", policy)
        if a is None or b is None:
            text = "New in the candidate: there is nothing to compare it with."
            return unestimated(a, b, Change.INCONCLUSIVE, text, policy)
        pair = MetricPair(baseline=a, candidate=b, margins=margins)
        settled = _settled_without_noise(pair, policy)
        if settled:
            return settled
        effect = estimated(pair, policy.design)
        collapse = _collapse(pair, effect, policy)
        if collapse:
            return unestimated(a, b, Change.INVALID, collapse, policy)
        return pair, without_noise(effect) if margins.is_exact else effect
    except Exception as error:  # noqa: BLE001 -- an exception must never read as a verdict
        text = f"The statistics failed: {type(error).__name__}: {plain(str(error))}"
        return unestimated(a, b, Change.INCONCLUSIVE, text, policy)


def unestimated(
    a: MeasuredMetric | None,
    b: MeasuredMetric | None,
    status: Change,
    sentence: str,
    policy: ComparisonPolicy,
) -> MetricVerdict:
    known = a or b
    assert known is not None
    margins = policy.margins_of(known)
    return MetricVerdict(
        name=known.name,
        unit=known.unit,
        better=known.better,
        status=status,
        sentence=sentence[0].upper() + sentence[1:],
        floor_share=margins.floor_share,
        margin_share=margins.margin_share,
        baseline=side_values(a),
        candidate=side_values(b),
        estimate=None,
        compared=known.compared,
    )


def verdict_of_unanswered(
    a: MeasuredMetric, b: MeasuredMetric, status: Change, policy: ComparisonPolicy
) -> MetricVerdict:
    """Of a quantile among operations that were never answered, whose share ended as *status*."""
    text = "In the candidate it falls among operations that were never answered"
    if status is Change.REGRESSED:
        text += ": worse than any time of the baseline."
        return unestimated(a, b, Change.REGRESSED, text, policy)
    text += (
        ", but that these are more than in the baseline is not shown, or they are hardly more:"
        " measure more runs."
    )
    return unestimated(a, b, Change.INCONCLUSIVE, text, policy)


def _unanswered_pair(
    a: MeasuredMetric | None, b: MeasuredMetric | None, policy: ComparisonPolicy
) -> MetricPair | None:
    """
    The shares without an answer, where the quantile of the candidate falls among these operations.

    An overloaded service is a slow one, not a faulty input. It takes a sound baseline, and as many
    runs as any verdict.
    """
    if a is None or b is None or not isinstance(b.data, RunTails) or not is_unanswered(b.data):
        return None
    if fault_of_data(a.data, a.compared) or (a.unit, a.better) != (b.unit, b.better):
        return None
    counts = a.data.run_count, b.data.run_count
    if min(counts) < policy.run_count_min:
        return None
    if policy.design is Design.PAIRED and counts[0] != counts[1]:
        return None
    q = b.data.q
    before, after = (_unanswered_shares(side, q) for side in (a, b))
    # Of a quantile far out a small share is much: half of what lies beyond it.
    share = min(FAILURE_MARGINS.floor_share, (1.0 - q) / 2.0)
    margins = Margins(floor_share=share, margin_share=share)
    return MetricPair(baseline=before, candidate=after, margins=margins, is_of_unanswered=True)


def _unanswered_shares(metric: MeasuredMetric, q: float) -> MeasuredMetric:
    """Of each run; where it has the quantile as a number, the most that it can be: 1 - q."""
    shares = (
        tuple(run.unanswered_count / max(1, run.count) for run in metric.data.runs)
        if isinstance(metric.data, RunTails)
        else (1.0 - q,) * metric.data.run_count
    )
    return replace(metric, data=RunValues(values=shares), compared=Compared.DIFFERENCE)


def _settled_without_noise(pair: MetricPair, policy: ComparisonPolicy) -> MetricVerdict | None:
    """Zeros have no ratio, and one run a side no noise: what is said then."""
    a, b = pair.baseline, pair.candidate
    is_sized = not pair.is_difference
    if is_sized and not isinstance(a.data, RunTails) and not isinstance(b.data, RunTails):
        has = [any(side.data.values) for side in (a, b) if not isinstance(side.data, RunTails)]
        if has[0] is not has[1]:
            text = "0 on one side only: a ratio can't say by how much it changed."
            return unestimated(a, b, Change.INVALID, text, policy)
        if not has[0] and min(pair.run_counts) >= policy.run_count_min:
            return unestimated(a, b, Change.UNCHANGED, "0 in every run of both sides.", policy)
        if not has[0]:
            text = f"0 in every run, but {min(pair.run_counts)} runs a side are too few to rely on."
            return unestimated(a, b, Change.INCONCLUSIVE, text, policy)
    fewest = min(pair.run_counts)
    if fewest < RUN_COUNT_NEEDED and not pair.margins.is_exact:
        text = (
            f"{fewest} run a side shows no noise, so no difference can be told from it:"
            f" measure at least {policy.run_count_min} process starts a side."
        )
        return unestimated(a, b, Change.INCONCLUSIVE, text, policy)
    return None


def _collapse(pair: MetricPair, effect: Effect, policy: ComparisonPolicy) -> str:
    gain = math.exp(min(-effect.log_ratio * pair.worse_sign, 700.0))
    if gain <= policy.collapse_ratio:
        return ""
    return (
        f"{trimmed(gain)} times better than the baseline is more likely work left undone than a"
        " gain: look at what the candidate does, then make it the new baseline."
    )
