"""
How the tests share a machine when pytest-xdist runs them in several processes.

Tests that share a fixture of their file, or of their folder, stay together: it is made once. Those
of the one Apache Kafka stay together too. All others go to whoever is free. A test marked `alone`
judges time: it comes last, and nothing runs beside it. Each process has cores of its own where
there are enough of them.

Without xdist (`pytest tests/...`) nothing of this applies.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.nodeid import coerce_node_id

WORKER = "PYTEST_XDIST_WORKER"  # xdist's name of this process, where it is one of several
CORES_A_PROCESS = 2  # a service and a generator
SHARED_APACHE, ALONE = "apache", "alone"
ORDER = {SHARED_APACHE: 0, ALONE: 2}  # the longest row first, which hides its length
HERE = Path(__file__)  # its lock is the room, its folder's the door


def pytest_configure(config: pytest.Config) -> None:
    """Take the cores of this process."""
    config.addinivalue_line("markers", "alone: judges time; nothing runs beside it")
    if worker := os.environ.get(WORKER):
        number = int(worker.removeprefix("gw"))
        cores = sorted(os.sched_getaffinity(0))[number * CORES_A_PROCESS :][:CORES_A_PROCESS]
        if len(cores) == CORES_A_PROCESS:
            os.sched_setaffinity(0, cores)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together, before xdist deals them out; order them."""
    if WORKER not in os.environ:
        return
    groups = {item: _group_of(item) for item in items}
    items.sort(key=lambda item: ORDER.get(groups[item], 1))
    for item in items:
        if name := groups[item]:
            # What xdist 3.8 does for its own marker; it does not know how pytest 9.2 keeps names.
            item._id = coerce_node_id(f"{item.nodeid}@{name}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep other processes away from a test that is to be alone; no timeout counts before."""
    if WORKER not in os.environ:
        return (yield)
    with _place(is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


def _group_of(item: pytest.Item) -> str:
    """Empty for a test that shares nothing."""
    if item.get_closest_marker("alone"):
        return ALONE
    if not isinstance(item, pytest.Function):
        return ""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if "apache" in [params.get("broker"), params.get("broker_address")]:
        return SHARED_APACHE
    shared = [found[-1] for found in item._fixtureinfo.name2fixturedefs.values()]
    folders = [f.baseid for f in shared if f.scope == "session" and "/" in f.baseid]
    if folders:
        return max(folders, key=len)
    return (
        item.nodeid.partition("::")[0]
        if any(fixture.scope == "module" for fixture in shared)
        else ""
    )


@contextmanager
def _place(*, is_alone: bool) -> Iterator[None]:
    """
    A place to run, shared or exclusive.

    Whoever waits holds the door, so that one who would be alone is not passed by others for ever.
    """
    with HERE.open("rb") as room:
        door = os.open(HERE.parent, os.O_RDONLY)
        try:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield
        finally:
            os.close(door)
