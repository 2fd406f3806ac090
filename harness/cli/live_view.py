"""
The live view of a run: one moving panel in a terminal, plain lines where there is none.

It is drawn from the parent, never from the load process, several times a second; nothing here is
part of what is measured.
"""

from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.engine.progress import Progress
from harness.model.text import count, duration, rate, share
from harness.workflows.requests import Phase

_PLAIN_INTERVAL_NS = 5_000_000_000


class PlainView:
    """A line for each phase, and one every five seconds of load."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_ns = 0

    def show(self, event: Phase | Progress) -> None:
        """One line; of the load when the last is old enough."""
        if isinstance(event, Phase):
            self._console.print(f"{event.name}: {event.detail}", highlight=False, markup=False)
        elif event.elapsed_ns >= self._next_ns:
            self._next_ns = event.elapsed_ns + _PLAIN_INTERVAL_NS
            line = "  ".join(f"{name} {value}" for name, value in describe(event))
            self._console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        """Nothing is left to do."""


class TerminalView:
    """A panel that is redrawn in place; a phase is a finished line above it, which stays."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, event: Phase | Progress) -> None:
        if isinstance(event, Phase):
            self._live.update(Text(""), refresh=True)
            line = Text.assemble((f"{event.name:>8} ", "bold cyan"), (event.detail, "dim"))
            self._live.console.print(line, highlight=False)
        else:
            self._live.update(_panel(event), refresh=True)

    def close(self) -> None:
        self._live.stop()


def _panel(progress: Progress) -> Group:
    bar = ProgressBar(total=progress.total_ns, completed=progress.elapsed_ns, width=40)
    left_s = max(0, progress.total_ns - progress.elapsed_ns) / 1e9
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(f"{progress.phase:>8}", style="bold cyan"), bar, Text(f"{count(left_s)} s left")
    )
    body = Table.grid(padding=(0, 2))
    shown = describe(progress)[1:]
    body.add_row(*(Text(name, style="dim") for name, _ in shown))
    body.add_row(*(Text(value, style=_style(name, value)) for name, value in shown))
    return Group(head, body)


def describe(progress: Progress) -> list[tuple[str, str]]:
    return [
        (progress.phase, f"{count(progress.elapsed_ns / 1e9)}/{count(progress.total_ns / 1e9)} s"),
        ("offered", rate(progress.offered_per_s)),
        ("achieved", rate(progress.achieved_per_s)),
        ("in flight", f"{progress.in_flight_count:,}"),
        ("p50", _or_dash(duration, progress.response_ns_p50)),
        ("p99", _or_dash(duration, progress.response_ns_p99)),
        ("failed", f"{progress.failed_count:,}"),
        ("rejected", f"{progress.rejected_count:,}"),
        ("dropped", f"{progress.dropped_count:,}"),
        ("target cpu", _or_dash(share, progress.target_cpu_cores)),
        ("generator cpu", _or_dash(share, progress.generator_cpu_cores)),
    ]


def _or_dash(words: Callable[[float], str], value: float | None) -> str:
    return "-" if value is None else words(value)


def _style(name: str, value: str) -> str:
    return "bold red" if name in {"failed", "dropped"} and value != "0" else "bold"
