"""
The life of a run, from a scenario and a target to a stored record.

    build -> broker up -> target up -> plans made -> seed -> observe -> warm up -> MEASURE -> drain
    -> resolve unknowns -> quiesce -> stop -> audit -> record

The folder's name ends in `.incomplete` until the record is whole. Whatever happens, every process
that was started here is stopped here.
"""

import os
import secrets
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.engine.placement import Placement, place
from harness.engine.progress import Progress
from harness.engine.replan import PlansAgain
from harness.engine.supervisor import (
    Driven,
    InterruptedRunError,
    LoadFacts,
    Supervisor,
    Surroundings,
)
from harness.errors import (
    BrokerError,
    EngineError,
    HarnessError,
    RecordError,
    TargetError,
    TransportError,
)
from harness.machine.environment import read_environment
from harness.model.record import Invariant, RunRecord, record_to_json
from harness.model.record_json import record_from_json
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from harness.model.window import Window
from harness.profilers.profiled_run import MakeProfiler, ProfiledRun
from harness.runs import recording
from harness.runs.cleanup import remove_raw_evidence, strike_logs
from harness.runs.companion import Alone, Companion
from harness.runs.facts import RunFacts
from harness.storage.run_folder import (
    INCOMPLETE_SUFFIX,
    StoredRun,
    load_run,
    write_json,
    write_record,
)
from harness.system import AuditEvidence, Endpoint, load_system
from harness.targets.broker import Broker
from harness.targets.broker_fit import check_broker_fits, check_broker_is_the_targets
from harness.targets.broker_floor import FloorResult
from harness.targets.build import LOG_NAME, build_target
from harness.targets.replay import replay_journal
from harness.targets.resources import ResourceSampler, sampler_of
from harness.targets.service import Target, start_target
from harness.targets.target_file import AttachSpec, TargetSpec
from harness.targets.topics import check_absent_topics, create_topics

