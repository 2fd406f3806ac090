"""
How fast the reference is on this machine: `python ci/reference_speed.py`.

Each figure with what it is measured against: pairs in process; unary calls per CPU-second of the
service beside those of an empty grpc.aio method in the same run; streamed operations beside an
echo of the same messages; reservations per second in batches. CPU-seconds of the service, because
the client here is a plain grpc.aio one and the machine is shared: they do not depend on how fast
the client is.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import uvloop

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import kernels

PAIR_COUNT, ACCOUNT_COUNT = 100_000, 1000
UNARY_COUNT, CONCURRENCY = 12_000, 64
STREAMED_COUNT, STREAM_COUNT, STREAM_WINDOW = 40_000, 8, 256
BATCH_COUNT, BATCH_ITEMS, BATCH_CONCURRENCY = 150, 500, 4
SERVICE_CPU, CLIENT_CPU = 1, 0
EMPTY_SERVICE = "--empty-service"

Method = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a load took: wall time, and CPU time of the service."""

    wall_s: float
    service_cpu_s: float


def pairs_per_s() -> float:
    """Reserve and release pairs per second of the state machine alone; best of three."""
    best_s = float("inf")
    for _ in range(3):
        state = kernels.funded_state(ACCOUNT_COUNT)
        calls = kernels.reserve_release_calls(PAIR_COUNT, ACCOUNT_COUNT)
        gc.collect()
        gc.freeze()
        gc.disable()
        started_s = time.perf_counter()
        kernels.apply_all(state, calls)
        best_s = min(best_s, time.perf_counter() - started_s)
        gc.enable()
        gc.unfreeze()
    return PAIR_COUNT / best_s


