"""`acctbench history`: what changed over stored runs, in the terminal, on a page, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.completions import complete_runs, complete_scenarios
from harness.cli.console import people, print_json, print_result, printable
from harness.cli.options import runs_option
from harness.cli.signature_options import by_option, signed, why_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reports.history.events import Commits, Gathered, History, SettingHistory
    from reports.history.series import Series

_DEFAULT = "show"
_PAGE = "history.html"
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_COUNT = 20
_NAMED_COUNT = 8
_WIDTH_PIPED = 120  # a pipe has no width; names should not be cut for it
_STEADY_SHOWN_COUNT = 12
_Command = TypeVar("_Command", bound="Callable[..., Any]")


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


def _folders_argument(command: _Command) -> _Command:
    return click.argument(
        "folders",
        nargs=-1,
        metavar="[FOLDER]...",
        type=click.Path(path_type=Path, file_okay=False),
    )(command)


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
    from reports.history.commits import check_repository, commits_of

    if repository is not None:
        check_repository(repository)
    gathered = _gathered(folders, runs_folder, scenario_name)
    found = _history(gathered, patterns, last_count)
    commits = commits_of(found, repository)
    page = output or (folders[0] if folders else runs_folder) / _PAGE
    document = _write(found, commits, page)
    if as_json:
        print_json(document)
    else:
        _tell(found, commits)
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
@why_option(is_required=True)
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
    from fnmatch import fnmatchcase

    from harness.errors import UsageError
    from harness.storage.acceptances import StoredAcceptance, store_acceptance
    from harness.storage.run_folder import find_run, load_run
    from reports.history.alerts import shift_meant

    signature = signed(who, why)
    if not signature.why:
        raise UsageError("--why: nothing is accepted without a reason; write it")
    chosen = _folder_of(run, folders or (runs_folder,))
    run_id = load_run(find_run(run, chosen)).record.run_id
    found = _history(_gathered(folders, runs_folder, ""), ("*",), None)
    accepted: set[str] = set()
    left: list[str] = []
    for item in found.settings:
        run_ids = [run.run_id for run in item.runs]
        for series in item.series:
            meant = None
            if run_id in run_ids and fnmatchcase(series.metric, metric):
                index = run_ids.index(run_id)
                meant = shift_meant(series.timeline.shifts, series.better, index)
            for alert in series.open_alerts:
                if alert.shift == meant:
                    accepted.add(series.metric)
                elif item.is_current:
                    left.append(f"{series.metric} at {run_ids[alert.shift.seen_index]}")
    named = _some(tuple(dict.fromkeys(left)), "; ")
    if not accepted:
        raise UsageError(
            f'history accept: "{metric}" has no open change at {run_id}; open are: '
            f"{named or 'none'}"
        )
    stored = StoredAcceptance(pattern=metric, run_id=run_id, signature=signature)
    path = store_acceptance(stored, chosen)
    people.print(printable(f"accepted at {run_id}: {_some(sorted(accepted), ', ')}"))
    if named:
        people.print(printable(f"still open: {named}"))
    print_result(str(path))


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
    top of reports/history/export.py. Prints the path.
    """
    from harness.errors import UsageError
    from reports.history.export import write_export

    if file.exists() and not force:
        raise UsageError(f"{file}: it is there already; say --force to replace it")
    gathered = _gathered(folders, runs_folder, "")
    row_count = write_export(gathered, file)
    _tell_skipped(gathered.skipped, gathered.interrupted_count)
    people.print(f"{len(gathered.runs):,} runs, {row_count:,} rows", style="dim")
    print_result(str(file))


def _gathered(folders: Sequence[Path], runs_folder: Path, scenario: str) -> Gathered:
    """
    What lies in the folders, of *scenario* if one is named.

    Raises:
        UsageError: there is no run of that name.
    """
    from dataclasses import replace

    from harness.errors import UsageError
    from reports.reading.history_runs import gather

    gathered = gather(folders or (runs_folder,))
    if not scenario:
        return gathered
    runs = tuple(run for run in gathered.runs if run.setting.family[0] == scenario)
    if not runs:
        known = ", ".join(sorted({run.setting.family[0] for run in gathered.runs})) or "none"
        raise UsageError(f'--scenario: no run of "{scenario}"; there are runs of: {known}')
    return replace(gathered, runs=runs)


