"""
Options and arguments that several commands share, and what they change of a scenario.

Text with units ("2000/s", "20s") becomes plain numbers here, so that a bad one is refused with the
name of its flag before anything starts.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.completions import (
    complete_brokers,
    complete_profiles,
    complete_scenarios,
    complete_targets,
)
from harness.model.units import (
    parse_duration_ns,
    parse_positive_duration_ns,
    parse_positive_rate_per_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.resources.abc import Traversable

    from harness.model.scenario import LoadTransport, Scenario
    from harness.model.scenario_file import ScenarioOverrides

DEFAULT_SCENARIO = "spot-steady"
_Command = TypeVar("_Command", bound="Callable[..., Any]")


def unit_option(flag: str, name: str, parse: Callable[[Any], float], text: str) -> Any:
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


_SCENARIO_OPTIONS = (
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
    click.option("--seed", type=click.IntRange(min=0), help="Of the plan: same seed, same load."),
    click.option("--workers", "worker_count", type=click.IntRange(min=1), help="Load processes."),
    click.option(
        "--transport",
        type=click.Choice(["unary", "stream"]),
        callback=_load_transport,
        help="A call each, or standing streams, where the system knows both.",
    ),
)
_LOAD_OPTIONS = (
    click.option("--driver", type=click.Choice(["wire", "grpcio"]), help="Who speaks gRPC."),
    click.option(
        "--connections", "connection_count", type=click.IntRange(min=1), help="A worker's."
    ),
    click.option(
        "--in-flight-max",
        "in_flight_count_max",
        type=click.IntRange(min=1),
        help="A worker's; past it operations are dropped and counted.",
    ),
    unit_option(
        "--timeout", "timeout_ns", parse_positive_duration_ns, "Of an operation, e.g. 10s."
    ),
    unit_option("--spin", "spin_ns", parse_duration_ns, "Busy wait before each, e.g. 100us."),
    click.option("--realtime/--no-realtime", default=None, help="Ask for SCHED_FIFO."),
)


def scenario_argument(command: _Command) -> _Command:
    """Add SCENARIO: a name or a file."""
    argument = click.argument(
        "scenario", default=DEFAULT_SCENARIO, shell_complete=complete_scenarios
    )
    return argument(command)


def target_option(command: _Command) -> _Command:
    """Add --target."""
    option = click.option(
        "--target",
        default="reference",
        show_default=True,
        shell_complete=complete_targets,
        help="Name or target file.",
    )
    return option(command)


def kafka_option(command: _Command) -> _Command:
    """Add --kafka."""
    option = click.option(
        "--kafka",
        default="embedded",
        show_default=True,
        shell_complete=complete_brokers,
        help='"embedded", "apache" (once installed), or HOST:PORT of a broker.',
    )
    return option(command)


def policy_option(command: _Command) -> _Command:
    """Add --policy: a file of demands."""
    option = click.option(
        "--policy",
        type=click.Path(path_type=Path),
        help="File of demands beside the scenario's own.",
    )
    return option(command)


def scenario_options(command: _Command) -> _Command:
    """Add the options that change the plan; pass their values to overrides_from."""
    return _with_options(command, _SCENARIO_OPTIONS)


def load_options(command: _Command) -> _Command:
    """Add the options that change how the load is put on."""
    return _with_options(command, _LOAD_OPTIONS)


def runs_option(command: _Command) -> _Command:
    """Add --runs: the folder of all runs."""
    option = click.option(
        "--runs",
        "runs_folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        envvar="ACCTBENCH_RUNS",
        show_envvar=True,
        help="Folder of all runs.",
    )
    return option(command)


def overrides_from(values: dict[str, Any]) -> ScenarioOverrides:
    """What the values of scenario_options and load_options change."""
    from harness.model.scenario_file import ScenarioOverrides

    return ScenarioOverrides(**values)


def scenario_folder() -> Traversable:
    """The scenarios that come with the program."""
    return resources.files("workloads") / "scenarios"


def checked_scenario(
    name_or_path: str, overrides: ScenarioOverrides, policy: Path | None = None
) -> Scenario:
    """
    The scenario with the demands of *policy*, its system's own table checked too.

    Raises:
        UsageError: there is no such scenario, profile, system or policy.
        ScenarioError, PolicyError: it has faults; all of them are listed.
    """
    from harness.model.policy_file import load_policy, with_policy
    from harness.model.scenario_file import load_scenario
    from harness.system import kind_names

    scenario = load_scenario(
        name_or_path,
        folder=scenario_folder(),
        overrides=overrides,
        check_workload=_system_faults,
    )
    if policy is None:
        return scenario
    return with_policy(scenario, load_policy(policy, kinds=kind_names(scenario)))


def _system_faults(scenario: Scenario) -> list[tuple[str, str, str]]:
    from harness.model.objectives import unknown_kinds
    from harness.system import kind_names, load_system

    unknown = unknown_kinds(scenario.objectives, kind_names(scenario))
    return [*unknown, *load_system(scenario.system).planner.check_workload(scenario)]


def _with_options(
    command: _Command, options: tuple[Callable[[_Command], _Command], ...]
) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
