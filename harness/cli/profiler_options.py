"""The options of the profilers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import all_of
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.profilers.py_spy import PySpyOptions

CPU, MEMORY = "cpu", "memory"

profiler_options = all_of(
    click.option(
        "--sample-rate",
        "samples_per_s",
        type=click.IntRange(min=1, max=1000),
        default=100,
        show_default=True,
        help="CPU samples per second.",
    ),
    click.option("--native", is_flag=True, help="Include native frames (C, C++, Cython)."),
    click.option("--gil", is_flag=True, help="CPU: only threads that hold the GIL."),
    click.option("--nonblocking", is_flag=True, help="CPU: never stop the target for a sample."),
    click.option("--subprocesses", is_flag=True, help="CPU: include the target's child processes."),
)


stacks_option = click.option(
    "--stacks",
    "stacks",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folded stacks of the target from perf, pprof ...: shown and compared like ours. "
    "Several files are consecutive segments.",
)


def options_from(values: dict[str, Any]) -> PySpyOptions:
    """The profilers' options, taken out of *values*; a UsageError if they don't go together."""
    from harness.profilers.py_spy import PySpyOptions

    native, is_blocking = values.pop("native"), not values.pop("nonblocking")
    if native and not is_blocking:
        raise UsageError("--native: py-spy must stop the target for it; leave out --nonblocking")
    return PySpyOptions(
        rate_per_s=values.pop("samples_per_s"),
        native=native,
        blocking=is_blocking,
        gil_only=values.pop("gil"),
        subprocesses=values.pop("subprocesses"),
    )
