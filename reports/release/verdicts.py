"""
What a sign-off says: one word for the release, and a finding for everything that was demanded.

Pure values. A demand that is met is a finding too: what is not on the list was not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.model.verdict import ExitCode

SCHEMA_VERSION = 1


class Word(StrEnum):
    """The verdict on a release."""

    GO = "GO"
    NO_GO = "NO-GO"
    NOT_PROVEN = "NOT PROVEN"


class ReleaseState(StrEnum):
    """What became of one demand; the later, the worse."""

    MET = "met"
    NOT_PROVEN = "not proven"
    MISSED = "missed"
    MONEY_LOST = "money lost"


@dataclass(frozen=True, slots=True)
class ReleaseFinding:
    """
    What became of one thing that the policy demands.

    Attributes:
        demand: The key of the runs it is about, or RELEASE.
        subject: What was demanded of them: a metric, an invariant, "runs", "build" ...
        waived_by: Who accepts that it is not met, until when and why; empty: nobody.
    """

    demand: str
    subject: str
    state: ReleaseState
    sentence: str
    waived_by: str = ""

    @property
    def name(self) -> str:
        """What a waiver names it by."""
        return f"{self.demand}:{self.subject}"

    @property
    def is_open(self) -> bool:
        """Whether it stands in the way of a release."""
        return self.state is not ReleaseState.MET and not self.waived_by


RELEASE = "release"  # the demand of findings about all runs together


class WaiverState(StrEnum):
    """What a waiver did here."""

    USED = "used"
    UNUSED = "unused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """One waiver of the policy, and the findings that it covers."""

    metric: str
    owner: str
    reason: str
    until: str  # ISO 8601
    state: WaiverState
    covers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUse:
    """
    One run, and what it is evidence of.

    Attributes:
        name: Its folder in the bundle.
        demand: The key of the demand it belongs to; empty: none.
        is_used: It counts; otherwise *why* says why not.
    """

    name: str
    run_id: str
    demand: str
    created_at: str
    build: str
    validity: str
    correctness: str
    performance: str
    is_used: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """
    The verdict on a release with everything that it rests on.

    Attributes:
        judged_at: UTC, ISO 8601: ages and waivers are counted from there.
        build: Of the target, for a reader; empty: it is not known, or not one.
        machine: What all runs were measured on.
        harness: Which acctbench measured them.
        notes: What a reader should know and no demand asks.
    """

    schema_version: int
    release: str
    policy_name: str
    policy_digest: str
    judged_at: str
    word: Word
    exit_code: int
    sentence: str
    build: str
    machine: Mapping[str, str]
    harness: Mapping[str, str]
    findings: tuple[ReleaseFinding, ...]
    waivers: tuple[WaiverUse, ...]
    runs: tuple[RunUse, ...]
    notes: tuple[str, ...]


def verdict_of(findings: Sequence[ReleaseFinding]) -> tuple[Word, ExitCode]:
    """The word and the exit code that follow from *findings*; none at all prove nothing."""
    open_states = {finding.state for finding in findings if finding.is_open}
    if ReleaseState.MONEY_LOST in open_states:
        return Word.NO_GO, ExitCode.AUDIT_FAILED
    if ReleaseState.MISSED in open_states:
        return Word.NO_GO, ExitCode.OBJECTIVE_MISSED
    if ReleaseState.NOT_PROVEN in open_states or not findings:
        return Word.NOT_PROVEN, ExitCode.INCONCLUSIVE
    return Word.GO, ExitCode.OK


def sign_off_to_json(sign_off: SignOff) -> dict[str, Any]:
    return asdict(sign_off)
