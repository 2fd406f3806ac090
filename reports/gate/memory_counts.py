"""
What a gate counts besides its pairs: bytes and allocations of an operation, under memray.

Pure. Counts repeat to a fraction of a percent where timings vary by several, so that one start of
each side tells, and a second, fresh one of each confirms. They are asked for by name: a policy
whose metrics or objectives name one of COUNTED has them counted.
"""

from collections.abc import Sequence
from dataclasses import replace

from harness.model.verdict import ExitCode
from reports.compare.comparison import Rules, SideInput, compared_sides
from reports.compare.policy import MarginRule, Margins
from reports.compare.verdicts import Change, Comparison, MetricVerdict, resummed
from reports.figures.run_figures import is_chosen
from reports.gate.looks import Gathered, Outcome

COUNTED = (
    "profile.allocated_bytes_per_operation",
    "profile.allocated_count_per_operation",
)
COUNTED_MARGINS = Margins(floor_share=0.02, margin_share=0.02, is_exact=True)
_PREFIX = "profile."


def without_counted(rules: Rules) -> tuple[Rules, Rules | None]:
    """*rules* for the pairs, and those for what is counted; None: nothing is asked for."""
    policy = rules.policy
    names = _asked_by(rules.patterns)
    names += [item.metric for item in rules.objectives if item.metric in COUNTED]
    plain = replace(
        rules,
        policy=replace(
            policy,
            rules=tuple(rule for rule in policy.rules if not _asked_by((rule.pattern,))),
            required=tuple(_others(policy.required)),
        ),
        patterns=tuple(_others(rules.patterns)),
        written=tuple(_others(rules.written)),
        are_profiles_judged=False,
        waivers=tuple(item for item in rules.waivers if not _asked_by((item.metric,))),
        objectives=tuple(item for item in rules.objectives if item.metric not in COUNTED),
    )
    if not names:
        return plain, None
    counted = replace(
        rules,
        policy=replace(
            policy,
            rules=(
                # One start of each side tells, whatever the policy's own margins are meant for.
                *(replace(r, margins=replace(r.margins, is_exact=True)) for r in policy.rules),
                MarginRule(pattern=f"{_PREFIX}*", margins=COUNTED_MARGINS),
            ),
            required=tuple(dict.fromkeys(names)),
        ),
        patterns=tuple(dict.fromkeys(names)),
        written=(),
        are_profiles_judged=False,
        objectives=tuple(item for item in rules.objectives if item.metric in COUNTED),
    )
    return plain, counted


def look_worse(count: Gathered, rules: Rules) -> tuple[str, ...]:
    """What one run of each side shows to be worse, so that another of each must say so too."""
    return _compared(count, rules).counting_as(Change.REGRESSED)


def with_counts(outcome: Outcome, counts: Sequence[Gathered], rules: Rules) -> Outcome:
    """
    *outcome* with the metrics of *counts*: one run of each side, and another if that looked worse.

    Money that was lost in one of these runs is lost, as in any other.
    """
    every = [_compared(count, rules) for count in counts]
    found, *fresh = every
    worse = [set(one.counting_as(Change.REGRESSED)) for one in every]
    confirmed = set.intersection(*worse) if fresh else set()
    comparison = outcome.dossier.comparison
    merged = replace(
        comparison,
        metrics=(*comparison.metrics, *(_final(item, confirmed) for item in found.metrics)),
        objectives=(*comparison.objectives, *found.objectives),
        faults=tuple(dict.fromkeys(fault for one in (comparison, *every) for fault in one.faults)),
        exit_code=ExitCode.AUDIT_FAILED
        if any(one.exit_code == ExitCode.AUDIT_FAILED for one in every)
        else comparison.exit_code,
    )
    looked = sorted(worse[0] - confirmed)
    return replace(
        outcome,
        dossier=replace(outcome.dossier, comparison=resummed(merged)),
        confirmed=(*outcome.confirmed, *sorted(confirmed)),
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


def _compared(count: Gathered, rules: Rules) -> Comparison:
    return compared_sides(
        SideInput(name="base", runs=count.baseline),
        SideInput(name="candidate", runs=count.candidate),
        rules,
    ).comparison


def _others(names: Sequence[str]) -> Sequence[str]:
    """Those that the pairs can be asked for; whatever else a policy requires is missed there."""
    return [name for name in names if not _asked_by((name,))]


def _asked_by(patterns: Sequence[str]) -> list[str]:
    """What of COUNTED the *patterns* ask for; one for everything asks for no further run."""
    own = [item for item in patterns if item.startswith(_PREFIX)]
    return [name for name in COUNTED if is_chosen(name, own)]
