"""Judgements of time: the only ones that may be given up for the machine, and only where alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from harness.engine.machine_watch import MachineFacts, MachineWatch

OTHERS_CORES_MAX = 0.25  # a quiet machine's own services use less

TimeJudged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def time_judged(request: pytest.FixtureRequest) -> TimeJudged:
    """
    A function whose context holds what a test asserts of time.

    Where that does not hold and other processes used the processors during the test, nothing is
    known: the test is skipped, and says who they were. Everything else is asserted outside.
    """
    assert request.node.get_closest_marker("alone"), "who judges time runs alone"
    watch = MachineWatch((os.getpid(),))
    return lambda: judged(watch.facts)


@contextmanager
def judged(look: Callable[[], MachineFacts]) -> Iterator[None]:
    """Skip for what does not hold where *look* finds others busy."""
    try:
        yield
    except AssertionError:
        found = look().neighbours
        if found is None or found.cores <= OTHERS_CORES_MAX:
            raise
        names = ", ".join(f"{name} {cores:.1f}" for name, cores in found.busiest)
        pytest.skip(
            f"time can't be judged: others used {found.cores:.1f} of "
            f"{found.processor_count} cores ({names})"
        )
