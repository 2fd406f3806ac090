"""
The load process: makes its share of the plan and drives it on one open-loop schedule.

A program of its own (`python -m harness.engine.load_process`), one per generator core, apart from
the command line, the live view and the service. Commands from the parent, in this order:
    (first line) LoadSpecification -> event planned
    connect {endpoint}             -> event connected
    start {start_ns}               -> event drained, once every operation is settled
    stop {}                           offer nothing more (Ctrl-C)
    resolve {sent_since_ns}        -> event resolved: unknown outcomes asked for again
    finish {path}                  -> event finished; the shard's tables are written to path
"""

import asyncio
import os
import time
import traceback
from array import array
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from harness.drivers.by_name import GRPC_DRIVERS
from harness.drivers.grpc import GrpcDriver, Shape, StreamOptions
from harness.drivers.kafka import KafkaDriver
from harness.engine import child, privilege
from harness.engine.columns import Columns, ColumnsSpec, Counter, create_columns
from harness.engine.dispatch import Dispatcher, Drivers
from harness.engine.pacer import Pacer
from harness.engine.plan_digest import plan_digest
from harness.engine.resolve import Resolver
from harness.engine.shard_file import (
    Exceptions,
    Resolved,
    read_plan,
    write_plan,
    write_shard,
)
from harness.engine.specification import LoadSpecification
from harness.engine.timer import AbsoluteTimer
from harness.errors import EngineError, HarnessError
from harness.model.kafka_settings import KafkaSettings
from harness.model.operation import Outcome
from harness.model.tls import TlsOptions
from harness.system import Channel, load_system

# In-flight samples, time-outs of waits, counters for the live view. Ticks have a timerfd of their
# own: the loop's timers would run just after an event was handled, when more than usual is in
# flight (sampled so, Little's law was off by a factor of three at 2,000/s).
TICK_NS = 10_000_000


class PlannedShard:
    """One shard's plan, its messages and its columns; nothing is connected yet."""

    def __init__(self, specification: LoadSpecification) -> None:
        self.specification = specification
        self.scenario = specification.scenario
        self.affinity = privilege.pin(specification.cores)
        system = load_system(self.scenario.system)
        self.codec, self.kinds = system.codec, system.planner.kinds_of(self.scenario)
        plan, self.payloads = read_plan(
            Path(specification.plan_path),
            shard=specification.shard,
            shard_count=specification.shard_count,
        )
        self.columns_spec: ColumnsSpec = create_columns(len(plan))
        self.columns = Columns(self.columns_spec)
        self.columns.intended_ns[:] = self.scenario.driven_ns(plan.intended_offset_ns)
        self.plan = replace(plan, intended_offset_ns=self.columns.intended_ns)


