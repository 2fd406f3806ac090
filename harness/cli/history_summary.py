"""What the terminal says of a history: its series as a table, what changed them, the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from harness.cli.console import people, printable
from harness.model.text import quantity, share
from reports.history.events import Commits, History, SettingHistory
from reports.history.series import HistorySeries
from reports.pages.history.page import event_sentence, state_cell, verdict_sentence
from reports.text import counted

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_COUNT = 20
_WIDTH_PIPED = 120  # a pipe has no width; names should not be cut for it
_STEADY_SHOWN_COUNT = 12


def tell_history(found: History, commits: Mapping[str, Commits]) -> None:
    """Every series of the settings that are current, what changed them, and the verdict."""
    for item in found.current:
        people.print(printable(item.setting.title), style="bold")
        _print_series(item)
        for event in item.events:
            people.print(printable(f"{event.state}: {event_sentence(event)}"))
            behind = commits.get(event.id)
            for line in (behind.sentence, *behind.lines) if behind else ():
                people.print(printable(f"    {line}"), style="dim")
        for doubt in item.doubts:
            people.print(printable(doubt), style="yellow")
    earlier_count = len(found.settings) - len(found.current)
    if earlier_count:
        people.print(f"{counted(earlier_count, 'earlier setting')} on the page", style="dim")
    tell_skipped(found.skipped, found.interrupted_count)
    people.print(verdict_sentence(found), style="bold")


def tell_skipped(skipped: Sequence[Any], interrupted_count: int) -> None:
    """What lay in the folders and is no point of a series."""
    for item in skipped:
        people.print(printable(f"not used: {item.place}: {item.reason}"), style="yellow")
    if interrupted_count:
        people.print(f"{counted(interrupted_count, 'interrupted run')} left out", style="dim")


def _print_series(item: SettingHistory) -> None:
    width = None if people.is_terminal else _WIDTH_PIPED
    table = Table(box=None, pad_edge=False, width=width)
    for title in ("metric", "points", "trend", "newest", "level", "noise", "state"):
        is_number = title not in {"metric", "trend", "state"}
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    shown = [one for one in item.series if one.alerts or one.missing or one.suspicion]
    rest = [one for one in item.series if one not in shown]
    shown += rest[: max(0, _STEADY_SHOWN_COUNT - len(shown))]
    for series in shown:
        level, sigma, last = (
            series.timeline.level_value,
            series.timeline.sigma_ratio,
            series.last_value,
        )
        cell = state_cell(series)
        table.add_row(
            printable(series.metric),
            str(series.point_count),
            _spark(series),
            "" if last is None else quantity(last, series.unit),
            "" if level is None else quantity(level, series.unit),
            "" if sigma is None else share(sigma),
            printable(cell.text),
        )
    people.print(table)
    if len(shown) < len(item.series):
        people.print(f"and {len(item.series) - len(shown)} more, on the page", style="dim")


def _spark(series: HistorySeries) -> str:
    """The newest points as blocks; a gap is a blank."""
    values = series.values[-_SPARK_COUNT:]
    present = [value for value in values if value is not None]
    if not present:
        return ""
    low, high = min(present), max(present)
    span = (high - low) or 1.0
    top = len(_BLOCKS) - 1
    return "".join(
        " " if value is None else _BLOCKS[round((value - low) / span * top)] for value in values
    )
