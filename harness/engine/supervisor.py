"""
The supervisor: its children (load processes, observer, subscriber) in the order of a run.

    plan -> observe -> subscribe -> connect -> drive -> resolve -> finish

It watches for anything of the run dying while the load goes. It knows nothing of accounts.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.engine.columns import Columns, ColumnsSpec
from harness.engine.disturber import Disturbed, Disturber
from harness.engine.machine_watch import MachineFacts, MachineWatch
from harness.engine.placement import Placement
from harness.engine.progress import Progress, ProgressReader
from harness.engine.resolve import DEADLINE_S
from harness.engine.results import Results, read_shards
from harness.engine.shard_file import mapped_columns
from harness.engine.specification import (
    FIRST_WORDS_S,
    LoadSpecification,
    ObserverSpecification,
    SubscriberSpecification,
)
from harness.engine.workers import Crew, Worker
from harness.errors import EngineError
from harness.model.record import Disturbance
from harness.model.scenario import Scenario, StepAction
from harness.model.text import duration
from harness.model.window import Window
from harness.system import Endpoint, System

PLAN_TIMEOUT_S = 600.0  # making and encoding a plan takes about 10 us an operation
_CONNECT_TIMEOUT_S = 15.0
_RESOLVE_TIMEOUT_S = DEADLINE_S + 15.0
_FINISH_TIMEOUT_S = 300.0
LEAD_NS = 300_000_000  # from the order to the first operation: all shards have it by then
_LOOK_S = 0.25
EVENTS_LOG, SUBSCRIPTIONS_LOG = "events.log", "subscriptions.log"
# A load process ends its drain by itself; one that has not said so long after that is stuck.
OVERDUE_NS = 15_000_000_000


class InterruptedRunError(EngineError):
    """The user interrupted the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What is known of the load once it has drained."""

    window: Window
    start_ns: int
    disturbances: tuple[Disturbance, ...]
    machine: MachineFacts

    @property
    def restarts_ns(self) -> tuple[int, ...]:
        """When the target or the broker was killed on purpose, CLOCK_MONOTONIC."""
        return tuple(
            self.window.start_ns + item.start_ns
            for item in self.disturbances
            if StepAction(item.action).is_kill
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFacts:
    """What the load left behind; reports are what each child said at its end."""

    results: Results
    shard_reports: tuple[Mapping[str, Any], ...]
    observer_report: Mapping[str, Any]
    subscriber_report: Mapping[str, Any]  # empty where there are no subscriptions
    produced_count: int  # Kafka records that the broker acknowledged
    resolved_count: int  # operations of unknown outcome that were asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the supervisor watches and tells while the load goes."""

    target: Disturbed
    broker: Disturbed
    start_ns: Callable[[], int]  # when the first operation of the plan's time 0 is due
    check_alive: Callable[[], None]  # raises if the target or the broker is gone
    on_progress: Callable[[Progress], None]
    target_cpu_cores: Callable[[], float | None]
    stopped: threading.Event
    pids: tuple[int | None, ...]  # of target and broker, where known: whoever began them
    on_window: Callable[[Window], None]  # the load has begun; this will be its measured phase