class Load:
    """A shard's dispatcher, drivers and pacer, from the connections to the tables."""

    def __init__(self, planned: PlannedShard, endpoint: dict[str, Any]) -> None:
        scenario, kinds = planned.scenario, planned.kinds
        self._planned, self._columns = planned, planned.columns
        self._topic_prefix: str = endpoint["topic_prefix"]
        self._clock = time.monotonic_ns
        self._dispatcher = dispatcher = Dispatcher(
            plan=planned.plan,
            payloads=planned.payloads,
            kinds=kinds,
            topic_prefix=self._topic_prefix,
            codec=planned.codec,
            columns=self._columns,
            in_flight_count_max=scenario.load.in_flight_count_max,
            clock=self._clock,
            sees_events=endpoint["sees_events"],
        )
        used = set(np.unique(planned.plan.kind).tolist())
        grpc: GrpcDriver = GRPC_DRIVERS[scenario.load.driver](
            address=endpoint["grpc_address"],
            methods=[kind.address for kind in kinds],  # indexed by kind
            shapes=[
                _SHAPES[kind.channel] if index in used else Shape.UNARY
                for index, kind in enumerate(kinds)
            ],
            streams=StreamOptions(
                stream_count=scenario.load.stream_count,
                window_count=scenario.load.stream_window_count,
                read=planned.codec.stream_reply,
            ),
            on_reply=dispatcher.on_reply,
            timeout_ns=scenario.load.timeout_ns,
            connection_count=scenario.load.connection_count,
            metadata=[(key, value) for key, value in endpoint["metadata"]],
            tls=TlsOptions(**endpoint["tls"]) if endpoint["tls"] else None,
        )
        kafka = None
        topics = {kinds[index].address for index in used if kinds[index].channel is Channel.KAFKA}
        if topics:
            kafka = KafkaDriver(
                address=endpoint["kafka_address"],
                settings=KafkaSettings(**endpoint["kafka"]),
                topics=[self._topic_prefix + topic for topic in sorted(topics)],
                headers=planned.codec.record_headers(
                    run_tag=planned.specification.run_tag, shard=planned.specification.shard
                ),
                on_ack=dispatcher.on_ack,
            )
        self._drivers = Drivers(grpc=grpc, kafka=kafka)
        dispatcher.connect(self._drivers)
        self._timer, self._tick_timer = AbsoluteTimer(), AbsoluteTimer()
        self._pacer = Pacer(
            intended_ns=self._columns.intended_ns.data,
            offer=dispatcher.offer,
            flush=grpc.flush,
            timer=self._timer,
            clock=self._clock,
            spin_ns=scenario.load.spin_ns,
        )
        self._resolver: Resolver | None = None
        self._samples = array("q")  # (time_ns, in flight, processor time_ns) for each tick
        self._scheduling = ""
        self._drain_deadline_ns = self._next_tick_ns = 0
        self._rss_bytes = 0  # when the load had drained, before anything is decoded

    async def connect(self) -> None:
        await self._drivers.grpc.connect()
        if self._drivers.kafka is not None:
            await self._drivers.kafka.connect()

    def start(self, start_ns: int) -> None:
        """Begin: operation i goes at *start_ns* + its intended offset."""
        specification = self._planned.specification
        scenario = specification.scenario
        self._columns.intended_ns += start_ns
        planned_ns = scenario.driven_warmup_ns + scenario.driven_measure_ns
        self._drain_deadline_ns = start_ns + planned_ns + scenario.drain_ns
        loop = asyncio.get_running_loop()
        loop.add_reader(self._timer.descriptor, self._pacer.wake)
        if specification.event_descriptor >= 0:
            loop.add_reader(specification.event_descriptor, self._visible)
        privilege.quiet_collector()
        self._scheduling = privilege.ask_for_realtime(scenario.load.realtime)
        self._pacer.start()
        loop.add_reader(self._tick_timer.descriptor, self._tick)
        self._next_tick_ns = start_ns
        self._tick_timer.arm(start_ns)

    def stop(self) -> None:
        """Offer nothing more; what is in flight may still come home."""
        first_unsent = self._pacer.next
        self._pacer.stop()
        self._dispatcher.let_go(self._clock())
        self._dispatcher.end_waiting(Outcome.CANCELLED)
        self._columns.outcome[first_unsent:] = int(Outcome.CANCELLED)
        self._drain_deadline_ns = min(
            self._drain_deadline_ns, self._clock() + self._planned.scenario.drain_ns
        )

    def resolve(self, sent_since_ns: int) -> None:
        """Ask again for what has no known outcome, by the same request id."""
        resolver = self._resolver = Resolver(
            dispatcher=self._dispatcher,
            drivers=self._drivers,
            columns=self._columns,
            plan=self._planned.plan,
            codec=self._planned.codec,
            kinds=self._planned.kinds,
            topic_prefix=self._topic_prefix,
        )
        resolver.start(
            on_finished=lambda count: child.say(
                "resolved", count=count, produced_count=self._produced_count(resolver)
            ),
            sent_since_ns=sent_since_ns,
        )

    async def finish(self, path: Path) -> dict[str, Any]:
        """Disconnect, write the shard's tables; what the parent needs to know besides."""
        dispatcher, drivers = self._dispatcher, self._drivers
        codec, plan = self._planned.codec, self._planned.plan
        await drivers.grpc.close()
        if drivers.kafka is not None:
            await drivers.kafka.close()
        decoded = dict(codec.decode_replies(plan, dispatcher.replies.replies()))
        malformed = decoded.pop("malformed", None)
        if malformed is not None:
            dispatcher.fail_malformed(malformed)
            if self._resolver is not None:
                self._resolver.forget(malformed)
        write_shard(
            path,
            plan=plan,
            columns=self._columns,
            exceptions=Exceptions(
                sequences=dispatcher.sequences,
                never_sent=dispatcher.never_sent,
                given_up_ns=dispatcher.given_up_ns,
                let_go_ns=dispatcher.let_go_ns,
            ),
            resolved=self._resolved(),
            decoded=decoded,
            samples=self._samples,
        )
        return {
            "details": [
                [self._planned.kinds[kind].name, status, text, count]
                for (kind, status, text), count in dispatcher.details.items()
            ],
            "driver": asdict(drivers.grpc.stats),
            "invisible_count": len(dispatcher.given_up_ns),
            "scheduling": self._scheduling,
            "affinity": self._planned.affinity,
            "rss_bytes": self._rss_bytes,
        }

    def _resolved(self) -> Resolved:
        resolver = self._resolver
        if resolver is None:
            return Resolved.nothing(len(self._planned.plan))
        return Resolved(outcome=resolver.outcome, code=resolver.code, replayed=resolver.replayed)

    def _produced_count(self, resolver: Resolver) -> int:
        """Records that the broker has acknowledged, those sent again included."""
        acknowledged = int(Outcome.ACKNOWLEDGED)
        return sum(
            1
            for operation in self._dispatcher.sequences
            if acknowledged in {self._columns.outcome[operation], resolver.outcome[operation]}
        )

    def _visible(self) -> None:
        os.read(self._planned.specification.event_descriptor, 8)
        self._dispatcher.on_visible()

    def _tick(self) -> None:
        dispatcher, pacer = self._dispatcher, self._pacer
        self._tick_timer.acknowledge()
        now_ns, cpu_ns = self._clock(), time.process_time_ns()
        self._samples.extend((now_ns, dispatcher.in_flight_count, cpu_ns))
        self._count(pacer.next, cpu_ns)
        timeout_ns = self._planned.scenario.load.timeout_ns
        dispatcher.give_up_unseen(now_ns - timeout_ns)
        # A record that is held back keeps others waiting: well before those give up, it goes.
        dispatcher.let_go(now_ns if pacer.is_finished else now_ns - timeout_ns // 4)
        if pacer.is_finished:
            is_quiet = dispatcher.in_flight_count == 0 and dispatcher.waiting_count == 0
            if is_quiet or now_ns > self._drain_deadline_ns:
                dispatcher.end_waiting(Outcome.STRANDED)
                dispatcher.time_out_in_flight()
                self._count(pacer.next, cpu_ns)
                self._rss_bytes = privilege.resident_bytes()
                child.say("drained")
                return
        self._next_tick_ns += TICK_NS
        self._tick_timer.arm(self._next_tick_ns)

    def _count(self, due_count: int, cpu_ns: int) -> None:
        dispatcher, counters = self._dispatcher, self._columns.counters
        counters[Counter.DUE] = due_count
        counters[Counter.IN_FLIGHT] = dispatcher.in_flight_count
        counters[Counter.SENT] = dispatcher.sent_count
        counters[Counter.CPU_NS] = cpu_ns
        counters[Counter.WAITING] = dispatcher.waiting_count
        for counter, outcome in _SHOWN:
            counters[counter] = dispatcher.outcome_counts[outcome]


_SHAPES = {
    Channel.GRPC: Shape.UNARY,
    Channel.GRPC_PAGES: Shape.PAGES,
    Channel.GRPC_STREAM: Shape.STREAM,
    Channel.KAFKA: Shape.UNARY,  # never called
}
_SHOWN = (
    (Counter.ACKNOWLEDGED, Outcome.ACKNOWLEDGED),
    (Counter.REJECTED, Outcome.REJECTED),
    (Counter.FAILED, Outcome.FAILED),
    (Counter.TIMED_OUT, Outcome.TIMED_OUT),
    (Counter.DROPPED, Outcome.DROPPED),
    (Counter.CANCELLED, Outcome.CANCELLED),
    (Counter.STRANDED, Outcome.STRANDED),
)


def main() -> None:
    specification = child.read_specification(LoadSpecification)
    try:
        digest = _make_plan(specification)
        uvloop.run(_serve(PlannedShard(specification), digest))
    except (HarnessError, OSError) as error:
        child.say("failed", error=type(error).__name__, message=str(error))
        raise SystemExit(1) from error


def _make_plan(specification: LoadSpecification) -> str:
    """Build the plan in a forked child so that its memory is freed; return the digest."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child.end_with_parent()
            os.write(writing, _planned(specification))
        except Exception:  # noqa: BLE001 - it must say why and leave, whatever it was
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        digest = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise EngineError(f"the plan of shard {specification.shard} could not be made")
    return digest.hex()


def _planned(specification: LoadSpecification) -> bytes:
    scenario = specification.scenario
    system = load_system(scenario.system)
    plan = system.planner.plan(
        scenario,
        seed=specification.seed,
        shard=specification.shard,
        shard_count=specification.shard_count,
    )
    payloads = system.codec.encode(scenario, plan, run_tag=specification.run_tag)
    write_plan(Path(specification.plan_path), plan, payloads)
    return plan_digest(plan)


async def _serve(planned: PlannedShard, digest: str) -> None:
    commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    child.fail_on_callback_errors()
    child.listen(commands.put_nowait)
    child.say("planned", **asdict(planned.columns_spec), digest=digest)
    load = Load(planned, await commands.get())  # connect is always the first
    await load.connect()
    child.say("connected")
    while True:
        command = await commands.get()
        match command["command"]:
            case "start":
                load.start(command["start_ns"])
            case "stop":
                load.stop()
            case "resolve":
                load.resolve(command["sent_since_ns"])
            case "finish":
                child.say("finished", **await load.finish(Path(command["path"])))
                return
            case unknown:
                raise ValueError(f"command: {unknown!r} is none of this program's")


if __name__ == "__main__":
    main()
