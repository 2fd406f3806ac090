"""
Options and arguments that several commands share.

Text with units ("2000/s", "20s") becomes plain numbers here, so that a bad one is rejected with the
name of its flag before anything starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.completions import (
    complete_brokers,
    complete_profiles,
    complete_scenarios,
    complete_targets,
)
from harness.errors import UsageError
from harness.model.units import (
    parse_duration_ns,
    parse_positive_duration_ns,
    parse_positive_rate_per_s,
)
from harness.workflows.scenarios import DEFAULT_SCENARIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model.scenario import LoadTransport
    from harness.model.scenario_file import ScenarioOverrides

_Command = TypeVar("_Command", bound="Callable[..., Any]")
_Request = TypeVar("_Request")


def all_of(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Several options as one decorator, in their order."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def unit_option(
    flag: str, name: str, parse: Callable[[Any], float], text: str
) -> Callable[[_Command], _Command]:
    """An option with a unit in its text, parsed by *parse*; a bad one names the flag."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from error

    return click.option(flag, name, callback=convert, metavar="TEXT", help=text)


def _load_transport(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> LoadTransport | None:
    del ctx, param
    if value is None:
        return None  # also while a shell completes, which can't wait for the import
    from harness.model.scenario import LoadTransport

    return LoadTransport(value)


scenario_options = all_of(
    click.option(
        "--profile",
        shell_complete=complete_profiles,
        help="A size of the scenario, e.g. smoke, gate, signoff.",
    ),
    unit_option("--rate", "rate_per_s", parse_positive_rate_per_s, "Highest rate, e.g. 2000/s."),
    unit_option(
        "--duration", "measure_ns", parse_positive_duration_ns, "Measured phase, e.g. 20s."
    ),
    unit_option("--warmup", "warmup_ns", parse_duration_ns, "Warm-up before it, e.g. 5s."),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        help="Seed of the plan; the same seed sends the same operations.",
    ),
    click.option("--workers", "worker_count", type=click.IntRange(min=1), help="Load processes."),
    click.option(
        "--transport",
        type=click.Choice(["unary", "stream"]),
        callback=_load_transport,
        help="Unary calls, or bidirectional streams, where the system knows both.",
    ),
)
"""What changes the plan; overrides_from takes their values."""

load_options = all_of(
    click.option(
        "--driver", type=click.Choice(["wire", "grpcio"]), help="gRPC client implementation."
    ),
    click.option(
        "--connections",
        "connection_count",
        type=click.IntRange(min=1),
        help="gRPC connections per load process.",
    ),
    click.option(
        "--in-flight-max",
        "in_flight_count_max",
        type=click.IntRange(min=1),
        help="Operations in flight per load process; past it they are dropped and counted.",
    ),
    unit_option(
        "--timeout", "timeout_ns", parse_positive_duration_ns, "Deadline per operation, e.g. 10s."
    ),
    unit_option(
        "--spin", "spin_ns", parse_duration_ns, "Busy wait before each operation, e.g. 100us."
    ),
    click.option("--realtime/--no-realtime", default=None, help="Ask for SCHED_FIFO."),
)
"""How the load is put on; overrides_from takes their values too."""

scenario_argument = click.argument(
    "scenario", default=DEFAULT_SCENARIO, shell_complete=complete_scenarios
)

target_option = click.option(
    "--target",
    default="reference",
    show_default=True,
    shell_complete=complete_targets,
    help="Name or target file.",
)

kafka_option = click.option(
    "--kafka",
    default="embedded",
    show_default=True,
    shell_complete=complete_brokers,
    help='"embedded", "apache" (once installed), or HOST:PORT of a broker.',
)

policy_option = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Policy file: objectives beside the scenario's own.",
)

summary_options = all_of(
    click.option(
        "--junit", type=click.Path(path_type=Path, dir_okay=False), help="JUnit XML file."
    ),
    click.option(
        "--markdown",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Summary for a pull request.",
    ),
)

runs_option = click.option(
    "--runs",
    "runs_folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    envvar="ACCTBENCH_RUNS",
    show_envvar=True,
    help="Folder of all runs.",
)


def asked(request: Callable[..., _Request], **values: Any) -> _Request:
    """The *request* of a command; what doesn't go together is a misuse of its options."""
    try:
        return request(**values)
    except UsageError as error:
        raise click.UsageError(str(error)) from error


def overrides_from(values: dict[str, Any]) -> ScenarioOverrides:
    """What scenario_options and load_options change; takes their values out of *values*."""
    from harness.model.scenario_file import ScenarioOverrides

    fields = ScenarioOverrides.__dataclass_fields__
    return ScenarioOverrides(**{name: values.pop(name) for name in fields if name in values})
