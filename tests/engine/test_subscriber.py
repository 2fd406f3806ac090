"""The subscriber as its own process, against a real grpcio server that can be broken."""

import os
import queue
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness.engine.specification import SubscriberSpecification
from harness.engine.subscription_log import Arrival, Entry, read_subscriptions
from harness.engine.workers import Crew, Worker
from harness.errors import TransportError
from harness.model.scenario_file import load_scenario
from harness.system import Endpoint

SCENARIO = """
name = "feeding"
title = "Server streams"
system = "tests.engine.feeding:SYSTEM"
[arrivals]
kind = "constant"
rate = "1/s"
[phases]
measure = "1s"
[load]
driver = "{driver}"
"""


class Feeds(grpc.GenericRpcHandler):
    """Three messages each, then whatever the test puts into the queue of the subscription."""

    def __init__(self) -> None:
        self.more: dict[bytes, queue.Queue[bytes | None]] = {}  # of its newest call
        self.call_count = 0

    def service(self, handler_call_details: Any) -> Any:
        """Ticks and Tocks."""
        is_known = handler_call_details.method in {"/t.S/Ticks", "/t.S/Tocks"}
        return grpc.unary_stream_rpc_method_handler(self._feed) if is_known else None

    def _feed(self, request: bytes, context: Any) -> Iterator[bytes]:
        self.call_count += 1
        more = self.more[request] = queue.Queue()
        context.add_callback(lambda: more.put(None))
        for number in range(3):
            yield b"%s:%d" % (request, number)
        while (message := more.get()) is not None:
            while message == b"babble" and context.is_active():
                yield message
                time.sleep(0.01)
            if message == b"abort":
                context.abort(grpc.StatusCode.UNAVAILABLE, "5002 stopping")
            yield message


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[int, Feeds]]:
    """Serve until the test is over."""
    feeds = Feeds()
    server = grpc.server(ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((feeds,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound, feeds
    finally:
        server.stop(grace=None).wait()


@contextmanager
def subscribing(
    folder: Path, port: int, count: int, *, driver: str = "wire"
) -> Iterator[tuple[Crew, Worker, Path]]:
    """The subscriber's process, told to listen to *count* streams."""
    (folder / "feeding.toml").write_text(SCENARIO.format(driver=driver), encoding="utf-8")
    path = folder / "subscriptions.log"
    specification = SubscriberSpecification(
        scenario=load_scenario(str(folder / "feeding.toml")),
        seed=count,
        endpoint=Endpoint(grpc_address=f"127.0.0.1:{port}", kafka_address="", topic_prefix=""),
        log_path=str(path),
        cores=(),
    )
    crew = Crew()
    try:
        worker = crew.add("harness.engine.subscriber", specification, log=folder / "child.log")
        yield crew, worker, path
    finally:
        crew.stop()


def finished(crew: Crew, worker: Worker) -> dict[str, Any]:
    """Ask it to end; what it says then."""
    worker.tell("finish", timeout_s=3.0)
    return crew.wait_for("finished", [worker], 60.0)[0]


def by_number(path: Path) -> dict[int, list[Entry]]:
    """The log, stream by stream."""
    entries: dict[int, list[Entry]] = defaultdict(list)
    for entry in read_subscriptions(path):
        entries[entry.number].append(entry)
    return entries


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_every_message_is_kept_in_order(tmp_path: Path, driver: str) -> None:
    """What each stream brings is logged under its number, from the first word on."""
    with (
        serving() as (port, feeds),
        subscribing(tmp_path, port, 5, driver=driver) as (crew, worker, path),
    ):
        assert crew.wait_for("subscribed", [worker], 60.0)[0]["spoken_count"] == 5
        feeds.more[b"3"].put(b"late news")
        report = finished(crew, worker)

    streams = by_number(path)
    assert sorted(streams) == list(range(5))
    for number, entries in streams.items():
        assert entries[0][:2] == (number, Arrival.OPENED)
        said = [entry.body for entry in entries[1:]]
        expected = [b"%d:%d" % (number, item) for item in range(3)]
        assert said == expected + ([b"late news"] if number == 3 else [])
        assert {entry.what for entry in entries[1:]} == {Arrival.MESSAGE}
        stamps = [entry.arrival_ns for entry in entries]
        assert stamps == sorted(stamps)
    assert (report["message_count"], report["end_count"]) == (16, 0)
    assert report["message_bytes"] == 15 * 3 + 9


def test_a_stream_that_ends_is_asked_for_again_and_both_are_told(tmp_path: Path) -> None:
    """The end with its status and the new beginning stand between what came before and after."""
    with (
        serving() as (port, feeds),
        subscribing(tmp_path, port, 2) as (crew, worker, path),
    ):
        crew.wait_for("subscribed", [worker], 60.0)
        feeds.more[b"1"].put(b"abort")
        report = finished(crew, worker)

    whole, broken = by_number(path)[0], by_number(path)[1]
    assert [entry.what for entry in whole] == [Arrival.OPENED, *[Arrival.MESSAGE] * 3]
    one_life = [Arrival.OPENED, *[Arrival.MESSAGE] * 3]
    assert [entry.what for entry in broken] == [*one_life, Arrival.ENDED, *one_life]
    assert broken[4].body == b"14 the stream ended, UNAVAILABLE: 5002 stopping"
    assert report["end_count"] == 1


def test_a_target_that_comes_back_is_heard_again(tmp_path: Path) -> None:
    """A lost connection ends every stream; each is asked for until somebody answers."""
    with ExitStack() as alive:
        first = alive.enter_context(ExitStack())
        port, _ = first.enter_context(serving())
        crew, worker, path = alive.enter_context(subscribing(tmp_path, port, 3))
        crew.wait_for("subscribed", [worker], 60.0)
        first.close()
        _, feeds = alive.enter_context(serving(port))
        while feeds.call_count < 3:  # asked for again
            assert crew.poll(0.05) is None
        report = finished(crew, worker)

    for entries in by_number(path).values():
        kinds = [entry.what for entry in entries]
        first_life = kinds[: kinds.index(Arrival.ENDED)]
        assert first_life[:2] == [Arrival.OPENED, Arrival.MESSAGE]
        assert kinds[-4:] == [Arrival.OPENED, *[Arrival.MESSAGE] * 3]
    assert report["end_count"] >= 3


def test_a_stream_that_never_ends_telling_is_cut_off_and_that_is_told(tmp_path: Path) -> None:
    """Whoever folds the log can see that it is not the whole: every stream ends in ENDED."""
    with (
        serving() as (port, feeds),
        subscribing(tmp_path, port, 2) as (crew, worker, path),
    ):
        crew.wait_for("subscribed", [worker], 60.0)
        feeds.more[b"1"].put(b"babble")
        report = finished(crew, worker)

    assert report["is_cut_off"]
    for entries in by_number(path).values():
        assert entries[-1].what is Arrival.ENDED
        assert entries[-1].body == b"1 it was still telling when the run ended"


def test_a_subscriber_that_had_no_processor_loses_nothing(tmp_path: Path) -> None:
    """What came while it was frozen, for longer than the silence that ends it, is in the log."""
    with (
        serving() as (port, feeds),
        subscribing(tmp_path, port, 1) as (crew, worker, path),
    ):
        crew.wait_for("subscribed", [worker], 60.0)
        os.kill(worker.pid, signal.SIGSTOP)
        for number in range(500):
            feeds.more[b"0"].put(b"%d" % number)
        worker.tell("finish", timeout_s=30.0)
        time.sleep(2.0)  # frozen: there is nothing to wait for
        os.kill(worker.pid, signal.SIGCONT)
        report = crew.wait_for("finished", [worker], 60.0)[0]

    assert report["message_count"] == 503
    assert not report["is_cut_off"]
    assert by_number(path)[0][-1].body == b"499"


def test_a_target_that_is_not_there_is_told(tmp_path: Path) -> None:
    """No connection is a TransportError of the run, not silence."""
    with (
        subscribing(tmp_path, 1, 1) as (crew, worker, _),
        pytest.raises(TransportError, match="can't connect"),
    ):
        crew.wait_for("subscribed", [worker], 60.0)
