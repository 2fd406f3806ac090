"""
Whether two sets of runs may be compared: what must be the same, what may differ, what is unknown.

Pure. Obstacles, by dotted name:

    scenario.name, .digest, schedule_digest, seed, instrumentation, phases     what was asked
    environment.*           machine class (processor, cores, memory, kernel, limits of the
                            container), the harness's version and digest, its Python and packages
    load.*                  driver, workers, connections, cores and scheduling of the generator
    broker.*                kind, version, and the settings of all clients
    target.build.*          of instruction counts: the build that was counted
    kernel.NAME.digest      of a micro suite: the work of the kernel

Two sides that differ in one of them are INVALID, with its name and both values; so are sides that
don't say (a machine nobody recorded is no known machine). A policy can ignore what a team has found
harmless. The target is the one thing that is meant to differ: what the record says of it, its
Python and dependencies included, is shown and is no obstacle.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.metrics import INSTRUCTIONS, is_chosen
from harness.model.record import RunRecord
from harness.model.text import plain
from reports.text import flattened, told

_ENVIRONMENT = (
    *("cpu_model", "cpu_governor", "cpu_turbo", "smt", "core_count", "cores_given"),
    *("cgroup_cpu_max", "cgroup_memory_max", "memory_bytes", "kernel", "clocksource", "container"),
    *("harness_version", "harness_digest", "python", "gil_enabled", "packages"),
)
_LOAD = (
    *("driver", "worker_count", "connection_count", "in_flight_count_max", "stretch"),
    *("burst_ns",),
    *("scheduling", "affinity", "target_cores", "observer_cores", "transport", "streams"),
    *("stream_window", "spin_ns", "timeout_ns", "windows"),
)
_BROKER = ("kind", "version", "settings")
_TARGET_OF_A_RUN = frozenset({"address", "ended", "build_s", "pid"})
_REQUIRED = (
    *("scenario.digest", "schedule_digest", "environment.python", "environment.core_count"),
    *("environment.cpu_model", "environment.kernel"),
)
_Said = Mapping[str, str | None]  # by dotted name; None: not recorded
_MEMORY_STEP_BYTES = 2**30  # of one class of machine: kernels keep a little for themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One thing that is not the same in all runs: *a* of the first, *b* of the first that differs.

    Attributes:
        a, b: None: not recorded.
        run_id: Of the run that says *b*.
        is_obstacle: It keeps the runs from being compared.
        is_ignored: It would, but the policy says that it does no harm.
    """

    name: str
    a: str | None
    b: str | None
    run_id: str
    is_obstacle: bool
    is_ignored: bool = False

    def __str__(self) -> str:
        if self.a is None and self.b is None:
            return f"{self.name} is not recorded in {self.run_id}; nobody knows what was compared"
        a, b = told(self.a), told(self.b)
        return f"not comparable: {self.name} is {a!r}, and {b!r} in {self.run_id}"


def differences(
    records: Sequence[RunRecord], ignored: Iterable[str] = ()
) -> tuple[Difference, ...]:
    """
    Everything that is not the same in *records*, obstacles first, each once.

    *ignored*: patterns of names that are no obstacle.
    """
    if not records:
        return ()
    patterns = tuple(ignored)
    first = records[0]
    must, may = must_be_same(first), _may_differ(first)
    found: dict[str, Difference] = {}
    for record in _unlike_records(records):
        for difference in (
            *_unlike(must, must_be_same(record), record, patterns),
            *_unlike(may, _may_differ(record), record, None),
            *_kernels_unlike(first, record),
        ):
            found.setdefault(difference.name, difference)
    return tuple(sorted(found.values(), key=lambda item: (not item.is_obstacle, item.is_ignored)))


def _unlike_records(records: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    """The first of all that say the same: most runs do, and words are made of each thing said."""
    first: dict[str, RunRecord] = {}
    for record in records:
        digests = [(kernel.name, kernel.unit, kernel.digest) for kernel in record.kernels]
        first.setdefault(repr((_asked(record), _target(record), digests)), record)
    return tuple(first.values())


def _unlike(
    a: _Said, b: _Said, record: RunRecord, ignored: tuple[str, ...] | None
) -> Iterator[Difference]:
    """What *a* and *b* differ in; *ignored* is None where nothing is an obstacle."""
    for name in dict.fromkeys((*a, *b)):
        said = a.get(name), b.get(name)
        is_unknown = ignored is not None and None in said and _is_required(name, a)
        if said[0] == said[1] and not is_unknown:
            continue
        is_ignored = ignored is not None and is_chosen(name, ignored)
        yield Difference(
            name=name,
            a=said[0],
            b=said[1],
            run_id=plain(record.run_id),
            is_obstacle=ignored is not None and not is_ignored,
            is_ignored=is_ignored,
        )


def _is_required(name: str, known: _Said) -> bool:
    if name == "environment.harness_digest":  # runs before there was one: the commit says it
        return known.get("environment.git_sha") is None
    return name in _REQUIRED


def must_be_same(record: RunRecord) -> dict[str, str | None]:
    """What *record* says of everything that is an obstacle where it differs, by dotted name."""
    return dict(flattened(_asked(record)))


def _asked(record: RunRecord) -> dict[str, Any]:
    environment: dict[str, Any] = {name: record.environment.get(name) for name in _ENVIRONMENT}
    if not environment["harness_digest"]:
        environment["git_sha"] = record.environment.get("git_sha")
    if isinstance(environment["memory_bytes"], int):
        steps = round(environment["memory_bytes"] / _MEMORY_STEP_BYTES)
        environment["memory_bytes"] = steps * _MEMORY_STEP_BYTES
    asked: dict[str, Any] = {
        "scenario.name": record.scenario.get("name"),
        "scenario.digest": record.scenario.get("digest"),
        "seed": record.seed,
        "instrumentation": record.instrumentation,
    }
    if not record.kernels:  # a suite's digest is that of the kernels chosen: each is looked at
        asked["schedule_digest"] = record.schedule_digest
        asked["phases.warmup_ns"] = record.phases.get("warmup_ns")
        asked["phases.measure_ns"] = record.phases.get("measure_ns")
    else:
        del asked["scenario.digest"]
    if any(kernel.unit == INSTRUCTIONS for kernel in record.kernels):
        asked["target.build"] = record.target.get("build")
    return {
        **asked,
        "environment": environment,
        "load": {name: record.load[name] for name in _LOAD if name in record.load},
        "broker": {name: record.broker.get(name) for name in _BROKER},
    }


def _may_differ(record: RunRecord) -> dict[str, str | None]:
    return dict(flattened({"target": _target(record)}))


def _target(record: RunRecord) -> dict[str, Any]:
    target = {key: value for key, value in record.target.items() if key not in _TARGET_OF_A_RUN}
    if any(kernel.unit == INSTRUCTIONS for kernel in record.kernels):
        target.pop("build", None)
    return target


def _kernels_unlike(first: RunRecord, record: RunRecord) -> Iterator[Difference]:
    """A kernel whose work was changed is another kernel."""
    digests = {(kernel.name, kernel.unit): kernel.digest for kernel in first.kernels}
    for kernel in record.kernels:
        before = digests.get((kernel.name, kernel.unit))
        if before is not None and before != kernel.digest:
            yield Difference(
                name=f"kernel.{plain(kernel.name)}.digest",
                a=plain(before),
                b=plain(kernel.digest),
                run_id=plain(record.run_id),
                is_obstacle=True,
            )
