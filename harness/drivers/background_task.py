"""Background tasks whose unexpected exception reaches the loop's exception handler."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from harness.errors import EngineError


def start_task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """
    Start *work* as a task of the running loop.

    What it raises is raised again in a callback, so that the loop's exception handler hears of it:
    operations that such a task had in hand would else be answered by nobody.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_raise_what_it_raised)
    return task


def _raise_what_it_raised(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        raise EngineError(f"{type(error).__name__}: {error}") from error
