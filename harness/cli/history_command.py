"""`acctbench history`: what changed over stored runs, in the terminal, on a page, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_runs, complete_scenarios
from harness.cli.console import people, print_json, print_result, printable
from harness.cli.options import runs_option
from harness.cli.signature_options import by_option, needed_why_option, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.history.events import Commits, History

_DEFAULT = "show"
_PAGE = "history.html"


class _History(click.Group):
    """Shows the history where no other command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The command's name may be left out."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in {"-h", "--help"})
        return super().parse_args(ctx, args if is_named else [_DEFAULT, *args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a user's day."""
        del ctx
        return [_DEFAULT, "accept", "export"]


@click.group(cls=_History)
def history() -> None:
    """
    Show what changed over stored runs; accept it, export it.

    "acctbench history" is "acctbench history show".
    """


_folders_argument = click.argument(
    "folders",
    nargs=-1,
    metavar="[FOLDER]...",
    type=click.Path(path_type=Path, file_okay=False),
)


@history.command(
    epilog="""\b
Examples:
  acctbench history
  acctbench history show --scenario spot-steady --metric "*.p99" --last 60
  acctbench history show runs --commits . --output trends.html

\b
Exit codes:
  0  nothing is worse than before, or somebody accepted it
  1  something got worse, stays so, and nobody accepted it
  2  a flag, folder or metric can't be used
  3  too few points, or the newest run has none: nothing can be said
"""
)
@_folders_argument
@click.option(
    "--scenario",
    "scenario_name",
    default="",
    shell_complete=complete_scenarios,
    help="Only runs of this scenario.",
)
@click.option(
    "--metric",
    "patterns",
    multiple=True,
    help='Only metrics that fit, e.g. "*.p99"; "*" for all. Can be repeated.',
)
@click.option("--last", "last_count", type=click.IntRange(min=1), help="Only the newest N runs.")
@click.option(
    "--commits",
    "repository",
    type=click.Path(path_type=Path, file_okay=False),
    help="Checkout of the target's source: lists the commits behind a change.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File of the page.")
@click.option("--json", "as_json", is_flag=True, help="Print history.json.")
@runs_option
def show(
    *,
    folders: tuple[Path, ...],
    scenario_name: str,
    patterns: tuple[str, ...],
    last_count: int | None,
    repository: Path | None,
    output: Path | None,
    as_json: bool,
    runs_folder: Path,
) -> int:
    """
    Show the trend of every metric over stored runs, and what changed it.

    Reads the folder of all runs, or every FOLDER. Runs that were asked the same on the same kind of
    machine make a series; a change of the level is told once, for all metrics that it moved, and
    stays open until it is accepted or over. INVALID runs and those of failed audit are marks, never
    points. Writes a page and history.json beside it; prints the path of the page.
    """
    from harness.cli.history_summary import tell_history
    from harness.workflows.history import gathered_in, history_in
    from reports.reading.commits import check_repository, commits_of

    if repository is not None:
        check_repository(repository)
    gathered = gathered_in(folders or (runs_folder,), scenario_name)
    found = history_in(gathered, patterns, last_count)
    commits = commits_of(found, repository)
    page = output or (folders[0] if folders else runs_folder) / _PAGE
    document = _write(found, commits, page)
    if as_json:
        print_json(document)
    else:
        tell_history(found, commits)
        print_result(str(page))
    return int(found.exit_code)


@history.command(
    epilog="""\b
Examples:
  acctbench history accept "*" 20261122 --why "durable journal: worth 6 %"
  acctbench history accept target.cpu_ns_per_operation latest --why "TLS by default"
"""
)
@click.argument("metric")
@click.argument("run", shell_complete=complete_runs)
@_folders_argument
@needed_why_option
@by_option
@runs_option
def accept(
    *,
    metric: str,
    run: str,
    folders: tuple[Path, ...],
    why: str,
    who: str | None,
    runs_folder: Path,
) -> None:
    """
    Accept that METRIC (or all that fit the pattern) got worse at RUN.

    RUN is the run at which the change was seen, or one from its first on; what began after RUN is
    not accepted, and of each metric one change is. What comes after is held against the new level;
    the page says who accepted it and why. Prints the file that holds it, in the folder of RUN:
    delete it to take it back.
    """
    from harness.workflows.history import accept as accept_change
    from harness.workflows.history import first_of
    from harness.workflows.requests import AcceptRequest

    signature = signed(who, why)
    accepted = accept_change(
        AcceptRequest(
            metric=metric,
            run=run,
            who=signature.who,
            why=signature.why,
            folders=folders or (runs_folder,),
        )
    )
    metrics = first_of(accepted.metrics, ", ")
    people.print(printable(f"accepted at {accepted.run_id}: {metrics}"))
    if accepted.still_open:
        people.print(printable(f"still open: {first_of(accepted.still_open, '; ')}"))
    print_result(str(accepted.file))


@history.command(
    epilog="""\b
Examples:
  acctbench history export figures.parquet --force
  acctbench history export all.parquet runs runs --force
"""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_folders_argument
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@runs_option
def export(file: Path, folders: tuple[Path, ...], force: bool, runs_folder: Path) -> None:
    """
    Write every figure of every stored run into FILE, as one Parquet table.

    One row for a run and a metric, for DuckDB, pandas or Spark; the columns are explained at the
    top of reports/history_export.py. Prints the path.
    """
    from harness.cli.history_summary import tell_skipped
    from harness.errors import UsageError
    from harness.workflows.history import gathered_in
    from reports.history_export import write_export

    if file.exists() and not force:
        raise UsageError(f"{file}: it is there already; say --force to replace it")
    gathered = gathered_in(folders or (runs_folder,))
    row_count = write_export(gathered, file)
    tell_skipped(gathered.skipped, gathered.interrupted_count)
    people.print(f"{len(gathered.runs):,} runs, {row_count:,} rows", style="dim")
    print_result(str(file))


def _write(found: History, commits: Mapping[str, Commits], page: Path) -> dict[str, Any]:
    """The page and the JSON beside it; returns the JSON."""
    from harness.storage.run_folder import write_json
    from reports.history.document import history_to_json
    from reports.pages.history.page import view_history
    from reports.render.html import render_page
    from reports.writing import write_text

    document = history_to_json(found, commits)
    write_text(page, render_page(view_history(found, commits)))
    write_json(page.with_suffix(".json"), document)
    return document
