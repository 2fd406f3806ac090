"""
Measure the figures of ci/figures.md on this machine: `ci/figures [NAME ...]`.

    ci/figures                                  the parts that are quick, some minutes together
    ci/figures streams plain-pass               others, some minutes each
    ci/figures slowdowns leaks equal-builds     the hour of profiles
    ci/figures large --operations 10000000      how large a run `large` is; the default is a million

Each part prints what was measured and, where a target was set, the target. Ratios are taken in one
run, since machines are noisy. Run it when nothing else computes.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import brokers
import foreign
import large
import numpy as np
import plants
import profiles
import reference_speed as speed
import streams
import uvloop

from harness.drivers.by_name import GRPC_DRIVERS
from harness.drivers.closed_loop import ClosedLoopResult, closed_loop
from harness.drivers.kafka import KafkaDriver
from harness.engine.columns import create_columns
from harness.engine.progress import Progress
from harness.engine.specification import ObserverSpecification
from harness.engine.workers import Crew
from harness.model.kafka_settings import ANY_BROKER
from harness.model.record import RunRecord
from harness.model.scenario_file import ScenarioOverrides
from harness.model.units import NANOS_PER_SECOND
from harness.runs.run import Run, RunSetup
from harness.system import Channel, load_system
from harness.targets.broker import start_broker
from harness.targets.service import start_target
from harness.targets.target_file import load_target
from harness.targets.topics import create_topics
from harness.workflows.scenarios import checked_scenario
from workloads.account.contract import accounts_pb2 as contract

RUN_TAG = 0x0123456789ABCDEF
RECORD_COUNT, RECORD_BYTES, RECORDS_IN_FLIGHT = 200_000, 100, 5_000
EVENT_COUNT = 200_000


def say(name: str, value: str, target: str = "") -> None:
    """One line of the table."""
    sys.stdout.write(f"{name:<58} {value:>24}  {target}\n")
    sys.stdout.flush()


class Silent:
    """Watches nothing."""

    def phase(self, name: str, detail: str) -> None:
        """Nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""


def run(name: str, target: str, **changes: float) -> RunRecord:
    """One run, its folder thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        request = RunSetup(
            scenario=checked_scenario(name, ScenarioOverrides(**changes)),
            target=load_target(target),
            kafka="embedded",
            runs_folder=Path(folder),
            command="",
        )
        return Run(request, Silent(), threading.Event()).execute().record


def driver_against_reference() -> None:
    """Closed loop, transfers, both drivers against the same service in turn."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        broker = start_broker("embedded", folder=Path(folder))
        target = start_target(
            load_target("reference"),
            folder=Path(folder),
            kafka_address=broker.address,
            topic_prefix="figures.",
            affinity=(0,),
        )
        os.sched_setaffinity(0, {1})
        try:
            scenario = checked_scenario("deposit-storm", ScenarioOverrides())
            load_system(scenario.system).probe.open(
                target.endpoint, scenario, seed=1, seed_by="control"
            )
            for number, name in enumerate(GRPC_DRIVERS):
                results[name] = _closed_loop(name, target.endpoint.grpc_address, RUN_TAG + number)
        finally:
            os.sched_setaffinity(0, {0, 1})
            target.stop()
            broker.stop()
    wire, grpcio = results["wire"], results["grpcio"]
    per_cpu_s = f"{wire.calls_per_cpu_s:,.0f}"
    say("framed driver, calls per generator CPU-second, reference", per_cpu_s, ">= 20,000")
    say("grpcio driver, the same service and run", f"{grpcio.calls_per_cpu_s:,.0f}")
    ratio = wire.calls_per_cpu_s / grpcio.calls_per_cpu_s
    say("ratio", f"{ratio:.1f}", ">= 3")
    say("  rate in that closed loop (the service's limit)", f"{wire.calls_per_s:,.0f}/s")


