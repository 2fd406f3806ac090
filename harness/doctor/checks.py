"""
What this machine can do, measured: each finding with what it means for a run and what to do.

Only a finding that makes runs impossible is a FAIL; what makes their figures worse is a WARN. It
changes nothing on the machine and prints nothing.
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from harness.doctor.roofline import measure_roofline
from harness.engine.placement import place
from harness.engine.timer import AbsoluteTimer
from harness.errors import HarnessError, InstallError
from harness.machine.environment import Environment, read_environment
from harness.model.quantiles import distribution
from harness.model.text import count, duration, rate, share, significant, size
from harness.model.units import NANOS_PER_SECOND
from harness.targets.apache_install import installation
from harness.targets.broker import start_broker
from harness.targets.broker_floor import measure_floor
from harness.targets.ports import free_port

_PYTHON_MIN = (3, 11)
_FREE_BYTES_MIN = 50 * 2**20  # a smoke run with its journal
_FREE_BYTES_GOOD = 2 * 2**30
_SYNC_COUNT = 700  # enough for a p99
_SYNC_S_MAX = 3.0
_SYNC_NS_P50_GOOD = 5_000_000  # above it the journal of a durable service is what is measured
_TIMER_RATE_PER_S = 2_000
_TIMER_COUNT = 2_000
_TIMER_NS_P50_GOOD = 80_000
_TIMER_NS_P99_GOOD = 1_000_000  # the default limit of lateness in a scenario
_ROOFLINE_S = 1.0
_ROOFLINE_PER_S_GOOD = 20_000
_STEADY_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock")
_STEAL_SHARE_GOOD = 0.01
_GRPCIO_MEASURED = "1.75.0"


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about this machine; *figures* are its numbers, units in their names."""

    id: str
    title: str
    status: Status
    value: str
    remedy: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)


def examine(runs_folder: Path, *, kafka: str) -> Iterator[Finding]:
    """Every finding, as it is made; takes about six seconds."""
    environment = read_environment()
    yield from _program(environment)
    yield from _machine(environment)
    checks: Mapping[str, Callable[[], Finding]] = {
        "realtime": _realtime,
        "timer": _timer,
        "ports": _ports,
        "disk-space": lambda: _disk_space(runs_folder),
        "disk-sync": lambda: _disk_sync(runs_folder),
        "broker": lambda: _broker(kafka),
        "apache-kafka": _apache_kafka,
        "roofline": lambda: _roofline(environment.cores_given),
    }
    for name, check in checks.items():
        yield _guarded(name, check)


