"""
What changed between the profiles of two builds, as sections of a page and as sentences.

Pure. Shows what reports.profile decided: which functions are named, how sure that is, and where
nothing is named, how large a change would have been.
"""

from harness.model.profile import Metric
from harness.model.record import RunRecord
from harness.model.text import plain, quantity, rate, share, significant, trimmed
from harness.model.verdict import Validity
from reports.pages.cells import cell, fact, number_columns, table_section, text_columns
from reports.pages.model import Cell, Fact, Notice, Page, Section, Table, Term, Tone
from reports.pages.profile.flames import UNITS, FlameWords, differential_flame_graph
from reports.pages.run.verdict_section import TONES
from reports.profile.against import MetricDiff, ProfileComparison, ProfileSide
from reports.profile.diff import ERROR_SHARE_MAX, FunctionChange, ProfileDiff

ROW_COUNT_MAX = 40  # functions beside the named ones; profile-diff.json has all
_SENTENCE_NAME_COUNT = 3
_DRAWN = (Metric.CPU_NS, Metric.ALLOCATED_BYTES)
_EXPLANATION = (
    "Red costs an operation more than before, blue less; as wide as the more expensive side."
)

_TITLES = {
    Metric.CPU_NS: "CPU of an operation",
    Metric.ALLOCATED_BYTES: "Bytes allocated for an operation",
    Metric.ALLOCATED_COUNT: "Allocations for an operation",
    Metric.SURVIVING_BYTES: "Bytes that an operation leaves behind",
}
_TERMS = (
    Term(
        name="change",
        sentence="What the function costs an operation more than before, with its 95 % interval."
        " What it calls in libraries, in native code and in labels is charged to it, since it"
        " decides that; lines and folders don't matter.",
    ),
    Term(
        name="common ratio",
        sentence="What most of the CPU cost changed by alike: another layout of memory, another"
        " clock of the core. It is taken out of every function before the test.",
    ),
    Term(
        name="p",
        sentence="The chance of such a change, or more, in equal builds, corrected for all"
        f" functions tested (Holm). Named at {trimmed(100 * ERROR_SHARE_MAX)}% and below"
        " (growth: 1 %), if the change is worth a name.",
    ),
    Term(
        name="would have been seen",
        sentence="A change of at least this size would have been named in four of five cases.",
    ),
)


def view_profile_diff(
    base: ProfileSide, candidate: ProfileSide, comparison: ProfileComparison
) -> Page:
    return Page(
        title=f"{plain(base.name)} · {plain(candidate.name)}",
        subtitle="What changed, function by function",
        verdict_groups=(),
        notices=_notices(base, candidate),
        sections=(*profile_diff_sections(comparison), _starts_section(base, candidate)),
    )


def _notices(*sides: ProfileSide) -> tuple[Notice, ...]:
    """A start whose generator was not honest may have been asked something else."""
    return tuple(
        Notice(
            tone=Tone.WARNING,
            text=f"{plain(start.record.run_id)} is INVALID: its load was not what was planned, so"
            " its costs may be those of another load.",
        )
        for side in sides
        for start in side.starts
        if start.record.validity.status is Validity.INVALID
    )


def _starts_section(*sides: ProfileSide) -> Section:
    titles = ("side", "run", "profiler", "validity", "correctness")
    return table_section(
        id="starts",
        title="Process starts",
        table_title="What was compared",
        columns=(
            *text_columns(*titles),
            *number_columns("answered", "sent slower than planned"),
        ),
        rows=tuple(
            _start_row(word, start.record)
            for word, side in zip(("before", "now"), sides, strict=True)
            for start in side.starts
        ),
    )


def _start_row(word: str, record: RunRecord) -> tuple[Cell, ...]:
    stretch = float(record.load.get("stretch", 1.0))
    return (
        Cell(text=word),
        Cell(text=plain(record.run_id)),
        Cell(text=plain(record.instrumentation)),
        *(
            Cell(text=status, tone=TONES[status])
            for status in (record.validity.status, record.correctness.status)
        ),
        Cell(text=rate(record.rate.achieved_per_s)),
        Cell(text=f"{significant(stretch, 2)} times" if stretch > 1 else "no"),
    )


def profile_diff_sections(comparison: ProfileComparison) -> tuple[Section, ...]:
    return (
        Section(
            id="profile-diff",
            title="What changed",
            lead=f"From {plain(comparison.base_name)} to {plain(comparison.candidate_name)}, an"
            " operation's cost on each side.",
            remarks=tuple(map(plain, profile_diff_sentences(comparison))),
            terms=_TERMS,
        ),
        *map(_metric_section, comparison.metrics),
    )


def profile_diff_sentences(comparison: ProfileComparison) -> tuple[str, ...]:
    """What the terminal says: one for each metric, and for each that is missing."""
    return (
        *(
            f"{item.diff.metric} ({item.profiler.get('name', 'unknown')}): {_finding(item.diff)}"
            for item in comparison.metrics
        ),
        *(f"not compared: {sentence}" for sentence in comparison.missing),
    )


