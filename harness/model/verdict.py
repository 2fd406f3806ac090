"""
The words of a verdict, and what a run's exit code says.

Three verdicts a run, in the order in which they matter: validity (was the generator honest?),
correctness (is all money accounted for?), performance (were the objectives met?).
"""

from collections.abc import Iterable
from enum import Enum, IntEnum, StrEnum
from typing import TypeVar

_Status = TypeVar("_Status", bound=Enum)


def badness(status: Enum) -> int:
    """How bad *status* is: its place in its class, where the better ones come first."""
    return tuple(type(status)).index(status)


def worst(statuses: Iterable[_Status], of_none: _Status) -> _Status:
    """The worst of *statuses*; *of_none* without any."""
    return max(statuses, key=badness, default=of_none)


class Validity(StrEnum):
    """Whether generator, machine and input are fit to support a verdict."""

    VALID = "VALID"
    WARN = "WARN"
    INVALID = "INVALID"


class Correctness(StrEnum):
    """Is every unit of money accounted for? UNKNOWN: something could not be checked."""

    PASSED = "PASSED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


class Performance(StrEnum):
    """Whether the objectives were met, and against a baseline: what changed."""

    PASSED = "PASSED"
    IMPROVED = "IMPROVED"
    UNCHANGED = "UNCHANGED"
    INCONCLUSIVE = "INCONCLUSIVE"
    REGRESSED = "REGRESSED"
    FAILED = "FAILED"


class ExitCode(IntEnum):
    OK = 0
    OBJECTIVE_MISSED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    AUDIT_FAILED = 5
    TARGET_FAILED = 6


EXIT_SENTENCES = {
    ExitCode.OK: "valid, correct, nothing worse",
    ExitCode.OBJECTIVE_MISSED: "an objective was missed, or a metric regressed",
    ExitCode.USAGE: "a flag, scenario, policy or file can't be used",
    ExitCode.INCONCLUSIVE: "not enough evidence either way",
    ExitCode.INVALID: "the generator, the machine or the inputs can't support a verdict",
    ExitCode.AUDIT_FAILED: "money was lost or created, or an operation was applied twice",
    ExitCode.TARGET_FAILED: "the target or the broker failed to start, died or can't be reached",
}

# Where several apply, the first of these wins.
_PRECEDENCE = (
    ExitCode.USAGE,
    ExitCode.TARGET_FAILED,
    ExitCode.AUDIT_FAILED,
    ExitCode.INVALID,
    ExitCode.OBJECTIVE_MISSED,
    ExitCode.INCONCLUSIVE,
    ExitCode.OK,
)


def worst_exit_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The one of *codes* that a caller must hear of; no code at all is INVALID, never OK."""
    present = set(codes)
    return next((code for code in _PRECEDENCE if code in present), ExitCode.INVALID)


def exit_code(
    validity: Validity,
    correctness: Correctness,
    performance: Performance,
    *,
    is_required_unknown: bool,
) -> ExitCode:
    """
    The exit code of a finished run: the one place where it is decided.

    *is_required_unknown*: an invariant that the scenario requires could not be checked.
    """
    codes = [ExitCode.OK]
    if correctness is Correctness.FAILED:
        codes.append(ExitCode.AUDIT_FAILED)
    if validity is Validity.INVALID:
        codes.append(ExitCode.INVALID)
    if performance in {Performance.REGRESSED, Performance.FAILED}:
        codes.append(ExitCode.OBJECTIVE_MISSED)
    if performance is Performance.INCONCLUSIVE or is_required_unknown:
        codes.append(ExitCode.INCONCLUSIVE)
    return worst_exit_code(codes)
