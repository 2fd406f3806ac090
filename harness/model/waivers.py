"""
Waivers: what somebody has decided to accept for a time, by name and with a reason.

A waiver never hides anything: what it covers is shown as waived, with its owner. After its last day
it means nothing any more.
"""

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import StringConstraints

from harness.model.table_values import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """
    One decision.

    Attributes:
        metric: What it covers: a name, or a pattern as a shell's ("*.p99").
        owner: Who answers for it.
        until: The last day on which it holds (UTC).
    """

    metric: str
    owner: str
    reason: str
    until: date

    def covers(self, name: str) -> bool:
        return fnmatchcase(name, self.metric)

    def is_expired(self, today: date) -> bool:
        return today > self.until


_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class WaiverTable(TomlTable):
    """[[waivers]] of a policy file: every key is required, `until` is a date without quotes."""

    metric: _Text
    owner: _Text
    reason: _Text
    until: date

    def to_waiver(self) -> Waiver:
        return Waiver(metric=self.metric, owner=self.owner, reason=self.reason, until=self.until)
