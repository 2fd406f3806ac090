"""The commits between the last run before a change and the first one after it, asked of git."""

import re
from pathlib import Path

from harness.errors import UsageError
from harness.machine.git import git_or_none
from harness.model.text import plain
from reports.history.events import Commits, History, HistoryEvent
from reports.history.runs import HistoryRun
from reports.text import counted

_SHOWN_COUNT = 20
_TIMEOUT_S = 20.0
_SHA = re.compile(r"[0-9a-f]{7,64}")


def check_repository(repository: Path) -> None:
    """
    Nothing, if *repository* can be asked.

    Raises:
        UsageError: it is no checkout, or there is no git.
    """
    if _git(repository, "rev-parse", "--git-dir") is None:
        raise UsageError(
            f'--commits: "{repository}" is no git repository that can be read; '
            "name a checkout of the target's source"
        )


def commits_of(history: History, repository: Path | None) -> dict[str, Commits]:
    """What lies behind each event, by the event's id; without *repository* the two ends alone."""
    return {
        event.id: _between(event, repository) for item in history.settings for event in item.events
    }


def _between(event: HistoryEvent, repository: Path | None) -> Commits:
    before, after = event.before, event.after
    unknown = [run for run in (before, after) if not run.git_sha]
    if unknown:
        names = " and ".join(run.run_id for run in unknown)
        return Commits(lines=(), sentence=f"the target's revision is not recorded in {names}")
    dirty = " and what was not committed" if before.is_dirty or after.is_dirty else ""
    if before.git_sha == after.git_sha:
        what = "what was not committed" if dirty else "so the cause is not in its source"
        return Commits(lines=(), sentence=f"both at {after.revision}: {what}")
    if repository is None:
        span = f"{before.revision.rstrip('+')}..{after.revision.rstrip('+')}"
        return Commits(lines=(), sentence=f"git log {span}{dirty}")
    return _asked(repository, before, after, dirty)


def _asked(repository: Path, before: HistoryRun, after: HistoryRun, dirty: str) -> Commits:
    shas = before.git_sha, after.git_sha
    known = [bool(_SHA.fullmatch(sha)) and _has(repository, sha) for sha in shas]
    if not all(known):
        missing = shas[known.index(False)]
        sentence = f"{missing[:12]} is not in the repository that --commits names"
        return Commits(lines=(), sentence=sentence)
    said = _git(repository, "log", "--format=%h %s", f"{shas[0]}..{shas[1]}")
    lines = [plain(line) for line in (said or "").splitlines()]
    is_straight = _git(repository, "merge-base", "--is-ancestor", *shas) is not None
    aside = "" if is_straight else " (and others were left behind: not a descendant)"
    shown = lines[:_SHOWN_COUNT]
    more = f", the newest {len(shown)} shown" if len(lines) > len(shown) else ""
    return Commits(
        lines=tuple(shown),
        sentence=f"{counted(len(lines), 'commit')}{more}{aside}{dirty}",
    )


def _has(repository: Path, sha: str) -> bool:
    return _git(repository, "cat-file", "-e", f"{sha}^{{commit}}") is not None


def _git(repository: Path, *arguments: str) -> str | None:
    return git_or_none(repository, *arguments, timeout_s=_TIMEOUT_S)
