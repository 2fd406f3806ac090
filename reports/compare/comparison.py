"""
A comparison together with its inputs: what page and JSON are built from.

Pure: two sides in, judged, waived and held to the policy's objectives.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.model.metrics import HEADLINE_PATTERNS, PROFILE_PATTERN, is_chosen, is_visible
from harness.model.objectives import judge_objective
from harness.model.policy_file import ComparisonSpec, MarginSpec
from harness.model.policy_file import Policy as PolicyFile
from harness.model.record import Objective, RunRecord, is_embedded
from harness.model.scenario import ObjectiveSpec
from harness.model.text import plain
from harness.model.waivers import Waiver
from reports.compare.comparable import Difference, differences
from reports.compare.judge import judge
from reports.compare.policy import ComparisonPolicy, Design, MarginRule, Margins
from reports.compare.sides import side_of, too_thin
from reports.compare.verdicts import Comparison, comparison_to_json, resummed
from reports.figures.run_evidence import RunEvidence
from reports.figures.samples import Side
from reports.profile.against import ProfileSide, obstacles
from reports.text import told


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What a comparison is held to.

    Attributes:
        patterns: Of the metrics that are judged.
        written: Those of them that the policy's `metrics` writes: one that fits nothing is a doubt.
        ignored: Of differences between runs that are known to do no harm.
        are_profiles_judged: Where every run has them; else only metrics that *patterns* name.
        objectives: Demanded of the candidate, whatever the baseline was.
        source: Name and digest of the policy file; empty: none.
    """

    policy: ComparisonPolicy = field(default_factory=ComparisonPolicy)
    patterns: tuple[str, ...] = HEADLINE_PATTERNS
    written: tuple[str, ...] = ()
    are_profiles_judged: bool = True
    ignored: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    objectives: tuple[ObjectiveSpec, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideInput:
    """One side as it was given: runs of ours, or metrics that were measured elsewhere."""

    name: str
    runs: tuple[RunEvidence, ...] = ()
    elsewhere: Side | None = None

    @property
    def profile_side(self) -> ProfileSide:
        return ProfileSide(
            name=self.name, starts=tuple(start for run in self.runs for start in run.starts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """
    One comparison.

    Attributes:
        differences: Of all runs, obstacles first.
        command: Repeats it.
    """

    comparison: Comparison
    baseline: SideInput
    candidate: SideInput
    differences: tuple[Difference, ...]
    rules: Rules
    command: str = ""


def rules_of(policy: PolicyFile | None, design: Design = Design.APART) -> Rules:
    spec = policy.comparison if policy else ComparisonSpec()
    default = ComparisonPolicy()
    return Rules(
        policy=ComparisonPolicy(
            alpha=default.alpha if spec.alpha is None else spec.alpha,
            run_count_min=spec.run_count_min or default.run_count_min,
            design=design,
            rules=tuple(map(_rule, spec.margins)),
            required=spec.required,
        ),
        patterns=(*(spec.metrics or HEADLINE_PATTERNS), *spec.required),
        written=spec.metrics,
        are_profiles_judged=not spec.metrics,
        ignored=spec.ignored,
        waivers=spec.waivers,
        objectives=policy.objectives if policy else (),
        source=f"{policy.name} ({policy.digest})" if policy else "",
    )


def compared_sides(
    baseline: SideInput, candidate: SideInput, rules: Rules, command: str = ""
) -> Dossier:
    records = [run.record for side in (baseline, candidate) for run in side.runs]
    unlike = differences(records, rules.ignored)
    patterns = (*rules.patterns, *_of_profiles(baseline, candidate, rules))
    a, b = (_side(item, patterns) for item in (baseline, candidate))
    faults = (
        *_given_twice(baseline, candidate),
        *(str(difference) for difference in unlike if difference.is_obstacle),
    )
    thin = [name for name in too_thin(a, b) if not is_chosen(name, rules.policy.required)]
    comparison = judge(
        _without(a, thin), replace(_without(b, thin), faults=(*b.faults, *faults)), rules.policy
    )
    objectives = tuple(_objectives(candidate, rules))
    names = tuple(dict.fromkeys(metric.name for side in (a, b) for metric in side.metrics))
    is_measured = bool(records or names)  # where there is no run, no name is wrong
    doubts = _not_measured(names, rules, records) if is_measured else ()
    idle = _without_effect(names, rules) if is_measured else ()
    remarks = (
        *comparison.remarks,
        *idle,
        *(f"Not judged, too few samples on both sides: {', '.join(thin)}." for _ in thin[:1]),
    )
    waived = tuple(
        replace(metric, waiver=_waiver(metric.name, rules.waivers)) for metric in comparison.metrics
    )
    return Dossier(
        comparison=resummed(
            replace(
                comparison,
                metrics=waived,
                objectives=objectives,
                doubts=(*comparison.doubts, *doubts),
                remarks=remarks,
            )
        ),
        baseline=baseline,
        candidate=candidate,
        differences=unlike,
        rules=rules,
        command=command,
    )


def dossier_to_json(dossier: Dossier) -> dict[str, Any]:
    return {
        **comparison_to_json(dossier.comparison),
        "policy": dossier.rules.source,
        "command": dossier.command,
        "differences": [
            {**asdict(item), "a": told(item.a), "b": told(item.b)} for item in dossier.differences
        ],
        "runs": {
            name: [_run_json(run) for run in side.runs]
            for name, side in (("baseline", dossier.baseline), ("candidate", dossier.candidate))
        },
    }


def _run_json(run: RunEvidence) -> dict[str, Any]:
    record = run.record
    return {
        "run_id": record.run_id,
        "created_at": record.created_at,
        "validity": record.validity.status,
        "correctness": record.correctness.status,
        "performance": record.performance.status,
        "exit_code": record.exit_code,
        "command": record.command,
        "figures": {item.name: _finite(item.value) for item in run.figures},
    }


def _finite(value: float) -> float | None:
    return value if value - value == 0.0 else None


def _rule(spec: MarginSpec) -> MarginRule:
    return MarginRule(
        pattern=spec.pattern,
        margins=Margins(
            floor_share=spec.floor_share,
            margin_share=spec.margin_share,
            is_exact=spec.is_exact,
        ),
    )


def _of_profiles(baseline: SideInput, candidate: SideInput, rules: Rules) -> tuple[str, ...]:
    """
    A run without a profile is no worse a run: what profiles cost is judged if all have one.

    And if they were taken alike: another sampling rate, a slower schedule, or what is done at rest
    taken off on one side only (older runs never were looked at then) is another figure.
    """
    runs = (*baseline.runs, *candidate.runs)
    if not rules.are_profiles_judged or not all(run.starts for run in runs):
        return ()
    sides = baseline.profile_side, candidate.profile_side
    looked = {
        (profile.metric, profile.rest is not None)
        for run in runs
        for start in run.starts
        for profile in start.profiles
    }
    is_alike = len(looked) == len({metric for metric, _ in looked})
    is_fit = is_alike and all(side.starts for side in sides) and not obstacles(*sides)
    return (PROFILE_PATTERN,) if is_fit else ()


def _side(given: SideInput, patterns: tuple[str, ...]) -> Side:
    if given.elsewhere is not None:
        return given.elsewhere
    return side_of(given.name, given.runs, patterns)


def _without(side: Side, names: Sequence[str]) -> Side:
    return replace(
        side, metrics=tuple(metric for metric in side.metrics if metric.name not in names)
    )


def _not_measured(
    names: Sequence[str], rules: Rules, records: Sequence[RunRecord]
) -> Iterator[str]:
    """What the policy asks to be judged and no run has: nobody looked at it, so it is no pass."""
    for pattern in rules.written:
        if pattern in rules.policy.required or _fits_any(pattern, names):
            continue
        text = f"the policy's metric {plain(pattern)} is on neither side"
        if is_visible(pattern) and any(map(is_embedded, records)):
            yield (
                f"{text}: with the embedded broker most of what is visible is its own polling;"
                " measure with --kafka of another kind, or take it out of the policy"
            )
        else:
            yield f"{text}; correct its name, or take it out of the policy"


def _without_effect(names: Sequence[str], rules: Rules) -> Iterator[str]:
    """Margins and waivers that are for nothing here, as a misspelt one is."""
    idle = [
        f"{table} of {plain(pattern)}"
        for table, patterns in (
            ("[[margins]]", [rule.pattern for rule in rules.policy.rules]),
            ("[[waivers]]", [waiver.metric for waiver in rules.waivers]),
        )
        for pattern in dict.fromkeys(patterns)
        if not _fits_any(pattern, names)
    ]
    if idle:
        yield f"In the policy, and for no metric here: {', '.join(idle)}."


def _fits_any(pattern: str, names: Sequence[str]) -> bool:
    return any(is_chosen(name, (pattern,)) for name in names)


def _given_twice(baseline: SideInput, candidate: SideInput) -> Iterator[str]:
    """A run compared with itself shows no change, and proves nothing."""
    before = {run.record.run_id for run in baseline.runs}
    for run in candidate.runs:
        if run.record.run_id in before:
            yield f"{plain(run.record.run_id)} is a run of the baseline too"


def _objectives(candidate: SideInput, rules: Rules) -> Iterator[Objective]:
    """What the policy demands of any run, of the median of the candidate's."""
    is_spoilt = any(is_embedded(run.record) for run in candidate.runs)
    for spec in rules.objectives:
        values = [
            figure.value
            for run in candidate.runs
            for figure in run.figures
            if figure.name == spec.metric
        ]
        is_known = len(values) == len(candidate.runs) > 0
        is_known = is_known and not (is_spoilt and is_visible(spec.metric))
        yield judge_objective(spec, statistics.median(values) if is_known else None)


def _waiver(name: str, waivers: Sequence[Waiver]) -> str:
    waiver = next((item for item in waivers if item.covers(name)), None)
    if waiver is None:
        return ""
    return f"waived by {plain(waiver.owner)} until {waiver.until}: {plain(waiver.reason)}"
