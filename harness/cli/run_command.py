"""`acctbench run`: one audited run, from a scenario to its report."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from harness.cli.console import people, print_json, print_result
from harness.cli.options import (
    checked_scenario,
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
    chosen_profiler,
    profiler_options,
    stacks_option,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from harness.cli.live_view import PlainView, QuietView, TerminalView
    from harness.model.record import RunRecord
    from harness.storage.run_folder import StoredRun


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
    help="Look into the target; then no figure of the run is a timing.",
)
@profiler_options
@stacks_option
@click.option("--quiet", is_flag=True, help="No live view.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def run(  # noqa: PLR0917 - click passes them by name
    scenario: str,
    target: str,
    kafka: str,
    policy: Path | None,
    runs_folder: Path,
    profiler: str | None,
    stacks: tuple[Path, ...],
    quiet: bool,
    as_json: bool,
    **changes: Any,
) -> int:
    """
    Run a scenario against a target, audit it, and report it.

    SCENARIO is a name or a file. Prints the path of the report. The exit code is the verdict.
    Files of --stacks are read when the run is over; one that can't be used (2) does not lose it.
    """
    from harness.cli.run_summary import summarise
    from harness.profilers.stacks_file import check_stacks
    from harness.runs.run import Run, RunRequest
    from harness.targets.target_file import load_target
    from reports.writing import write_run_report

    profile = chosen_profiler(profiler, changes)
    request = RunRequest(
        scenario=checked_scenario(scenario, overrides_from(changes), policy),
        target=load_target(target),
        kafka=kafka,
        runs_folder=runs_folder,
        command=shlex.join(["acctbench", *sys.argv[1:]]),
        profiler=profile,
    )
    check_stacks(stacks, request.target)
    view = make_view(quiet)
    stopped = threading.Event()
    this = Run(request, view, stopped)
    try:
        with stops_on_signal(stopped, lambda: this.is_driving):
            stored = this.execute()
    finally:
        view.close()
    view.phase("report", "one file, opens offline")
    stacks_fault = _attach(stored, stacks)
    page = write_run_report(stored.folder)
    view.close()
    record = stored.record
    if not quiet:
        summarise(record)
    if as_json:
        print_json(_verdict(record, page))
    else:
        print_result(str(page))
    if stacks_fault is not None:
        raise UsageError(
            f"{stacks_fault}; the run is kept: acctbench report {record.run_id} --stacks FILE"
        ) from stacks_fault
    return record.exit_code


def _attach(stored: StoredRun, stacks: tuple[Path, ...]) -> UsageError | None:
    """What is wrong with *stacks*, if anything; else they are a profile of the run."""
    from datetime import datetime

    from harness.profilers.stacks_file import attach_stacks

    if not stacks:
        return None
    begun_at = datetime.fromisoformat(stored.record.created_at)
    try:
        attach_stacks(stored, stacks, not_before=begun_at)
    except UsageError as error:
        return error
    return None


def make_view(quiet: bool) -> QuietView | PlainView | TerminalView:
    """Who watches a run: the terminal, a log, or nobody."""
    from harness.cli.live_view import PlainView, QuietView, TerminalView

    if quiet:
        return QuietView()
    return TerminalView(people) if people.is_terminal else PlainView(people)


@contextmanager
def stops_on_signal(stopped: threading.Event, is_driving: Callable[[], bool]) -> Iterator[None]:
    """While the load goes, the first signal ends it in order; any other interrupts at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if is_driving() and not stopped.is_set():
            stopped.set()
            return
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _verdict(record: RunRecord, page: Path) -> dict[str, Any]:
    from harness.model.record import record_to_json

    document = record_to_json(record)
    shown = ("run_id", "exit_code", "validity", "correctness", "performance", "operations", "rate")
    return {"report": str(page), **{name: document[name] for name in shown}}
