"""
The judgement on a release: policy, runs and comparisons in, a finding for every demand out.

Pure. Trusts no status that it can work out itself: money lost is read off the invariants, a missed
objective off its value and limit, and a record whose verdicts contradict its own parts is rejected
before (reports.release.contradictions). Fail closed: every demand gives a finding, and one without
evidence is NOT PROVEN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from harness.model.record import Invariant, RunRecord
from harness.model.release_file import ReleasePolicy
from harness.model.text import plain
from harness.model.verdict import Correctness
from harness.model.waivers import Waiver
from reports.compare.verdicts import Comparison
from reports.release.candidates import Assigned, Circumstances, Evidence, assigned
from reports.release.demands import findings_of_demand
from reports.release.identity import build_of, harness_of, machine_of
from reports.release.verdicts import (
    RELEASE,
    SCHEMA_VERSION,
    ReleaseFinding,
    ReleaseState,
    RunUse,
    SignOff,
    WaiverState,
    WaiverUse,
    Word,
    verdict_of,
)
from reports.text import counted, sentence

_SHOWN_DIFFERENCES = 3
# What everything else rests on: waived by its own name or not at all.
_GROUNDS = frozenset({"runs", "money", "build", "machine", "harness", "audit"})


def judge_release(
    policy: ReleasePolicy,
    evidence: Sequence[Evidence],
    circumstances: Circumstances,
    comparisons: Mapping[str, Comparison],
) -> SignOff:
    """
    The verdict on a release.

    Args:
        policy: What is demanded.
        evidence: Every run that may count, whether it is good enough or not.
        circumstances: Of the judgement.
        comparisons: By key of the demand that asks for one; a missing one is not proven.
    """
    runs = assigned(policy, evidence, circumstances)
    used = [run for run in runs if run.is_used]
    findings = [*_findings_of_money(runs)]
    if used:
        findings += [
            _finding_of_build(used),
            _finding_of_one("machine", used, machine_of),
            _finding_of_one("harness", used, harness_of),
        ]
    findings += [_finding_of_law(law, used) for law in policy.laws]
    for demand in policy.demands:
        own = [run for run in runs if run.demand is demand]
        expected = circumstances.expected.get(demand.key)
        findings += findings_of_demand(demand, expected, own, comparisons.get(demand.key))
    today = date.fromisoformat(circumstances.judged_at[:10])
    judged = tuple(_waived(finding, policy.waivers, today) for finding in findings)
    word, code = verdict_of(judged)
    records = [run.evidence.record for run in used if run.evidence.record is not None]
    services = [run.evidence.record for run in used if _is_of_service(run)]
    return SignOff(
        schema_version=SCHEMA_VERSION,
        release=circumstances.release,
        policy_name=policy.name,
        policy_digest=policy.digest,
        judged_at=circumstances.judged_at,
        word=word,
        exit_code=int(code),
        sentence=_sentence(word, judged),
        build=", ".join(sorted({build_of(one).label for one in services if one is not None})),
        machine=machine_of(records[0]) if records else {},
        harness=harness_of(records[0]) if records else {},
        findings=judged,
        waivers=tuple(_use_of(waiver, judged, today) for waiver in policy.waivers),
        runs=tuple(_use_of_run(run) for run in runs),
        notes=tuple(_notes(runs)),
    )


def _findings_of_money(runs: Sequence[Assigned]) -> Iterator[ReleaseFinding]:
    """A failed audit of any run, used or not, profiled or not, counts; no waiver covers it."""
    audited, lost = 0, 0
    for run in runs:
        for twin, record in {"": run.evidence.record, **run.evidence.twins}.items():
            if record is None:
                continue
            laws = record.correctness.invariants
            failed = [law for law in laws if law.status is Correctness.FAILED]
            audited += any(law.checked_count for law in laws)
            if failed or record.correctness.status is Correctness.FAILED:
                lost += 1
                where = f"{run.evidence.name} ({twin})" if twin else run.evidence.name
                yield ReleaseFinding(
                    run.demand.key if run.demand else RELEASE,
                    "money",
                    ReleaseState.MONEY_LOST,
                    f"{where}: {_loss(failed)}",
                )
    if not lost:
        yield ReleaseFinding(
            RELEASE,
            "money",
            ReleaseState.MET if audited else ReleaseState.NOT_PROVEN,
            f"No invariant failed in any of {audited} audited runs, profiled ones included."
            if audited
            else "No run was audited.",
        )


def _loss(failed: Sequence[Invariant]) -> str:
    if not failed:
        return "its audit failed, and no invariant says which."
    first = failed[0]
    said = f"{plain(first.id)} {plain(first.title)}: {sentence(first.sentence)}"
    more = f" And {len(failed) - 1} more invariants." if failed[1:] else ""
    return f"{said} The first: {sentence(first.first) if first.first else 'not told.'}{more}"


def _is_of_service(run: Assigned) -> bool:
    return run.demand is not None and not run.demand.is_micro


def _finding_of_build(used: Sequence[Assigned]) -> ReleaseFinding:
    labels: dict[str, int] = {}
    for run in used:
        if _is_of_service(run) and run.evidence.record is not None:
            label = build_of(run.evidence.record).label
            labels[label] = labels.get(label, 0) + 1
    if len(labels) == 1:
        return ReleaseFinding(
            RELEASE, "build", ReleaseState.MET, f"Every run is of {plain(next(iter(labels)))}."
        )
    each = ", ".join(f"{plain(label)} ({count})" for label, count in labels.items())
    return ReleaseFinding(
        RELEASE,
        "build",
        ReleaseState.NOT_PROVEN,
        f"The runs are of {len(labels)} builds: {each}."
        if labels
        else "No usable run says which build it is of.",
    )


def _finding_of_one(
    subject: str, used: Sequence[Assigned], read: Callable[[RunRecord], Mapping[str, str]]
) -> ReleaseFinding:
    """All runs must agree on what *read* reads, and must say it."""
    seen: dict[str, list[str]] = {}
    for run in used:
        if run.evidence.record is not None:
            for name, text in read(run.evidence.record).items():
                texts = seen.setdefault(name, [])
                if text not in texts:
                    texts.append(text)
    differing = [
        f"{name}: {' and '.join(map(_said, texts))}"
        for name, texts in seen.items()
        if len(texts) > 1
    ]
    silent = not any(text for texts in seen.values() for text in texts)
    if differing or silent:
        shown = "; ".join(differing[:_SHOWN_DIFFERENCES])
        text = f"The runs differ. {shown}." if differing else f"No usable run says its {subject}."
        return ReleaseFinding(RELEASE, subject, ReleaseState.NOT_PROVEN, text)
    return ReleaseFinding(RELEASE, subject, ReleaseState.MET, f"Every run has the same {subject}.")


def _said(text: str) -> str:
    return plain(text) if text else "not said"


def _finding_of_law(law: str, used: Sequence[Assigned]) -> ReleaseFinding:
    """Proved by one run at least, and undecided for want of evidence in none."""
    proved, open_runs = 0, []
    for run in used:
        record = run.evidence.record
        for item in record.correctness.invariants if record is not None else ():
            if item.id == law:
                proved += item.status is Correctness.PASSED and item.checked_count > 0
                if item.status is Correctness.UNKNOWN and item.missing:
                    open_runs.append(run.evidence.name)
    if proved and not open_runs:
        runs = counted(proved, "run")
        return ReleaseFinding(RELEASE, law, ReleaseState.MET, f"{law} was proved in {runs}.")
    why = f"could not be decided in {', '.join(open_runs)}" if open_runs else "was proved in no run"
    return ReleaseFinding(RELEASE, law, ReleaseState.NOT_PROVEN, f"{law} {why}.")


def _waived(finding: ReleaseFinding, waivers: Sequence[Waiver], today: date) -> ReleaseFinding:
    if not finding.is_open or finding.state is ReleaseState.MONEY_LOST:
        return finding
    for waiver in waivers:
        covers = waiver.covers(finding.name)
        if finding.subject in _GROUNDS:  # meant for metrics, a pattern must not take these along
            covers = waiver.metric == finding.name
        if covers and not waiver.is_expired(today):
            by = f"{waiver.owner} until {waiver.until.isoformat()} ({waiver.reason})"
            return replace(finding, waived_by=by)
    return finding


def _use_of(waiver: Waiver, findings: Sequence[ReleaseFinding], today: date) -> WaiverUse:
    covers = tuple(
        finding.name
        for finding in findings
        if finding.state in {ReleaseState.NOT_PROVEN, ReleaseState.MISSED}
        and waiver.covers(finding.name)
    )
    if waiver.is_expired(today):
        state = WaiverState.EXPIRED
    else:
        state = WaiverState.USED if covers else WaiverState.UNUSED
    return WaiverUse(
        metric=waiver.metric,
        owner=waiver.owner,
        reason=waiver.reason,
        until=waiver.until.isoformat(),
        state=state,
        covers=covers,
    )


def _use_of_run(run: Assigned) -> RunUse:
    record = run.evidence.record
    return RunUse(
        name=run.evidence.name,
        run_id=record.run_id if record else "",
        demand=run.demand.key if run.demand else "",
        created_at=record.created_at if record else "",
        build=build_of(record).label if record else "",
        validity=record.validity.status if record else "",
        correctness=record.correctness.status if record else "",
        performance=record.performance.status if record else "",
        is_used=run.is_used,
        why="; ".join(run.faults),
    )


def _notes(runs: Sequence[Assigned]) -> Iterator[str]:
    left_out = [run.evidence.name for run in runs if not run.evidence.is_collected]
    if left_out:
        yield (
            "Left out by hand or for another harness, though they are runs of what is demanded:"
            f" {', '.join(left_out)}. Only their audits count."
        )
    unused = [run for run in runs if run.demand and not run.is_used and run.evidence.is_collected]
    if unused:
        yield f"{len(unused)} collected runs could not be used; the list of runs says why."


def _sentence(word: Word, findings: Sequence[ReleaseFinding]) -> str:
    total, still_open = len(findings), [item for item in findings if item.is_open]
    waived = sum(bool(item.waived_by) for item in findings)
    by_waiver = f", {waived} of them by waiver" if waived else ""
    names = ", ".join(item.name for item in still_open[:3]) + (
        " and more" if still_open[3:] else ""
    )
    match word:
        case Word.GO:
            return f"All {total} demands are met{by_waiver}."
        case Word.NO_GO:
            lost = [item for item in still_open if item.state is ReleaseState.MONEY_LOST]
            if lost:
                return f"Money was lost or created: {lost[0].sentence}"
            missed = [item.name for item in still_open if item.state is ReleaseState.MISSED]
            shown = ", ".join(missed[:3]) + (" and more" if missed[3:] else "")
            return f"{len(missed)} of {total} demands are missed: {shown}."
        case Word.NOT_PROVEN:
            return (
                f"Nothing is shown to be wrong, but {len(still_open)} of {total} demands are not "
                f"proven: {names}."
            )
