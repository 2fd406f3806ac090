"""
Calls against standing streams, and writes with reads beside them, on one reference service.

One service process for all runs: what differs between two starts of it is more than what is looked
for. Each run is a whole audited one against that service as an attached target; they go in the
order A B B A, so that a drift of the machine falls on both, and ratios are taken pair by pair.
"""

import os
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.model.record import RunRecord
from harness.model.scenario import LoadTransport
from harness.model.scenario_file import ScenarioOverrides
from harness.runs.run import Run, RunSetup, RunView
from harness.system import load_system
from harness.targets.broker import start_broker
from harness.targets.service import start_target
from harness.targets.target_file import load_target, parse_target
from harness.targets.topics import create_topics
from harness.workflows.scenarios import checked_scenario

Say = Callable[..., None]

PREFIX = "figures."
PAIR_COUNT = 4
CALM_PER_S = 800  # well below what calls take a service of two cores to
WRITES_PER_S = 400
# More than either can do: what is past the bound is dropped, so the service always has work.
FLOOD_PER_S, FLOOD_IN_FLIGHT_COUNT = 8_000, 128
SCENARIO = """
name = "orders"
title = "Orders taken and withdrawn, as fast as one service takes them"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "{rate}/s"
[phases]
warmup = "1s"
measure = "5s"
drain = "10s"
[load]
in_flight_max = {in_flight_max}
[workload]
accounts = {{ count = 1000, kind = "zipf", theta = 0.99 }}
instruments = 50
order_life = "200ms"
mix = {{ {mix} }}
"""
WRITES = 'reserve = "50%", release = "50%"'
READS_BESIDE = 'reserve = "25%", release = "25%", get_balances = "48%", list_ledger = "2%"'
TARGET = """
name = "reference"
[attach]
grpc = "{address}"
pid = {pid}
topic_prefix = "{prefix}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is asked of the service in the runs of one side."""

    name: str
    rate_per_s: int
    mix: str = WRITES
    transport: LoadTransport = LoadTransport.UNARY
    in_flight_count_max: int = 20_000


Measure = Callable[[Side], RunRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    What one run says of the service; latencies are the reservations'.

    Response, but service time where operations were dropped: those have a response without end.
    """

    answered_per_s: float
    answered_per_cpu_s: float
    p50_ms: float
    p99_ms: float


def compare(view: RunView, say: Say) -> None:
    """Reads beside writes; calls against streams, calm and flooded."""
    calls = Side(name="calls", rate_per_s=CALM_PER_S)
    flood = replace(calls, rate_per_s=FLOOD_PER_S, in_flight_count_max=FLOOD_IN_FLIGHT_COUNT)
    writes = Side(name="writes alone", rate_per_s=WRITES_PER_S)
    reads = Side(name="reads beside them", rate_per_s=2 * WRITES_PER_S, mix=READS_BESIDE)
    with tempfile.TemporaryDirectory() as folder, _service(Path(folder), view) as measure:
        # First, while the ledgers are short: what a page costs must not hang on what came before.
        say(f"{WRITES_PER_S:,} writes/s, alone and with as many reads", "")
        _tell(measure, say, writes, reads)
        say(f"reserve and release, {CALM_PER_S:,}/s, {PAIR_COUNT} pairs in turn", "")
        _tell(measure, say, calls, _on_streams(calls))
        say(f"as many as the service takes, {FLOOD_IN_FLIGHT_COUNT} in flight", "")
        _tell(measure, say, flood, _on_streams(flood))


def _on_streams(side: Side) -> Side:
    return replace(side, name="streams", transport=LoadTransport.STREAM)


def _tell(measure: Measure, say: Say, a: Side, b: Side) -> None:
    found: dict[str, list[RunRecord]] = {a.name: [], b.name: []}
    for pair in range(PAIR_COUNT):
        for side in (b, a) if pair % 2 else (a, b):
            found[side.name].append(measure(side))
    figures = {name: [_figures(record) for record in records] for name, records in found.items()}
    for name, records in found.items():
        verdicts = {(record.validity.status, record.correctness.status) for record in records}
        of_all = figures[name]
        say(
            f"  {name}: per service CPU-second; answered",
            f"{_median(f.answered_per_cpu_s for f in of_all):,.0f}; "
            f"{_median(f.answered_per_s for f in of_all):,.0f}/s",
            " ".join(sorted("/".join(verdict) for verdict in verdicts)),
        )
        say(
            f"  {name}: reserve p50 / p99",
            f"{_median(f.p50_ms for f in of_all):.2f} / {_median(f.p99_ms for f in of_all):.2f} ms",
        )
    pairs = list(zip(figures[a.name], figures[b.name], strict=True))
    for words, of in (
        ("per service CPU-second", lambda f: f.answered_per_cpu_s),
        ("answered", lambda f: f.answered_per_s),
        ("p50", lambda f: f.p50_ms),
        ("p99", lambda f: f.p99_ms),
    ):
        ratios = [of(second) / of(first) for first, second in pairs]
        value = f"{_median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        say(f"  {b.name} / {a.name}: {words}", value)


def _figures(record: RunRecord) -> Figures:
    """
    Take them from *record*.

    Raises:
        ValueError: the run was too short for its p99, or the service's processor time is not known.
    """
    latency, cpu_cores = record.latency["reserve"], record.resources["target"].cpu_cores_mean
    taken = latency.service_ns if record.operations.dropped else latency.response_ns
    p50_ns, p99_ns = taken.at(0.5), taken.at(0.99)
    if p50_ns is None or p99_ns is None or not cpu_cores:
        raise ValueError(f"{record.run_id}: too few samples for its figures")
    return Figures(
        answered_per_s=record.rate.achieved_per_s,
        answered_per_cpu_s=record.rate.achieved_per_s / cpu_cores,
        p50_ms=p50_ns / 1e6,
        p99_ms=p99_ns / 1e6,
    )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


@contextmanager
def _service(folder: Path, view: RunView) -> Iterator[Measure]:
    """One reference and its broker; a function that runs a side against it."""
    topics = {PREFIX + topic: 1 for topic in load_system("workloads.account:SYSTEM").topics}
    cores = sorted(os.sched_getaffinity(0))
    broker = start_broker("embedded", folder=folder)
    try:
        create_topics(broker.address, topics)
        target = start_target(
            load_target("reference"),
            folder=folder,
            kafka_address=broker.address,
            topic_prefix=PREFIX,
            affinity=tuple(cores[:1]),
        )
        try:
            text = TARGET.format(
                address=target.endpoint.grpc_address, pid=target.pid, prefix=PREFIX
            )
            spec = parse_target(text, file=folder / "attached.toml")

            def measure(side: Side) -> RunRecord:
                scenario = folder / "orders.toml"
                scenario.write_text(
                    SCENARIO.format(
                        rate=side.rate_per_s, mix=side.mix, in_flight_max=side.in_flight_count_max
                    ),
                    encoding="utf-8",
                )
                request = RunSetup(
                    scenario=checked_scenario(
                        str(scenario), ScenarioOverrides(transport=side.transport)
                    ),
                    target=spec,
                    kafka=broker.address,
                    runs_folder=folder / "runs",
                    command="",
                )
                return Run(request, view, threading.Event()).execute().record

            yield measure
        finally:
            target.stop()
    finally:
        broker.stop()
