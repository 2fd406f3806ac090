"""
Stored runs made readable: load -> compare (pure) -> view (pure) -> render.

Reads run folders, never a live system. What a single run is worth came with its record; what
changed between two sets of runs is judged here.
"""

from reports.compare.comparison import (
    Dossier,
    Rules,
    SideInput,
    compared_sides,
    dossier_to_json,
    rules_of,
)
from reports.figures.run_evidence import counts_of
from reports.gate.looks import (
    Gathered,
    LookPlan,
    Outcome,
    Questions,
    Sequential,
    plan_looks,
)
from reports.gate.memory_counts import with_counts, without_counted
from reports.pages.compare.junit_markdown import comparison_junit, comparison_markdown
from reports.pages.gate.former_gates import (
    former_gates_section,
    former_gates_to_json,
)
from reports.pages.gate.page import (
    GateFacts,
    PairFacts,
    gate_dossier,
    gate_sections,
    gate_to_json,
    too_few_pairs,
)
from reports.pages.profile.diff_page import profile_diff_sentences
from reports.profile.against import comparison_to_json as profile_comparison_to_json
from reports.reading.former_gates import read_former_gates
from reports.reading.inputs import read_sides
from reports.reading.run_folder import read_evidence
from reports.writing import (
    compare_stored_profiles,
    read_history_section,
    render_run_report,
    write_comparison,
    write_failure_report,
    write_run_report,
    write_text,
)

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
    "counts_of",
    "dossier_to_json",
    "former_gates_section",
    "former_gates_to_json",
    "gate_dossier",
    "gate_sections",
    "gate_to_json",
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
