"""Kernels of the load process: arrivals, accounts, HTTP/2 frames, percentiles."""

import asyncio
from functools import cache
from typing import Any

import numpy as np
from hpack import Encoder
from numpy.typing import NDArray

from harness.drivers.grpc_call import PREFIX, Call, Counters
from harness.drivers.grpc_connection import GrpcConnection
from harness.drivers.header_blocks import encode_request_block
from harness.drivers.http2 import (
    HEAD,
    HEAD_BYTES,
    Flag,
    FrameType,
    Setting,
    pack_frame,
    pack_settings,
)
from harness.drivers.request_writer import RequestWriter
from harness.model.arrivals_hawkes import hawkes_offsets_ns
from harness.model.quantiles import Distribution, distribution
from harness.model.units import NANOS_PER_SECOND
from workloads.account.plan.accounts import make_accounts, rank_weights, shard_accounts
from workloads.account.terms.workload import parse_workload
from workloads.micro.kernel import Kernel, Round, fault_if, first_fault, unequal

_SEED = 42
_DRAW_COUNT = 1 << 16
_CALL_COUNT = 1024
_HAWKES = {"rate_per_s": 2_000.0, "branching_ratio": 0.6, "decay_per_s": 20.0}
_HAWKES_SECONDS = 10
_REQUEST = bytes(range(96))
_REPLY = bytes(range(64))
_WINDOW_BYTES = 1 << 30


def _zipf() -> Round[NDArray[np.uint32]]:
    workload = parse_workload({
        "accounts": {"kind": "zipf", "count": 10_000, "theta": 0.99},
        "mix": {"transfer": "100%"},
    })  # fmt: skip
    accounts = make_accounts(workload, workload.listed, seed=_SEED)
    shard = shard_accounts(accounts, shard=0, shard_count=1)
    uniform = np.random.Generator(np.random.PCG64(_SEED)).random(_DRAW_COUNT)

    def fault(drawn: NDArray[np.uint32]) -> str:
        share = np.bincount(drawn).max() / _DRAW_COUNT
        hottest = float(rank_weights(workload)[0])
        return first_fault((
            unequal("the number of draws", len(drawn), _DRAW_COUNT),
            fault_if(abs(share / hottest - 1) > 0.05, f"the hottest has {share}, not {hottest}"),
        ))  # fmt: skip

    return Round(work=lambda: shard.draw(uniform), fault=fault)


def _hawkes() -> Round[NDArray[np.int64]]:
    duration_ns = _HAWKES_SECONDS * NANOS_PER_SECOND

    def fault(offsets_ns: NDArray[np.int64]) -> str:
        planned = _HAWKES["rate_per_s"] * _HAWKES_SECONDS
        return first_fault((
            fault_if(np.any(np.diff(offsets_ns) < 0), "offsets are not ascending"),
            fault_if(offsets_ns[0] < 0 or offsets_ns[-1] >= duration_ns, "one is out of bounds"),
            fault_if(
                abs(len(offsets_ns) / planned - 1) > 0.1,
                f"{len(offsets_ns)} arrivals, not about {planned}",
            ),
        ))  # fmt: skip

    return Round(
        work=lambda: hawkes_offsets_ns(**_HAWKES, duration_ns=duration_ns, seed=_SEED),
        fault=fault,
    )


