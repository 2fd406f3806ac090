"""
What a gate counts besides its pairs: bytes and allocations of an operation, under memray.

Pure. Counts repeat to a fraction of a percent where timings vary by several, so that one start of
each side tells, and a second, fresh one of each confirms. They are asked for by name: a policy
whose metrics or objectives name one of COUNTED has them counted.
"""

from collections.abc import Sequence
from dataclasses import replace

from harness.model.verdict import ExitCode
from reports.compare.dossier import Dossier, Rules, SideInput, compared_sides
from reports.compare.figures import is_chosen
from reports.compare.policy import MarginRule, Margins
from reports.compare.sequential import Gathered, Outcome
from reports.compare.verdicts import Change, MetricVerdict, resummed

COUNTED = (
    "profile.allocated_bytes_per_operation",
    "profile.allocated_count_per_operation",
)
COUNTED_MARGINS = Margins(floor_share=0.02, margin_share=0.02, is_exact=True)
_PREFIX = "profile."  # a pattern such as "*" alone asks for no further run of each side


def without_counted(rules: Rules) -> tuple[Rules, Rules | None]:
    """*rules* for the pairs, and those for what is counted; None: nothing is asked for."""
    policy = rules.policy
    patterns = [item for item in rules.patterns if item.startswith(_PREFIX)]
    names = [name for name in COUNTED if is_chosen(name, patterns)]
    names += [item.metric for item in rules.objectives if item.metric in COUNTED]
    plain = replace(
        rules,
        policy=replace(policy, required=tuple(_others(policy.required))),
        patterns=tuple(_others(rules.patterns)),
        are_profiles_judged=False,
        objectives=tuple(item for item in rules.objectives if item.metric not in COUNTED),
    )
    if not names:
        return plain, None
    counted = replace(
        rules,
        policy=replace(
            policy,
            rules=(*policy.rules, MarginRule(pattern=f"{_PREFIX}*", margins=COUNTED_MARGINS)),
            required=tuple(dict.fromkeys(names)),
        ),
        patterns=tuple(dict.fromkeys(names)),
        are_profiles_judged=False,
        objectives=tuple(item for item in rules.objectives if item.metric in COUNTED),
    )
    return plain, counted


def look_worse(count: Gathered, rules: Rules) -> tuple[str, ...]:
    """What one run of each side shows to be worse, so that another of each must say so too."""
    return tuple(
        item.name
        for item in _compared(count, rules).comparison.metrics
        if item.counts is Change.REGRESSED
    )


def with_counts(
    outcome: Outcome, counts: Sequence[Gathered], rules: Rules, failures: Sequence[str] = ()
) -> Outcome:
    """
    *outcome* with the metrics of *counts*: one run of each side, and another if that looked worse.

    *failures*: of the counted runs' own audits, in sentences; money that is lost there is lost.
    """
    first, *fresh = counts
    worse = set(look_worse(first, rules))
    for count in fresh:
        worse &= set(look_worse(count, rules))
    is_confirmed = bool(fresh)
    found = _compared(first, rules).comparison
    metrics = tuple(_final(item, worse if is_confirmed else set()) for item in found.metrics)
    comparison = outcome.dossier.comparison
    faults = tuple(dict.fromkeys((*comparison.faults, *found.faults, *failures)))
    merged = replace(
        comparison,
        metrics=(*comparison.metrics, *metrics),
        objectives=(*comparison.objectives, *found.objectives),
        faults=faults,
        exit_code=ExitCode.AUDIT_FAILED if failures else comparison.exit_code,
    )
    confirmed = [item.name for item in metrics if item.status is Change.REGRESSED]
    looked = [item for item in look_worse(first, rules) if item not in confirmed]
    return replace(
        outcome,
        dossier=replace(outcome.dossier, comparison=resummed(merged)),
        confirmed=(*outcome.confirmed, *confirmed),
        unconfirmed=(*outcome.unconfirmed, *looked),
    )


def _final(metric: MetricVerdict, confirmed: set[str]) -> MetricVerdict:
    if metric.status is not Change.REGRESSED or metric.is_waived:
        return metric
    if metric.name in confirmed:
        return replace(metric, sentence=f"{metric.sentence} A second start of each side agrees.")
    sentence = (
        "It looked worse, and a second start of each side did not; so it is not called worse."
    )
    return replace(metric, status=Change.INCONCLUSIVE, sentence=sentence)


def _compared(count: Gathered, rules: Rules) -> Dossier:
    return compared_sides(
        SideInput(name="base", runs=count.baseline),
        SideInput(name="candidate", runs=count.candidate),
        rules,
    )


def _others(names: Sequence[str]) -> Sequence[str]:
    return [name for name in names if not name.startswith(_PREFIX)]
