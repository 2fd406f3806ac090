"""
What becomes of one demand: enough runs, their objectives, invariants, profiles and comparison.

Pure. Each thing demanded of several runs is one finding, told by its worst run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.model.objectives import judge_objectives
from harness.model.profile import MISSING
from harness.model.record import Objective, RunRecord, undecided
from harness.model.release_file import RunDemand
from harness.model.scenario import ObjectiveSpec
from harness.model.text import plain
from harness.model.verdict import Correctness, Performance, worst
from reports.compare.sides import required_laws
from reports.compare.verdicts import Change, Comparison
from reports.release.candidates import Assigned, Evidence, Expected
from reports.release.verdicts import ReleaseFinding, ReleaseState
from reports.text import sentence

_OF_OBJECTIVE = {
    Performance.PASSED: ReleaseState.MET,
    Performance.IMPROVED: ReleaseState.MET,
    Performance.UNCHANGED: ReleaseState.MET,
    Performance.INCONCLUSIVE: ReleaseState.NOT_PROVEN,
    Performance.REGRESSED: ReleaseState.MISSED,
    Performance.FAILED: ReleaseState.MISSED,
}
_OF_CHANGE = {
    Change.IMPROVED: ReleaseState.MET,
    Change.UNCHANGED: ReleaseState.MET,
    Change.INCONCLUSIVE: ReleaseState.NOT_PROVEN,
    Change.INVALID: ReleaseState.NOT_PROVEN,
    Change.REGRESSED: ReleaseState.MISSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one run says about one subject."""

    subject: str
    state: ReleaseState
    run: str
    sentence: str


def findings_of_demand(
    demand: RunDemand,
    expected: Expected | None,
    runs: Sequence[Assigned],
    comparison: Comparison | None,
) -> list[ReleaseFinding]:
    """
    Everything that *demand* asks of *runs*, those among them that can't be used included.

    *expected*: the scenario that it means; None for kernels, which have none.
    """
    used = [run.evidence for run in runs if run.is_used]
    findings = [_finding_of_runs(demand, runs, len(used))]
    if not used:
        return findings  # of no run there is nothing more to say
    own = expected.objectives if expected is not None else None
    seen = [item for one in used if one.record is not None for item in _seen_in(demand, own, one)]
    subjects = list(dict.fromkeys(item.subject for item in seen))
    findings += [
        _told_by_worst(demand, [item for item in seen if item.subject == subject])
        for subject in subjects
    ]
    findings += [
        _unseen(demand, spec.metric) for spec in demand.objectives if spec.metric not in subjects
    ]
    findings += [_finding_of_profile(demand, kind, used) for kind in demand.profiles]
    if demand.baseline:
        findings += _findings_of_comparison(demand, comparison)
    return findings


def _finding_of_runs(
    demand: RunDemand, runs: Sequence[Assigned], used_count: int
) -> ReleaseFinding:
    if used_count >= demand.run_count:
        state, text = ReleaseState.MET, f"{used_count} runs, of {demand.run_count} demanded."
    else:
        state = ReleaseState.NOT_PROVEN
        text = f"{used_count} usable runs, of {demand.run_count} demanded."
        unusable = [run for run in runs if not run.is_used]
        if unusable:
            reasons = (f"{run.evidence.name} ({'; '.join(run.faults)})" for run in unusable)
            text += f" Not usable: {', '.join(reasons)}."
        elif not used_count:
            text += " There is none, so nothing of it is proven."
    return ReleaseFinding(demand.key, "runs", state, text)


def _seen_in(
    demand: RunDemand, own: Sequence[ObjectiveSpec] | None, one: Evidence
) -> Iterator[_Seen]:
    record = one.record
    assert record is not None
    for objective in _objectives(demand, own, record):
        yield _Seen(
            subject=objective.id,
            state=_OF_OBJECTIVE[objective.status],
            run=one.name,
            sentence=sentence(objective.sentence),
        )
    yield from _laws(demand, one.name, record)


def _laws(demand: RunDemand, run: str, record: RunRecord) -> Iterator[_Seen]:
    """The invariants that the demand names or its scenario requires, and the audit as a whole."""
    laws = {law.id: law for law in record.correctness.invariants}
    still_open = undecided(record.correctness.invariants, required_laws(record))
    for identity in dict.fromkeys((*demand.laws, *still_open)):
        law = laws.get(identity)
        is_proved = law is not None and law.status is Correctness.PASSED and law.checked_count > 0
        yield _Seen(
            subject=identity,
            state=ReleaseState.MET if is_proved else ReleaseState.NOT_PROVEN,
            run=run,
            sentence=f"{law.status}. {sentence(law.sentence)}"
            if law
            else "It has no such invariant.",
        )
    checked = sum(law.checked_count > 0 for law in laws.values())
    yield _Seen(
        subject="audit",
        state=ReleaseState.MET if checked and not still_open else ReleaseState.NOT_PROVEN,
        run=run,
        sentence=f"{checked} invariants were checked; its scenario requires {len(still_open)} more."
        if still_open or not checked
        else f"Every invariant that its scenario requires was checked, {checked} in all.",
    )


