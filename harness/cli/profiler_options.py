"""The options of the profilers, and the profilers that they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.profilers.profiled_run import MakeProfiler

_Command = TypeVar("_Command", bound="Callable[..., Any]")

CPU, MEMORY = "cpu", "memory"
SAMPLES_PER_S = 100

_OPTIONS = (
    click.option(
        "--sample-rate",
        "samples_per_s",
        type=click.IntRange(min=1, max=1000),
        default=SAMPLES_PER_S,
        show_default=True,
        help="CPU samples a second.",
    ),
    click.option("--native", is_flag=True, help="Frames of C, C++ and Cython too."),
    click.option("--gil", is_flag=True, help="CPU: only threads that hold the interpreter's lock."),
    click.option("--nonblocking", is_flag=True, help="CPU: never stop the target for a sample."),
    click.option("--subprocesses", is_flag=True, help="CPU: the target's children too."),
)

DEFAULTS = {
    "samples_per_s": SAMPLES_PER_S,
    "native": False,
    "gil": False,
    "nonblocking": False,
    "subprocesses": False,
}
"""The values of the options where nobody gives any."""


def profiler_options(command: _Command) -> _Command:
    """Add the profilers' options; pass their values to profilers_from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stacks_option(command: _Command) -> _Command:
    """Add --stacks: files of folded stacks made elsewhere."""
    option = click.option(
        "--stacks",
        "stacks",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Folded stacks of the target from perf, pprof ...: shown and compared like ours. "
        "Several files are consecutive segments.",
    )
    return option(command)


def profilers_from(options: dict[str, Any]) -> dict[str, MakeProfiler]:
    """
    What makes each profiler, by name; takes the profilers' own options out of *options*.

    Raises:
        UsageError: they don't go together.
    """
    from harness.profilers.memray_profiler import MemrayProfiler
    from harness.profilers.py_spy import PySpyOptions, PySpyProfiler

    native, is_blocking = options.pop("native"), not options.pop("nonblocking")
    if native and not is_blocking:
        raise UsageError("--native: py-spy must stop the target for it; leave out --nonblocking")
    settings = PySpyOptions(
        rate_per_s=options.pop("samples_per_s"),
        blocking=is_blocking,
        native=native,
        gil_only=options.pop("gil"),
        subprocesses=options.pop("subprocesses"),
    )
    return {
        CPU: lambda folder: PySpyProfiler(folder, settings),
        MEMORY: lambda folder: MemrayProfiler(folder, native=native),
    }


def chosen_profiler(name: str | None, options: dict[str, Any]) -> MakeProfiler | None:
    """
    What makes the profiler *name*, if there is one; takes the options out like profilers_from.

    Raises:
        UsageError: options of a profiler without one, or that don't go together.
    """
    is_set = any(options[flag] for flag in ("native", "gil", "nonblocking", "subprocesses"))
    if name is None and is_set:
        raise UsageError("options of a profiler without one; write --profiler cpu or memory too")
    profilers = profilers_from(options)
    return None if name is None else profilers[name]
