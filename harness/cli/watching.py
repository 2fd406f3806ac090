"""Who watches the runs of a command, and ends them: the terminal or a log, and signals."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.cli.console import people, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from harness.engine.progress import Progress
    from harness.workflows.requests import Note, Phase, Stopper, Tell


def tell_notes(event: Phase | Note | Progress) -> None:
    """Print what is said between runs, and nothing of a run itself."""
    from harness.workflows.requests import Note

    if isinstance(event, Note):
        people.print(printable(event.text), style="red" if event.is_failure else None)


@contextmanager
def watched(quiet: bool) -> Iterator[tuple[Tell, Stopper]]:
    """
    What tells people of runs, and what stops one.

    While the load goes, the first signal ends it in order; any other interrupts at once.
    """
    from harness.cli.live_view import PlainView, TerminalView
    from harness.workflows.requests import Note, Stopper

    stopper = Stopper()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if not stopper.stop():
            raise KeyboardInterrupt

    view = None
    if not quiet:
        view = TerminalView(people) if people.is_terminal else PlainView(people)

    def tell(event: Phase | Note | Progress) -> None:
        if isinstance(event, Note):
            tell_notes(event)
        elif view is not None:
            view.show(event)

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield tell, stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if view is not None:
            view.close()
