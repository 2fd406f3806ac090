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
from reports.pages import render_run_report, write_comparison, write_run_report, write_text

__all__ = [
    "Dossier",
    "SideInput",
    "compared_sides",
    "comparison_junit",
    "comparison_markdown",
    "dossier_to_json",
    "read_sides",
    "render_run_report",
    "rules_of",
    "write_comparison",
    "write_run_report",
    "write_text",
]
