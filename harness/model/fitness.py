"""
Whether the figures of a run can support a conclusion at all, by its own verdicts.

Pure. Fail closed: what is said here of a run keeps it out of baselines and histories, where nobody
reads its report any more.
"""

from collections.abc import Mapping

from harness.model.record import RunRecord, undecided
from harness.model.verdict import Correctness, Validity


def unfit(record: RunRecord) -> tuple[str, ...]:
    """Why the figures of *record* mean nothing, each in a few words; none: they can be used."""
    reasons = []
    if not record.complete:
        reasons.append("it is incomplete")
    if record.validity.status is Validity.INVALID:
        reasons.append("it is INVALID")
    elif not record.validity.checks:
        reasons.append("its validity was never checked")
    if record.correctness.status is Correctness.FAILED:
        reasons.append("its audit failed")
    return tuple(reasons)


def unproved(record: RunRecord) -> tuple[str, ...]:
    """The invariants that its scenario requires and that *record* could not decide, by id."""
    parameters = record.scenario.get("parameters")
    audit = parameters.get("audit") if isinstance(parameters, Mapping) else None
    required = audit.get("required") if isinstance(audit, Mapping) else None
    wanted = tuple(map(str, required)) if isinstance(required, list | tuple) else None
    if record.correctness.status is not Correctness.UNKNOWN:
        return ()
    return undecided(record.correctness.invariants, wanted)
