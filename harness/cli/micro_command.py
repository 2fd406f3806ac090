"""`acctbench micro`: the hot kernels timed, or their instructions counted, and stored as a run."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_runs
from harness.cli.console import (
    command_line,
    people,
    print_json,
    print_renderable,
    print_result,
    printable,
)
from harness.cli.options import runs_option, unit_option
from harness.model.text import count, share, signed_share
from harness.model.units import parse_share

if TYPE_CHECKING:
    from rich.table import Table

    from harness.model.record import RunRecord
    from workloads.micro.micro_run import Against

_ROUND_COUNT = 12
_PROCESS_COUNT = 5
_MARGIN = "1%"


@click.command(
    epilog="""\b
Examples:
  acctbench micro
  acctbench micro --only fees --rounds 50
  acctbench micro --instructions
  acctbench micro --instructions --against latest --margin 0.5%
"""
)
@click.option(
    "--only",
    "pattern",
    default="",
    help='Kernels whose name holds this, or fits it: "fees", "reference.*".',
)
@click.option(
    "--rounds",
    "round_count",
    type=click.IntRange(min=2),
    default=_ROUND_COUNT,
    show_default=True,
    help="Rounds a process.",
)
@click.option(
    "--processes",
    "process_count",
    type=click.IntRange(min=1),
    default=_PROCESS_COUNT,
    show_default=True,
    help="Process starts, one after the other.",
)
@click.option("--instructions", is_flag=True, help="Count instructions (valgrind) instead.")
@click.option(
    "--against",
    shell_complete=complete_runs,
    help="A stored run with --instructions: exit 1 if a count grew.",
)
@unit_option("--margin", "margin_ratio", parse_share, "By how much a count may grow. [default: 1%]")
@click.option("--json", "as_json", is_flag=True, help="Print the kernels as JSON.")
@runs_option
def micro(
    *,
    pattern: str,
    round_count: int,
    process_count: int,
    instructions: bool,
    against: str | None,
    margin_ratio: float | None,
    as_json: bool,
    runs_folder: Path,
) -> int:
    """
    Time the hot kernels of service and harness, in half a minute.

    Stores a run; prints a table, then the folder. With --instructions they run once under
    callgrind: counts are the same in every run of one build, so a change of 1 % shows that no
    timing would.
    """
    from workloads.micro.micro_run import MicroRequest, run_micro
    from workloads.micro.timing import Timing

    if not instructions and (against is not None or margin_ratio is not None):
        raise click.UsageError(
            "--against and --margin are for counts: add --instructions. "
            "Two timed runs are compared by acctbench compare."
        )
    if margin_ratio is not None and against is None:
        raise click.UsageError("--margin needs --against")
    request = MicroRequest(
        pattern=pattern,
        timing=Timing(process_count=process_count, round_count=round_count),
        counts=instructions,
        against=None if against is None else _against(against, runs_folder, margin_ratio),
        runs_folder=runs_folder,
        command=command_line(),
    )
    stored = run_micro(request)
    record = stored.record
    if as_json:
        print_json(_document(record, stored.folder))
    else:
        print_renderable(_table(record))
        print_result(str(stored.folder))
    _tell(record)
    return record.exit_code


def _against(name: str, runs_folder: Path, margin_ratio: float | None) -> Against:
    from harness.storage.run_folder import find_run, load_run
    from workloads.micro.against import has_counts
    from workloads.micro.micro_run import Against

    baseline = load_run(find_run(name, runs_folder)).record
    if not has_counts(baseline):
        raise click.UsageError(
            f"--against: {baseline.run_id} has no instruction counts; "
            "a run of acctbench micro --instructions has"
        )
    return Against(
        baseline=baseline,
        margin_ratio=parse_share(_MARGIN) if margin_ratio is None else margin_ratio,
    )


def _document(record: RunRecord, folder: Path) -> dict[str, Any]:
    from harness.model.record import record_to_json

    document = record_to_json(record)
    shown = ("run_id", "exit_code", "validity", "performance", "kernels")
    return {"folder": str(folder), **{name: document[name] for name in shown}}


def _table(record: RunRecord) -> Table:
    from rich.table import Table

    changes = {item.id: item for item in record.performance.objectives}
    unit = record.kernels[0].unit
    table = Table(box=None, pad_edge=False)
    table.add_column("kernel", no_wrap=True)
    if unit == "ns":
        columns = ["ns/operation", "least", "starts differ by"]
    else:
        columns = ["instructions/operation", "of a round", *(["change"] if changes else [])]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for kernel in record.kernels:
        medians = [statistics.median(rounds) for rounds in kernel.processes]
        median = statistics.median(medians)
        if unit == "ns":
            least = min(min(rounds) for rounds in kernel.processes)
            spread = (max(medians) - min(medians)) / median
            cells = [count(median), count(least), share(spread)]
        else:
            cells = [count(median), count(median * kernel.operation_count)]
            if changes:
                change = changes.get(kernel.name)
                cells.append("new" if change is None else _change(change.value, change.status))
        table.add_row(kernel.name, *cells)
    return table


def _change(ratio: float | None, status: str) -> str:
    text = "?" if ratio is None else signed_share(ratio - 1, 3)
    return text if status == "UNCHANGED" else f"{status} {text}"


def _tell(record: RunRecord) -> None:
    """Why a run is not green, and what changed; for people."""
    for check in record.validity.checks:
        if check.status != "VALID":
            people.print(printable(f"{check.status}  {check.title}: {check.sentence}"))
    for objective in record.performance.objectives:
        if objective.status == "REGRESSED":
            people.print(printable(f"REGRESSED  {objective.id}: {objective.sentence}"))
    for note in record.notes:
        people.print(printable(f"note  {note}"))
