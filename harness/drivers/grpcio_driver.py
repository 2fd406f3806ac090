"""
The cross-check driver: the same seam on the official grpcio client.

It is several times slower than `grpc_wire` and exists so that another implementation can be asked
what the outcome of an operation is. One task per call (two per standing stream, see
`grpcio_streams`), no flow-control figures: grpcio shows none.
Where no connection can be had, grpcio gives up at once; `grpc_wire` waits until the deadline.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from harness.drivers.background_task import start_task
from harness.drivers.credentials import channel_credentials, channel_options
from harness.drivers.grpc import (
    CONNECTION_LOST,
    NOT_SENT,
    Clock,
    DriverStats,
    GrpcStatus,
    OnEnd,
    OnMessage,
    ReplyHandler,
    Shape,
    StreamOptions,
)
from harness.drivers.grpc_call import PREFIX, Counters, ReplyError, reply_too_long
from harness.drivers.grpcio_streams import GrpcioStream, is_unprocessed
from harness.drivers.standing_stream import StreamBook, StreamMessage
from harness.errors import TransportError
from harness.model.tls import TlsOptions

CONNECT_TIMEOUT_S: Final = 5.0
REPLY_BYTES_MAX: Final = 16 * 1024 * 1024
SWEEP_S: Final = 0.010
_NANOS_PER_SECOND: Final = 1_000_000_000


class GrpcioDriver:
    """A `GrpcDriver`; see there for the contract of each method."""

    def __init__(
        self,
        *,
        address: str,
        methods: Sequence[str],
        on_reply: ReplyHandler,
        timeout_ns: int,
        shapes: Sequence[Shape] = (),
        streams: StreamOptions | None = None,
        connection_count: int = 1,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        tls: TlsOptions | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        """Keep what is needed to connect; the arguments are those of `GrpcWireDriver`."""
        self._clock = clock  # for streams; the deadlines of calls are grpcio's own
        self._address = address
        self._paths = tuple(methods)
        self._shapes = tuple(shapes) or (Shape.UNARY,) * len(methods)
        self._stream_options = streams
        self._on_reply = on_reply
        self._timeout_ns = timeout_ns
        self._timeout_s = timeout_ns / _NANOS_PER_SECOND
        self._connection_count = connection_count
        self._metadata = tuple((key.lower(), value) for key, value in metadata)
        self._tls = tls
        self._channels: list[grpc.aio.Channel] = []
        self._methods: list[list[Any]] = []  # callables of grpcio by channel and method
        self._streams: dict[int, list[GrpcioStream]] = {}  # by method; some share theirs
        self._sweeper: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._counters = Counters()
        self._is_closed = False

    async def connect(self) -> None:
        self._channels = [self._make_channel() for _ in range(self._connection_count)]
        self._methods = [
            [_callable(channel, *item) for item in zip(self._paths, self._shapes, strict=True)]
            for channel in self._channels
        ]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for channel in self._channels:
                    await channel.channel_ready()
        except TimeoutError as error:
            await self.close()
            raise TransportError(
                f"{self._address}: can't connect within {CONNECT_TIMEOUT_S:g} s; "
                "is the service listening there?"
            ) from error
        for method, shape in enumerate(self._shapes):
            if shape is Shape.STREAM:  # shared by methods of one path
                first = self._paths.index(self._paths[method])
                self._streams[method] = self._streams.get(first) or self._make_streams(method)
        if self._streams:
            self._sweep()

    def send(self, token: int, method: int, message: bytes | bytearray | memoryview) -> None:
        count = self._counters.sent_count
        self._counters.sent_count = count + 1
        if self._is_closed:
            self._answer(token, GrpcStatus.UNAVAILABLE, b"", NOT_SENT + "the driver was closed")
            return
        target = self._methods[count % len(self._methods)][method]
        is_paged = self._shapes[method] is Shape.PAGES
        self._start(self._call(token, target, bytes(message), is_paged))

    def send_in_lane(
        self, token: int, method: int, message: bytes | bytearray | memoryview, lane: int
    ) -> None:
        self._counters.sent_count += 1
        if self._is_closed:
            self._answer(token, GrpcStatus.UNAVAILABLE, b"", NOT_SENT + "the driver was closed")
            return
        streams = self._streams[method]
        deadline_ns = self._clock() + self._timeout_ns
        streams[lane % len(streams)].send(StreamMessage(token, message, deadline_ns))

    def subscribe(
        self, token: int, method: int, message: bytes, on_message: OnMessage, on_end: OnEnd
    ) -> None:
        if self._is_closed or not self._methods:
            on_end(token, GrpcStatus.UNAVAILABLE, NOT_SENT + "not connected")
            return
        target = self._methods[token % len(self._methods)][method]
        self._start(self._follow(token, target, message, on_message, on_end))

    def flush(self) -> None:
        """Do nothing: grpcio writes when it likes."""

    async def close(self) -> None:
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for streams in self._streams.values():
            for stream in streams:
                await stream.close()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        for channel in self._channels:
            await channel.close()

    @property
    def stats(self) -> DriverStats:
        """The transport's own counts stay 0."""
        return self._counters.stats()

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = start_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, token: int, target: Any, message: bytes, is_paged: bool) -> None:
        try:
            call = target(message, timeout=self._timeout_s, metadata=self._metadata)
            reply = await _read_pages(call) if is_paged else await call
        except grpc.aio.AioRpcError as error:
            status, text = error.code().value[0], error.details() or ""
            certainty = NOT_SENT if is_unprocessed(text) else ""
            self._answer(token, status, b"", certainty + text)
        except ReplyError as error:
            self._answer(token, error.status, b"", str(error))
        except asyncio.CancelledError:
            text = CONNECTION_LOST + "closed by the driver"
            self._answer(token, GrpcStatus.UNAVAILABLE, b"", text)
            raise
        except KeyError as error:  # grpcio fails on a grpc-status that it doesn't know
            self._answer(token, GrpcStatus.UNKNOWN, b"", f"grpc-status {error}, unknown to gRPC")
        else:
            if reply is None:
                text = "status OK without a message"
                self._answer(token, GrpcStatus.INTERNAL, b"", text)
            else:
                self._answer(token, GrpcStatus.OK, reply, "")

    async def _follow(
        self, token: int, target: Any, message: bytes, on_message: OnMessage, on_end: OnEnd
    ) -> None:
        call = target(message, metadata=self._metadata)
        try:
            async for item in call:
                on_message(token, item)
            status, text = GrpcStatus.OK, ""
        except grpc.aio.AioRpcError as error:
            status, text = GrpcStatus(error.code().value[0]), error.details() or ""
        except asyncio.CancelledError:
            on_end(token, GrpcStatus.UNAVAILABLE, CONNECTION_LOST + "closed by the driver")
            raise
        on_end(token, status, f"the stream ended, {status.name}: {text}")

    def _make_streams(self, method: int) -> list[GrpcioStream]:
        options, channels = self._stream_options, self._methods
        assert options is not None, "standing streams need their options"

        def make(index: int) -> GrpcioStream:
            target = channels[index % len(channels)][method]
            book = StreamBook(options=options, on_reply=self._on_reply, counters=self._counters)
            return GrpcioStream(
                lambda: target(metadata=self._metadata), book, self._clock, self._counters
            )

        return [make(index) for index in range(options.stream_count)]

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        now_ns = self._clock()
        for streams in self._streams.values():
            for stream in streams:
                stream.book.expire(now_ns)

    def _answer(self, token: int, status: int, message: bytes, text: str) -> None:
        self._counters.reply_count += 1
        self._on_reply(token, status, message, text)

    def _make_channel(self) -> grpc.aio.Channel:
        options = [
            *channel_options(self._tls),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", REPLY_BYTES_MAX),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if self._tls is None:
            return grpc.aio.insecure_channel(self._address, options)
        credentials = channel_credentials(self._tls)
        return grpc.aio.secure_channel(self._address, credentials, options)


def _callable(channel: grpc.aio.Channel, path: str, shape: Shape) -> Any:
    match shape:
        case Shape.UNARY:
            return channel.unary_unary(path)
        case Shape.STREAM:
            return channel.stream_stream(path)
        case Shape.PAGES | Shape.FEED:
            return channel.unary_stream(path)


async def _read_pages(call: Any) -> bytes:
    pages, total_bytes = [], 0
    async for message in call:
        pages += [PREFIX.pack(0, len(message)), message]
        total_bytes += PREFIX.size + len(message)
        if total_bytes > REPLY_BYTES_MAX:
            call.cancel()
            raise reply_too_long(f"reply of more than {REPLY_BYTES_MAX} bytes in all")
    return b"".join(pages)
