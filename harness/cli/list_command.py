"""`acctbench list`: the runs, scenarios and targets there are."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.console import people, print_json, print_renderable
from harness.cli.options import runs_option
from harness.errors import HarnessError
from harness.workflows.scenarios import scenario_folder

Row = Mapping[str, Any]


@click.command(
    name="list",
    epilog="""\b
Examples:
  acctbench list scenarios
  acctbench list runs --json
""",
)
@click.argument("what", type=click.Choice(["runs", "scenarios", "targets"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def list_things(what: str, as_json: bool, runs_folder: Path) -> None:
    """List runs (complete ones, oldest first), scenarios or targets."""
    listings: Mapping[str, Callable[[], Sequence[Row]]] = {
        "runs": lambda: _runs(runs_folder),
        "scenarios": _scenarios,
        "targets": _targets,
    }
    rows = listings[what]()
    if as_json:
        print_json(rows)
    elif rows:
        _print_table(rows)
    else:
        people.print(f"no {what} in {runs_folder} yet; acctbench run makes one")


def _runs(runs_folder: Path) -> list[Row]:
    from harness.storage.run_folder import run_folders

    return [_run(folder) for folder in run_folders(runs_folder)]


def _run(folder: Path) -> Row:
    from harness.storage.run_folder import load_run

    try:
        record = load_run(folder).record
    except HarnessError as error:
        return {"run": folder.name, "unreadable": str(error)}
    return {
        "run": record.run_id,
        "scenario": record.scenario.get("name", ""),
        "target": record.target.get("name", ""),
        "validity": str(record.validity.status),
        "correctness": str(record.correctness.status),
        "performance": str(record.performance.status),
        "exit_code": record.exit_code,
    }


def _scenarios() -> list[Row]:
    from harness.model.scenario_file import list_scenarios

    return [
        {"scenario": item.name, "title": item.title, "profiles": ", ".join(item.profiles)}
        for item in list_scenarios(scenario_folder())
    ]


def _targets() -> list[Row]:
    from harness.targets.target_file import AttachSpec, load_target, target_files

    specs = {name: load_target(str(path)) for name, path in target_files().items()}
    return [
        {
            "target": name,
            "kind": "attached" if isinstance(spec.how, AttachSpec) else "launched",
            "seeded_by": spec.seed_by,
        }
        for name, spec in specs.items()
    ]


def _print_table(rows: Sequence[Row]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for index, column in enumerate(columns):
        table.add_column(column.replace("_", " "), no_wrap=index == 0)  # names are for copying
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    print_renderable(table)
