"""
The judgement: two sides in, a verdict with its reasons for every metric out.

Pure, and the same for the same input: the one place that draws lots (reports.statistics.tail_ratio)
is seeded. A metric is called

    REGRESSED, IMPROVED  when its effect is beyond chance for all metrics of the comparison together
                         (Holm, Scand. J. Stat. 6, 1979, p. 65, each direction for itself), its
                         estimate is larger than the floor, and the ranks agree (rank_tests)
    UNCHANGED            when the 90 % interval lies within the margin: two one-sided tests at 5 %
                         (Schuirmann, J. Pharmacokin. Biopharm. 15, 1987, p. 657)
    INCONCLUSIVE         otherwise, saying how many more runs would settle it
    INVALID              when the numbers can't support any of these (faults)

in that order, so that an effect may be REGRESSED although it lies within a wide margin. A fault in
the statistics themselves is INCONCLUSIVE with its text, never a pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from harness.model.text import plain, share
from reports.compare.effects import effect_or_verdict, unestimated, verdict_of_unanswered
from reports.compare.estimates import (
    MetricPair,
    side_values,
    tail_value,
)
from reports.compare.policy import ComparisonPolicy, Design
from reports.compare.sentences import MetricFindings, sentence_of
from reports.compare.verdicts import (
    Change,
    Comparison,
    Estimate,
    Findings,
    MetricVerdict,
    compared,
)
from reports.figures.samples import RunTails, Side
from reports.statistics.location import Effect, Method
from reports.statistics.multiplicity import holm
from reports.statistics.noise import Aims, Noise, more_runs, noise_of
from reports.statistics.rank_tests import (
    PAIR_COUNT_MIN,
    drift_explains,
    pair_ranks_agree,
    ranks_agree,
)
from reports.statistics.session import SESSION_PRIOR_RATIO, session_ratios

_SINGLE_ALPHA = 0.025  # a side of the 95 % interval of one metric alone
_SESSION_RATIO_NOTABLE = 3.0 * SESSION_PRIOR_RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimated:
    """A pair with its effect and noise; *p_worse* is one-sided."""

    pair: MetricPair
    effect: Effect
    noise: Noise
    p_worse: float


def judge(baseline: Side, candidate: Side, policy: ComparisonPolicy) -> Comparison:
    """Compare *candidate* with *baseline*; metrics come in the baseline's order, new ones last."""
    old = {metric.name: metric for metric in baseline.metrics}
    new = {metric.name: metric for metric in candidate.metrics}
    names = list(dict.fromkeys((*old, *new)))
    verdicts: dict[str, MetricVerdict] = {}
    found: list[tuple[MetricPair, Effect]] = []
    for name in names:
        outcome = effect_or_verdict(old.get(name), new.get(name), policy)
        if isinstance(outcome, MetricVerdict):
            verdicts[name] = outcome
        else:
            found.append(outcome)
    items = _with_noise(found, policy)
    family_count = max(1, len(names) - sum(_is_constant(pair) for pair, _ in found))
    for item, corrected in _corrected(items, family_count):
        name, verdict = item.pair.name, _judged(item, corrected, family_count, policy)
        if item.pair.is_of_unanswered:
            verdict = verdict_of_unanswered(old[name], new[name], verdict.status, policy)
        verdicts[name] = verdict
    return compared(
        baseline.name,
        candidate.name,
        tuple(verdicts[name] for name in names),
        policy,
        findings=Findings(
            faults=(*_said_of_sides(baseline.faults, candidate.faults), *_lacking(names, policy)),
            doubts=_said_of_sides(baseline.doubts, candidate.doubts),
            remarks=_remarks(items),
            is_audit_failed=baseline.is_audit_failed or candidate.is_audit_failed,
        ),
    )


def _said_of_sides(baseline: Sequence[str], candidate: Sequence[str]) -> tuple[str, ...]:
    return (
        *(f"baseline: {text}" for text in baseline),
        *(f"candidate: {text}" for text in candidate),
    )


