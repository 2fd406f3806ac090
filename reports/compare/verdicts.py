"""
What a comparison says: for each metric a status, a sentence and the numbers behind it.

Pure values. `compare.json` is a Comparison as JSON; the page shows nothing else.

History of the format
    1   first
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from harness.model.record import Better, Objective
from harness.model.verdict import EXIT_SENTENCES, ExitCode, Performance
from reports.compare.policy import ComparisonPolicy, Design
from reports.figures.samples import Compared
from reports.statistics.location import Method
from reports.text import counted

SCHEMA_VERSION = 1


class Change(StrEnum):
    """What became of a metric."""

    IMPROVED = "IMPROVED"
    UNCHANGED = "UNCHANGED"
    INCONCLUSIVE = "INCONCLUSIVE"
    REGRESSED = "REGRESSED"
    INVALID = "INVALID"

    @property
    def exit_code(self) -> ExitCode:
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Change.IMPROVED: ExitCode.OK,
    Change.UNCHANGED: ExitCode.OK,
    Change.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Change.REGRESSED: ExitCode.OBJECTIVE_MISSED,
    Change.INVALID: ExitCode.INVALID,
}
_WORST_FIRST = (
    Change.INVALID,
    Change.REGRESSED,
    Change.INCONCLUSIVE,
    Change.IMPROVED,
    Change.UNCHANGED,
)


def worst_change(changes: Iterable[Change]) -> Change:
    """The one that a reader must hear of; of nothing at all, INVALID."""
    present = set(changes)
    return next((change for change in _WORST_FIRST if change in present), Change.INVALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    The effect on one metric; ratios are candidate / baseline.

    Attributes:
        low_ratio, high_ratio: The 95 % interval of this metric alone.
        low_ratio_corrected, high_ratio_corrected: The interval that holds for all metrics of the
            comparison together; a change is significant if 1 lies outside it.
        p: How often noise alone would be at least as much worse (one-sided).
        p_corrected: The same after Holm's correction for all metrics.
        mde_share: The smallest worsening found four times in five, as a share of the baseline.
        more_run_count: Further runs a side that would settle the verdict; None if settled, or if
            no number up to a thousand would.
        session_ratio: Scale of what the session adds to the noise, as a log ratio.
        outlier_count: Values far from the others, given no weight.
        is_clustered: The values come in clusters; no value was set aside.
    """

    ratio: float
    low_ratio: float
    high_ratio: float
    low_ratio_corrected: float
    high_ratio_corrected: float
    p: float
    p_corrected: float
    mde_share: float
    more_run_count: int | None
    session_ratio: float
    method: Method
    outlier_count: int
    is_clustered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SideValues:
    """What one side said: its middle in the metric's unit, and each run's number."""

    run_count: int
    value: float | None
    runs: tuple[float | None, ...]  # None: the run has no such number


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """One metric; *estimate* is None where nothing could be estimated."""

    name: str
    unit: str
    better: Better
    status: Change
    sentence: str
    floor_share: float
    margin_share: float
    baseline: SideValues
    candidate: SideValues
    estimate: Estimate | None
    compared: Compared = Compared.RATIO
    waiver: str = ""  # who waived the regression, why, and until when; empty: nobody
    is_watched: bool = False  # it must not be worse, but nobody asks for proof that it is the same

    @property
    def is_waived(self) -> bool:
        return bool(self.waiver) and self.status is Change.REGRESSED

    @property
    def worse_ratio(self) -> float:
        """How much worse it seems, as a log ratio: below 0 better, 0 where nothing is known."""
        if self.estimate is not None:
            ratio = self.estimate.ratio
        elif self.baseline.value and self.candidate.value and self.compared is Compared.RATIO:
            ratio = self.candidate.value / self.baseline.value
        else:
            return 0.0
        return math.log(ratio) * self.better.worse_sign if ratio > 0.0 else 0.0

    @property
    def counts(self) -> Change:
        """Status used in the overall verdict: waived or merely watched metrics do not fail it."""
        is_content = self.is_watched and self.status is Change.INCONCLUSIVE
        return Change.UNCHANGED if self.is_waived or is_content else self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides compared."""

    schema_version: int
    baseline: str
    candidate: str
    status: Change
    sentence: str
    exit_code: int
    faults: tuple[str, ...]  # of a whole side
    doubts: tuple[str, ...]  # why nothing is proved to be good, though nothing is wrong
    remarks: tuple[str, ...]  # what a reader should know; none of it changes the status
    alpha: float
    design: Design
    metrics: tuple[MetricVerdict, ...]
    objectives: tuple[Objective, ...] = ()  # demanded of the candidate, whatever the baseline was

    def count_of(self, change: Change) -> int:
        return sum(metric.status is change for metric in self.metrics)

    def counting_as(self, change: Change) -> tuple[str, ...]:
        """The names of the metrics that count as *change*: what is waived is no regression."""
        return tuple(metric.name for metric in self.metrics if metric.counts is change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found besides the metrics; the fields are those of Comparison and Side."""

    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_audit_failed: bool = False


