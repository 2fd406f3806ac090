"""
The way from run folders to HTML files: read, make the page, render, write.

The shell around the pure parts; holds no decision of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.errors import RecordError, UsageError
from harness.store import StoredRun, load_run
from reports.compare.page import view_comparison
from reports.load import read_profiled_run, read_run
from reports.render.page import render_page
from reports.view.run import view_run

REPORT_NAME = "report.html"


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


def _write(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, never half of either."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise RecordError(f"{path}: can't be written: {error}") from error