def _history(gathered: Gathered, patterns: Sequence[str], last_count: int | None) -> History:
    """
    The history of *gathered*.

    Raises:
        UsageError: there are runs, and no metric fits.
    """
    from harness.errors import UsageError
    from harness.model.metrics import HEADLINE_PATTERNS
    from reports.history.events import history_of

    found = history_of(gathered, patterns or HEADLINE_PATTERNS, last_count=last_count)
    names = sorted({name for run in gathered.runs for name in run.figures})
    if patterns and names and not any(item.series for item in found.settings):
        raise UsageError(
            f"--metric: none fits {', '.join(patterns)}; there are: {_some(names, ', ')}"
        )
    return found


def _folder_of(run: str, folders: Sequence[Path]) -> Path:
    """The first of *folders* that has *run*; the last one's message if none has."""
    from harness.errors import UsageError
    from harness.storage.run_folder import find_run

    for folder in folders[:-1]:
        try:
            found = find_run(run, folder)
        except UsageError:
            continue
        return found.parent if found.parent != Path() else folder
    find_run(run, folders[-1])
    return folders[-1]


def _some(names: Sequence[str], separator: str) -> str:
    """The first of *names*, and how many more there are."""
    shown = separator.join(names[:_NAMED_COUNT])
    more = len(names) - _NAMED_COUNT
    return f"{shown}{separator}and {more} more" if more > 0 else shown


def _write(found: History, commits: Mapping[str, Commits], page: Path) -> dict[str, Any]:
    """The page and the JSON beside it; returns the JSON."""
    from harness.storage.run_folder import write_json
    from reports import write_text
    from reports.history.document import history_to_json
    from reports.pages.history.page import view_history
    from reports.render.html import render_page

    document = history_to_json(found, commits)
    write_text(page, render_page(view_history(found, commits)))
    write_json(page.with_suffix(".json"), document)
    return document


def _tell(found: History, commits: Mapping[str, Commits]) -> None:
    from reports.pages.history.page import counted, event_sentence, verdict_sentence

    for item in found.current:
        people.print(printable(item.setting.title), style="bold")
        _print_series(item)
        for event in item.events:
            people.print(printable(f"{event.state}: {event_sentence(event)}"))
            behind = commits.get(event.id)
            for line in (behind.sentence, *behind.lines) if behind else ():
                people.print(printable(f"    {line}"), style="dim")
        for doubt in item.doubts:
            people.print(printable(doubt), style="yellow")
    earlier_count = len(found.settings) - len(found.current)
    if earlier_count:
        people.print(f"{counted(earlier_count, 'earlier setting')} on the page", style="dim")
    _tell_skipped(found.skipped, found.interrupted_count)
    people.print(verdict_sentence(found), style="bold")


def _tell_skipped(skipped: Sequence[Any], interrupted_count: int) -> None:
    from reports.pages.history.page import counted

    for item in skipped:
        people.print(printable(f"not used: {item.place}: {item.reason}"), style="yellow")
    if interrupted_count:
        people.print(f"{counted(interrupted_count, 'interrupted run')} left out", style="dim")


def _print_series(item: SettingHistory) -> None:
    from rich.table import Table

    from harness.model.text import quantity, share
    from reports.pages.history.page import state_cell

    width = None if people.is_terminal else _WIDTH_PIPED
    table = Table(box=None, pad_edge=False, width=width)
    for title in ("metric", "points", "trend", "newest", "level", "noise", "state"):
        is_number = title not in {"metric", "trend", "state"}
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    shown = [one for one in item.series if one.alerts or one.missing or one.suspicion]
    rest = [one for one in item.series if one not in shown]
    shown += rest[: max(0, _STEADY_SHOWN_COUNT - len(shown))]
    for series in shown:
        level, sigma, last = (
            series.timeline.level_value,
            series.timeline.sigma_ratio,
            series.last_value,
        )
        cell = state_cell(series)
        table.add_row(
            printable(series.metric),
            str(series.point_count),
            _spark(series),
            "" if last is None else quantity(last, series.unit),
            "" if level is None else quantity(level, series.unit),
            "" if sigma is None else share(sigma),
            printable(cell.text),
        )
    people.print(table)
    if len(shown) < len(item.series):
        people.print(f"and {len(item.series) - len(shown)} more, on the page", style="dim")


def _spark(series: Series) -> str:
    """The newest points as blocks; a gap is a blank."""
    values = series.values[-_SPARK_COUNT:]
    present = [value for value in values if value is not None]
    if not present:
        return ""
    low, high = min(present), max(present)
    span = (high - low) or 1.0
    top = len(_BLOCKS) - 1
    return "".join(
        " " if value is None else _BLOCKS[round((value - low) / span * top)] for value in values
    )
