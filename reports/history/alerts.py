"""
What somebody is told of a series: its shifts as alerts, and what of them was accepted.

Pure. Says which way is worse, whether it still holds, and whether somebody accepted it. A return to
the level before is told where it is for the worse: it had become better, and that is lost. An
acceptance names a run: what began after that run nobody had seen, so it is not accepted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from harness.model.record import Better
from reports.history.runs import HistoryRun
from reports.statistics.change_points import Shift, ShiftKind

TOGETHER_COUNT = 3  # runs: the sum finds the start of a small change no better than that
_BACK_PART = (
    0.35  # of a shift: closer than this to the level before is back; as the detector has it
)


class AlertState(StrEnum):
    """What an alert asks of its reader."""

    OPEN = "open"  # worse, still so, and nobody accepted it
    ACCEPTED = "accepted"
    OVER = "over"  # the level came back, or better
    BETTER = "better"  # a change for the better: nothing to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A change that somebody accepted: of the metrics that fit *pattern*, at the run *run_id*."""

    pattern: str
    run_id: str
    who: str
    at: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """
    One change of one metric's level.

    Attributes:
        after_count: Points since it was seen, on this level.
        confirming_count: Those of them that are nearer to the new level than to the old one.
    """

    metric: str
    shift: Shift
    worse_ratio: float  # above 1: worse by that factor
    state: AlertState
    acceptance: Acceptance | None
    after_count: int
    confirming_count: int

    @property
    def is_worse(self) -> bool:
        return self.worse_ratio > 1.0

    @property
    def is_gain_lost(self) -> bool:
        """It had become better, and is back at the level before."""
        return self.shift.kind is ShiftKind.RETURN

    @property
    def confirmation(self) -> str:
        """How sure it has become since, in words."""
        if not self.after_count:
            return "newest; the next run confirms it or not"
        return f"{self.confirming_count} of {self.after_count} later points confirm it"


def alerts_of(
    name: str,
    better: Better,
    shifts: Sequence[Shift],
    values: Sequence[float | None],
    accepted: Mapping[Shift, Acceptance],
) -> tuple[Alert, ...]:
    alerts = []
    for place, shift in enumerate(shifts):
        if not is_told(shift, better):
            continue
        later = shifts[place + 1 :]
        end = later[0].start_index if later else len(values)
        after = [value for value in values[shift.seen_index + 1 : end] if value is not None]
        middle = math.sqrt(shift.before_value * shift.after_value)
        is_up = shift.ratio > 1.0
        acceptance = accepted.get(shift)
        alerts.append(
            Alert(
                metric=name,
                shift=shift,
                worse_ratio=_worse_ratio(shift, better),
                state=_state(better, shift, later, acceptance),
                acceptance=acceptance,
                after_count=len(after),
                confirming_count=sum((value > middle) == is_up for value in after),
            )
        )
    return tuple(alerts)


def is_told(shift: Shift, better: Better) -> bool:
    """Whether it is an alert: a change is; a return, where what it ends was an improvement."""
    return shift.kind is ShiftKind.CHANGE or _worse_ratio(shift, better) > 1.0


def accepted_shifts(
    name: str,
    better: Better,
    shifts: Sequence[Shift],
    runs: Sequence[HistoryRun],
    acceptances: Sequence[Acceptance],
) -> dict[Shift, Acceptance]:
    """Those of the metric *name* that are accepted, one by each acceptance; the first counts."""
    places = {run.run_id: index for index, run in enumerate(runs)}
    found: dict[Shift, Acceptance] = {}
    for acceptance in acceptances:
        index = places.get(acceptance.run_id)
        if index is not None and fnmatchcase(name, acceptance.pattern):
            meant = shift_meant(shifts, better, index)
            if meant is not None:
                found.setdefault(meant, acceptance)
    return found


def shift_meant(shifts: Sequence[Shift], better: Better, index: int) -> Shift | None:
    """
    Which of a metric's *shifts* is accepted at the run at *index*; None: none for the worse.

    The last one seen at that run, or a few runs before; else the one that had begun and was seen
    later. The run at which a shift was seen always means that shift.
    """
    begun = [
        shift
        for shift in shifts
        if shift.start_index <= index <= shift.seen_index + TOGETHER_COUNT
        and _worse_ratio(shift, better) > 1.0
    ]
    seen = [shift for shift in begun if shift.seen_index <= index]
    return next(iter(seen[::-1] or begun), None)


def _worse_ratio(shift: Shift, better: Better) -> float:
    """How many times as bad it is after *shift*; below 1: it is better."""
    return math.exp(better.worse_sign * math.log(shift.ratio))


def _state(
    better: Better, shift: Shift, later: Sequence[Shift], acceptance: Acceptance | None
) -> AlertState:
    worse_ratio = _worse_ratio(shift, better)
    if worse_ratio <= 1.0:
        return AlertState.BETTER
    if acceptance is not None:
        return AlertState.ACCEPTED
    size = math.log(worse_ratio)
    for other in later:
        left = better.worse_sign * math.log(other.after_value / shift.before_value)
        if left <= _BACK_PART * size:
            return AlertState.OVER
    return AlertState.OPEN
