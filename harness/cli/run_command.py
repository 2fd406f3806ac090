"""`acctbench run`: one audited run, from a scenario to its report."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.text import Text

import reports
from harness.cli.console import people, print_json, print_result, printable
from harness.cli.live_view import PlainView, QuietView, TerminalView
from harness.cli.options import (
    DEFAULT_SCENARIO,
    checked_scenario,
    load_options,
    overrides_from,
    runs_option,
    scenario_options,
)
from harness.model.quantiles import Distribution
from harness.model.record import RunRecord, record_to_json
from harness.runner import Run, RunRequest
from harness.targets.target_file import load_target

_GOOD = {"VALID", "PASSED", "IMPROVED", "UNCHANGED"}
_BAD = {"INVALID", "FAILED", "REGRESSED"}


@click.command(
    epilog="""\b
Examples:
  acctbench run
  acctbench run spot-steady --rate 2000/s --duration 20s --seed 7
  acctbench run deposit-storm --target my-service.toml --kafka 127.0.0.1:9092
"""
)
@click.argument("scenario", default=DEFAULT_SCENARIO)
@click.option("--target", default="reference", show_default=True, help="Name or target file.")
@click.option(
    "--kafka", default="embedded", show_default=True, help='"embedded", or host:port of a broker.'
)
@scenario_options
@load_options
@runs_option
@click.option("--quiet", is_flag=True, help="No live view.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def run(  # noqa: PLR0917 - click passes them by name
    scenario: str,
    target: str,
    kafka: str,
    runs_folder: Path,
    quiet: bool,
    as_json: bool,
    **changes: Any,
) -> int:
    """
    Run a scenario against a target, audit it, and report it.

    SCENARIO is a name or a file. Prints the path of the report. The exit code is the verdict.
    """
    request = RunRequest(
        scenario=checked_scenario(scenario, overrides_from(changes)),
        target=load_target(target),
        kafka=kafka,
        runs_folder=runs_folder,
        command=shlex.join(["acctbench", *sys.argv[1:]]),
    )
    view = _make_view(quiet)
    stopped = threading.Event()
    this = Run(request, view, stopped)
    try:
        with _stops_on_signal(stopped, lambda: this.is_driving):
            stored = this.execute()
    finally:
        view.close()
    view.phase("report", "one file, opens offline")
    page = reports.write_run_report(stored.folder)
    view.close()
    record = stored.record
    if not quiet:
        _summarise(record)
    if as_json:
        print_json(_verdict(record, page))
    else:
        print_result(str(page))
    return record.exit_code


def _make_view(quiet: bool) -> QuietView | PlainView | TerminalView:
    if quiet:
        return QuietView()
    return TerminalView(people) if people.is_terminal else PlainView(people)


@contextmanager
def _stops_on_signal(stopped: threading.Event, is_driving: Callable[[], bool]) -> Iterator[None]:
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
    document = record_to_json(record)
    shown = ("run_id", "exit_code", "validity", "correctness", "performance", "operations", "rate")
    return {"report": str(page), **{name: document[name] for name in shown}}


def _summarise(record: RunRecord) -> None:
    """The three verdicts, why they are not green, and the headline figures; for people."""
    for name, section, items in (
        ("validity", record.validity, record.validity.checks),
        ("correctness", record.correctness, record.correctness.invariants),
        ("performance", record.performance, record.performance.objectives),
    ):
        people.print(Text.assemble((f"{name:>12}  ", "dim"), _coloured(section.status)))
        for item in items:
            if item.status not in _GOOD:
                what = printable(f"  {item.id}: {item.sentence}")
                people.print(Text.assemble(" " * 14, _coloured(item.status), what))
    rate, lateness = record.rate, record.lateness_ns
    people.print(
        f"{'rate':>12}  offered {rate.offered_per_s:,.0f}/s, sent {rate.sent_per_s:,.0f}/s, "
        f"answered {rate.achieved_per_s:,.0f}/s"
    )
    for kind, latency in record.latency.items():
        response = latency.response_ns
        people.print(
            f"{kind:>12}  response p50 {_at(response, 0.5)}  p99 {_at(response, 0.99)}  "
            f"p99.9 {_at(response, 0.999)}  max {_ms(response.max)}  n {response.count:,}"
            + (f", {response.unanswered_count:,} unanswered" if response.unanswered_count else "")
        )
    people.print(f"{'lateness':>12}  p50 {_ms(lateness.at(0.5))}  p99 {_ms(lateness.at(0.99))}")
    for note in record.notes:
        people.print(printable(f"{'note':>12}  {note}"))


def _coloured(status: str) -> tuple[str, str]:
    if status in _GOOD:
        return (str(status), "bold green")
    return (str(status), "bold red" if status in _BAD else "bold yellow")


def _at(of: Distribution, q: float) -> str:
    if any(item.q == q and item.is_unanswered for item in of.quantiles):
        return "unanswered"
    return _ms(of.at(q))


def _ms(value_ns: int | None) -> str:
    return "n too small" if value_ns is None else f"{value_ns / 1e6:.3g} ms"
