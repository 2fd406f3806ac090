"""`acctbench profile`: a run and its profiled twins."""

from __future__ import annotations

import shlex
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

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
from harness.cli.profiler_options import CPU, MEMORY, profiler_options, profilers_from
from harness.cli.run_command import make_view, stops_on_signal

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from harness.model.record import RunRecord
    from harness.passes import Pass
    from harness.runner import Run

# Measured: memray with Python's own allocators makes a service two to six times slower.
_MEMRAY_SLOWDOWN = 4.0


@click.command(
    epilog="""\b
Examples:
  acctbench profile --profile smoke --only cpu
  acctbench profile spot-steady --rate 500/s --duration 20s --sample-rate 200
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
@click.option("--quiet", is_flag=True, help="No live view.")
def profile(  # noqa: PLR0917 - click passes them by name
    scenario: str,
    target: str,
    kafka: str,
    runs_folder: Path,
    only: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """
    Run a scenario plain, then under py-spy and under memray.

    Only the plain run gives timings; the others have the same plan and seed and are audited too.
    Prints the path of the report. The exit code is the plain run's, unless a twin lost a cent (5)
    or has no profile (3).
    """
    import reports
    from harness.cli.run_summary import summarise
    from harness.passes import run_passes
    from harness.runner import RunRequest
    from harness.targets.target_file import load_target

    passes = passes_of(options, {CPU, MEMORY} if only is None else {only})
    request = RunRequest(
        scenario=checked_scenario(scenario, overrides_from(options)),
        target=load_target(target),
        kafka=kafka,
        runs_folder=runs_folder,
        command=shlex.join(["acctbench", *sys.argv[1:]]),
    )
    view = make_view(quiet)
    stopped = threading.Event()
    current: list[Run] = []
    try:
        with stops_on_signal(stopped, lambda: bool(current) and current[-1].is_driving):
            done = run_passes(request, passes, view, stopped, current.append)
    finally:
        view.close()
    page = reports.write_run_report(done.plain.folder)
    if not quiet:
        summarise(done.plain.record)
        for name, twin in done.twins.items():
            _summarise_twin(name, done.plain.record, twin.record)
    print_result(str(page))
    return done.exit_code


def _summarise_twin(name: str, plain: RunRecord, twin: RunRecord) -> None:
    from harness.model.overhead import overhead
    from harness.profilers.profiled_run import MISSING

    people.print(f"{name:>12}  correctness {twin.correctness.status}; ", end="")
    people.print(overhead(plain, twin).sentence)
    for note in twin.notes:
        if note.startswith(MISSING):
            people.print(f"{name:>12}  {note}")


def passes_of(options: dict[str, Any], names: Collection[str]) -> list[Pass]:
    """The twins of these *names*; takes the profilers' options out like profilers_from."""
    from harness.passes import Pass

    slowdown_ratios = {CPU: 1.0, MEMORY: _MEMRAY_SLOWDOWN}
    return [
        Pass(name=name, profiler=make, slowdown_ratio=slowdown_ratios[name])
        for name, make in profilers_from(options).items()
        if name in names
    ]
