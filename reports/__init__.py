"""
Stored runs made readable: load -> compare (pure) -> view (pure) -> render.

Reads run folders, never a live system. What a single run is worth came with its record; what
changed between two sets of runs is judged here.
"""

from reports.compare.dossier import (
    Dossier,
    SideInput,
    compared_sides,
    dossier_to_json,
    rules_of,
)
from reports.compare.pull_request import comparison_junit, comparison_markdown
from reports.inputs import read_sides
from reports.pages import (
    compare_stored_profiles,
    render_run_report,
    write_comparison,
    write_failure_report,
    write_run_report,
    write_text,
)
from reports.profile.against import comparison_to_json as profile_comparison_to_json
from reports.view.profile_diff import profile_diff_sentences

__all__ = [
    "Dossier",
    "SideInput",
    "compare_stored_profiles",
    "compared_sides",
    "comparison_junit",
    "comparison_markdown",
    "dossier_to_json",
    "profile_comparison_to_json",
    "profile_diff_sentences",
    "read_sides",
    "render_run_report",
    "rules_of",
    "write_comparison",
    "write_failure_report",
    "write_run_report",
    "write_text",
]