_QUIESCE_TIMEOUT_S = 20.0
_EVENTS_TIMEOUT_S = 10.0
_TOPIC_PARTITION_COUNT = 1
_ONE_TEXT_ERRORS = (TargetError, BrokerError, TransportError, EngineError, RecordError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetup:
    """What to run, against what, and where to keep it."""

    scenario: Scenario
    target: TargetSpec
    kafka: str  # "embedded", "apache" or host:port
    runs_folder: Path
    command: str  # repeats the run
    profiler: MakeProfiler | None = None  # looks into the target over the measured phase
    keeps_evidence: bool = False  # every event, and the state of target and broker, in any case
    companion: Companion = field(default_factory=Alone)


class RunView(Protocol):
    """Who watches a run: the live view of the command line, or nobody."""

    def phase(self, name: str, detail: str) -> None:
        """A new phase of the run has begun."""
        ...

    def progress(self, progress: Progress) -> None:
        """The load, several times a second while it runs."""
        ...


class Run:
    """One run: `execute` is its life."""

    def __init__(self, request: RunSetup, view: RunView, stopped: threading.Event) -> None:
        self._request, self._view, self._stopped = request, view, stopped
        self._scenario: Scenario = request.scenario
        self._system = load_system(request.scenario.system)
        request.target.metadata_pairs()  # rejected before anything starts, or not at all
        check_absent_topics(request.target, self._system.topics)
        check_broker_fits(request.kafka, request.scenario)
        check_broker_is_the_targets(request.kafka, request.target, self._system.topics)
        self._secrets = request.target.secrets()
        self._run_tag = secrets.randbits(63)
        self._created_at = datetime.now(UTC)
        stamp = f"{self._created_at:%Y%m%d-%H%M%S}"
        self.run_id = f"{stamp}-{request.scenario.name}-{self._run_tag & 0xFFFF:04x}"
        self.folder = request.runs_folder / (self.run_id + INCOMPLETE_SUFFIX)
        cores = tuple(sorted(os.sched_getaffinity(0)))
        self._placement: Placement = place(cores, self._scenario.load.worker_count)
        self.is_driving = False  # the load goes: it can be stopped in order
        self._profiled = ProfiledRun(request.profiler, self.folder)

    def execute(self) -> StoredRun:
        """
        Do the run and store it.

        Raises:
            HarnessError: it could not be finished; the folder is kept as `.incomplete`.
        """
        try:
            self.folder.mkdir(parents=True)
            with ExitStack() as stack:
                return self._live(stack)
        except OSError as error:
            self._keep_failure(error)
            raise EngineError(f"run folder {self.folder}: {error}") from error
        except (HarnessError, KeyboardInterrupt) as error:
            self._keep_failure(error)
            self._raise_without_secrets(error)
            raise
        except Exception as error:
            self._keep_failure(error)
            self._raise_without_secrets(error)
            raise
        finally:
            strike_logs(self.folder, self._secrets)
            self._request.companion.leave()

    def _live(self, stack: ExitStack) -> StoredRun:
        request, scenario, system = self._request, self._scenario, self._system
        environment, git = read_environment(), recording.revision_of(request.target)
        supervisor = Supervisor(
            scenario, system, run_tag=self._run_tag, seed=scenario.seed, folder=self.folder
        )
        stack.callback(supervisor.close)
        self._enter("plan", "every operation is made and encoded before the clock starts")
        supervisor.start_planning(self._placement)
        build_s = self._build()
        self._enter("start", f"broker {request.kafka}, target {request.target.name}")
        broker = request.companion.broker(
            request.kafka, folder=self.folder, affinity=self._placement.broker
        )
        stack.callback(broker.stop)
        with request.companion.starting():
            target = self._start_target(broker)
        stack.callback(target.stop)
        with _blaming_the_dead(target, broker):
            loaded = self._load(stack, supervisor, target, broker)
        end, _ = target.stop(), broker.stop()
        table = loaded.facts.results.table
        self._enter("audit", f"{len(table):,} operations")
        profiles = self._profiled.store(loaded.driven.window, table)
        facts = RunFacts(
            run_id=self.run_id,
            created_at=self._created_at,
            command=request.command,
            scenario=scenario,
            system=system,
            schedule_digest=supervisor.schedule_digest,
            target=recording.describe_target(
                target, system.probe, opening=loaded.opening, ended=end, build_s=build_s, source=git
            ),
            broker=recording.describe_broker(broker, loaded.floor),
            placement=self._placement,
            environment=environment,
            load=loaded.facts,
            driven=loaded.driven,
            sampler=loaded.sampler,
            instrumentation=self._profiled.instrumentation,
            profiles=profiles,
            profile_notes=tuple(self._profiled.notes),
        )
        record = recording.record_run(self.folder, facts, lambda: self._audit(supervisor, loaded))
        loaded.plans.close()
        supervisor.close()
        self._enter("record", str(self.folder))
        return self._store(record)

    def _load(
        self, stack: ExitStack, supervisor: Supervisor, target: Target, broker: Broker
    ) -> "_Loaded":
        """Everything that needs the target alive: from its seeding to its closing state."""
        scenario, probe = self._scenario, self._system.probe
        supervisor.await_plans()
        if probe.observed_topic and probe.observed_topic not in target.endpoint.absent_topics:
            # Before the opening state is read: others may use an attached target meanwhile.
            supervisor.observe(target.endpoint, self._placement.observer)
        self._enter("seed", "reference data and balances")
        opening = probe.open(
            target.endpoint,
            scenario,
            seed=scenario.seed,
            seed_by=self._request.target.seed_by,
        )
        floor = self._request.companion.floor(broker, f"{self.run_id}.harness.floor")
        supervisor.subscribe(target.endpoint, self._placement.observer)
        supervisor.connect(target.endpoint)
        own = [("target", target.pid), ("broker", broker.pid), *supervisor.pids]
        sampler = sampler_of(own)
        stack.callback(sampler.stop)
        self.is_driving = True
        stack.callback(self._profiled.stop)
        with self._profiled.kept_on_failure(supervisor.answered):
            driven = supervisor.drive(self._surroundings(target, broker, sampler))
            self._request.companion.drained()
            self.is_driving = False
            sampler.stop()
            plans = PlansAgain(
                scenario, operation_count=supervisor.operation_count, folder=self.folder
            )
            stack.callback(plans.close)
            self._enter("settle", "unknown outcomes asked for again, events awaited")
            facts, closing = self._settle(supervisor, target.endpoint, opening)
            self._profiled.rest()
            self._profiled.stop()
        return _Loaded(
            opening=opening,
            floor=floor,
            driven=driven,
            facts=facts,
            closing=closing,
            sampler=sampler,
            plans=plans,
        )

    def _enter(self, phase: str, detail: str) -> None:
        """Tell the next phase, unless the user has stopped the run."""
        if self._stopped.is_set():
            raise InterruptedRunError("run interrupted before it was complete")
        self._view.phase(phase, detail)

    def _build(self) -> float:
        """How long it took, in seconds; 0 where there is nothing to build."""
        how = self._request.target.how
        if isinstance(how, AttachSpec) or not how.build_steps:
            return 0.0
        self._enter("build", f"{len(how.build_steps)} steps, see {self.folder / LOG_NAME}")
        return build_target(how, folder=self.folder)

    def _start_target(self, broker: Broker) -> Target:
        prefix = ""
        if not isinstance(self._request.target.how, AttachSpec):
            prefix = f"{self.run_id}."
            create_topics(
                broker.address,
                {prefix + topic: _TOPIC_PARTITION_COUNT for topic in self._system.topics},
            )
        return start_target(
            self._profiled.prepared(self._request.target),
            folder=self.folder,
            kafka_address=broker.address,
            kafka=broker.clients,
            topic_prefix=prefix,
            reference_data=self._system.planner.reference_data(self._scenario),
            affinity=self._placement.target,
        )

    def _surroundings(
        self, target: Target, broker: Broker, sampler: ResourceSampler
    ) -> Surroundings:
        def check_alive() -> None:
            target.check_alive()
            broker.check_alive()
            sampler.watch("target", target.pid)  # another one after a restart
            sampler.watch("broker", broker.pid)

        def on_window(window: Window) -> None:
            sampler.start(window)
            self._profiled.start(window, target)

        return Surroundings(
            target=target,
            broker=broker,
            check_alive=check_alive,
            on_progress=self._view.progress,
            target_cpu_cores=lambda: sampler.cpu_cores("target"),
            stopped=self._stopped,
            pids=(target.pid, broker.pid),
            start_ns=self._request.companion.start_ns,
            on_window=on_window,
        )

    def _settle(
        self, supervisor: Supervisor, endpoint: Endpoint, opening: Any
    ) -> tuple[LoadFacts, Any]:
        probe = self._system.probe
        supervisor.resolve(int(probe.capabilities(opening).get("dedupe_horizon_s", 0)))
        closing = probe.close(
            endpoint,
            self._scenario,
            opening=opening,
            produced_count=supervisor.produced_count,
            timeout_s=_QUIESCE_TIMEOUT_S,
        )
        facts = supervisor.finish(
            expected_event_count=probe.event_count(closing), timeout_s=_EVENTS_TIMEOUT_S
        )
        return facts, closing

    def _audit(self, supervisor: Supervisor, loaded: "_Loaded") -> tuple[Invariant, ...]:
        return self._system.auditor.audit(
            AuditEvidence(
                scenario=self._scenario,
                run_tag=self._run_tag,
                seed=self._scenario.seed,
                operations=loaded.facts.results.table,
                events_path=supervisor.events_path,
                subscriptions_path=supervisor.subscriptions_path,
                opening=loaded.opening,
                closing=loaded.closing,
                restarts_ns=loaded.driven.restarts_ns,
                produced_count=loaded.facts.produced_count,
                is_attached=isinstance(self._request.target.how, AttachSpec),
                replay=replay_journal(self._request.target, folder=self.folder),
                plans=loaded.plans.plans,
                are_events_cut_off=bool(loaded.facts.observer_report.get("is_cut_off")),
            )
        )

    def _store(self, record: RunRecord) -> StoredRun:
        if self._secrets:
            redacted = self._secrets.strike_document(record_to_json(record))
            record = record_from_json(redacted)
        write_record(self.folder, record)
        self.folder = self.folder.rename(self.folder.with_name(self.run_id))
        stored = load_run(self.folder)
        is_proved = stored.record.correctness.status is Correctness.PASSED
        if is_proved and not self._request.keeps_evidence:
            remove_raw_evidence(self.folder)
        return stored

    def _raise_without_secrets(self, error: BaseException) -> None:
        """Raise it anew if its text or that of its causes shows one; they are left behind."""
        text = "".join(traceback.format_exception(error))
        if self._secrets.strike(text) == text:
            return
        kind = type(error) if type(error) in _ONE_TEXT_ERRORS else EngineError
        raise kind(self._secrets.strike(str(error))) from None

    def _keep_failure(self, error: BaseException) -> None:
        if self.folder.is_dir():
            what = "logs, failure.json" + (", profiles" if self._profiled.kept else "")
            self._view.phase("kept", f"{self.folder} ({what}); never a baseline")
            try:
                write_json(
                    self.folder / "failure.json",
                    {
                        "error": type(error).__name__,
                        "message": self._secrets.strike(str(error)),
                        "profiles": [entry.file for entry in self._profiled.kept],
                    },
                )
            except HarnessError:
                return  # the disk is full: the message on the terminal is all there is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What is known once the target is no longer needed."""

    opening: Any
    closing: Any
    floor: FloorResult
    driven: Driven
    facts: LoadFacts
    sampler: ResourceSampler
    plans: PlansAgain


@contextmanager
def _blaming_the_dead(target: Target, broker: Broker) -> Iterator[None]:
    """When the target or the broker is gone, whatever failed next is only a consequence."""
    try:
        yield
    except HarnessError:
        target.check_alive()
        broker.check_alive()
        raise
    target.check_alive()
    broker.check_alive()