def _percentiles() -> Round[Distribution]:
    chance = np.random.Generator(np.random.PCG64(_SEED))
    samples = (chance.standard_exponential(_DRAW_COUNT) * 1e6).astype(np.int64)

    def fault(told: Distribution) -> str:
        ordered = sorted(samples.tolist())
        nearest = ordered[-(-_DRAW_COUNT * 99 // 100) - 1]
        return first_fault((
            unequal("p99", told.at(0.99), nearest),
            unequal("max", told.max, ordered[-1]),
            unequal("count", told.count, _DRAW_COUNT),
        ))  # fmt: skip

    return Round(work=lambda: distribution(samples), fault=fault)


class _Memory(asyncio.Transport):
    """A peer that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written_bytes += len(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low


class _Alone:
    """The owner of a connection that is the only one."""

    def resend(self, calls: list[Call]) -> None:
        raise AssertionError(f"{len(calls)} calls were refused")

    def send_waiting(self) -> None:
        pass

    def leave(self, connection: GrpcConnection) -> None:
        del connection


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all rounds; the connections only ask it for futures."""
    return asyncio.new_event_loop()


def _writer() -> RequestWriter:
    block = encode_request_block(
        path="/accounts.v1.AccountService/Reserve",
        authority="127.0.0.1:50051",
        is_tls=False,
        timeout_ns=10 * NANOS_PER_SECOND,
        metadata=(),
    )
    return RequestWriter(blocks=[block], counters=Counters(), clock=lambda: 0)


def _connection(answers: list[Any]) -> GrpcConnection:
    """A connection whose peer allows everything; *answers* gets what it is told."""

    async def make() -> GrpcConnection:
        return GrpcConnection(
            writer=_writer(),
            owner=_Alone(),
            on_reply=lambda token, status, message, _: answers.append((token, status, message)),
            counters=Counters(),
            reply_bytes_max=1 << 20,
        )

    connection = _loop().run_until_complete(make())
    connection.connection_made(_Memory())
    connection.data_received(pack_settings({Setting.INITIAL_WINDOW_SIZE: _WINDOW_BYTES}))
    connection.writer.widen_connection(_WINDOW_BYTES)
    return connection


def _calls() -> list[Call]:
    return [Call(token, 0, _REQUEST, 10 * NANOS_PER_SECOND) for token in range(_CALL_COUNT)]


def _http2_encode() -> Round[bytes]:
    writer, calls = _connection([]).writer, _calls()

    def work() -> bytes:
        for call in calls:
            writer.open(call)
        return bytes(writer.out)

    def fault(out: bytes) -> str:
        kinds, bodies, position = [], set(), 0
        while position < len(out):
            word, _, _ = HEAD.unpack_from(out, position)
            start, length = position + HEAD_BYTES, word >> 8
            kinds.append(word & 0xFF)
            if kinds[-1] == FrameType.DATA:
                bodies.add(out[start : start + length])
            position = start + length
        return first_fault((
            unequal("kinds of frames", kinds, [FrameType.HEADERS, FrameType.DATA] * _CALL_COUNT),
            unequal("bodies", bodies, {PREFIX.pack(0, len(_REQUEST)) + _REQUEST}),
        ))  # fmt: skip

    return Round(work=work, fault=fault)


def _replies() -> bytes:
    """What a peer answers to all calls, with the HPACK table that it would have by then."""
    encoder = Encoder()
    frames = []
    for number in range(_CALL_COUNT):
        stream_id = 2 * number + 1
        head = encoder.encode([(":status", "200"), ("content-type", "application/grpc")])
        trailers = encoder.encode([("grpc-status", "0"), ("grpc-message", "")])
        body = PREFIX.pack(0, len(_REPLY)) + _REPLY
        frames += [
            pack_frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, head),
            pack_frame(FrameType.DATA, 0, stream_id, body),
            pack_frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, trailers),
        ]
    return b"".join(frames)


def _http2_parse() -> Round[list[Any]]:
    answers: list[Any] = []
    connection, received = _connection(answers), _replies()
    for call in _calls():
        assert connection.writer.open(call)
    connection.flush()

    def work() -> list[Any]:
        connection.data_received(received)
        return answers

    expected: list[Any] = [(token, 0, _REPLY) for token in range(_CALL_COUNT)]
    return Round(work=work, fault=lambda told: unequal("answers", told, expected))


KERNELS = tuple(
    Kernel(name=f"harness.{name}", title=title, operation_count=count, prepare=prepare)
    for name, title, count, prepare in (
        ("zipf", "draw an account of 10,000, Zipf 0.99", _DRAW_COUNT, _zipf),
        ("hawkes", f"a Hawkes schedule of {_HAWKES_SECONDS} s at 2,000/s", 1, _hawkes),
        (
            "percentiles",
            "a sample of a distribution with its headline quantiles",
            _DRAW_COUNT,
            _percentiles,
        ),
        ("http2-encode", "write the frames of a call", _CALL_COUNT, _http2_encode),
        ("http2-parse", "read the frames of a reply", _CALL_COUNT, _http2_parse),
    )
)