def compared(
    baseline: str,
    candidate: str,
    metrics: tuple[MetricVerdict, ...],
    policy: ComparisonPolicy,
    findings: Findings = Findings(),
) -> Comparison:
    """
    The whole from its parts.

    A fault of a side, or no metric at all, makes it INVALID; a doubt keeps it from being good.
    """
    return resummed(
        Comparison(
            schema_version=SCHEMA_VERSION,
            baseline=baseline,
            candidate=candidate,
            status=Change.INVALID,
            sentence="",
            exit_code=ExitCode.AUDIT_FAILED if findings.is_audit_failed else ExitCode.INVALID,
            faults=findings.faults,
            doubts=findings.doubts,
            remarks=findings.remarks,
            alpha=policy.alpha,
            design=policy.design,
            metrics=metrics,
        )
    )


def resummed(comparison: Comparison) -> Comparison:
    """*comparison* with status, sentence and exit code as its parts say; a failed audit stays."""
    missed = [item for item in comparison.objectives if item.status is Performance.FAILED]
    unknown = [item for item in comparison.objectives if item.status is Performance.INCONCLUSIVE]
    status = worst_change(metric.counts for metric in comparison.metrics)
    if comparison.faults:
        status = Change.INVALID
    elif missed and status is not Change.INVALID:
        status = Change.REGRESSED
    elif (comparison.doubts or unknown) and status.exit_code is ExitCode.OK:
        status = Change.INCONCLUSIVE
    is_audit_failed = comparison.exit_code == ExitCode.AUDIT_FAILED
    return replace(
        comparison,
        status=status,
        sentence=_sentence(status, comparison, missed, unknown),
        exit_code=ExitCode.AUDIT_FAILED if is_audit_failed else status.exit_code,
    )


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    return asdict(comparison)


def verdict_to_json(comparison: Comparison) -> dict[str, Any]:
    """The verdict alone, for a pipeline: no need to read the whole of compare.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": comparison.status,
        "exit_code": int(comparison.exit_code),
        "sentence": comparison.sentence,
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "faults": list(comparison.faults),
        "doubts": list(comparison.doubts),
        "metrics": {metric.name: metric.status for metric in comparison.metrics},
        "changes": {
            metric.name: metric.estimate.ratio for metric in comparison.metrics if metric.estimate
        },
        "waived": {metric.name: metric.waiver for metric in comparison.metrics if metric.is_waived},
        "objectives": {item.id: item.status for item in comparison.objectives},
    }


def _sentence(
    status: Change,
    comparison: Comparison,
    missed: Sequence[Objective],
    unknown: Sequence[Objective],
) -> str:
    metrics = comparison.metrics
    total = counted(len(metrics), "metric")
    if comparison.faults:
        return f"The inputs can't support a verdict: {comparison.faults[0]}."
    if not metrics:
        return "There is no metric to compare."
    chosen = sorted(
        (metric for metric in metrics if metric.counts is status),
        key=lambda item: -item.worse_ratio,
    )
    waived_count = sum(metric.is_waived for metric in metrics)
    waived = (
        f" {waived_count} became worse and {_are(waived_count)} waived." if waived_count else ""
    )
    names = ", ".join(metric.name for metric in chosen[:3]) + (" and more" if chosen[3:] else "")
    demand = f" The candidate misses what is demanded: {missed[0].sentence}." if missed else ""
    match status:
        case Change.INVALID:
            return f"{len(chosen)} of {total} can't support a verdict: {names}."
        case Change.REGRESSED if not chosen:
            return f"None of {total} is shown to be worse.{demand}{waived}"
        case Change.REGRESSED:
            return f"{len(chosen)} of {total} became worse: {names}.{demand}{waived}"
        case Change.INCONCLUSIVE if not chosen:
            why = [*comparison.doubts, *(item.sentence for item in unknown)][0]
            return f"Nothing is shown to be worse, but not all is known: {why}."
        case Change.INCONCLUSIVE:
            return (
                f"Nothing {'else ' if waived else ''}is shown to be worse, but {len(chosen)} of"
                f" {total} {'remain' if len(chosen) > 1 else 'remains'} open: {names}.{waived}"
            )
        case Change.IMPROVED:
            return f"{len(chosen)} of {total} became better, none worse: {names}.{waived}"
        case Change.UNCHANGED if waived:
            return f"The others of {total} stayed within their margins.{waived}"
        case Change.UNCHANGED:
            return f"All of {total} stayed within their margins."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def meaning_of(comparison: Comparison) -> str:
    """What the exit code says; nobody must read "correct" where nothing was settled."""
    if comparison.status is Change.INCONCLUSIVE and comparison.exit_code == ExitCode.OK:
        return "not settled, and let pass by the policy"
    return EXIT_SENTENCES[ExitCode(comparison.exit_code)]
