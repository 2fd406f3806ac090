"""
Every failure of the program on one screen.

    HarnessError
    |-- UsageError            a flag, a name or a file that can't be used      exit 2
    |   |-- ScenarioError     a scenario file, every fault of it at once
    |   |-- TargetFileError   a target file, likewise
    |   |-- PolicyError       a policy file, likewise
    |   `-- InstallError      what a command needs of this machine is missing
    |-- TargetError           the target failed to start, died, can't be reached   exit 6
    |-- BrokerError           the broker, likewise                                 exit 6
    |-- TransportError        a driver could not connect                           exit 6
    |-- EngineError           the load process or the observer failed              exit 4
    |-- ProfilerError         a profiler can't do its work; a run goes on without  exit 4
    |-- ComparisonError       two sides that can't be compared                     exit 4
    `-- RecordError           a stored run that can't be read or written           exit 4

What a service answers is data (an Outcome), never one of these.
A message has the subject, the value and the remedy.
"""

from dataclasses import dataclass


class HarnessError(Exception):
    """The base of all errors this project raises on purpose."""


class UsageError(HarnessError):
    """What the user wrote can't be used; the message says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in a file: *key* is its dotted path, *remedy* what to write instead."""

    file: str
    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.file}: {self.key}: {self.value}: {self.remedy}"


class FileFaultsError(UsageError):
    """A file with one or more faults, all of them listed."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class ScenarioError(FileFaultsError):
    """A scenario file that can't be used."""


class TargetFileError(FileFaultsError):
    """A target file that can't be used."""


class InstallError(UsageError):
    """What a command needs is not on this machine, and can't be put there."""


class PolicyError(FileFaultsError):
    """A policy file that can't be used."""


class TargetError(HarnessError):
    """The target failed to start, died or can't be reached."""


class BrokerError(HarnessError):
    """The broker failed to start, died or can't be reached."""


class TransportError(HarnessError):
    """A driver could not connect to its peer."""


class EngineError(HarnessError):
    """The load process or the observer failed."""


class ProfilerError(HarnessError):
    """A profiler can't do its work; a run goes on without it and says so."""


class ComparisonError(HarnessError):
    """Two sides that can't be compared; the message has what differs."""


class RecordError(HarnessError):
    """A stored run that can't be read or written."""


class AuditFailedError(HarnessError):
    """The audit found what is broken, and the run that proves it could not be stored."""
