"""
What a gate says at its end: the comparison of its pairs, in its own words, with how it ran.

Pure. The words differ from those of a comparison in what was asked: some metrics had to be settled,
others were watched, and a regression is reported only if a second, independent set of pairs
confirms it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.model.text import count, plain, share, significant
from harness.model.turns import PairFacts
from harness.model.verdict import ExitCode, Performance
from reports.compare.comparison import Dossier
from reports.compare.policy import LOOK_COUNT_MAX
from reports.compare.verdicts import Change, Comparison, MetricVerdict
from reports.gate.looks import (
    CONFIRM_COUNT_MIN,
    PAIR_COUNT_NEEDED,
    GateOutcome,
    GateStep,
)
from reports.pages.cells import fact, number_columns, text_columns
from reports.pages.compare.metric_table import change_text
from reports.pages.model import Cell, Section, Table, Tone

_PARTS_FOR_LOOKS = 0.75  # of the budget; the rest is kept for a confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """
    How a gate ran.

    Attributes:
        sides: What each side is, by name: revision, commit, target file.
        settings: What was measured, by name.
        inconclusive_passes: As the policy says.
    """

    gate_id: str
    sides: dict[str, dict[str, Any]]
    settings: dict[str, str]
    pairs: tuple[PairFacts, ...]
    budget_s: float
    spent_s: float
    pair_s: float
    inconclusive_passes: bool

    @property
    def spoilt_count(self) -> int:
        return sum(bool(pair.spoilt) for pair in self.pairs)


def gate_dossier(outcome: GateOutcome, facts: GateFacts) -> Dossier:
    comparison = outcome.dossier.comparison
    is_let_pass = (
        facts.inconclusive_passes
        and comparison.status is Change.INCONCLUSIVE
        and comparison.exit_code == ExitCode.INCONCLUSIVE
        and not comparison.doubts
        and all(item.status is not Performance.INCONCLUSIVE for item in comparison.objectives)
    )
    remarks = [*_remarks(outcome, facts), *comparison.remarks]
    if is_let_pass:
        remarks.insert(
            0,
            "NOT SETTLED, and let pass: the policy says that an inconclusive gate passes. Nothing"
            " is proved here.",
        )
    return replace(
        outcome.dossier,
        comparison=replace(
            comparison,
            sentence=_sentence(outcome, comparison),
            remarks=tuple(remarks),
            exit_code=int(ExitCode.OK) if is_let_pass else comparison.exit_code,
        ),
    )


def gate_to_json(outcome: GateOutcome, facts: GateFacts) -> dict[str, Any]:
    return {
        "gate_id": facts.gate_id,
        "sides": facts.sides,
        "settings": facts.settings,
        "budget_s": facts.budget_s,
        "spent_s": round(facts.spent_s, 3),
        "pair_s": round(facts.pair_s, 3),
        "pairs": [
            {
                "number": pair.number,
                "first": pair.first,
                "length_s": round(pair.length_s, 3),
                "spoilt": list(pair.spoilt),
            }
            for pair in facts.pairs
        ],
        "looks": [asdict(look) for look in outcome.looks],
        "memory_looks": [asdict(look) for look in outcome.memory_looks],
        "confirmed": list(outcome.confirmed),
        "unconfirmed": list(outcome.unconfirmed),
        "watched": [item.name for item in outcome.dossier.comparison.metrics if item.is_watched],
    }


def gate_sections(outcome: GateOutcome, facts: GateFacts) -> tuple[Section, ...]:
    lead = (
        "Both sides were alive at once and had the load in alternate measurement windows,"
        " in the order A B B A, with the same operations; each pair is one process start of each"
        " side."
        if any(pair.first for pair in facts.pairs)
        else "The base is stored runs of another time, so windows could not alternate: what the two"
        " sessions differ by counts as noise, and a candidate is held against the same base again"
        " when it is confirmed."
    )
    return (
        Section(
            id="gate",
            title="How the gate ran",
            lead=lead,
            facts=(
                *(fact(name, plain(_side_text(side))) for name, side in facts.sides.items()),
                *(fact(name, plain(text)) for name, text in facts.settings.items()),
                fact(
                    "time",
                    f"{count(facts.spent_s)} s of {count(facts.budget_s)} s,"
                    f" {significant(facts.pair_s)} s a pair",
                ),
            ),
            tables=(_looks_table(outcome), _pairs_table(facts.pairs)),
        ),
    )


def too_few_pairs(affordable_count: int, facts: GateFacts) -> str:
    """Why a budget can't make anything red, and which one can."""
    needed_s = PAIR_COUNT_NEEDED * facts.pair_s / _PARTS_FOR_LOOKS
    return (
        f"The budget of {count(facts.budget_s)} s buys {affordable_count} pairs of about"
        f" {significant(facts.pair_s)} s, and {PAIR_COUNT_NEEDED} are needed before anything can be"
        f" called worse and confirmed; write a budget of at least {count(needed_s)} s."
    )


