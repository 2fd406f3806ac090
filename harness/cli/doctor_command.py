"""`acctbench doctor`: whether this machine can run, and how well."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.text import Text

from harness.cli.console import print_json, print_renderable
from harness.cli.options import kafka_option, runs_option
from harness.model.verdict import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from harness.doctor.checks import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_TITLE_WIDTH = 22


@click.command(
    epilog="""\b
Examples:
  acctbench doctor
  acctbench doctor --json
"""
)
@kafka_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def doctor(kafka: str, as_json: bool, runs_folder: Path) -> int:
    """
    Measure what this machine can do, in about six seconds.

    Exits 0 unless something makes runs impossible (then 4).
    """
    from harness.doctor.checks import examine, makes_runs_impossible

    findings = []
    for finding in examine(runs_folder, kafka=kafka):
        findings.append(finding)
        if not as_json:
            print_renderable(_line(finding))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    return ExitCode.INVALID if makes_runs_impossible(findings) else ExitCode.OK


def _line(finding: Finding) -> Text:
    line = Text(f"{finding.status:<5}", style=_STYLES[finding.status])
    line.append(f"{finding.title:<{_TITLE_WIDTH}}", style="bold")
    line.append(finding.value, style="default")
    if finding.remedy:
        line.append(f"\n{'':{5 + _TITLE_WIDTH}}{finding.remedy}", style="dim")
    return line
