"""
The page of a comparison: the verdict, what got worse, how sure that is, and what it rests on.

Pure: every number is one of compare.json. The order is that of the questions of a reader: is it
worse, by how much, may I believe it, when and where did it happen, how do I see it again.
"""

from collections.abc import Sequence

from harness.model.record import Objective
from harness.model.text import plain
from harness.model.verdict import Correctness, ExitCode, Performance, Validity, worst
from reports.compare.comparable import Difference
from reports.compare.comparison import Dossier, SideInput
from reports.compare.verdicts import Change, Comparison, MetricVerdict, meaning_of
from reports.pages import glossary
from reports.pages.cells import fact, number_columns, table_section, text_columns
from reports.pages.compare.figure_table import figures_table
from reports.pages.compare.metric_table import (
    change_text,
    interval_text,
    metrics_table,
    worst_first,
)
from reports.pages.compare.percentile_bands import side_curves
from reports.pages.compare.profile_sections import profile_sections
from reports.pages.compare.timeline_charts import side_timelines
from reports.pages.model import (
    Cell,
    Fact,
    Notice,
    Page,
    Section,
    Term,
    Tone,
    VerdictGroup,
    VerdictView,
)
from reports.pages.run.verdict_section import TONES, verdict_view
from reports.text import bounded, sentence, told

_REASON_COUNT_MAX = 6
_TERMS = (
    Term(
        name="REGRESSED, IMPROVED",
        sentence="The change is beyond chance for all metrics together, larger than the floor, and"
        " the ranks of the runs agree.",
    ),
    Term(name="UNCHANGED", sentence="Whatever changed is smaller than the margin, 90 % sure."),
    Term(name="INCONCLUSIVE", sentence="The runs can't tell; it says how many more would."),
    Term(name="INVALID", sentence="The inputs can't support any verdict; it says why."),
    Term(
        name="run",
        sentence="A whole start of the service: repeating inside one start hides what varies from"
        " start to start.",
    ),
)


def view_comparison(dossier: Dossier, more: Sequence[Section] = ()) -> Page:
    comparison = dossier.comparison
    sections = (
        _metrics(comparison),
        _objectives(comparison.objectives),
        _curves(dossier),
        _courses(dossier),
        *profile_sections(dossier.baseline, dossier.candidate),
        *more,
        _runs(dossier),
        _differences(dossier.differences),
        _figures(dossier),
        _repeat(dossier),
    )
    return Page(
        title=f"{comparison.status}: {plain(comparison.candidate)} against"
        f" {plain(comparison.baseline)}",
        subtitle=_said(comparison),
        verdict_groups=(_verdicts(dossier),),
        notices=_notices(dossier),
        sections=tuple(section for section in sections if section is not None),
    )


def _verdicts(dossier: Dossier) -> VerdictGroup:
    comparison = dossier.comparison
    verdicts = (_validity(dossier), _correctness(dossier), _change(comparison))
    return VerdictGroup(
        run_name=f"{plain(comparison.baseline)} → {plain(comparison.candidate)}",
        summary=f"Exit code {int(comparison.exit_code)}: {meaning_of(comparison)}.",
        tone=TONES[comparison.status],
        verdicts=verdicts,
    )


def _validity(dossier: Dossier) -> VerdictView:
    comparison = dossier.comparison
    warned = [
        run.record.run_id
        for run in (*dossier.baseline.runs, *dossier.candidate.runs)
        if run.record.validity.status is Validity.WARN
    ]
    if comparison.faults:
        word, said = Validity.INVALID, "These sides can't be compared."
    elif warned:
        word, said = Validity.WARN, "The sides can be compared, with reservations."
    else:
        word, said = Validity.VALID, "Both sides were asked the same, on the same machine."
    if not dossier.baseline.runs and not comparison.faults:
        said = "Measured elsewhere: only what the files say could be checked."
    reasons = (*comparison.faults, *(f"{plain(run_id)}: WARN" for run_id in warned))
    return verdict_view("Validity", "May the sides be compared?", word, said, _bounded(reasons))


def _correctness(dossier: Dossier) -> VerdictView:
    statuses = [
        run.record.correctness.status for run in (*dossier.baseline.runs, *dossier.candidate.runs)
    ]
    if not statuses:
        word, said = "NO DATA", "No run was audited here, so nothing is proved."
        return verdict_view("Correctness", "Is every cent accounted for?", word, said, ())
    status = worst(statuses, Correctness.UNKNOWN)
    said = {
        Correctness.PASSED: "Every invariant that was checked holds in every run of both sides.",
        Correctness.UNKNOWN: "Nothing wrong was found, but not everything could be checked.",
        Correctness.FAILED: "The audit of a run found money or operations that don't add up.",
    }[status]
    return verdict_view(
        "Correctness",
        "Is every cent accounted for?",
        status,
        said,
        _bounded(dossier.comparison.doubts),
    )


def _change(comparison: Comparison) -> VerdictView:
    worst = [
        metric
        for metric in worst_first(comparison)
        if metric.status not in {Change.UNCHANGED, Change.IMPROVED}
    ] or [metric for metric in worst_first(comparison) if metric.status is Change.IMPROVED]
    missed = [
        f"{sentence(item.sentence)}"
        for item in comparison.objectives
        if item.status is not Performance.PASSED
    ]
    return verdict_view(
        "Change",
        "What became worse?",
        comparison.status,
        _said(comparison),
        _bounded([*missed, *map(_reason, worst)]),
    )


def _reason(metric: MetricVerdict) -> str:
    interval = interval_text(metric)
    how_sure = f" (95 %: {interval})" if interval else ""
    waived = f"; {metric.waiver}" if metric.waiver else ""
    return f"{metric.status} {plain(metric.name)}: {change_text(metric)}{how_sure}{waived}"


