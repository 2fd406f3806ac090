"""`acctbench run`: one audited run, from a scenario to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.console import command_line, print_json, print_result
from harness.cli.options import (
    kafka_option,
    load_options,
    overrides_from,
    policy_option,
    runs_option,
    scenario_argument,
    scenario_options,
    target_option,
)
from harness.cli.profiler_options import (
    CPU,
    MEMORY,
    options_from,
    profiler_options,
    stacks_option,
)
from harness.cli.watching import watched
from harness.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model.record import RunRecord

_NEED_A_PROFILER = ("native", "gil", "nonblocking", "subprocesses")


@click.command(
    epilog="""\b
Examples:
  acctbench run
  acctbench run spot-steady --rate 2000/s --duration 20s --seed 7
  acctbench run deposit-storm --target my-service.toml --kafka 127.0.0.1:9092
"""
)
@scenario_argument
@target_option
@kafka_option
@policy_option
@scenario_options
@load_options
@runs_option
@click.option(
    "--profiler",
    type=click.Choice([CPU, MEMORY]),
    help="Profile the target. Latencies of a profiled run are not comparable.",
)
@profiler_options
@stacks_option
@click.option("--quiet", is_flag=True, help="Suppress progress output.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def run(
    *,
    profiler: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """
    Run a scenario against a target, audit it, and report it.

    SCENARIO is a name or a file. Prints the path of the report. The exit code is the verdict.
    Files of --stacks are read when the run is over; one that can't be used (2) does not lose it.
    """
    from harness.cli.run_summary import summarise
    from harness.workflows.measured_runs import run as run_scenario
    from harness.workflows.requests import RunRequest

    if profiler is None and any(options[flag] for flag in _NEED_A_PROFILER):
        raise UsageError("options of a profiler without one; write --profiler cpu or memory too")
    request = RunRequest(
        overrides=overrides_from(options),
        profiler=profiler,
        profiler_options=options_from(options),
        command=command_line(),
        **options,
    )
    with watched(quiet) as (tell, stopper):
        result = run_scenario(request, tell, stopper)
    record, fault = result.details.record, result.details.stacks_fault
    if not quiet:
        summarise(record)
    if as_json:
        print_json(_verdict(record, result.page))
    else:
        print_result(str(result.page))
    if fault is not None:
        raise UsageError(
            f"{fault}; the run is kept: acctbench report {record.run_id} --stacks FILE"
        ) from fault
    return result.exit_code


def _verdict(record: RunRecord, page: Path) -> dict[str, Any]:
    from harness.model.record import record_to_json

    document = record_to_json(record)
    shown = ("run_id", "exit_code", "validity", "correctness", "performance", "operations", "rate")
    return {"report": str(page), **{name: document[name] for name in shown}}
