"""
The three verdicts as a release manager reads them: a word, a sentence, the reasons when not green.

Does not judge: the record's statuses are the verdicts. It only declines to show green where nothing
was looked at, because a reader would take it for a proof.
"""

from collections.abc import Mapping, Sequence

from harness.model.record import Check, Invariant, Objective, RunRecord
from harness.model.text import count, plain
from harness.model.verdict import (
    EXIT_SENTENCES,
    Correctness,
    ExitCode,
    Performance,
    Validity,
    worst,
)
from reports.pages.model import Tone, VerdictGroup, VerdictView
from reports.text import bounded, sentence

_REASON_COUNT_MAX = 5

# By word: where two of the three verdicts share a word, it means the same to a reader.
TONES: Mapping[str, Tone] = {
    "VALID": Tone.GOOD,
    "WARN": Tone.WARNING,
    "INVALID": Tone.BAD,
    "PASSED": Tone.GOOD,
    "UNKNOWN": Tone.UNKNOWN,
    "FAILED": Tone.BAD,
    "IMPROVED": Tone.GOOD,
    "UNCHANGED": Tone.GOOD,
    "INCONCLUSIVE": Tone.UNKNOWN,
    "REGRESSED": Tone.BAD,
}

_VALIDITY_QUESTION = "Was the generator honest?"
_CORRECTNESS_QUESTION = "Is every cent accounted for?"
_PERFORMANCE_QUESTION = "Were the objectives met?"

_VALIDITY_SENTENCES = {
    Validity.VALID: "The generator kept its schedule; the figures can be trusted.",
    Validity.WARN: "The figures can be used, with the reservations below.",
    Validity.INVALID: "The generator, the machine or the inputs can't support any conclusion.",
}
_CORRECTNESS_SENTENCES = {
    Correctness.PASSED: "Every invariant that was checked holds; no money was lost or created.",
    Correctness.UNKNOWN: "Nothing wrong was found, but not everything could be checked.",
    Correctness.FAILED: "The audit found money or operations that don't add up.",
}
_PERFORMANCE_SENTENCES = {
    Performance.PASSED: "Every objective of the scenario was met.",
    Performance.IMPROVED: "Better than the baseline.",
    Performance.UNCHANGED: "No change against the baseline.",
    Performance.INCONCLUSIVE: "Not enough evidence to say whether the objectives are met.",
    Performance.REGRESSED: "Worse than the baseline.",
    Performance.FAILED: "At least one objective was missed.",
}


def verdict_group(record: RunRecord) -> VerdictGroup:
    verdicts = (_validity(record), _correctness(record), _performance(record))
    try:
        meaning = EXIT_SENTENCES[ExitCode(record.exit_code)]
    except ValueError:
        meaning = "an exit code this program doesn't know"
    return VerdictGroup(
        run_name=plain(record.run_id),
        summary=f"Exit code {record.exit_code}: {meaning}.",
        tone=worst((verdict.tone for verdict in verdicts), Tone.UNKNOWN),
        verdicts=verdicts,
    )


def verdict_view(
    name: str, question: str, word: str, said: str, reasons: Sequence[str]
) -> VerdictView:
    """One verdict; a *word* that is no status, such as NO DATA, is unknown."""
    return VerdictView(
        name=name,
        question=question,
        word=word,
        tone=TONES.get(word, Tone.UNKNOWN),
        sentence=said,
        reasons=tuple(reasons),
    )


def _validity(record: RunRecord) -> VerdictView:
    section = record.validity
    if not section.checks:
        return _nothing_checked("Validity", _VALIDITY_QUESTION, section.status, "check")
    faults = [check for check in section.checks if check.status is not Validity.VALID]
    return verdict_view(
        "Validity",
        _VALIDITY_QUESTION,
        section.status,
        _VALIDITY_SENTENCES[section.status],
        bounded([_limit_reason(check) for check in faults], _REASON_COUNT_MAX, "more checks"),
    )


def _correctness(record: RunRecord) -> VerdictView:
    section = record.correctness
    if not any(invariant.checked_count for invariant in section.invariants):
        return _nothing_checked("Correctness", _CORRECTNESS_QUESTION, section.status, "fact")
    faults = sorted(
        (item for item in section.invariants if item.status is not Correctness.PASSED),
        key=lambda item: item.status is not Correctness.FAILED,
    )
    return verdict_view(
        "Correctness",
        _CORRECTNESS_QUESTION,
        section.status,
        _CORRECTNESS_SENTENCES[section.status],
        bounded([_invariant_reason(item) for item in faults], _REASON_COUNT_MAX, "more invariants"),
    )


def _performance(record: RunRecord) -> VerdictView:
    section = record.performance
    obstacle = _obstacle(record)
    if obstacle:
        return verdict_view(
            "Performance",
            _PERFORMANCE_QUESTION,
            "NO VERDICT",
            f"It would mean nothing: {obstacle}.",
            (f"the record says {section.status}",),
        )
    if not section.objectives and TONES[section.status] is Tone.GOOD:
        return _nothing_checked("Performance", _PERFORMANCE_QUESTION, section.status, "objective")
    faults = [item for item in section.objectives if TONES[item.status] is not Tone.GOOD]
    return verdict_view(
        "Performance",
        _PERFORMANCE_QUESTION,
        section.status,
        _PERFORMANCE_SENTENCES[section.status],
        bounded([_limit_reason(item) for item in faults], _REASON_COUNT_MAX, "more objectives"),
    )


def _obstacle(record: RunRecord) -> str:
    """Why the third verdict can't be read, empty if it can."""
    if not record.complete:
        return "the run is incomplete"
    if record.validity.status is Validity.INVALID:
        return "the run is not valid"
    if record.correctness.status is Correctness.FAILED:
        return "the audit failed"
    return ""


def _nothing_checked(name: str, question: str, status: str, what: str) -> VerdictView:
    said = f"Not a single {what} was looked at, so nothing is proved."
    return verdict_view(name, question, "NO DATA", said, [f"the record says {status}"])


def _limit_reason(item: Check | Objective) -> str:
    title, said = plain(item.title), sentence(item.sentence)
    return said if said.startswith(title) else f"{title}: {said}"


def _invariant_reason(item: Invariant) -> str:
    reason = f"{plain(item.id)} {plain(item.title)}: {sentence(item.sentence)}"
    if item.violation_count:
        return f"{reason} {count(item.violation_count)} violations; the first: {plain(item.first)}"
    return reason