def _closed_loop(driver: str, address: str, run_tag: int) -> ClosedLoopResult:
    scenario = checked_scenario(
        "deposit-storm", ScenarioOverrides(rate_per_s=3000.0, measure_ns=10 * NANOS_PER_SECOND)
    )
    system = load_system(scenario.system)
    plan = system.planner.plan(scenario, seed=1, shard=0, shard_count=1)
    payloads = system.codec.encode(scenario, plan, run_tag=run_tag)
    free = np.flatnonzero(plan.needs_a < 0)
    messages = [bytes(payloads.blob[payloads.start[i] : payloads.start[i + 1]]) for i in free]
    kind = int(plan.kind[free[0]])
    kinds = system.planner.kinds_of(scenario)
    methods = [spec.address for spec in kinds if spec.channel is Channel.GRPC]
    assert kinds[kind].address == methods[kind]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            closed_loop(
                lambda *, on_reply: GRPC_DRIVERS[driver](
                    address=address,
                    methods=methods,
                    on_reply=on_reply,
                    timeout_ns=10 * NANOS_PER_SECOND,
                ),
                method=kind,
                messages=messages,
                in_flight_count=64,
                duration_s=4.0,
            )
        )


def lateness() -> None:
    """2,000/s Poisson against the null service, with and without real-time scheduling, and spun."""
    variants: dict[str, dict[str, float]] = {
        "SCHED_FIFO": {"realtime": True},
        "no real-time scheduling": {"realtime": False},
        "SCHED_FIFO, last 120 us spun": {"realtime": True, "spin_ns": 120_000},
    }
    for words, changes in variants.items():
        record = run("null-poisson", "null", measure_ns=20 * NANOS_PER_SECOND, **changes)
        found, cpu = record.lateness_ns, record.resources["generator"].cpu_cores_mean
        value = f"{(found.at(0.5) or 0) / 1e3:.0f} / {(found.at(0.99) or 0) / 1e3:.0f} us"
        target = "<= 80 / 250 us" if words == "SCHED_FIFO" else ""
        say(f"lateness p50 / p99 at 2,000/s, {words}", value, target)
        say("  generator", f"{cpu or 0:.0%} of a core, {record.validity.status}")


def memory() -> None:
    """What an operation more costs the load process, account workload, below the service's knee."""
    points = []
    for seconds in (15, 60):  # time-outs are kept for ten seconds: both runs hold as many
        record = run(
            "spot-steady",
            "reference",
            rate_per_s=1000.0,
            warmup_ns=NANOS_PER_SECOND,
            measure_ns=seconds * NANOS_PER_SECOND,
        )
        points.append((record.load["operation_count"], record.load["rss_bytes"][0]))
    (few, few_bytes), (many, many_bytes) = points
    value = f"{(many_bytes - few_bytes) / (many - few):.0f} bytes"
    say(f"memory an operation ({few:,} against {many:,})", value, "< 200")


def kafka() -> None:
    """Records produced and events observed per CPU-second, embedded broker."""
    with tempfile.TemporaryDirectory() as folder:
        broker = start_broker("embedded", folder=Path(folder))
        create_topics(broker.address, {"records": 1, "events": 1})
        try:
            cpu_ns = uvloop.run(_produce(broker.address))
            value = f"{RECORD_COUNT / cpu_ns * NANOS_PER_SECOND:,.0f}"
            say("records produced per CPU-second of a load process", value, ">= 50,000")
            joined, observer_cpu_ns = _observe(broker.address, Path(folder))
            value = f"{joined / observer_cpu_ns * NANOS_PER_SECOND:,.0f}"
            say("events consumed and joined per observer CPU-second", value, ">= 100,000")
        finally:
            broker.stop()


async def _produce(address: str) -> int:
    """Processor time of sending RECORD_COUNT records and hearing of each."""
    finished = asyncio.get_running_loop().create_future()
    value, sent, acknowledged = bytes(RECORD_BYTES), 0, 0

    def send_more() -> None:
        nonlocal sent
        while sent < min(RECORD_COUNT, acknowledged + RECORDS_IN_FLIGHT):
            driver.send(sent, "records", b"%d" % (sent % 50), value)
            sent += 1

    def on_ack(token: int, error: str) -> None:
        nonlocal acknowledged
        assert not error, f"record {token}: {error}"
        acknowledged += 1
        if acknowledged == RECORD_COUNT:
            finished.set_result(None)
        elif sent - acknowledged <= RECORDS_IN_FLIGHT // 2:
            send_more()

    driver = KafkaDriver(
        address=address,
        settings=ANY_BROKER,
        topics=["records"],
        headers=[("src", b"figures-0")],
        on_ack=on_ack,
    )
    await driver.connect()
    started_ns = time.process_time_ns()
    send_more()
    await finished
    spent_ns = time.process_time_ns() - started_ns
    await driver.close()
    return spent_ns