class Supervisor:
    """All children of one run."""

    def __init__(
        self, scenario: Scenario, system: System, *, run_tag: int, seed: int, folder: Path
    ) -> None:
        self._scenario, self._system = scenario, system
        self._run_tag, self._seed, self._folder = run_tag, seed, folder
        self._crew = Crew()
        self._wakers: list[int] = []
        self._columns: list[ColumnsSpec] = []
        self.load: list[Worker] = []
        self.observer: Worker | None = None
        self.subscriber: Worker | None = None
        self.schedule_digest = ""
        self.operation_count = 0
        self.produced_count = 0  # both are known once resolved
        self.resolved_count = 0

    @property
    def pids(self) -> list[tuple[str, int | None]]:
        """Every child by the name of what it does; an observer that is not there has no pid."""
        named: list[tuple[str, int | None]] = [
            ("observer", self.observer.pid if self.observer is not None else None)
        ]
        if self.subscriber is not None:
            named.append(("subscriber", self.subscriber.pid))
        return named + [("generator", worker.pid) for worker in self.load]

    def start_planning(self, placement: Placement) -> None:
        """Start the load processes, which make their plans at once."""
        shard_count = self._scenario.load.worker_count
        for shard in range(shard_count):
            waker = os.eventfd(0, os.EFD_NONBLOCK)
            self._wakers.append(waker)
            specification = LoadSpecification(
                scenario=self._scenario,
                seed=self._seed,
                shard=shard,
                shard_count=shard_count,
                run_tag=self._run_tag,
                cores=placement.load[shard],
                plan_path=str(self._plan_path(shard)),
                event_descriptor=waker,
            )
            self.load.append(
                self._crew.add(
                    "harness.engine.load_process",
                    specification,
                    log=self._folder / f"load-{shard}.log",
                    descriptors=[waker],
                )
            )

    def await_plans(self) -> None:
        for said in self._crew.wait_for("planned", self.load, PLAN_TIMEOUT_S):
            self._columns.append(ColumnsSpec(path=said["path"], row_count=said["row_count"]))
            self.schedule_digest += said["digest"]
            self.operation_count += said["row_count"]

    def observe(self, endpoint: Endpoint, cores: tuple[int, ...]) -> None:
        """Start the observer; it stands at the end of the topic when this returns."""
        specification = ObserverSpecification(
            system=self._scenario.system,
            run_tag=self._run_tag,
            kafka_address=endpoint.kafka_address,
            kafka=endpoint.kafka,
            topic=endpoint.topic_prefix + self._system.probe.observed_topic,
            log_path=str(self._events_path),
            cores=cores,
            event_descriptors=tuple(self._wakers),
        )
        self.observer = self._crew.add(
            "harness.engine.observer",
            specification,
            log=self._folder / "observer.log",
            descriptors=self._wakers,
        )
        self._crew.wait_for("observing", [self.observer], _CONNECT_TIMEOUT_S)

    @property
    def events_path(self) -> Path | None:
        """Where the observer keeps what it saw; None without an observer."""
        return self._events_path if self.observer is not None else None

    @property
    def _events_path(self) -> Path:
        return (self._folder / EVENTS_LOG).resolve()

    def subscribe(self, endpoint: Endpoint, cores: tuple[int, ...]) -> None:
        """Start the subscriber, if the system subscribes to anything; its streams then stand."""
        if not self._system.probe.subscriptions(self._scenario, seed=self._seed):
            return
        specification = SubscriberSpecification(
            scenario=self._scenario,
            seed=self._seed,
            endpoint=endpoint,
            log_path=str(self._subscriptions_path),
            cores=cores,
        )
        self.subscriber = self._crew.add(
            "harness.engine.subscriber", specification, log=self._folder / "subscriber.log"
        )
        self._crew.wait_for("subscribed", [self.subscriber], FIRST_WORDS_S + _CONNECT_TIMEOUT_S)

    @property
    def subscriptions_path(self) -> Path | None:
        """Where the subscriber keeps what came; None without a subscriber."""
        return self._subscriptions_path if self.subscriber is not None else None

    @property
    def _subscriptions_path(self) -> Path:
        return (self._folder / SUBSCRIPTIONS_LOG).resolve()

    def connect(self, endpoint: Endpoint) -> None:
        if self.observer is not None:
            self.observer.tell("watch", columns=[asdict(spec) for spec in self._columns])
        for worker in self.load:
            worker.tell(
                "connect",
                **{**asdict(endpoint), "metadata": list(endpoint.metadata)},
                sees_events=self.observer is not None,
            )
        self._crew.wait_for("connected", self.load, _CONNECT_TIMEOUT_S)

    def drive(self, surroundings: Surroundings) -> Driven:
        """
        Warm up, measure, drain: until every operation is settled.

        Raises InterruptedRunError (the user stopped it) or the HarnessError of what failed.
        """
        scenario = self._scenario
        machine = MachineWatch((os.getpid(), *surroundings.pids))
        start_ns = surroundings.start_ns()
        measure_ns = start_ns + scenario.driven_warmup_ns
        window = Window(
            start_ns=measure_ns,
            end_ns=measure_ns + scenario.driven_measure_ns,
            turns=scenario.load.turns,
        )
        for worker in self.load:
            worker.tell("start", start_ns=start_ns)
        disturber = Disturber(
            surroundings.target, surroundings.broker, scenario.steps, window.start_ns
        )
        try:
            disturber.start()
            surroundings.on_window(window)
            self._watch(surroundings, disturber, start_ns)
        finally:
            disturber.stop()
        disturber.check_done()
        return Driven(
            window=window,
            start_ns=start_ns,
            disturbances=tuple(disturber.disturbances),
            machine=machine.facts(),
        )

    def answered(self) -> pd.DataFrame:
        """What was answered so far, while the load processes live: kind and done_ns."""
        names = np.array(
            [kind.name for kind in self._system.planner.kinds_of(self._scenario)], object
        )
        tables = []
        for shard, spec in enumerate(self._columns):
            done_ns = Columns(spec).done_ns
            kinds = mapped_columns(self._plan_path(shard))["kind"]
            is_done = done_ns > 0
            tables.append({"kind": names[kinds[is_done]], "done_ns": done_ns[is_done]})
        return pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True)

    def resolve(self, remembered_s: int = 0) -> None:
        """Ask again for every unknown outcome that the target still remembers; 0: for ever."""
        sent_since_ns = 0
        if remembered_s:
            # Asking takes a time, too: what would be forgotten during it counts as forgotten.
            sent_since_ns = time.monotonic_ns() - int((remembered_s - DEADLINE_S) * 1e9)
        for worker in self.load:
            worker.tell("resolve", sent_since_ns=sent_since_ns)
        resolved = self._crew.wait_for("resolved", self.load, _RESOLVE_TIMEOUT_S)
        self.produced_count = sum(said["produced_count"] for said in resolved)
        self.resolved_count = sum(said["count"] for said in resolved)

    def finish(self, *, expected_event_count: int | None, timeout_s: float) -> LoadFacts:
        """End the children and read what they leave."""
        observer_report: Mapping[str, Any] = {}
        if self.observer is not None:
            # Not known how many there must be: listen for the whole of the timeout.
            expected = expected_event_count if expected_event_count is not None else 1 << 62
            self.observer.tell("finish", expected_count=expected, timeout_s=timeout_s)
            wait_s = timeout_s + _CONNECT_TIMEOUT_S
            observer_report = self._crew.wait_for("finished", [self.observer], wait_s)[0]
        subscriber_report: Mapping[str, Any] = {}
        if self.subscriber is not None:
            self.subscriber.tell("finish", timeout_s=timeout_s)
            wait_s = timeout_s + _CONNECT_TIMEOUT_S
            subscriber_report = self._crew.wait_for("finished", [self.subscriber], wait_s)[0]
        shards = range(len(self.load))
        paths = [self._folder / f"shard-{shard}" for shard in shards]
        plan_paths = [self._plan_path(shard) for shard in shards]
        for worker, path in zip(self.load, paths, strict=True):
            worker.tell("finish", path=str(path.resolve()))
        reports = self._crew.wait_for("finished", self.load, _FINISH_TIMEOUT_S)
        results = read_shards(paths, plan_paths, self._system.planner.kinds_of(self._scenario))
        for path in (*paths, *plan_paths):
            shutil.rmtree(path)  # what is mapped stays readable
        return LoadFacts(
            results=results,
            shard_reports=tuple(reports),
            observer_report=observer_report,
            subscriber_report=subscriber_report,
            produced_count=self.produced_count,
            resolved_count=self.resolved_count,
        )

    def _plan_path(self, shard: int) -> Path:
        return (self._folder / f"plan-{shard}").resolve()

    def close(self) -> None:
        """End every child and give back what they shared; harmless twice."""
        self._crew.stop()
        for descriptor in self._wakers:
            os.close(descriptor)
        self._wakers = []

    def _watch(self, surroundings: Surroundings, disturber: Disturber, start_ns: int) -> None:
        scenario = self._scenario
        reader = ProgressReader(
            [Columns(spec) for spec in self._columns],
            start_ns=start_ns,
            warmup_ns=scenario.driven_warmup_ns,
            total_ns=scenario.driven_warmup_ns + scenario.driven_measure_ns,
        )
        drained: set[Worker] = set()
        is_stopping = False
        planned_ns = scenario.driven_warmup_ns + scenario.driven_measure_ns + scenario.drain_ns
        overdue_at_ns = start_ns + planned_ns + OVERDUE_NS
        while len(drained) < len(self.load):
            if time.monotonic_ns() > overdue_at_ns:
                raise EngineError(self._describe_stuck(drained))
            event = self._crew.poll(_LOOK_S)
            if event is not None and event.name == "drained":
                drained.add(event.worker)
                continue
            if surroundings.stopped.is_set() and not is_stopping:
                is_stopping = True
                for worker in self.load:
                    worker.tell("stop")
            if disturber.error is not None:
                raise disturber.error
            if not disturber.is_busy:
                surroundings.check_alive()
            cpu_cores = surroundings.target_cpu_cores()
            surroundings.on_progress(reader.look(time.monotonic_ns(), cpu_cores))
        if is_stopping:
            raise InterruptedRunError("stopped before the end of the measured phase")

    def _describe_stuck(self, drained: set[Worker]) -> str:
        stuck = next(worker for worker in self.load if worker not in drained)
        shard, log = self.load.index(stuck), stuck.log_tail()
        return (
            f"load process {shard} has not finished {duration(OVERDUE_NS)} after the end of its "
            f"drain; it is ended. Its log: {log or 'empty'}"
        )