def _sentence(outcome: GateOutcome, comparison: Comparison) -> str:
    metrics = comparison.metrics
    watched = [item for item in metrics if item.is_watched]
    asked_count = len(metrics) - len(watched)
    match comparison.status:
        case Change.REGRESSED if outcome.confirmed:
            worst = [item for item in metrics if item.name in outcome.confirmed]
            shown = ", ".join(_change(item) for item in worst[:3])
            more = f" and {len(worst) - 3} more" if worst[3:] else ""
            return f"Worse, and confirmed by a second, independent set of pairs: {shown}{more}."
        case Change.UNCHANGED if watched:
            waived = [item.name for item in metrics if item.is_waived]
            waivers = f" Waived: {', '.join(waived)}." if waived else ""
            return (
                f"All {asked_count} metrics that must be settled stayed within their margins;"
                f" of {len(watched)} that are watched none is shown to be worse.{waivers}"
            )
        case _:
            return comparison.sentence


def _change(metric: MetricVerdict) -> str:
    return f"{metric.name} {change_text(metric)}"


def _remarks(outcome: GateOutcome, facts: GateFacts) -> list[str]:
    remarks = []
    comparison = outcome.dossier.comparison
    if outcome.unconfirmed:
        remarks.append(
            "Looked worse, and not confirmed by a second, independent set of pairs:"
            f" {', '.join(outcome.unconfirmed)}."
        )
    if facts.spoilt_count:
        count = facts.spoilt_count
        remarks.append(
            f"{count} of {len(facts.pairs)} pairs {'was' if count == 1 else 'were'} INVALID and"
            " played again: the machine or the generator was not fit."
        )
    blind = [
        f"{item.name} {share(item.estimate.mde_share, 1)}"
        for item in comparison.metrics
        if item.is_watched and item.status is Change.INCONCLUSIVE and item.estimate is not None
    ]
    if blind:
        remarks.append(
            f"Watched, and not proved the same; a worsening would have been seen from: "
            f"{', '.join(blind)}."
        )
    affordable_count = int(facts.budget_s / facts.pair_s) if facts.pair_s else 0
    if affordable_count < PAIR_COUNT_NEEDED:
        return [*remarks, too_few_pairs(affordable_count, facts)]
    return [*remarks, *_more(comparison, facts)]


def _more(comparison: Comparison, facts: GateFacts) -> list[str]:
    if comparison.status is not Change.INCONCLUSIVE:
        return []
    counts = [
        item.estimate.more_run_count
        for item in comparison.metrics
        if item.counts is Change.INCONCLUSIVE and item.estimate is not None
    ]
    known = [count for count in counts if count is not None]
    if not known:
        return []
    total = max(known) + max(1, len(facts.pairs) - facts.spoilt_count)
    budget_s = total * facts.pair_s / _PARTS_FOR_LOOKS
    return [
        f"About {max(known)} more pairs would settle it: a budget of {count(budget_s / 60.0)} min."
    ]


def _side_text(side: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in side.items() if value not in ("", None))


def _looks_table(outcome: GateOutcome) -> Table:
    looks = [
        *(("", look) for look in outcome.looks),
        *((" under memray", look) for look in outcome.memory_looks),
    ]
    names = {GateStep.LOOK: "look", GateStep.CONFIRMATION: "confirmation, independent pairs alone"}
    return Table(
        id="looks",
        title="Interim analyses",
        columns=(
            *text_columns("what"),
            *number_columns("pairs", "level"),
            *text_columns("worse", "not settled"),
        ),
        rows=tuple(
            (
                Cell(text=names[look.step] + where),
                Cell(text=str(look.pair_count)),
                Cell(text=share(look.alpha, 2)),
                Cell(text=plain(", ".join(look.worse)) or "nothing"),
                Cell(text=plain(", ".join(look.open)) or "nothing"),
            )
            for where, look in looks
        ),
        note=f"At most {LOOK_COUNT_MAX} interim analyses share the error (alpha spending); nothing"
        f" is called worse unless at least {CONFIRM_COUNT_MIN} independent pairs say so too.",
        absence="no interim analysis was possible",
    )


def _pairs_table(pairs: Sequence[PairFacts]) -> Table:
    return Table(
        id="pairs",
        title="Pairs",
        columns=(
            *number_columns("pair"),
            *text_columns("began"),
            *number_columns("took"),
            *text_columns("used"),
        ),
        rows=tuple(
            (
                Cell(text=str(pair.number)),
                Cell(text=pair.first or "candidate alone"),
                Cell(text=f"{significant(pair.length_s)} s"),
                Cell(text="yes")
                if not pair.spoilt
                else Cell(text="no", detail=plain(" ".join(pair.spoilt)), tone=Tone.WARNING),
            )
            for pair in pairs
        ),
    )
