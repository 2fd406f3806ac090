"""
What a gate counts besides its pairs: bytes and allocations of an operation, under memray.

Pure. They don't repeat: how many operations meet in a commit or a request to the broker is chance,
and equal starts differ by percents. So they are judged like any other figure, over several starts
of both sides with an interval, and confirmed by independent ones (reports.gate.looks). They are
asked for by name: a policy whose metrics or objectives name one of COUNTED has them counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.model.metrics import PROFILE_PATTERN, is_chosen, is_of_profiles, profile_metric
from harness.model.profile import Metric
from harness.model.verdict import ExitCode
from reports.compare.comparison import Rules
from reports.compare.policy import MarginRule, Margins
from reports.compare.verdicts import resummed
from reports.gate.looks import GateOutcome
from reports.statistics.rank_tests import PAIR_COUNT_MIN

COUNTED = (profile_metric(Metric.ALLOCATED_BYTES), profile_metric(Metric.ALLOCATED_COUNT))
COUNTED_MARGINS = Margins(floor_share=0.02, margin_share=0.03)


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
                # A policy of the time when one start was thought to tell may still say "exact".
                *(replace(r, margins=replace(r.margins, is_exact=False)) for r in policy.rules),
                MarginRule(pattern=PROFILE_PATTERN, margins=COUNTED_MARGINS),
            ),
            required=tuple(dict.fromkeys(names)),
        ),
        patterns=tuple(dict.fromkeys(names)),
        written=(),
        are_profiles_judged=False,
        objectives=tuple(item for item in rules.objectives if item.metric in COUNTED),
    )
    return plain, counted


def with_counts(outcome: GateOutcome, counted: GateOutcome) -> GateOutcome:
    """
    *outcome* with the metrics of *counted*, of pairs under memray.

    Money that was lost in one of these runs is lost, as in any other.
    """
    pairs, memory = outcome.dossier.comparison, counted.dossier.comparison
    merged = replace(
        pairs,
        metrics=(*pairs.metrics, *memory.metrics),
        objectives=(*pairs.objectives, *memory.objectives),
        faults=_each(pairs.faults, memory.faults),
        doubts=_each(pairs.doubts, (*memory.doubts, *_too_few(counted))),
        exit_code=ExitCode.AUDIT_FAILED
        if memory.exit_code == ExitCode.AUDIT_FAILED
        else pairs.exit_code,
    )
    return replace(
        outcome,
        dossier=replace(outcome.dossier, comparison=resummed(merged)),
        confirmed=(*outcome.confirmed, *counted.confirmed),
        unconfirmed=(*outcome.unconfirmed, *counted.unconfirmed),
        memory_looks=counted.looks,
    )


def _too_few(counted: GateOutcome) -> Iterator[str]:
    """A metric that is only watched must have been looked at."""
    count = max((look.pair_count for look in counted.looks), default=0)
    if count < PAIR_COUNT_MIN:
        yield (
            f"{count} of {PAIR_COUNT_MIN} pairs under memray, too few to judge what is counted"
            " there: write a larger budget"
        )


def _each(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _others(names: Sequence[str]) -> Sequence[str]:
    """Those that the pairs can be asked for; whatever else a policy requires is missed there."""
    return [name for name in names if not _asked_by((name,))]


def _asked_by(patterns: Sequence[str]) -> list[str]:
    """What of COUNTED the *patterns* ask for; one for everything asks for no further run."""
    own = [item for item in patterns if is_of_profiles(item)]
    return [name for name in COUNTED if is_chosen(name, own)]
