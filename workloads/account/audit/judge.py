"""Judge a run."""

from harness.model.record import Invariant
from harness.system import AuditEvidence


def judge(evidence: AuditEvidence) -> tuple[Invariant, ...]:
    """No invariant yet."""
    del evidence
    return ()
