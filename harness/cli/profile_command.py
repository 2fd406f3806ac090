"""`acctbench profile`: a run and its profiled twins."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_runs
from harness.cli.console import people, print_result
from harness.cli.options import (
    checked_scenario,
    kafka_option,
    load_options,
    overrides_from,
    runs_option,
    scenario_argument,
    scenario_options,
    target_option,
)
from harness.cli.profile_differences import (
    PAGE_NAME,
    check_same_scenario,
    refuse_options_of_a_run,
    stored_sides,
    stretches_of,
    tell_differences,
)
from harness.cli.profiler_options import CPU, MEMORY, profiler_options, profilers_from
from harness.cli.run_command import make_view, stops_on_signal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.model.record import RunRecord
    from harness.runs.profiled_passes import Pass, Passes
    from harness.runs.run import Run, RunRequest


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
    "--only", type=click.Choice([CPU, MEMORY]), help="This profile alone, beside the plain run."
)
@profiler_options
@click.option(
    "--repeat",
    "start_count",
    type=click.IntRange(min=1, max=20),
    default=1,
    show_default=True,
    help="Profiled starts of each kind: more tell smaller changes.",
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
    help="File of the page of differences; the same as JSON lies beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@click.option("--quiet", is_flag=True, help="No live view.")
@click.pass_context
def profile(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    /,
    scenario: str,
    target: str,
    kafka: str,
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
    Run a scenario plain, then under py-spy and under memray.

    Only the plain run gives timings; the others have the same plan and seed and are audited too.
    Prints the path of the report. The exit code is the plain run's, unless a twin lost a cent (5)
    or has no profile (3). With --against it prints the path of the page that says what changed,
    function by function; 4 if the two can't be compared.
    """
    from harness.runs.run import RunRequest
    from harness.targets.target_file import load_target

    base = stored_sides(against, runs_folder)
    if not base and (runs or output or as_json):
        raise click.UsageError("--run, --output and --json need --against")
    if runs:
        refuse_options_of_a_run(context)
        candidate = stored_sides(runs, runs_folder)
        names = [side[0].record.run_id for side in (base, candidate)]
        page = output or runs_folder / f"{'--'.join(names)}.{PAGE_NAME}"
        tell_differences(base, candidate, page, as_json=as_json)
        return 0
    passes = passes_of(
        options, {CPU, MEMORY} if only is None else {only}, start_count, stretches_of(base)
    )
    request = RunRequest(
        scenario=checked_scenario(scenario, overrides_from(options)),
        target=load_target(target),
        kafka=kafka,
        runs_folder=runs_folder,
        command=shlex.join(["acctbench", *sys.argv[1:]]),
    )
    check_same_scenario(base, request.scenario)
    done = _run(request, passes, quiet=quiet)
    if base:
        page = output or done.plain.folder / PAGE_NAME
        tell_differences(base, [done.plain], page, as_json=as_json)
    else:
        print_result(str(done.plain.folder / "report.html"))
    return done.exit_code


def _run(request: RunRequest, passes: list[Pass], *, quiet: bool) -> Passes:
    """All passes, and the report; what they are like is told to people."""
    from harness.cli.run_summary import summarise
    from harness.runs.profiled_passes import run_passes
    from reports.writing import write_run_report

    view = make_view(quiet)
    stopped = threading.Event()
    current: list[Run] = []
    try:
        with stops_on_signal(stopped, lambda: bool(current) and current[-1].is_driving):
            done = run_passes(request, passes, view, stopped, current.append)
    finally:
        view.close()
    page = write_run_report(done.plain.folder)
    if not quiet:
        summarise(done.plain.record)
        for name, twin in done.twins.items():
            _summarise_twin(name, done.plain.record, twin.record)
        people.print(f"{'report':>12}  {page}")
    return done


def _summarise_twin(name: str, plain: RunRecord, twin: RunRecord) -> None:
    from harness.model.overhead import overhead
    from harness.model.profile import MISSING

    people.print(f"{name:>12}  correctness {twin.correctness.status}; ", end="")
    people.print(overhead(plain, twin).sentence)
    for note in twin.notes:
        if note.startswith(MISSING):
            people.print(f"{name:>12}  {note}")


def passes_of(
    options: dict[str, Any],
    names: Collection[str],
    start_count: int = 1,
    stretches: Mapping[str, float] | None = None,
) -> list[Pass]:
    """The twins of these *names*; takes the profilers' options out like profilers_from."""
    from harness.runs.profiled_passes import MEMRAY_SLOWDOWN, Pass

    slowdown_ratios = {CPU: 1.0, MEMORY: MEMRAY_SLOWDOWN}
    profilers = profilers_from(options)
    return [
        Pass(
            name=name if start == 1 else f"{name}-{start}",
            profiler=make,
            slowdown_ratio=slowdown_ratios[name],
            stretch_ratio=(stretches or {}).get(name),
        )
        for start in range(1, start_count + 1)
        for name, make in profilers.items()
        if name in names
    ]
