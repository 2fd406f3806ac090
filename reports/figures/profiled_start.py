"""What was seen of one process start by profilers."""

from dataclasses import dataclass

from harness.model.profile import Profile
from harness.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledStart:
    """One process start: its record, and what was seen of it."""

    record: RunRecord
    profiles: tuple[Profile, ...]