def _observe(address: str, folder: Path) -> tuple[int, int]:
    """A real observer over EVENT_COUNT ledger events: (joined, its processor time)."""
    spec = create_columns(EVENT_COUNT)
    crew = Crew()
    try:
        observer = crew.add(
            "harness.engine.observer",
            ObserverSpecification(
                system="workloads.account:SYSTEM",
                run_tag=RUN_TAG,
                kafka_address=address,
                kafka=ANY_BROKER,
                topic="events",
                log_path=str(folder / "events.log"),
                cores=(),
                event_descriptors=(),
            ),
            log=folder / "observer.log",
        )
        crew.wait_for("observing", [observer], 15.0)
        observer.tell("watch", columns=[{"path": spec.path, "row_count": spec.row_count}])
        uvloop.run(_produce_events(address))
        observer.tell("finish", expected_count=EVENT_COUNT, timeout_s=60.0)
        said = crew.wait_for("finished", [observer], 90.0)[0]
    finally:
        crew.stop()
    assert said["joined_count"] == EVENT_COUNT, said
    return said["joined_count"], said["cpu_ns"]


async def _produce_events(address: str) -> None:
    """One reservation's transaction for each operation."""
    finished, errors = asyncio.Event(), []

    def on_ack(token: int, error: str) -> None:
        if error:
            errors.append(error)
        if token == EVENT_COUNT - 1:  # records of one partition are acknowledged in order
            finished.set()

    driver = KafkaDriver(
        address=address, settings=ANY_BROKER, topics=["events"], headers=[], on_ack=on_ack
    )
    await driver.connect()
    for index in range(EVENT_COUNT):
        request_id = RUN_TAG.to_bytes(8, "big") + index.to_bytes(8, "big")
        transaction = contract.JournalTxn(
            cause=contract.Cause(request_id=request_id),
            journal_seq=index + 1,
            txn_id=request_id,
            kind=contract.TXN_RESERVE,
            t_commit_ns=1,
            postings=[
                contract.Posting(account_id=1000, asset_id=1, bucket=0, delta_minor=-5, order_id=9),
                contract.Posting(account_id=1000, asset_id=1, bucket=1, delta_minor=5, order_id=9),
            ],
        )
        driver.send(index, "events", b"0", transaction.SerializeToString())
    await finished.wait()
    assert not errors, errors[0]
    await driver.close()


def foreign_core() -> None:
    """The highest rate at which a fast service in another language can be driven."""
    foreign.climb(run, say)


def reference() -> None:
    """The reference beside an empty grpc.aio method, in batches, and in process."""
    speed.main()