def _lacking(names: Sequence[str], policy: ComparisonPolicy) -> tuple[str, ...]:
    return tuple(
        f"the metric {plain(pattern)} is required, and on neither side"
        for pattern in policy.required
        if not any(fnmatchcase(name, pattern) for name in names)
    )


def _with_noise(
    found: Sequence[tuple[MetricPair, Effect]], policy: ComparisonPolicy
) -> list[_Estimated]:
    sessions = _sessions(found) if policy.design is Design.APART else {}
    estimates = []
    for pair, effect in found:
        noise = noise_of(effect, sessions.get(pair.name, 0.0))
        worse = effect.log_ratio * pair.worse_sign
        estimates.append(
            _Estimated(
                pair=pair,
                effect=effect,
                noise=noise,
                p_worse=noise.chance_of(worse),
            )
        )
    return estimates


def _sessions(found: Sequence[tuple[MetricPair, Effect]]) -> dict[str, float]:
    """
    By metric the scale of the session's noise, as the others of its sort show it.

    Sorts are units, and tails apart from middles: that memory, or the median, stayed where it was
    does not make a slowdown of all tails a matter of the session.
    """
    sorts: dict[tuple[str, Method | None], list[tuple[MetricPair, Effect]]] = {}
    for pair, effect in found:
        if _has_session(pair):
            method = effect.method if effect.method is Method.TAIL else None
            sorts.setdefault((pair.baseline.unit, method), []).append((pair, effect))
    scales: dict[str, float] = {}
    for group in sorts.values():
        ratios = session_ratios(
            np.array([effect.log_ratio for _, effect in group]),
            np.array([effect.ratio_error for _, effect in group]),
        )
        scales |= {pair.name: float(s) for (pair, _), s in zip(group, ratios, strict=True)}
    return scales


def _has_session(pair: MetricPair) -> bool:
    """Another session changes speeds; not counts, and not how much fails."""
    return not pair.margins.is_exact and not pair.is_difference


def _is_constant(pair: MetricPair) -> bool:
    """
    Whether every run of both sides gave the same number, as where nothing ever failed.

    No test can call it changed, whichever runs are whose, so it takes none of the error that the
    family shares (Tarone, Biometrics 46, 1990, p. 515).
    """
    if isinstance(pair.baseline.data, RunTails):
        return False
    a, b = pair.logs()
    return not np.ptp(np.concatenate([a, b]))


def _corrected(
    items: list[_Estimated], family_count: int
) -> list[tuple[_Estimated, tuple[float, float]]]:
    """Each with its p for worse and for better after Holm's correction for *family_count*."""
    worse = holm([item.p_worse for item in items], family_count)
    better = holm([1.0 - item.p_worse for item in items], family_count)
    return list(zip(items, zip(worse, better, strict=True), strict=True))


def _judged(
    item: _Estimated, corrected: tuple[float, float], family_count: int, policy: ComparisonPolicy
) -> MetricVerdict:
    pair, effect, noise, margins = item.pair, item.effect, item.noise, item.pair.margins
    aims = Aims(
        alpha=policy.direction_alpha / family_count,
        floor_ratio=margins.floor_ratio,
        margin_ratio=margins.margin_ratio,
        equivalence_alpha=policy.equivalence_alpha,
    )
    is_worse = effect.log_ratio * pair.worse_sign > 0.0
    is_beyond_chance = corrected[0 if is_worse else 1] < policy.direction_alpha
    is_large = abs(effect.log_ratio) > margins.floor_ratio
    has_runs = margins.is_exact or min(pair.run_counts) >= policy.run_count_min
    is_apparent = is_beyond_chance and is_large and has_runs
    is_borne_out = is_apparent and _ranks_agree(pair, effect, policy)
    is_drift = is_borne_out and _is_drift(pair, effect, policy)
    is_same = abs(effect.log_ratio) + noise.reach(policy.equivalence_alpha) < aims.margin_ratio
    if is_borne_out and not is_drift:
        status = Change.REGRESSED if is_worse else Change.IMPROVED
    elif has_runs and is_same and not is_apparent:
        status = Change.UNCHANGED
    else:
        status = Change.INCONCLUSIVE
    further = _further(item, status, aims, policy)
    estimate = _estimate(item, corrected[0], aims, further)
    findings = MetricFindings(
        status=status,
        estimate=estimate,
        better=pair.baseline.better,
        margins=margins,
        equivalence_reach=noise.reach(policy.equivalence_alpha),
        equivalence_alpha=policy.equivalence_alpha,
        family_count=family_count,
        run_count=min(pair.run_counts),
        run_count_min=policy.run_count_min,
        is_contradicted=is_apparent and not is_borne_out,
        is_drift=is_drift,
        is_difference=pair.is_difference,
    )
    a, b = pair.baseline, pair.candidate
    return replace(
        unestimated(a, b, status, sentence_of(findings), policy),
        floor_share=margins.floor_share,
        margin_share=margins.margin_share,
        baseline=side_values(a, tail_value(a)),
        candidate=side_values(b, tail_value(b)),
        estimate=estimate,
    )


