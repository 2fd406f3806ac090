"""`acctbench report`: the page of a stored run, drawn again from its files."""

import shutil
from pathlib import Path

import click

from harness.cli.completions import complete_runs
from harness.cli.console import print_result
from harness.cli.options import runs_option
from harness.errors import RecordError


@click.command(
    epilog="""\b
Examples:
  acctbench report latest
  acctbench report latest --output last-run.html
"""
)
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Another file to write it to."
)
@runs_option
def report(run: str, output: Path | None, runs_folder: Path) -> None:
    """
    Draw the report of a stored run again.

    RUN is a folder, an id or its beginning, or "latest". Prints the path of the page. It reads
    the stored run only: no service is needed.
    """
    import reports
    from harness.store import find_run

    page = reports.write_run_report(find_run(run, runs_folder))
    if output is not None:
        try:
            page = Path(shutil.copyfile(page, output))
        except OSError as error:
            raise RecordError(f"{output}: can't be written: {error}") from error
    print_result(str(page))
