"""`acctbench compare`: two stored runs side by side, in the terminal and on a page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completions import complete_runs
from harness.cli.console import people, print_json, print_result
from harness.cli.options import runs_option
from harness.model.verdict import Validity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from harness.store import StoredRun
    from reports import ComparisonRow


@click.command(
    epilog="""\b
Examples:
  acctbench compare 20261122 latest
  acctbench compare runs/before runs/after --output before-after.html
"""
)
@click.argument("a", metavar="RUN", shell_complete=complete_runs)
@click.argument("b", metavar="RUN", shell_complete=complete_runs)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File of the page.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as JSON.")
@runs_option
def compare(a: str, b: str, output: Path | None, as_json: bool, runs_folder: Path) -> None:
    """
    Put two runs side by side, with no claim of significance.

    A RUN is a folder, an id or its beginning, or "latest". Prints the path of the page.
    """
    import reports
    from harness.store import find_run, load_run

    runs = [load_run(find_run(name, runs_folder)) for name in (a, b)]
    before, after = (run.record.run_id for run in runs)
    page = reports.write_comparison(runs, output or runs_folder / f"{before}--{after}.html")
    rows = reports.compare_rows(runs[0].record, runs[1].record)
    if as_json:
        values = [{"metric": row.metric, "ratio": row.ratio, **asdict(row)} for row in rows]
        print_json({"a": before, "b": after, "page": str(page), "rows": values})
        return
    _warn_of_invalid(runs)
    people.print(_table(rows))
    print_result(str(page))


def _warn_of_invalid(runs: Sequence[StoredRun]) -> None:
    for run in runs:
        if run.record.validity.status is Validity.INVALID:
            people.print(f"{run.record.run_id} is INVALID: its figures support no conclusion")


def _table(rows: Sequence[ComparisonRow]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for name in ("a", "b", "b / a"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.metric, row.a_text, row.b_text, row.ratio_text)
    return table