def large_run(operation_count: int) -> None:
    """Record, audit and report of a rehearsed run; and that it still finds a lost cent."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large.make_apart(folder, operation_count)
        watched = large.watch(folder)
        result = watched.result
        say("operations recorded, audited and reported", f"{result['operations']:,}")
        for step, stage in watched.stages.items():
            value = f"{stage.wall_s:.1f} s, {stage.rss_bytes_max / 2**30:.2f} GiB"
            say(f"  {step}", value, f"({stage.cpu_s:.1f} s of CPU)")
        stages = watched.stages.values()
        wall_s = sum(stage.wall_s for stage in stages)
        rss_bytes = max(stage.rss_bytes_max for stage in stages)
        value = f"{wall_s:.1f} s, {rss_bytes / 2**30:.2f} GiB"
        say("  in all, with its start", value, "10 M: <= 60 s, 4 GB")
        say("  an operation", f"{wall_s / result['operations'] * 1e6:.2f} us")
        say("verdict", f"{result['validity']}, {result['correctness']}", "VALID, PASSED")
        large.lose_a_cent(folder)
        result = large.watch(folder).result
        failed = [key for key, (status, _) in result["invariants"].items() if status == "FAILED"]
        value = f"{result['correctness']}: {', '.join(failed)}"
        say("verdict with a cent lost in the middle", value, "FAILED: I1")


def both_brokers() -> None:
    """One plan with each broker: verdicts, event-visible latency, and balances folded."""
    with tempfile.TemporaryDirectory() as folder:
        runs, comparison = brokers.both(Path(folder), ScenarioOverrides())
    for item in runs:
        verdicts = f"{item.validity}, {item.correctness}, {item.performance}"
        say(f"{item.kafka}: {item.operation_count:,} operations", verdicts, "all green")
        say("  visible p50 / p99", _milliseconds(item.visible_p50_ns, item.visible_p99_ns))
        say("  its own floor p50 / p99", _milliseconds(item.floor_p50_ns, item.floor_p99_ns))
        say("  broker", f"{item.broker_cpu_cores or 0:.0%} of a core")
        say("  transactions on its ledger topic", f"{item.transaction_count:,}")
    value = f"{comparison.ended_otherwise_count:,} of {comparison.operation_count:,}"
    say("operations that ended otherwise", value, "0")
    value = f"{comparison.differing_balance_count:,} of {comparison.balance_count:,}"
    say("balances that differ, by account and asset", value, "0")
    if not comparison.is_same:
        say(f"the ledgers are NOT shown to be the same: {comparison.first}", "")


def calls_and_streams() -> None:
    """Calls against standing streams on one service, and reads beside writes."""
    streams.compare(Silent(), say)


def _milliseconds(*values_ns: int | None) -> str:
    shown = ["too few" if value is None else f"{value / 1e6:.1f}" for value in values_ns]
    return " / ".join(shown) + " ms"


def profile_slowdowns() -> None:
    """Thirteen slower copies of the reference, each against the same unchanged starts."""
    profiles.guilty_functions(say, plants.SLOWDOWNS, profiles.CPU)


def profile_leaks() -> None:
    """Six copies that never free something."""
    profiles.guilty_functions(say, plants.LEAKS, profiles.MEMORY)


def profile_equal_builds() -> None:
    """Unchanged code against itself."""
    profiles.equal_builds(say, count=7)


def profile_throughput() -> None:
    """How much of a saturated service's rate py-spy leaves."""

    def rate_of(address: str, number: int) -> float:
        return _closed_loop("wire", address, RUN_TAG + number).calls_per_s

    profiles.throughput_kept(say, rate_of)


def plain_pass() -> None:
    """Whether a plain run is the same beside profiled ones."""
    profiles.plain_pass_unchanged(say, count=6)


PARTS: dict[str, Callable[[], object]] = {
    "driver": driver_against_reference,
    "lateness": lateness,
    "memory": memory,
    "kafka": kafka,
    "reference": reference,
    "foreign": foreign_core,
    "brokers": both_brokers,
    "streams": calls_and_streams,
    "slowdowns": profile_slowdowns,
    "leaks": profile_leaks,
    "equal-builds": profile_equal_builds,
    "py-spy": profile_throughput,
    "plain-pass": plain_pass,
}
LARGE = "large"
QUICK = ("driver", "lateness", "memory", "kafka", "reference", "foreign", "brokers", LARGE)


def main() -> int:
    """Measure the parts named, or the quick ones."""
    names = [*PARTS, LARGE]
    parser = argparse.ArgumentParser(
        prog="ci/figures",
        description="Measure what ci/figures.md says.",
        epilog=f"without names: {', '.join(QUICK)}",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(names)}")
    parser.add_argument("--operations", type=int, default=1_000_000, help="of the large run")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        parser.error(f"{', '.join(unknown)}: write any of {', '.join(names)}")
    for name in arguments.names or QUICK:
        if name == LARGE:
            large_run(arguments.operations)
        else:
            PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
