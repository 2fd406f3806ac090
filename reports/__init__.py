"""
Stored runs made readable: load -> compare (pure) -> view (pure) -> render.

Reads run folders, never a live system; judges nothing: verdicts come with the record.
"""

from reports.compare.rows import ComparisonRow, compare_rows
from reports.pages import (
    compare_stored_profiles,
    render_run_report,
    write_comparison,
    write_failure_report,
    write_run_report,
)
from reports.profile.against import comparison_to_json as profile_comparison_to_json
from reports.view.profile_diff import profile_diff_sentences

__all__ = [
    "ComparisonRow",
    "compare_rows",
    "compare_stored_profiles",
    "profile_comparison_to_json",
    "profile_diff_sentences",
    "render_run_report",
    "write_comparison",
    "write_failure_report",
    "write_run_report",
]
