"""
The way from run folders to HTML files: read, make the page, render, write.

The shell around the pure parts; holds no decision of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import ComparisonError, RecordError, UsageError
from harness.storage.run_folder import StoredRun, load_failure, load_run, whole_file, write_json
from reports.compare.comparison import Dossier, dossier_to_json
from reports.compare.verdicts import verdict_to_json
from reports.pages.compare.page import view_comparison
from reports.pages.history.compare_section import history_section
from reports.pages.model import Section, charts_of, trends_of
from reports.pages.profile.diff_page import view_profile_diff
from reports.pages.run.failed_page import view_kept_profiles
from reports.pages.run.page import view_run
from reports.profile.against import (
    ProfileComparison,
    compare_profiles,
    comparison_to_json,
    has_compared,
    obstacles,
)
from reports.reading.history_runs import gather
from reports.reading.run_folder import read_profile_side, read_profiled_run
from reports.render.html import render_page

REPORT_NAME = "report.html"
FAILURE_REPORT_NAME = "profiles.html"
COMPARISON_NAME = "compare.html"


def render_run_report(run: StoredRun) -> str:
    """The HTML report of *run*; the same run gives the same text."""
    return render_page(view_run(read_profiled_run(run)))


def write_run_report(folder: Path) -> Path:
    """
    Write report.html into the run *folder*, replacing an older one, and return its path.

    Raises:
        RecordError: there is no readable record, or the file can't be written.
    """
    path = folder / REPORT_NAME
    _write(path, render_run_report(load_run(folder)))
    return path


def write_failure_report(folder: Path) -> Path:
    """
    Write profiles.html into the *folder* of a run that failed while it was profiled.

    Raises:
        UsageError: it left no profile.
        RecordError: what it left can't be read, or the file can't be written.
    """
    failed = load_failure(folder)
    profiles = failed.profiles()
    if not profiles:
        raise UsageError(f"{folder}: a run that failed, and left no profile: {failed.message}")
    path = folder / FAILURE_REPORT_NAME
    _write(path, render_page(view_kept_profiles(folder.name, failed.message, profiles)))
    return path


def write_comparison(
    dossier: Dossier,
    folder: Path,
    more: Sequence[Section] = (),
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """
    Write compare.html, compare.json and verdict.json into *folder*, and return the page's path.

    *more*: sections that the page has besides its own; *facts*: what verdict.json has besides.

    Raises:
        RecordError: a file can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"{folder}: can't be made: {error}") from error
    page = view_comparison(dossier, more)
    document = dossier_to_json(dossier)
    document["charts"] = [asdict(chart) for chart in charts_of(page)]
    document["trends"] = [asdict(trends) for trends in trends_of(page)]
    _write(folder / "compare.json", _json(document))
    _write(folder / "verdict.json", _json({**verdict_to_json(dossier.comparison), **(facts or {})}))
    _write(folder / COMPARISON_NAME, render_page(page))
    return folder / COMPARISON_NAME


def read_history_section(dossier: Dossier, runs_folder: Path) -> tuple[Section, ...]:
    """The section of the runs in *runs_folder*; none where they say nothing of the candidate."""
    if not dossier.candidate.runs:
        return ()
    try:
        gathered = gather([runs_folder])
    except UsageError:  # no such folder: everything lies elsewhere
        return ()
    return history_section(dossier, gathered)


def write_text(path: Path, text: str) -> None:
    """
    Write a file that goes with a report, such as a summary for a pull request.

    Raises:
        RecordError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"{path.parent}: can't be made: {error}") from error
    _write(path, text)


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def compare_stored_profiles(
    base: Sequence[StoredRun], candidate: Sequence[StoredRun], page: Path
) -> ProfileComparison:
    """
    Compare the profiles of two sides; write *page* and the same as JSON beside it.

    Raises:
        UsageError: a side has no profile, or the same run is on both.
        ComparisonError: they can't be compared; the message has every field.
        RecordError: a profile is damaged, or a file can't be written.
    """
    runs = [*base, *candidate]
    if len({run.folder.resolve() for run in runs}) != len(runs):
        raise UsageError("the same run twice: a run can't be compared with itself")
    sides = read_profile_side(base), read_profile_side(candidate)
    for side in sides:
        if not has_compared(side):
            raise UsageError(
                f"{side.name}: no profile in it to compare; acctbench profile, or acctbench run"
                " --profiler, stores one"
            )
    found = obstacles(*sides)
    if found:
        raise ComparisonError(
            "the profiles can't be compared: " + "; ".join(item.sentence for item in found)
        )
    comparison = compare_profiles(*sides)
    if not comparison.metrics:
        raise ComparisonError(
            f"the profiles have nothing in common: {'; '.join(comparison.missing)}"
        )
    write_json(page.with_suffix(".json"), comparison_to_json(comparison))
    _write(page, render_page(view_profile_diff(*sides, comparison)))
    return comparison


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