async def serve_empty_method() -> None:
    """A grpc.aio service whose methods do nothing: what the ratios are taken against."""

    async def answer(_raw: bytes, _context: object) -> bytes:
        return b""

    server = grpc.aio.server()

    async def echo(_requests: object, context: Any) -> None:
        while (raw := await context.read()) is not grpc.aio.EOF:
            await context.write(raw)

    methods: Any = {
        "Call": grpc.unary_unary_rpc_method_handler(answer),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("empty.Empty", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"ready {json.dumps({'grpc_port': port, 'pid': os.getpid()})}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


class Service:
    """A service process of ours on its own core, and a channel to it."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline().removeprefix("ready "))
        if len(os.sched_getaffinity(0)) > SERVICE_CPU:
            for thread_id in Path(f"/proc/{self._process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread_id.name), {SERVICE_CPU})
        self.address = f"127.0.0.1:{ready['grpc_port']}"

    def cpu_s(self) -> float:
        """CPU time of all its threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it by closing its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)


async def spend(service: Service, calls: list[Callable[[], Awaitable[bytes]]], width: int) -> Spent:
    """Make the calls, *width* at a time."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call()

    cpu_s, wall_s = service.cpu_s(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(width):
            tasks.create_task(work())
    return Spent(wall_s=time.perf_counter() - wall_s, service_cpu_s=service.cpu_s() - cpu_s)


def _request(number: int) -> contract.ReserveRequest | contract.ReleaseRequest:
    # Reserve in one block of calls, release in the next, so that concurrent calls don't depend.
    block, place = divmod(number, 2 * CONCURRENCY)
    order_id = block * CONCURRENCY + place % CONCURRENCY
    meta = contract.Meta(request_id=number.to_bytes(16, "big"))
    account_id = 1000 + order_id % ACCOUNT_COUNT
    if place >= CONCURRENCY:
        return contract.ReleaseRequest(meta=meta, account_id=account_id, order_id=order_id)
    return contract.ReserveRequest(
        meta=meta,
        account_id=account_id,
        instrument_id=kernels.INSTRUMENT_ID,
        order_id=order_id,
        side=contract.BUY,
        price_ticks=11_500,
        qty_lots=17,
        fee_ppm=1_000,
    )


async def fund(channel: grpc.aio.Channel) -> None:
    """Give the service the market and the accounts of `kernels.funded_state`."""
    data = contract.ReferenceData(
        assets=[contract.Asset(asset_id=number, scale=8) for number in (1, 2)],
        instruments=[
            contract.Instrument(
                instrument_id=kernels.INSTRUMENT_ID,
                base_asset_id=kernels.BASE_ASSET_ID,
                quote_asset_id=kernels.QUOTE_ASSET_ID,
                base_per_lot_minor=1_000,
                quote_per_tick_lot_minor=10,
            )
        ],
    )
    control = "/accounts.v1.ControlService"
    await _method(channel, f"{control}/LoadReferenceData")(data.SerializeToString())
    rows = [
        contract.SeedRecord(
            account_id=1000 + number, asset_id=kernels.QUOTE_ASSET_ID, amount_minor=10**12
        ).SerializeToString()
        for number in range(ACCOUNT_COUNT)
    ]
    seed: Any = channel.stream_unary(f"{control}/Seed")
    await seed(iter(rows))


async def measure_unary(service: Service) -> Spent:
    """Reserve and Release, half and half."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        await fund(channel)
        reserve = _method(channel, "/accounts.v1.AccountService/Reserve")
        release = _method(channel, "/accounts.v1.AccountService/Release")
        calls = []
        for number in range(UNARY_COUNT):
            request = _request(number)
            method = reserve if isinstance(request, contract.ReserveRequest) else release
            calls.append(_bound(method, request.SerializeToString()))
        return await spend(service, calls, CONCURRENCY)


async def measure_empty(service: Service) -> Spent:
    """As many calls of the empty method."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        method = _method(channel, "/empty.Empty/Call")
        payload = _request(0).SerializeToString()
        return await spend(service, [_bound(method, payload)] * UNARY_COUNT, CONCURRENCY)


async def measure_batches(service: Service) -> Spent:
    """Batches of reserves."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        await fund(channel)
        method = _method(channel, "/accounts.v1.AccountService/BatchReserve")
        calls = []
        for batch in range(BATCH_COUNT):
            message = contract.BatchReserveRequest()
            for item in range(BATCH_ITEMS):
                number = batch * BATCH_ITEMS + item
                reserve = _request(item % CONCURRENCY)
                assert isinstance(reserve, contract.ReserveRequest)
                reserve.meta.request_id = number.to_bytes(16, "big")
                reserve.order_id = number
                message.items.add(client_tag=item, reserve=reserve)
            calls.append(_bound(method, message.SerializeToString()))
        return await spend(service, calls, BATCH_CONCURRENCY)


async def measure_stream(service: Service) -> Spent:
    """Reserve and Release, half and half, on some streams."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        await fund(channel)
        return await _spend_streaming(service, channel, "/accounts.v1.AccountService/ReserveStream")


async def measure_echo(service: Service) -> Spent:
    """The same messages, sent back as they came."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        return await _spend_streaming(service, channel, "/empty.Empty/Echo")


async def _spend_streaming(service: Service, channel: grpc.aio.Channel, path: str) -> Spent:
    share = STREAMED_COUNT // STREAM_COUNT
    messages = [_operation(number) for number in range(STREAMED_COUNT)]
    method: Any = channel.stream_stream(path)

    def converse(number: int) -> Callable[[], Awaitable[bytes]]:
        return lambda: _converse(method(), messages[number * share : (number + 1) * share])

    calls = [converse(number) for number in range(STREAM_COUNT)]
    return await spend(service, calls, STREAM_COUNT)


async def _converse(call: Any, messages: list[bytes]) -> bytes:
    window = asyncio.Semaphore(STREAM_WINDOW)

    async def send() -> None:
        for message in messages:
            await window.acquire()
            await call.write(message)
        await call.done_writing()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        while await call.read() is not grpc.aio.EOF:
            window.release()
    return b""


def _operation(number: int) -> bytes:
    request = _request(number)
    if isinstance(request, contract.ReserveRequest):
        return contract.ReserveOp(client_tag=number, reserve=request).SerializeToString()
    return contract.ReserveOp(client_tag=number, release=request).SerializeToString()


def _method(channel: grpc.aio.Channel, path: str) -> Method:
    method: Any = channel.unary_unary(path)
    return cast("Method", method)


def _bound(method: Method, payload: bytes) -> Callable[[], Awaitable[bytes]]:
    return lambda: method(payload)


def _measured(measure: Callable[[Service], Awaitable[Spent]], *arguments: str) -> Spent:
    service = Service(*arguments)
    try:
        return uvloop.run(measure(service))  # type: ignore[arg-type]
    finally:
        service.stop()


def main() -> int:
    """Print the figures."""
    if EMPTY_SERVICE in sys.argv:
        uvloop.run(serve_empty_method())
        return 0
    if len(os.sched_getaffinity(0)) > SERVICE_CPU:
        os.sched_setaffinity(0, {CLIENT_CPU})
    sys.stdout.write(f"in process: {pairs_per_s():,.0f} reserve+release pairs/s\n")
    program = "workloads.account.reference"
    with ExitStack() as folders:
        unary, stream, batches = (
            _measured(
                measure,
                program,
                "--workdir",
                folders.enter_context(tempfile.TemporaryDirectory()),
            )
            for measure in (measure_unary, measure_stream, measure_batches)
        )
    empty = _measured(measure_empty, f"{program}.speed", EMPTY_SERVICE)
    echo = _measured(measure_echo, f"{program}.speed", EMPTY_SERVICE)
    for name, spent, count in (
        ("unary reserve/release, journal on", unary, UNARY_COUNT),
        ("empty grpc.aio method", empty, UNARY_COUNT),
        ("streamed reserve/release, journal on", stream, STREAMED_COUNT),
        ("grpc.aio echo on a stream", echo, STREAMED_COUNT),
        ("reservations in batches", batches, BATCH_COUNT * BATCH_ITEMS),
    ):
        sys.stdout.write(
            f"{name}: {count / spent.wall_s:,.0f}/s, "
            f"{count / spent.service_cpu_s:,.0f} per CPU-second of the service\n"
        )
    sys.stdout.write(
        f"unary / empty: {empty.service_cpu_s / unary.service_cpu_s:.2f} by CPU time, "
    )
    sys.stdout.write(f"{empty.wall_s / unary.wall_s:.2f} by rate\n")
    per_call_s = unary.service_cpu_s / UNARY_COUNT
    per_operation_s = stream.service_cpu_s / STREAMED_COUNT
    sys.stdout.write(
        f"CPU time of a call / of a streamed operation: {per_call_s / per_operation_s:.2f}; "
        f"streamed / echo: {echo.service_cpu_s / stream.service_cpu_s:.2f} by CPU time\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
