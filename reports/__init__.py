"""
Stored runs made readable: load -> compare (pure) -> view (pure) -> render.

Reads run folders, never a live system; judges nothing: verdicts come with the record.
"""

from reports.compare.rows import ComparisonRow, compare_rows
from reports.pages import render_run_report, write_comparison, write_run_report

__all__ = [
    "ComparisonRow",
    "compare_rows",
    "render_run_report",
    "write_comparison",
    "write_run_report",
]
