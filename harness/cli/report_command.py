"""`acctbench report`: the page of a stored run, drawn again from its files."""

import shutil
from pathlib import Path

import click

from harness.cli.completions import complete_runs
from harness.cli.console import print_result
from harness.cli.options import runs_option
from harness.cli.profiler_options import stacks_option
from harness.errors import RecordError, UsageError


@click.command(
    epilog="""\b
Examples:
  acctbench report latest
  acctbench report latest --output last-run.html
  acctbench report latest --stacks perf.folded
"""
)
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Another file to write it to."
)
@stacks_option
@runs_option
def report(*, run: str, output: Path | None, stacks: tuple[Path, ...], runs_folder: Path) -> None:
    """
    Draw the report of a stored run again.

    RUN is a folder, an id or its beginning, or "latest". Prints the path of the page. It reads
    the stored run only: no service is needed. With --stacks the stacks are stored in the run. Of
    the folder of a run that failed, it draws the profiles that are left.
    """
    from harness.profilers.stacks_file import attach_stacks
    from harness.storage.run_folder import find_run, load_run
    from reports.writing import write_failure_report, write_run_report

    if (Path(run) / "failure.json").is_file():
        if stacks:
            raise UsageError(f"--stacks: {run} was not finished; there is nothing to scale them to")
        page = write_failure_report(Path(run))
    else:
        folder = find_run(run, runs_folder)
        if stacks:
            attach_stacks(load_run(folder), stacks)
        page = write_run_report(folder)
    if output is not None:
        try:
            page = Path(shutil.copyfile(page, output))
        except OSError as error:
            raise RecordError(f"{output}: can't be written: {error}") from error
    print_result(str(page))