def _further(item: _Estimated, status: Change, aims: Aims, policy: ComparisonPolicy) -> int | None:
    if status is not Change.INCONCLUSIVE or item.pair.margins.is_exact:
        return None
    run_count = min(item.pair.run_counts)
    lacking = max(policy.run_count_min - run_count, 1)
    if policy.design is Design.PAIRED:
        lacking = max(PAIR_COUNT_MIN - run_count, lacking)
    further = more_runs(item.effect, item.noise, run_count, aims)
    return None if further is None else max(further, lacking)


def _ranks_agree(pair: MetricPair, effect: Effect, policy: ComparisonPolicy) -> bool:
    if pair.margins.is_exact:
        return True
    upwards, alpha = effect.log_ratio > 0.0, policy.rank_alpha
    a, b = pair.logs()
    if policy.design is Design.PAIRED and pair_ranks_agree(b - a, upwards=upwards, alpha=alpha):
        return True
    return ranks_agree(a, b, upwards=upwards, alpha=alpha)


def _is_drift(pair: MetricPair, effect: Effect, policy: ComparisonPolicy) -> bool:
    if policy.design is Design.PAIRED or pair.margins.is_exact:
        return False
    return drift_explains(effect.log_ratio, *pair.logs())


def _estimate(item: _Estimated, p_corrected: float, aims: Aims, further: int | None) -> Estimate:
    effect, noise = item.effect, item.noise
    alone, together = noise.reach(_SINGLE_ALPHA), noise.reach(aims.alpha)
    seen = noise.smallest_seen(aims.alpha, aims.floor_ratio)
    is_less_better = item.pair.worse_sign > 0
    return Estimate(
        ratio=math.exp(effect.log_ratio),
        low_ratio=_exp(effect.log_ratio - alone),
        high_ratio=_exp(effect.log_ratio + alone),
        low_ratio_corrected=_exp(effect.log_ratio - together),
        high_ratio_corrected=_exp(effect.log_ratio + together),
        p=item.p_worse,
        p_corrected=p_corrected,
        mde_share=_exp(seen) - 1.0 if is_less_better else 1.0 - _exp(-seen),
        more_run_count=further,
        session_ratio=noise.session_ratio,
        method=effect.method,
        outlier_count=effect.outlier_count,
        is_clustered=effect.is_clustered,
    )


def _exp(log_ratio: float) -> float:
    """A ratio that JSON can hold."""
    return math.exp(min(max(log_ratio, -700.0), 700.0))


def _remarks(items: Sequence[_Estimated]) -> tuple[str, ...]:
    session = max((item.noise.session_ratio for item in items), default=0.0)
    if session < _SESSION_RATIO_NOTABLE:
        return ()
    text = (
        f"The metrics scatter by {share(session, 2)} more than their own runs explain, so the two"
        " sessions differ, or many metrics really changed; it counts as noise. Measuring both"
        " sides in alternation tells the two apart."
    )
    return (text,)
