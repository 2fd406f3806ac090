"""A process and all that it began."""

from contextlib import suppress
from pathlib import Path


def process_tree(pid: int) -> tuple[int, ...]:
    """
    *pid* first, and all its descendants.

    From /proc/PID/task/TID/children: asking for all processes of the machine costs 5 ms.
    """
    found = {pid: None}
    waiting = [pid]
    for parent in waiting:
        for child in _children(parent):
            if child not in found:
                found[child] = None
                waiting.append(child)
    return tuple(found)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # this thread has
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found
