"""`acctbench profile`: a run, and the same plan again under each profiler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_runs
from harness.cli.console import command_line, people, print_json, print_result, printable
from harness.cli.options import (
    kafka_option,
    load_options,
    overrides_from,
    runs_option,
    scenario_argument,
    scenario_options,
    target_option,
)
from harness.cli.profiler_options import CPU, MEMORY, options_from, profiler_options
from harness.cli.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model.record import RunRecord
    from harness.runs.profiled_passes import Passes
    from harness.storage.run_folder import StoredRun
    from harness.workflows.requests import Result

_PAGE_NAME = "profile-diff.html"

# What makes sense where both sides are stored; anything else belongs to a run that is not made.
_STORED_OPTIONS = frozenset({"against", "runs", "runs_folder", "output", "as_json", "quiet"})


@click.command(
    epilog="""\b
Examples:
  acctbench profile --profile smoke --only cpu
  acctbench profile spot-steady --rate 500/s --duration 20s --sample-rate 200
  acctbench profile --against runs/before --repeat 3
  acctbench profile --against runs/before --run runs/after
"""
)
@scenario_argument
@target_option
@kafka_option
@scenario_options
@load_options
@runs_option
@click.option(
    "--only", type=click.Choice([CPU, MEMORY]), help="Only this profiler, after the unprofiled run."
)
@profiler_options
@click.option(
    "--repeat",
    "start_count",
    type=click.IntRange(min=1, max=20),
    default=1,
    show_default=True,
    help="Profiled runs per profiler; more of them detect smaller changes.",
)
@click.option(
    "--against",
    multiple=True,
    shell_complete=complete_runs,
    help="Stored run whose profiles are the base: show what changed. May be repeated.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    shell_complete=complete_runs,
    help="Stored run to put against it, instead of running. May be repeated.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the page of differences; a JSON file of the same is written beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@click.option("--quiet", is_flag=True, help="Suppress progress output.")
@click.pass_context
def profile(
    context: click.Context,
    /,
    *,
    runs_folder: Path,
    only: str | None,
    start_count: int,
    against: tuple[str, ...],
    runs: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """
    Run a scenario unprofiled, then under py-spy and under memray.

    Only the unprofiled run gives latencies; the profiled runs have the same plan and seed and are
    audited too. Prints the path of the report. The exit code is the unprofiled run's, unless a
    profiled run lost money (5) or has no profile (3). With --against it prints the path of the page
    that shows what changed, function by function; 4 if the two can't be compared.
    """
    from harness.workflows.measured_runs import profile as profile_scenario
    from harness.workflows.measured_runs import stored_runs
    from harness.workflows.requests import ProfileRequest, RunRequest

    # Looked up before there is another run: "latest" is not the one to come.
    base = stored_runs(against, runs_folder)
    if not base and (runs or output or as_json):
        raise click.UsageError("--run, --output and --json need --against")
    if runs:
        _refuse_options_of_a_run(context)
        candidate = stored_runs(runs, runs_folder)
        names = [side[0].record.run_id for side in (base, candidate)]
        page = output or runs_folder / f"{'--'.join(names)}.{_PAGE_NAME}"
        _tell_differences(base, candidate, page, as_json=as_json)
        return 0
    request = ProfileRequest(
        run=RunRequest(
            overrides=overrides_from(options),
            profiler_options=options_from(options),
            runs_folder=runs_folder,
            command=command_line(),
            **options,
        ),
        only=only,
        start_count=start_count,
        against=against,
    )
    with watched(quiet) as (tell, stopper):
        done = profile_scenario(request, tell, stopper)
    if not quiet:
        _summarise(done)
    if base:
        page = output or done.folder / _PAGE_NAME
        _tell_differences(base, [done.details.plain], page, as_json=as_json)
    else:
        print_result(str(done.page))
    return done.exit_code


def _summarise(done: Result[Passes]) -> None:
    from harness.cli.run_summary import summarise

    plain = done.details.plain.record
    summarise(plain)
    for name, one in done.details.profiled.items():
        _summarise_profiled(name, plain, one.record)
    people.print(f"{'report':>12}  {done.page}")


def _summarise_profiled(name: str, plain: RunRecord, profiled: RunRecord) -> None:
    from harness.model.overhead import overhead
    from harness.model.profile import MISSING

    people.print(f"{name:>12}  correctness {profiled.correctness.status}; ", end="")
    people.print(overhead(plain, profiled).sentence)
    for note in profiled.notes:
        if note.startswith(MISSING):
            people.print(f"{name:>12}  {note}")


def _refuse_options_of_a_run(context: click.Context) -> None:
    """Raise click.UsageError if something was asked of a run, where both sides are stored."""
    given = [
        name
        for name in context.params
        if name not in _STORED_OPTIONS
        and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        flags = [item.opts[0] for item in context.command.params if item.name in given]
        raise click.UsageError(
            f"{', '.join(flags)}: belongs to a run that is made, and --run names one that is stored"
        )


def _tell_differences(
    base: Sequence[StoredRun], candidate: Sequence[StoredRun], page: Path, *, as_json: bool
) -> None:
    """Compare, write the page and the same as JSON beside it, say what changed, print the path."""
    from reports.pages.profile.diff_page import profile_diff_sentences
    from reports.profile.against import comparison_to_json
    from reports.writing import compare_stored_profiles

    comparison = compare_stored_profiles(base, candidate, page)
    for sentence in profile_diff_sentences(comparison):
        people.print(printable(f"{'changed':>12}  {sentence}"))
    if as_json:
        print_json(comparison_to_json(comparison))
    else:
        print_result(str(page))