def _bounded(reasons: Sequence[str]) -> tuple[str, ...]:
    return bounded([plain(reason) for reason in reasons], _REASON_COUNT_MAX)


def _said(comparison: Comparison) -> str:
    return plain(comparison.sentence, length_max=2_000)


def _notices(dossier: Dossier) -> tuple[Notice, ...]:
    comparison = dossier.comparison
    found = [Notice(tone=Tone.WARNING, text=plain(text)) for text in comparison.remarks]
    ignored = [item.name for item in dossier.differences if item.is_ignored]
    if ignored:
        text = f"Not the same in all runs, and ignored by the policy: {', '.join(ignored)}."
        found.append(Notice(tone=Tone.WARNING, text=text))
    if comparison.exit_code == ExitCode.AUDIT_FAILED:
        text = "A run of it lost or created money: no figure of it is worth anything."
        found.insert(0, Notice(tone=Tone.BAD, text=text))
    return tuple(found)


def _metrics(comparison: Comparison) -> Section:
    counts = [
        Fact(name=change, cell=Cell(text=str(count), tone=TONES[change] if count else None))
        for change in Change
        for count in [comparison.count_of(change)]
    ]
    return Section(
        id="metrics",
        title="Metrics",
        lead="What changed, by how much, and how sure that is; the worst first.",
        headlines=tuple(counts),
        tables=(metrics_table(comparison),),
        terms=_TERMS,
    )


def _objectives(objectives: Sequence[Objective]) -> Section | None:
    if not objectives:
        return None
    rows = tuple(
        (
            Cell(text=item.status, tone=TONES[item.status]),
            Cell(text=plain(item.id)),
            Cell(text=sentence(item.sentence)),
        )
        for item in objectives
    )
    return table_section(
        id="objectives",
        title="Objectives",
        lead="What the policy demands of the candidate, whatever the baseline was: of the median of"
        " its runs.",
        columns=text_columns("status", "metric", "found"),
        rows=rows,
    )


def _curves(dossier: Dossier) -> Section | None:
    charts = side_curves(dossier.baseline.runs, dossier.candidate.runs)
    if not charts:
        return None
    return Section(
        id="curves",
        title="Latency",
        charts=charts,
        terms=(glossary.RESPONSE, glossary.VISIBLE, glossary.PERCENTILE),
    )


def _courses(dossier: Dossier) -> Section | None:
    charts = side_timelines(dossier.baseline.runs, dossier.candidate.runs)
    if not charts:
        return None
    return Section(
        id="time",
        title="Over time",
        lead="The median of the runs of a side, and around it the range from the least to the most."
        " Zoom one of these charts and the others follow.",
        charts=charts,
        terms=(glossary.RESPONSE, glossary.IN_FLIGHT),
    )


def _runs(dossier: Dossier) -> Section:
    rows = tuple(
        (
            Cell(text=name),
            Cell(text=plain(run.record.run_id), detail=plain(run.record.created_at)),
            _status(run.record.validity.status),
            _status(run.record.correctness.status),
            _status(run.record.performance.status),
            Cell(text=str(run.record.exit_code)),
            Cell(text="; ".join(map(sentence, run.faults)) or "none", is_missing=not run.faults),
        )
        for name, side in _sides(dossier)
        for run in side.runs
    )
    return table_section(
        id="runs",
        title="Runs",
        lead="Validity and audit of every run of both sides.",
        columns=(
            *text_columns("side", "run", "validity", "correctness", "performance"),
            *number_columns("exit code"),
            *text_columns("faults of its tables"),
        ),
        rows=rows,
        absence="Measured elsewhere: no run of this program.",
    )


def _status(status: str) -> Cell:
    return Cell(text=status, tone=TONES[status])


def _differences(found: Sequence[Difference]) -> Section:
    rows = tuple(
        (
            Cell(text=item.name),
            Cell(text=told(item.a)),
            Cell(text=told(item.b), detail=item.run_id),
            _meaning(item),
        )
        for item in found
    )
    return table_section(
        id="differences",
        title="Differences",
        lead="What is not the same in all runs, besides the figures.",
        table_title="Scenario, schedule, machine, settings, target",
        columns=text_columns("what", "first run", "another run", "means"),
        rows=rows,
        absence="None: same scenario, schedule, seed, machine, settings and target.",
    )


def _meaning(item: Difference) -> Cell:
    if item.is_obstacle:
        return Cell(text="not comparable", tone=Tone.BAD)
    if item.is_ignored:
        return Cell(text="ignored by the policy", tone=Tone.WARNING)
    return Cell(text="for information")


def _figures(dossier: Dossier) -> Section | None:
    table = figures_table(dossier.baseline.runs, dossier.candidate.runs)
    if not table.rows:
        return None
    return Section(
        id="figures",
        title="All figures",
        lead="Every figure of the runs side by side, judged or not: the median of the runs of a"
        " side, with no claim.",
        tables=(table,),
    )


def _repeat(dossier: Dossier) -> Section:
    facts = [
        fact(f"{name} {plain(run.record.run_id)}", plain(run.record.command))
        for name, side in _sides(dossier)
        for run in side.runs
    ]
    policy = dossier.rules.source
    return Section(
        id="repeat",
        title="Repeat this comparison",
        lead="The same inputs give the same page, byte for byte.",
        command=plain(dossier.command),
        facts=(fact("policy", plain(policy)), *facts),
    )


def _sides(dossier: Dossier) -> tuple[tuple[str, SideInput], ...]:
    return (("baseline", dossier.baseline), ("candidate", dossier.candidate))