def _objectives(
    demand: RunDemand, own: Sequence[ObjectiveSpec] | None, record: RunRecord
) -> tuple[Objective, ...]:
    """
    What is demanded of one run: of two demands on one metric the release policy's counts.

    Else it is held to its scenario's *own* objectives, whatever `run --policy` put in their place:
    a policy of its own can only ask for more.
    """
    stated = {spec.metric for spec in demand.objectives}
    found = {} if own is None else _worst_of_each(_judged(own, record))
    for metric, said in _worst_of_each(record.performance.objectives).items():
        wanted = found.get(metric)
        if wanted is None or not _is_as_bad(wanted, said):
            found[metric] = said
        elif not _is_as_bad(said, wanted):
            told = f"{wanted.sentence}; the run's own policy asked for less"
            found[metric] = replace(wanted, sentence=told)
    return (
        *(item for item in found.values() if item.id not in stated),
        *(item for item in _judged(demand.objectives, record) if item.id in stated),
    )


def _worst_of_each(objectives: Sequence[Objective]) -> dict[str, Objective]:
    found: dict[str, Objective] = {}
    for item in objectives:
        first = found.setdefault(item.id, item)
        if not _is_as_bad(first, item):
            found[item.id] = item
    return found


def _is_as_bad(one: Objective, other: Objective) -> bool:
    state = _OF_OBJECTIVE[one.status]
    return worst((state, _OF_OBJECTIVE[other.status]), ReleaseState.NOT_PROVEN) is state


def _judged(specs: Sequence[ObjectiveSpec], record: RunRecord) -> tuple[Objective, ...]:
    return judge_objectives(specs, record).objectives


def _told_by_worst(demand: RunDemand, seen: Sequence[_Seen]) -> ReleaseFinding:
    state = worst((item.state for item in seen), ReleaseState.NOT_PROVEN)
    told = next(item for item in seen if item.state is state)
    text = told.sentence
    if len(seen) > 1:
        alike = sum(item.state is state for item in seen)
        text = f"{text} So in {alike} of {len(seen)} runs."
    if state is not ReleaseState.MET:
        text = f"{told.run}: {text}"
    return ReleaseFinding(demand.key, told.subject, state, text)


def _unseen(demand: RunDemand, subject: str) -> ReleaseFinding:
    return ReleaseFinding(
        demand.key, subject, ReleaseState.NOT_PROVEN, "No usable run says anything about it."
    )


def _finding_of_profile(demand: RunDemand, kind: str, used: Sequence[Evidence]) -> ReleaseFinding:
    """Of each usable run its profiled run: of the same plan, whole, and audited."""
    lacking = [f"{one.name} ({why})" for one in used if (why := _profile_fault(one, kind))]
    state, text = ReleaseState.MET, f"Every run has its {kind} profile."
    if lacking:
        state, text = (
            ReleaseState.NOT_PROVEN,
            f"Without a whole {kind} profile: {', '.join(lacking)}.",
        )
    return ReleaseFinding(demand.key, f"profile-{kind}", state, text)


def _profile_fault(one: Evidence, kind: str) -> str:
    twin = one.twins.get(kind)
    if twin is None:
        return "not profiled"
    if not twin.complete:
        return "the profiled run is incomplete"
    if twin.instrumentation != kind:
        return f"the profiled run ran under {plain(twin.instrumentation)}"
    if one.record is None or twin.schedule_digest != one.record.schedule_digest:
        return "the profiled run had another plan"
    if not twin.profiles:
        return "the profiled run brought no profile"
    if kind in one.damaged_profiles:
        return "a file of the profile is damaged or gone"
    noted = next((note for note in twin.notes if note.startswith(MISSING)), "")
    return plain(noted).rstrip(".")


def _findings_of_comparison(
    demand: RunDemand, comparison: Comparison | None
) -> Iterator[ReleaseFinding]:
    """One finding a metric, and one for the comparison as a whole where its inputs are no good."""
    subject = f"against {demand.baseline}"
    if comparison is None or comparison.faults or not comparison.metrics:
        if comparison is None:
            text = f"It was not compared with {demand.baseline}."
        else:
            text = sentence("; ".join(comparison.faults) or "There is no metric to compare")
        yield ReleaseFinding(demand.key, subject, ReleaseState.NOT_PROVEN, text)
        return
    if comparison.doubts:
        text = sentence("; ".join(comparison.doubts))
        yield ReleaseFinding(demand.key, subject, ReleaseState.NOT_PROVEN, text)
    for metric in comparison.metrics:
        yield ReleaseFinding(
            demand.key,
            f"{subject}: {metric.name}",
            _OF_CHANGE[metric.status],
            sentence(metric.sentence),
        )
