"""
The page of a sign-off: what is signed, on what evidence, what is not proven, and room to sign.

Pure. The first sheet of paper holds the verdict, its reasons and the signatures; the rest is the
evidence behind it, every demand and every run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.model.release_file import ReleasePolicy
from harness.model.text import plain
from harness.model.verdict import badness, worst
from reports.pages.cells import number_columns, table_section, text_columns
from reports.pages.model import Cell, Fact, Section, Table, Tone
from reports.pages.run.verdict_section import TONES
from reports.release.verdicts import (
    ReleaseFinding,
    ReleaseState,
    RunUse,
    SignOff,
    WaiverState,
    WaiverUse,
    Word,
)
from reports.text import DASH

_REASON_COUNT_MAX = 8  # more would push the signatures off the first sheet
_EVIDENCE_COUNT_MAX = 12  # likewise
_SIGNATURE_COUNT = 4
_WORDS: Mapping[Word, tuple[Tone, str]] = {
    Word.GO: (Tone.GOOD, "Everything that the policy demands was shown."),
    Word.NO_GO: (Tone.BAD, "Something that the policy demands was shown not to be so."),
    Word.NOT_PROVEN: (Tone.UNKNOWN, "Nothing was shown to be wrong, but not everything was shown."),
}
_TONES: Mapping[ReleaseState, Tone] = {
    ReleaseState.MET: Tone.GOOD,
    ReleaseState.NOT_PROVEN: Tone.UNKNOWN,
    ReleaseState.MISSED: Tone.BAD,
    ReleaseState.MONEY_LOST: Tone.BAD,
}
_WAIVER_TONES: Mapping[WaiverState, Tone] = {
    WaiverState.USED: Tone.WARNING,
    WaiverState.UNUSED: Tone.GOOD,
    WaiverState.EXPIRED: Tone.BAD,
}
_BY_ACCTBENCH = (
    "acctbench verify makes every hash again and judges every record again: exit code 0 if the"
    " bundle is the one with this hash and its verdict follows from its files, else 4."
)
_BY_OTHERS = (
    "Any program with SHA-256 can make the hash. Of every file but manifest.json take the SHA-256;"
    " in signoff.html read the hash as 64 zeros. Write for each a line of digest, two spaces and"
    " path, in the order of the paths' bytes. The SHA-256 of these lines is the hash."
)
_WHAT_IS_SHOWN = (
    "The hash shows that the files belong together, not who made them: what is signed is the hash"
    " on paper."
)


class FileDigest(Protocol):
    """A file that was looked at."""

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """
    The page.

    Attributes:
        meaning: What the word says, whatever the reasons.
        reasons: Open findings, the worst first.
        more_reason_count: Those that have no room here and stand below.
        signature_count: Empty lines to sign on.
    """

    title: str
    subtitle: str
    word: str
    tone: Tone
    sentence: str
    meaning: str
    facts: tuple[Fact, ...]
    reasons: tuple[Fact, ...]
    more_reason_count: int
    waived: tuple[Fact, ...]
    evidence: Table | None  # one row a demand; None where there are too many for one sheet
    notes: tuple[str, ...]
    signature_count: int
    bundle_hash: str
    sections: tuple[Section, ...]


def view_release(
    sign_off: SignOff,
    policy: ReleasePolicy,
    files: Mapping[str, Mapping[str, FileDigest]],
    bundle_hash: str,
) -> ReleasePage:
    """
    The page of *sign_off*.

    Args:
        sign_off: What is signed.
        policy: What demanded it.
        files: By place of a run in the bundle, and path in its folder.
        bundle_hash: Of the bundle that the page is in.
    """
    tone, meaning = _WORDS[sign_off.word]
    if sign_off.word is Word.GO and any(item.waived_by for item in sign_off.findings):
        meaning = "Not all that the policy demands was shown: the rest is waived, by name, below."
    still_open = sorted(
        (item for item in sign_off.findings if item.is_open),
        key=lambda item: -badness(item.state),
    )
    shown = still_open[:_REASON_COUNT_MAX]
    return ReleasePage(
        title=f"Release {plain(sign_off.release)}",
        subtitle=f"Sign-off by the policy {plain(sign_off.policy_name)}, {sign_off.judged_at}",
        word=sign_off.word,
        tone=tone,
        sentence=plain(sign_off.sentence),
        meaning=meaning,
        facts=_facts(sign_off),
        reasons=tuple(Fact(name=plain(item.name), cell=_told(item)) for item in shown),
        more_reason_count=len(still_open) - len(shown),
        waived=tuple(
            Fact(name=plain(item.name), cell=Cell(text=plain(item.waived_by)))
            for item in sign_off.findings
            if item.waived_by
        ),
        evidence=_evidence(sign_off, policy),
        notes=tuple(plain(note) for note in sign_off.notes),
        signature_count=_SIGNATURE_COUNT,
        bundle_hash=bundle_hash,
        sections=(
            _demands(sign_off.findings),
            _waivers(sign_off.waivers),
            _runs(sign_off.runs, policy),
            _environment(sign_off),
            _inputs(sign_off, files),
            _check(sign_off, bundle_hash),
        ),
    )


def _facts(sign_off: SignOff) -> tuple[Fact, ...]:
    used = sum(run.is_used for run in sign_off.runs)
    met = sum(finding.state is ReleaseState.MET for finding in sign_off.findings)
    waived = sum(bool(finding.waived_by) for finding in sign_off.findings)
    total = len(sign_off.findings)
    return (
        _fact("build", plain(sign_off.build) or "not known", is_missing=not sign_off.build),
        _fact(
            "demands met", f"{met} of {total}" + (f", {waived} more by waiver" if waived else "")
        ),
        _fact("runs it rests on", f"{used} of {len(sign_off.runs)} looked at"),
        _fact("machine", plain(_machine(sign_off)) or "not known"),
        _fact("measured by", plain(_harness(sign_off)) or "not known"),
        _fact("exit code", str(sign_off.exit_code)),
    )


def _fact(name: str, text: str, *, is_missing: bool = False) -> Fact:
    return Fact(name=name, cell=Cell(text=text, is_missing=is_missing))


def _machine(sign_off: SignOff) -> str:
    known = [
        sign_off.machine.get("cpu_model", ""),
        f"{sign_off.machine.get('core_count', '')} cores" if sign_off.machine else "",
        sign_off.machine.get("memory", ""),
    ]
    return ", ".join(filter(None, known))


def _harness(sign_off: SignOff) -> str:
    version = sign_off.harness.get("harness_version", "")
    source = sign_off.harness.get("harness_digest") or sign_off.harness.get("git_sha", "")
    return " ".join(filter(None, ("acctbench" if source else "", version, source[:12])))


def _evidence(sign_off: SignOff, policy: ReleasePolicy) -> Table | None:
    if len(policy.demands) > _EVIDENCE_COUNT_MAX:
        return None
    rows = []
    for demand in policy.demands:
        own = [finding for finding in sign_off.findings if finding.demand == demand.key]
        used = sum(run.is_used and run.demand == demand.key for run in sign_off.runs)
        still_open = [item.state for item in own if item.is_open]
        met = sum(item.state is ReleaseState.MET for item in own)
        rows.append(
            (
                Cell(text=plain(demand.key)),
                Cell(text=f"{used} of {demand.run_count}"),
                Cell(text=f"{met} of {len(own)}"),
                Cell(text=plain(demand.baseline) or DASH),
                _outcome(still_open, has_waived=any(item.waived_by for item in own)),
            )
        )
    return Table(
        id="evidence-table",
        title="Evidence",
        columns=(
            *text_columns("runs of"),
            *number_columns("runs that count", "demands met"),
            *text_columns("compared with", ""),
        ),
        rows=tuple(rows),
    )


def _outcome(still_open: Sequence[ReleaseState], *, has_waived: bool) -> Cell:
    if still_open:
        state = worst(still_open, ReleaseState.NOT_PROVEN)
        return Cell(text=state, tone=_TONES[state])
    if has_waived:
        return Cell(text="by waiver", tone=Tone.WARNING)
    return Cell(text=ReleaseState.MET, tone=_TONES[ReleaseState.MET])


def _told(finding: ReleaseFinding) -> Cell:
    return Cell(text=finding.state, detail=plain(finding.sentence), tone=_TONES[finding.state])


def _demands(findings: Sequence[ReleaseFinding]) -> Section:
    ordered = sorted(findings, key=lambda item: (not item.is_open, -badness(item.state)))
    return table_section(
        id="demands",
        title="Everything that was demanded",
        lead="What is not on this list was not looked at.",
        columns=text_columns("runs", "demand", "state", "what was found"),
        rows=tuple(
            (
                Cell(text=plain(item.demand)),
                Cell(text=plain(item.subject)),
                Cell(
                    text=item.state,
                    tone=Tone.WARNING if item.waived_by else _TONES[item.state],
                    detail=f"waived by {plain(item.waived_by)}" if item.waived_by else "",
                ),
                Cell(text=plain(item.sentence)),
            )
            for item in ordered
        ),
    )


def _waivers(waivers: Sequence[WaiverUse]) -> Section:
    return table_section(
        id="waivers",
        title="Waivers",
        lead="What somebody has decided to accept. Lost money can't be waived.",
        columns=text_columns("of", "owner", "reason", "last day", "here", "covers"),
        rows=tuple(
            (
                Cell(text=plain(item.metric)),
                Cell(text=plain(item.owner)),
                Cell(text=plain(item.reason)),
                Cell(text=item.until),
                Cell(text=_said_of(item.state), tone=_WAIVER_TONES[item.state]),
                Cell(text=plain(", ".join(item.covers)) or DASH),
            )
            for item in waivers
        ),
        absence="The policy has none.",
    )


def _said_of(state: WaiverState) -> str:
    return "expired, ignored" if state is WaiverState.EXPIRED else state


def _runs(runs: Sequence[RunUse], policy: ReleasePolicy) -> Section:
    counts = (
        f"{demand.key}: {demand.run_count}" + (f" on {demand.broker}" if demand.broker else "")
        for demand in policy.demands
    )
    return table_section(
        id="runs",
        title="Runs",
        lead=f"Demanded: {plain('; '.join(counts))}.",
        columns=text_columns("run", "counts", "validity", "correctness", "performance"),
        rows=tuple(
            (
                Cell(text=plain(run.name), detail=_origin(run)),
                Cell(
                    text=plain(run.demand) if run.is_used else "no",
                    detail=plain(run.why),
                    tone=Tone.GOOD if run.is_used else Tone.UNKNOWN,
                ),
                *(
                    Cell(text=plain(word) or DASH, tone=TONES.get(word))
                    for word in (run.validity, run.correctness, run.performance)
                ),
            )
            for run in sorted(runs, key=lambda item: (not item.is_used, item.name))
        ),
        note="Each run's own report is in the bundle, as a copy that was not checked:"
        " runs/RUN/report.html. What counts is on this page and in the records.",
        absence="No run was found.",
    )


def _origin(run: RunUse) -> str:
    return plain(", ".join(filter(None, (run.created_at, run.build))))


def _environment(sign_off: SignOff) -> Section:
    leaves = {**sign_off.machine, **sign_off.harness}
    return Section(
        id="environment",
        title="Environment",
        lead="The same for every run that counts, or the release is not proven.",
        facts=tuple(
            _fact(name.replace("_", " "), plain(text) or "not said", is_missing=not text)
            for name, text in leaves.items()
        ),
    )


def _inputs(sign_off: SignOff, files: Mapping[str, Mapping[str, FileDigest]]) -> Section:
    return table_section(
        id="inputs",
        title="Inputs",
        lead="SHA-256 of the records; of every other file, copied or not, it is in inputs.json.",
        facts=(_fact("policy (BLAKE2b)", sign_off.policy_digest),),
        columns=(
            *text_columns("run"),
            *number_columns("files"),
            *text_columns("record.json"),
        ),
        rows=tuple(
            (
                Cell(text=plain(place)),
                Cell(text=str(len(of_run))),
                Cell(text=of_run["record.json"].sha256 if "record.json" in of_run else DASH),
            )
            for place, of_run in sorted(files.items())
        ),
        absence="No run was found.",
    )


def _check(sign_off: SignOff, bundle_hash: str) -> Section:
    return Section(
        id="check",
        title="How to check this",
        lead="The bundle is the folder that this page lies in; its hash covers every file of it.",
        command=f"acctbench verify release-{plain(sign_off.release)} --hash {bundle_hash}",
        remarks=(_BY_ACCTBENCH, _BY_OTHERS, _WHAT_IS_SHOWN),
    )