def _finding(diff: ProfileDiff) -> str:
    common = (
        f"; common ratio {significant(diff.common_ratio, 4)} taken out"
        if diff.metric is Metric.CPU_NS
        else ""
    )
    if not diff.tested:
        return "no function was found on either side"
    if not diff.named and diff.detectable_median > diff.base_cost:
        return (
            "nothing named, and nothing could have been: starts differ by"
            f" {share(diff.start_ratio)} of a function's cost here; the machine is too noisy, or"
            f" the runs too short or too few{common}"
        )
    if not diff.named:
        return (
            f"nothing named; a change of {_amount(diff, diff.detectable_median)} an operation would"
            f" have been seen in half of {len(diff.tested)} functions, of"
            f" {_amount(diff, diff.detectable_max)} in any{common}"
        )
    shown = "; ".join(
        f"{change.function} {_signed(diff, change.change)} (± {_amount(diff, change.half_width)})"
        for change in diff.named[:_SENTENCE_NAME_COUNT]
    )
    more = len(diff.named) - _SENTENCE_NAME_COUNT
    return f"{shown}{f'; and {more} more' if more > 0 else ''}, an operation{common}"


def _metric_section(item: MetricDiff) -> Section:
    diff = item.diff
    key = f"{diff.metric.replace('_', '-')}-{item.profiler.get('name', 'unknown')}"
    words = FlameWords(
        id=f"flame-diff-{key}", title="Differential flame graph", explanation=_EXPLANATION
    )
    ratio = diff.common_ratio
    drawn = diff.metric in _DRAWN
    return Section(
        id=f"profile-diff-{key}",
        title=_TITLES[diff.metric],
        lead=f"{plain(_finding(diff))}.",
        facts=_facts(item),
        flames=(differential_flame_graph(item.base, item.candidate, words, common_ratio=ratio),)
        if drawn
        else (),
        tables=(_table(diff, f"functions-{key}"),),
        remarks=_notes(item),
    )


def _facts(item: MetricDiff) -> tuple[Fact, ...]:
    diff = item.diff
    base_starts, candidate_starts = diff.start_counts
    facts = [
        ("profiler", " ".join(filter(None, item.profiler.values()))),
        ("process starts", f"{base_starts} against {candidate_starts}"),
        ("an operation before", _amount(diff, diff.base_cost)),
        ("an operation now, as measured", _amount(diff, diff.candidate_cost)),
    ]
    if diff.metric is Metric.CPU_NS:
        facts.append(("common ratio taken out", significant(diff.common_ratio, 4)))
    facts += [
        *((("starts differ by", share(diff.start_ratio)),) if diff.start_ratio else ()),
        ("seen in half of the functions from", _amount(diff, diff.detectable_median)),
        ("seen in any function from", _amount(diff, diff.detectable_max)),
    ]
    return tuple(fact(name, plain(text)) for name, text in facts)


def _table(diff: ProfileDiff, identity: str) -> Table:
    others = sorted(
        (change for change in diff.tested if not change.is_named),
        key=lambda change: -abs(change.change),
    )
    return Table(
        id=identity,
        title="Functions by change",
        columns=(
            *text_columns("function"),
            *number_columns("before", "after", "change", "of the whole", "p", "seen from"),
            *text_columns(""),
        ),
        rows=tuple(_row(diff, change) for change in (*diff.named, *others[:ROW_COUNT_MAX])),
        note=_left_out(diff, len(others)),
        absence="No function was found on either side.",
    )


def _row(diff: ProfileDiff, change: FunctionChange) -> tuple[Cell, ...]:
    low, high = change.change - change.half_width, change.change + change.half_width
    unit = UNITS[diff.metric]
    tone, word = Tone.UNKNOWN, ""
    if change.is_named:
        tone, word = (Tone.BAD, "costs more") if change.change > 0 else (Tone.GOOD, "costs less")
    whole = share(change.change / diff.base_cost) if diff.base_cost > 0 else "no data"
    return (
        Cell(text=plain(change.function.function), detail=plain(change.function.module)),
        cell(change.base_cost, unit),
        cell(change.candidate_cost, unit),
        Cell(
            text=_signed(diff, change.change),
            detail=f"{_signed(diff, low)} to {_signed(diff, high)}",
        ),
        Cell(text=whole),
        Cell(text="< 0.0001" if change.p_value < 1e-4 else significant(change.p_value, 2)),
        Cell(text=_amount(diff, change.detectable_change)),
        Cell(text=word, tone=tone) if word else Cell(text="not named"),
    )


def _left_out(diff: ProfileDiff, other_count: int) -> str:
    cheap = len(diff.changes) - len(diff.tested)
    words = []
    if other_count > ROW_COUNT_MAX:
        words.append(f"{other_count - ROW_COUNT_MAX} more functions that are not named")
    if cheap:
        words.append(f"{cheap} functions that cost too little to be tested")
    return f"Left out here: {' and '.join(words)}; profile-diff.json has them." if words else ""


def _notes(item: MetricDiff) -> tuple[str, ...]:
    notes = dict.fromkeys(
        note for profile in (*item.base, *item.candidate) for note in profile.notes
    )
    return tuple(map(plain, notes))


def _amount(diff: ProfileDiff, value: float) -> str:
    return quantity(value, UNITS[diff.metric])


def _signed(diff: ProfileDiff, value: float) -> str:
    return f"{'+' if value > 0 else ''}{_amount(diff, value)}"
