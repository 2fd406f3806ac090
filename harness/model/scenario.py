"""
A scenario as the engine reads it: what arrives when, for how long, and what is demanded.

Values only; harness.model.scenario_file parses the TOML. Text such as "2k/s" or "250ms" exists
only there and in reports; here are nanoseconds and operations a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals import Arrivals
from harness.model.turns import Turns


class StepAction(StrEnum):
    """What may be done to the target or the broker while the load runs."""

    KILL_RESTART = "kill-restart-target"  # SIGKILL, then start it again on the same state
    FREEZE = "freeze-target"  # SIGSTOP for duration_ns, then SIGCONT
    KILL_RESTART_BROKER = "kill-restart-broker"
    FREEZE_BROKER = "freeze-broker"

    @property
    def is_kill(self) -> bool:
        """Whether a process is killed and started again; else it is frozen."""
        return self in {StepAction.KILL_RESTART, StepAction.KILL_RESTART_BROKER}

    @property
    def is_of_broker(self) -> bool:
        """Whether it is done to the broker; else to the target."""
        return self in {StepAction.KILL_RESTART_BROKER, StepAction.FREEZE_BROKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One planned disturbance, *at_ns* from the start of the measured phase."""

    at_ns: int
    action: StepAction
    duration_ns: int


class LoadTransport(StrEnum):
    """How requests travel that a system can send either way."""

    UNARY = "unary"  # a call each
    STREAM = "stream"  # on standing bidirectional streams


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """How the load is put on."""

    driver: str  # "wire" or "grpcio"
    worker_count: int  # load processes
    connection_count: int  # gRPC connections a worker
    in_flight_count_max: int  # a worker; past it operations are dropped and counted
    timeout_ns: int
    spin_ns: int  # busy wait before an operation is due; 0 = none
    realtime: bool  # ask for SCHED_FIFO
    transport: LoadTransport = LoadTransport.UNARY
    stream_count: int = 8  # standing streams a worker, over its connections
    stream_window_count: int = 256  # messages in flight a stream; past it they wait
    stretch_ratio: float = 1.0  # the plan's times are multiplied by it: the same operations, slower
    burst_ns: int = 0  # what is planned within so long is sent at its beginning; 0: each by itself
    turns: Turns | None = None  # in alternation with another run's load; None: all the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the generator must keep for a run to be valid."""

    lateness_p99_ns: int
    rate_error: float  # 0.01 = 1 %
    generator_cpu: float  # cores; 0.8 of one


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSpec:
    """One demand on the target, e.g. metric "reserve.response_ns.p99", at most 20 ms."""

    metric: str
    limit: float
    at_most: bool  # False: at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario file, checked, with the command line's changes applied."""

    name: str
    title: str
    file: str
    profile: str
    system: str
    requires: tuple[str, ...]  # capabilities of the target
    citations: tuple[str, ...]
    arrivals: Arrivals
    warmup_ns: int
    measure_ns: int
    drain_ns: int
    load: LoadSpec
    limits: Limits
    objectives: tuple[ObjectiveSpec, ...]
    steps: tuple[Step, ...]
    workload: Mapping[str, Any]  # the system's own table
    required_invariants: tuple[str, ...] | None  # UNKNOWN is not good enough: exit 3; None: any
    digest: str  # BLAKE2b of the parsed file with the command line's changes
    document: Mapping[str, Any]  # the parsed file, for the record
    seed: int = 42  # of the plan; not part of the digest

    @property
    def driven_warmup_ns(self) -> int:
        """How long warm-up takes: the plan's warmup_ns, stretched, with the other side's turns."""
        return self._driven_length_ns(self.warmup_ns)

    @property
    def driven_measure_ns(self) -> int:
        """How long the measured phase takes, likewise."""
        return self._driven_length_ns(self.measure_ns)

    def driven_ns(self, planned_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """When operations planned at *planned_ns* are due; both count from the load's start."""
        turns, burst_ns = self.load.turns, self.load.burst_ns
        if burst_ns:
            planned_ns = planned_ns // burst_ns * burst_ns
        stretched: NDArray[np.int64] = (planned_ns * self.load.stretch_ratio).astype(np.int64)
        return stretched if turns is None else turns.driven_ns(stretched)

    def _driven_length_ns(self, planned_ns: int) -> int:
        turns, stretched_ns = self.load.turns, round(planned_ns * self.load.stretch_ratio)
        return stretched_ns if turns is None else turns.driven_length_ns(stretched_ns)
