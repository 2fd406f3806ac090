"""`acctbench baseline`: names for sets of runs that others are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_baselines, complete_runs
from harness.cli.console import people, print_json, print_renderable, print_result, printable
from harness.cli.options import runs_option
from harness.cli.signature_options import by_option, signed, why_option

if TYPE_CHECKING:
    from harness.model.baseline import Baseline

_RUN_COUNT_USEFUL = 5  # of reports.compare.policy: below it nothing is called anything


@click.group()
def baseline() -> None:
    """Name sets of runs to compare with: promote, pin, list, remove."""


_name_argument = click.argument("name", shell_complete=complete_baselines)


_force_option = click.option(
    "--force", is_flag=True, help="Override a pin (recorded in the history)."
)


@baseline.command(
    epilog="""\b
Examples:
  acctbench baseline promote main latest
  acctbench baseline promote main before after --why "two quiet runs" --force
"""
)
@_name_argument
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_runs)
@why_option
@by_option
@_force_option
@runs_option
def promote(
    *,
    name: str,
    runs: tuple[str, ...],
    why: str,
    who: str | None,
    force: bool,
    runs_folder: Path,
) -> None:
    """
    Make runs the baseline NAME.

    A RUN is a folder, an id or its beginning, or "latest". Every one must be complete, valid,
    correct, unprofiled, in the folder of all runs, and of the same scenario, schedule, target and
    kind of machine. Prints the file that holds the name.
    """
    from harness.storage import baselines
    from harness.storage.run_folder import find_run

    folders = [find_run(run, runs_folder) for run in runs]
    made = baselines.promote(name, folders, runs_folder, signed(who, why), is_forced=force)
    if len(made.runs) < _RUN_COUNT_USEFUL:
        people.print(
            f"{name} has {len(made.runs)} of the {_RUN_COUNT_USEFUL} runs a side "
            "that a verdict needs"
        )
    print_result(str(baselines.baseline_path(name, runs_folder)))


@baseline.command(
    epilog="""\b
Examples:
  acctbench baseline pin main
  acctbench baseline pin main --why "release 1.4 is judged by it"
"""
)
@_name_argument
@why_option
@by_option
@runs_option
def pin(name: str, why: str, who: str | None, runs_folder: Path) -> None:
    """Keep NAME from being promoted anew or removed, except by --force."""
    from harness.storage import baselines

    baselines.pin(name, runs_folder, signed(who, why))
    print_result(str(baselines.baseline_path(name, runs_folder)))


@baseline.command(
    epilog="""\b
Examples:
  acctbench baseline unpin main
  acctbench baseline unpin main --why "1.4 is out"
"""
)
@_name_argument
@why_option
@by_option
@runs_option
def unpin(name: str, why: str, who: str | None, runs_folder: Path) -> None:
    """Let NAME be promoted anew and removed again."""
    from harness.storage import baselines

    baselines.unpin(name, runs_folder, signed(who, why))
    print_result(str(baselines.baseline_path(name, runs_folder)))


@baseline.command(
    epilog="""\b
Examples:
  acctbench baseline remove main
  acctbench baseline remove main --why "no longer built" --force
"""
)
@_name_argument
@why_option
@by_option
@_force_option
@runs_option
def remove(name: str, why: str, who: str | None, force: bool, runs_folder: Path) -> None:
    """Delete the baseline NAME. Its runs stay, and so does its history."""
    from harness.storage import baselines

    baselines.remove(name, runs_folder, signed(who, why), is_forced=force)
    print_result(str(baselines.baseline_path(name, runs_folder)))


@baseline.command(
    name="list",
    epilog="""\b
Examples:
  acctbench baseline list
  acctbench baseline list --json
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def list_names(as_json: bool, runs_folder: Path) -> None:
    """List the baselines: runs, pin, who promoted them and when."""
    from harness.storage.baselines import baseline_names

    rows = [row for name in baseline_names(runs_folder) if (row := _row(name, runs_folder))]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    columns = ("baseline", "runs", "pinned", "promoted", "by", "why")
    caption = "" if rows else "no baselines yet: acctbench baseline promote NAME RUN..."
    table = Table(box=None, pad_edge=False, caption=caption)
    for column in columns:
        table.add_column(column, no_wrap=column == "baseline")
    for row in rows:
        table.add_row(*(printable(str(row.get(column, ""))) for column in columns))
    print_renderable(table)


@baseline.command(
    epilog="""\b
Examples:
  acctbench baseline show main
  acctbench baseline show main --json
"""
)
@_name_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def show(name: str, as_json: bool, runs_folder: Path) -> None:
    """Show what NAME means, and everything that was ever done to it."""
    from harness.model.baseline import baseline_to_json
    from harness.storage.baselines import read_baseline

    found = read_baseline(name, runs_folder)
    if as_json:
        print_json(baseline_to_json(found))
        return
    for run in found.runs:
        print_result(printable(str(runs_folder / run.folder)))
    if not found.runs:
        print_result(f"{name}: removed")
    for event in found.events:
        by = event.signature
        runs = f" {', '.join(run.run_id for run in event.runs)}" if event.runs else ""
        forced = ", against its pin" if event.is_forced else ""
        reason = f": {by.why}" if by.why else ""
        people.print(printable(f"{by.at} {event.kind}{runs} by {by.who}{forced}{reason}"))


def _row(name: str, runs_folder: Path) -> dict[str, Any]:
    """What the list says of *name*; nothing if it was removed."""
    from harness.errors import HarnessError
    from harness.storage.baselines import read_baseline

    try:
        found: Baseline = read_baseline(name, runs_folder)
    except HarnessError as error:
        return {"baseline": name, "why": f"unreadable: {error}"}
    promotion = found.promotion
    if promotion is None:
        return {}
    return {
        "baseline": name,
        "runs": len(promotion.runs),
        "pinned": "yes" if found.is_pinned else "no",
        "promoted": promotion.signature.at,
        "by": promotion.signature.who,
        "why": promotion.signature.why,
    }
