"""
Which process of a run has which cores.

Service and generator have cores of their own, since a generator that waits for the service's core
measures the scheduler. The observer shares the generator's last core while there are few; the
broker goes wherever there is room.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Core numbers for each; an empty tuple leaves the choice to the kernel."""

    target: tuple[int, ...]
    load: tuple[tuple[int, ...], ...]  # a load process each
    observer: tuple[int, ...]
    broker: tuple[int, ...]
    note: str


def place(cores: Sequence[int], worker_count: int) -> Placement:
    """Divide *cores* (ascending) among a run's processes, *worker_count* of them loading."""
    if len(cores) <= worker_count:
        return Placement(
            target=(),
            load=((),) * worker_count,
            observer=(),
            broker=(),
            note=f"{len(cores)} cores are too few to keep the target apart from "
            f"{worker_count} load processes: nothing is pinned",
        )
    load = tuple((core,) for core in cores[-worker_count:])
    others = tuple(cores[:-worker_count])
    apart_count = 2  # cores beyond the target's first that observer and broker may have
    if len(others) <= apart_count:
        return Placement(target=others[:1], load=load, observer=load[-1], broker=(), note="")
    return Placement(
        target=others[:-apart_count],
        load=load,
        observer=others[-1:],
        broker=others[-apart_count:-1],
        note="",
    )
