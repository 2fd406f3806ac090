"""The history of stored runs, and the acceptance of what changed in it."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.machine.environment import now_utc
from harness.model.baseline import Signature
from harness.model.metrics import HEADLINE_PATTERNS
from harness.storage.acceptances import StoredAcceptance, store_acceptance
from harness.storage.run_folder import find_run, load_run
from harness.workflows.requests import Accepted, AcceptRequest
from reports.history.alerts import shift_meant
from reports.history.events import Gathered, History, history_of
from reports.reading.history_runs import gather

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAMED_COUNT = 8


def accept(request: AcceptRequest) -> Accepted:
    """
    Accept, of every metric that fits, the one open change that its run is about.

    Raises UsageError: there is no reason, no such run, or no open change at it; else RecordError.
    """
    signature = Signature(who=request.who, at=now_utc(), why=request.why.strip())
    if not signature.why:
        raise UsageError("--why: nothing is accepted without a reason; write it")
    chosen = _folder_of(request.run, request.folders)
    run_id = load_run(find_run(request.run, chosen)).record.run_id
    found = history_in(gathered_in(request.folders), ("*",))
    accepted: set[str] = set()
    left: dict[str, None] = {}  # in the order of the history
    for metric, seen_at, is_meant, is_current in _open_changes(found, request.metric, run_id):
        if is_meant:
            accepted.add(metric)
        elif is_current:
            left[f"{metric} at {seen_at}"] = None
    if not accepted:
        raise UsageError(
            f'history accept: "{request.metric}" has no open change at {run_id}; open are: '
            f"{first_of(tuple(left), '; ') or 'none'}"
        )
    stored = StoredAcceptance(pattern=request.metric, run_id=run_id, signature=signature)
    return Accepted(
        file=store_acceptance(stored, chosen),
        run_id=run_id,
        metrics=tuple(sorted(accepted)),
        still_open=tuple(left),
    )


def gathered_in(folders: Sequence[Path], scenario: str = "") -> Gathered:
    """What lies in the folders, of *scenario* if one is named; UsageError if it has no run."""
    gathered = gather(folders)
    if not scenario:
        return gathered
    runs = tuple(run for run in gathered.runs if run.setting.family[0] == scenario)
    if not runs:
        known = ", ".join(sorted({run.setting.family[0] for run in gathered.runs})) or "none"
        raise UsageError(f'--scenario: no run of "{scenario}"; there are runs of: {known}')
    return replace(gathered, runs=runs)


def history_in(
    gathered: Gathered, patterns: Sequence[str], last_count: int | None = None
) -> History:
    """The history of *gathered*; UsageError if there are runs, and no metric fits."""
    found = history_of(gathered, patterns or HEADLINE_PATTERNS, last_count=last_count)
    names = sorted({name for run in gathered.runs for name in run.figures})
    if patterns and names and not any(item.series for item in found.settings):
        raise UsageError(
            f"--metric: none fits {', '.join(patterns)}; there are: {first_of(names, ', ')}"
        )
    return found


def first_of(names: Sequence[str], separator: str) -> str:
    """The first of *names*, and how many more there are."""
    shown = separator.join(names[:_NAMED_COUNT])
    more = len(names) - _NAMED_COUNT
    return f"{shown}{separator}and {more} more" if more > 0 else shown


def _open_changes(
    found: History, pattern: str, run_id: str
) -> Iterator[tuple[str, str, bool, bool]]:
    """Of each: metric, run at which it was seen, is it the one meant, is its setting current."""
    for item in found.settings:
        run_ids = [run.run_id for run in item.runs]
        for series in item.series:
            meant = None
            if run_id in run_ids and fnmatchcase(series.metric, pattern):
                index = run_ids.index(run_id)
                meant = shift_meant(series.timeline.shifts, series.better, index)
            for alert in series.open_alerts:
                seen_at = run_ids[alert.shift.seen_index]
                yield series.metric, seen_at, alert.shift == meant, item.is_current


def _folder_of(run: str, folders: Sequence[Path]) -> Path:
    """The first of *folders* that has *run*; the last one's message if none has."""
    for folder in folders[:-1]:
        try:
            found = find_run(run, folder)
        except UsageError:
            continue
        return found.parent if found.parent != Path() else folder
    find_run(run, folders[-1])
    return folders[-1]
