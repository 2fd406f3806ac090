"""
The way from run folders to HTML files: read, make the page, render, write.

The shell around the pure parts; holds no decision of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.errors import ComparisonError, RecordError, UsageError
from harness.store import StoredRun, load_failure, load_run, write_json
from reports.compare.page import view_comparison
from reports.load import read_profile_side, read_profiled_run, read_run
from reports.profile.against import (
    ProfileComparison,
    compare_profiles,
    comparison_to_json,
    has_compared,
    obstacles,
)
from reports.render.page import render_page
from reports.view.kept_profiles import view_kept_profiles
from reports.view.profile_diff import view_profile_diff
from reports.view.run import view_run

REPORT_NAME = "report.html"
FAILURE_REPORT_NAME = "profiles.html"


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


def write_comparison(runs: Sequence[StoredRun], path: Path) -> Path:
    """
    Write the page that shows two *runs*, A and B, side by side, and return its path.

    Raises:
        UsageError: there are not exactly two runs.
        RecordError: the file can't be written.
    """
    if len(runs) != 2:
        raise UsageError(f"compare: {len(runs)} runs given; name exactly two")
    _write(path, render_page(view_comparison(read_run(runs[0]), read_run(runs[1]))))
    return path


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
    """A reader sees the old file or the new one, never half of either."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise RecordError(f"{path}: can't be written: {error}") from error
