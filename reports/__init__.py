"""
Stored runs made readable: load -> compare (pure) -> view (pure) -> render.

Reads run folders, never a live system. What a single run is worth came with its record; what
changed between two sets of runs is judged here.
"""

from reports.compare.counted import look_worse, with_counts, without_counted
from reports.compare.dossier import (
    Dossier,
    Rules,
    SideInput,
    compared_sides,
    dossier_to_json,
    rules_of,
)
from reports.compare.former_gates import (
    former_gates_section,
    former_gates_to_json,
    read_former_gates,
)
from reports.compare.gate_result import (
    GateFacts,
    PairFacts,
    gate_dossier,
    gate_sections,
    gate_to_json,
    too_few_pairs,
)
from reports.compare.pull_request import comparison_junit, comparison_markdown
from reports.compare.sequential import (
    Gathered,
    LookPlan,
    Outcome,
    Questions,
    Sequential,
    plan_looks,
)
from reports.history.section import read_history_section
from reports.inputs import read_sides
from reports.load import read_evidence
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
    "GateFacts",
    "Gathered",
    "LookPlan",
    "Outcome",
    "PairFacts",
    "Questions",
    "Rules",
    "Sequential",
    "SideInput",
    "compare_stored_profiles",
    "compared_sides",
    "comparison_junit",
    "comparison_markdown",
    "dossier_to_json",
    "former_gates_section",
    "former_gates_to_json",
    "gate_dossier",
    "gate_sections",
    "gate_to_json",
    "look_worse",
    "plan_looks",
    "profile_comparison_to_json",
    "profile_diff_sentences",
    "read_evidence",
    "read_former_gates",
    "read_history_section",
    "read_sides",
    "render_run_report",
    "rules_of",
    "too_few_pairs",
    "with_counts",
    "without_counted",
    "write_comparison",
    "write_failure_report",
    "write_run_report",
    "write_text",
]
