"""Stored runs compared with stored runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.model.policy_file import load_policy
from harness.workflows.requests import (
    CompareRequest,
    ComparisonDetails,
    Result,
)
from reports.compare.comparison import Dossier, compared_sides, dossier_to_json, rules_of
from reports.reading.inputs import read_sides
from reports.writing import read_history_section, write_comparison

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from reports.compare.verdicts import Comparison

_NAME_LENGTH_MAX = 60


def compare(request: CompareRequest) -> Result[ComparisonDetails]:
    """
    Compare, and write page, compare.json and verdict.json.

    Raises UsageError for a side or policy that can't be read or means nothing, else HarnessError.
    """
    today = datetime.now(UTC).date()
    rules = rules_of(None if request.policy is None else load_policy(request.policy, today=today))
    inputs = read_sides(request.baseline, request.candidate, request.runs_folder)
    dossier = compared_sides(*inputs, rules, request.command)
    page = write_comparison(
        dossier,
        request.output or request.runs_folder / "compared" / _name(dossier),
        read_history_section(dossier, request.runs_folder),
    )
    return result_of(dossier.comparison, page, dossier_to_json(dossier))


def result_of(
    comparison: Comparison, page: Path, document: Mapping[str, Any]
) -> Result[ComparisonDetails]:
    """Of a comparison whose *page* is written."""
    return Result(
        verdict=str(comparison.status),
        exit_code=int(comparison.exit_code),
        folder=page.parent,
        page=page,
        figures={item.name: item.estimate.ratio for item in comparison.metrics if item.estimate},
        details=ComparisonDetails(comparison=comparison, document=document),
    )


def _name(dossier: Dossier) -> str:
    sides = (dossier.comparison.baseline, dossier.comparison.candidate)
    short = [
        re.sub(r"[^A-Za-z0-9._-]+", "-", side)[:_NAME_LENGTH_MAX].strip("-.") for side in sides
    ]
    return "--".join(part or "side" for part in short)