def makes_runs_impossible(findings: Sequence[Finding]) -> bool:
    return any(finding.status is Status.FAIL for finding in findings)


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A check that breaks is a finding too; the others still run."""
    try:
        return check()
    except (HarnessError, OSError) as error:
        return Finding(
            id=name,
            title=name.replace("-", " "),
            status=Status.FAIL,
            value=str(error),
            remedy="see the message",
        )


def _program(environment: Environment) -> Iterator[Finding]:
    is_new_enough = sys.version_info[:2] >= _PYTHON_MIN
    yield Finding(
        id="python",
        title="Python",
        status=Status.OK if is_new_enough else Status.FAIL,
        value=environment.python + ("" if environment.gil_enabled else ", without GIL"),
        remedy="" if is_new_enough else "use Python 3.11 or later",
    )
    absent = [name for name, version in environment.packages.items() if not version]
    is_measured = environment.packages["grpcio"] == _GRPCIO_MEASURED
    yield Finding(
        id="packages",
        title="packages",
        status=Status.FAIL if absent else Status.OK if is_measured else Status.WARN,
        value=", ".join(f"{name} {version}" for name, version in environment.packages.items()),
        remedy=f"install {', '.join(absent)}"
        if absent
        else ""
        if is_measured
        else f"grpcio {_GRPCIO_MEASURED} is the one the figures were taken with",
    )


def _machine(environment: Environment) -> Iterator[Finding]:
    cores = environment.cores_given
    note = place(cores, 1).note
    yield Finding(
        id="cores",
        title="cores",
        status=Status.WARN if note else Status.OK,
        value=f"{len(cores)} of {environment.core_count}, {environment.cpu_model}",
        remedy=f"{note}; give it two cores or more" if note else "",
        figures={"core_count": len(cores)},
    )
    governor, clock = environment.cpu_governor, environment.clocksource
    is_saving = governor in {"powersave", "schedutil", "ondemand", "conservative"}
    yield Finding(
        id="frequency",
        title="CPU frequency",
        status=Status.WARN if is_saving else Status.OK,
        value=f"governor {governor or 'not readable'}, turbo {environment.cpu_turbo or 'unknown'}",
        remedy="set the governor to performance: figures move with the load" if is_saving else "",
    )
    is_steady = clock in _STEADY_CLOCKS or not clock
    yield Finding(
        id="clock",
        title="clock source",
        status=Status.OK if is_steady else Status.WARN,
        value=clock or "not readable",
        remedy="" if is_steady else "reading this clock is slow; boot with clocksource=tsc",
    )
    steal = environment.steal_share
    is_disturbed = steal is not None and steal > _STEAL_SHARE_GOOD
    is_loaded = environment.load_average > len(cores) / 2
    yield Finding(
        id="quiet",
        title="load and steal",
        status=Status.WARN if is_disturbed or is_loaded else Status.OK,
        value=f"load average {significant(environment.load_average)}, "
        + ("steal not readable" if steal is None else f"steal {share(steal)} since boot"),
        remedy="other work shares these cores: end it, or expect noise"
        if is_disturbed or is_loaded
        else "",
        figures={"load_average": environment.load_average, "steal_share": steal},
    )


def _realtime() -> Finding:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError as error:
        return Finding(
            id="realtime",
            title="real-time scheduling",
            status=Status.WARN,
            value=f"SCHED_FIFO not permitted: {error.strerror}",
            remedy="give it CAP_SYS_NICE or an rtprio limit; lateness p99 is worse without",
        )
    os.sched_setscheduler(0, *before)
    return Finding(
        id="realtime",
        title="real-time scheduling",
        status=Status.OK,
        value="SCHED_FIFO permitted",
    )


def _timer() -> Finding:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lateness_ns = runner.run(_timer_lateness_ns())
    found = distribution(lateness_ns)
    p50_ns, p99_ns = found.at(0.5) or 0, found.at(0.99) or 0
    is_good = p50_ns <= _TIMER_NS_P50_GOOD and p99_ns <= _TIMER_NS_P99_GOOD
    return Finding(
        id="timer",
        title="timer lateness",
        status=Status.OK if is_good else Status.WARN,
        value=f"p50 {duration(p50_ns)}, p99 {duration(p99_ns)} "
        f"at {rate(_TIMER_RATE_PER_S)}, without real-time scheduling",
        remedy="" if is_good else "the machine is busy or virtual: expect lateness near its limit",
        figures={"p50_ns": p50_ns, "p99_ns": p99_ns},
    )


async def _timer_lateness_ns() -> NDArray[np.int64]:
    loop = asyncio.get_running_loop()
    timer, finished = AbsoluteTimer(), loop.create_future()
    lateness_ns = np.zeros(_TIMER_COUNT, dtype=np.int64)
    interval_ns = NANOS_PER_SECOND // _TIMER_RATE_PER_S
    begin_ns, index = time.monotonic_ns() + interval_ns, 0

    def wake() -> None:
        nonlocal index
        timer.acknowledge()
        now_ns = time.monotonic_ns()
        while index < _TIMER_COUNT and begin_ns + index * interval_ns <= now_ns:
            lateness_ns[index] = now_ns - (begin_ns + index * interval_ns)
            index += 1
        if index < _TIMER_COUNT:
            timer.arm(begin_ns + index * interval_ns)
        elif not finished.done():
            finished.set_result(None)

    loop.add_reader(timer.descriptor, wake)
    timer.arm(begin_ns)
    await finished
    loop.remove_reader(timer.descriptor)
    timer.close()
    return lateness_ns


def _ports() -> Finding:
    port = free_port()
    with socket.socket() as listener, socket.socket() as caller:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        caller.connect(("127.0.0.1", port))
    return Finding(
        id="ports", title="loopback ports", status=Status.OK, value="bound and connected"
    )


def _disk_space(runs_folder: Path) -> Finding:
    free_bytes = shutil.disk_usage(_existing(runs_folder)).free
    is_enough, is_good = free_bytes >= _FREE_BYTES_MIN, free_bytes >= _FREE_BYTES_GOOD
    return Finding(
        id="disk-space",
        title="disk space",
        status=Status.OK if is_good else Status.WARN if is_enough else Status.FAIL,
        value=f"{size(free_bytes)} free for runs",
        remedy="" if is_good else "free some, or choose another folder with --runs",
        figures={"free_bytes": free_bytes},
    )


def _disk_sync(runs_folder: Path) -> Finding:
    syncs_ns: list[int] = []
    with tempfile.TemporaryFile(dir=_existing(runs_folder)) as file:
        deadline_ns = time.monotonic_ns() + int(_SYNC_S_MAX * NANOS_PER_SECOND)
        while len(syncs_ns) < _SYNC_COUNT and time.monotonic_ns() < deadline_ns:
            file.write(bytes(4096))
            file.flush()
            begin_ns = time.monotonic_ns()
            os.fsync(file.fileno())
            syncs_ns.append(time.monotonic_ns() - begin_ns)
    found = distribution(np.array(syncs_ns, dtype=np.int64))
    p50_ns, p99_ns = found.at(0.5), found.at(0.99)
    is_good = p50_ns is not None and p50_ns <= _SYNC_NS_P50_GOOD
    return Finding(
        id="disk-sync",
        title="disk sync",
        status=Status.OK if is_good else Status.WARN,
        value=f"p50 {_known(p50_ns)}, p99 {_known(p99_ns)} of {found.count}",
        remedy="" if is_good else "a durable service's latency is mostly this disk's",
        figures={"p50_ns": p50_ns, "p99_ns": p99_ns},
    )


def _broker(kafka: str) -> Finding:
    with tempfile.TemporaryDirectory(prefix="acctbench-") as folder:
        begin_ns = time.monotonic_ns()
        broker = start_broker(kafka, folder=Path(folder))
        start_ns = time.monotonic_ns() - begin_ns
        try:
            floor = measure_floor(
                broker.address, f"harness.doctor.checks.{os.getpid()}", settings=broker.clients
            )
        finally:
            broker.stop()
    started = f"started in {duration(start_ns)}, " if broker.pid else ""
    return Finding(
        id="broker",
        title=f"broker ({kafka})",
        status=Status.OK,
        value=f"{broker.version} {started}broker baseline: "
        f"p50 {_known(floor.p50_ns)}, p99 {_known(floor.p99_ns)}".strip(),
        figures={"start_ns": start_ns, "p50_ns": floor.p50_ns, "p99_ns": floor.p99_ns},
    )


def _apache_kafka() -> Finding:
    """Nothing is wrong without it: only --kafka apache needs it."""
    value, remedy = "", ""
    try:
        found = installation()
        value = f"{found.version} installed, java {found.java.version}"
    except InstallError as error:
        value = str(error)
        remedy = "only --kafka apache needs it"
    return Finding(
        id="apache-kafka", title="Apache Kafka", status=Status.OK, value=value, remedy=remedy
    )


def _roofline(cores: Sequence[int]) -> Finding:
    placement = place(cores, 1)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, placement.load[0] or before)
        results = measure_roofline(duration_s=_ROOFLINE_S, target_cores=placement.target)
    finally:
        os.sched_setaffinity(0, before)
    per_s = {name: result.calls_per_cpu_s for name, result in results.items()}
    wire, grpcio = per_s["wire"], per_s["grpcio"]
    is_good = wire >= _ROOFLINE_PER_S_GOOD
    return Finding(
        id="roofline",
        title="generator roofline",
        status=Status.OK if is_good else Status.WARN,
        value=f"calls per CPU-second: wire {count(wire)}, grpcio {count(grpcio)}, "
        f"ratio {significant(wire / grpcio)}",
        remedy="" if is_good else "keep rates well under it, or add --workers on more cores",
        figures={f"{name}_per_cpu_s": value for name, value in per_s.items()},
    )


def _existing(folder: Path) -> Path:
    """The nearest folder that is there: doctor makes none."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _known(value_ns: int | None) -> str:
    return "not enough samples" if value_ns is None else duration(value_ns)
