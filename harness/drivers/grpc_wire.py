"""
The default gRPC driver: HTTP/2 framed by hand, no task and no future per operation.

It spreads calls over connections, keeps those that can't go yet, reports deadlines and makes new
connections when old ones end. It retries only what the peer declared unprocessed. The one idea: an
operation is a `Call` that is either in `waiting` or in one connection's open streams, so it is
always in exactly one place and ends exactly once. Messages of lanes are kept by `framed_streams`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from harness.drivers.background_task import start_task
from harness.drivers.connect import Dialer, cause_of
from harness.drivers.framed_streams import FramedStreams
from harness.drivers.grpc import (
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
from harness.drivers.grpc_call import NOTHING, PREFIX, Call, Counters, PagedReply
from harness.drivers.grpc_connection import GrpcConnection
from harness.drivers.grpc_stream import FeedUser, OpenStream
from harness.drivers.header_blocks import encode_request_block
from harness.drivers.http2 import FRAME_BYTES_MAX_DEFAULT
from harness.drivers.request_writer import RequestWriter
from harness.drivers.standing_stream import StreamMessage
from harness.errors import TransportError
from harness.model.tls import TlsOptions

CLOSE_TIMEOUT_S: Final = 0.25
SWEEP_S: Final = 0.010
"""How often deadlines are looked at: they are reported at most this and a millisecond late."""
BACKOFF_S_MIN: Final = 0.020
BACKOFF_S_MAX: Final = 1.0
REPLY_BYTES_MAX: Final = 16 * 1024 * 1024
_WITHOUT_DEADLINE: Final = (Shape.STREAM, Shape.FEED)


class GrpcWireDriver:
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
        first_stream_id: int = 1,
        reply_bytes_max: int = REPLY_BYTES_MAX,
    ) -> None:
        """
        Prepare everything that is the same for all calls; opens nothing.

        Args:
            address: "host:port" or "unix:/path".
            methods: full paths, "/package.Service/Method".
            on_reply: called once for every `send`, on the loop's thread.
            timeout_ns: from `send` to DEADLINE_EXCEEDED.
            shapes: of the methods; none given: all are unary.
            streams: how standing streams are kept; needed if a method has that shape.
            connection_count: connections kept open.
            metadata: sent with every call; keys ending in -bin take bytes.
            tls: how to secure the connections; None means plain text.
            clock: nanoseconds, monotonic.
            first_stream_id: of each connection; only tests need another than 1.
            reply_bytes_max: a longer reply is answered INTERNAL.

        Raises:
            ValueError: an address, a path or metadata that can't be sent.
        """
        assert timeout_ns > 0
        assert connection_count > 0
        assert first_stream_id % 2 == 1
        self._address = address
        self._dialer = Dialer(address, tls)
        self._is_tls = tls is not None
        self._timeout_ns = timeout_ns
        self._on_reply = on_reply
        self._clock = clock
        self._shapes = tuple(shapes) or (Shape.UNARY,) * len(methods)
        self._connection_count = connection_count
        self._first_stream_id = first_stream_id
        self._reply_bytes_max = reply_bytes_max
        self._paged = frozenset(
            method for method, shape in enumerate(self._shapes) if shape is Shape.PAGES
        )
        self._blocks = self._encode_blocks(methods, metadata)
        self._counters = Counters()
        self._waiting: deque[Call] = deque()
        self._ready: list[GrpcConnection] = []
        self._connections: set[GrpcConnection] = set()  # the ready ones, and those that finish
        self._turn = 0
        self._streams = self._make_streams(methods, streams)
        self._keepers: list[asyncio.Task[None]] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._fault = "never connected"
        self._is_closed = False

    # ---------------------------------------------------------------------- GrpcDriver

    async def connect(self) -> None:
        first: list[GrpcConnection] = []
        try:
            first.extend([await self._open() for _ in range(self._connection_count)])
        except OSError as error:
            raise TransportError(
                f"{self._address}: can't connect: {cause_of(error)}; "
                "is the service listening there?"
            ) from error
        finally:
            if not first:
                await self.close()
        self._keepers = [start_task(self._keep(one)) for one in first]
        if self._streams is not None:
            self._streams.start()
            self.flush()
        self._sweep()

    def send(self, token: int, method: int, message: bytes | bytearray | memoryview) -> None:
        self._counters.sent_count += 1
        call = Call(token, method, message, self._clock() + self._timeout_ns)
        if method in self._paged:
            call.reply = PagedReply(self._reply_bytes_max)
        if self._waiting or not self._place(call):
            self._park(call)

    def send_in_lane(
        self, token: int, method: int, message: bytes | bytearray | memoryview, lane: int
    ) -> None:
        assert self._streams is not None, "the method has the shape STREAM"
        self._counters.sent_count += 1
        deadline_ns = self._clock() + self._timeout_ns
        self._streams.send(StreamMessage(token, message, deadline_ns), method, lane)

    def subscribe(
        self, token: int, method: int, message: bytes, on_message: OnMessage, on_end: OnEnd
    ) -> None:
        stream = OpenStream(FeedUser(token, on_message, on_end), self._reply_bytes_max)
        stream.pending += PREFIX.pack(0, len(message)) + message
        stream.is_finishing = True
        for connection in self._ready:
            if connection.writer.open_stream(method, stream):
                connection.writer.feed(stream)
                return
        fault = "no stream slot" if self._ready else self._fault
        on_end(token, GrpcStatus.UNAVAILABLE, NOT_SENT + fault)

    def flush(self) -> None:
        if self._streams is not None:
            self._streams.flush()
        for connection in self._ready:
            if connection.writer.out:
                connection.flush()

    async def close(self) -> None:
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        faults = [one.exception() for one in self._keepers if not one.cancelled()]
        await self._finish_streams()
        connections = list(self._connections)
        for connection in connections:
            connection.close("closed by the driver")
        losses = [connection.lost for connection in connections]
        if losses:
            _, late = await asyncio.wait(losses, timeout=CLOSE_TIMEOUT_S)
            for connection in connections:
                if connection.lost in late:
                    connection.abort()
                    connection.connection_lost(None)  # TLS tells it later than we promise
        self._fault = "the driver was closed"
        self._fail_waiting(len(self._waiting))
        if self._streams is not None:
            self._streams.close(self._fault)
        for fault in filter(None, faults):  # a bug of ours: nothing the peer does ends a keeper
            raise fault

    @property
    def stats(self) -> DriverStats:
        return self._counters.stats()

    # ------------------------------------------------------------------ ConnectionOwner

    def resend(self, calls: list[Call]) -> None:
        self._counters.resent_count += len(calls)
        now_ns = self._clock()
        for call in calls:
            self._counters.block(call, now_ns)
            is_paged = call.method in self._paged
            call.reply = PagedReply(self._reply_bytes_max) if is_paged else NOTHING
        self._waiting.extendleft(reversed(calls))

    def send_waiting(self) -> None:
        waiting = self._waiting
        if waiting:
            now_ns = self._clock()
            while waiting and self._place(waiting[0]):
                self._counters.unblock(waiting.popleft(), now_ns)
        elif self._streams is None:
            return
        if self._streams is not None:
            self._streams.pump()
        self.flush()

    def leave(self, connection: GrpcConnection) -> None:
        if connection in self._ready:
            self._ready.remove(connection)

    # ----------------------------------------------------------------------- placement

    def _place(self, call: Call) -> bool:
        ready = self._ready
        for _ in ready:
            self._turn += 1
            if ready[self._turn % len(ready)].writer.open(call):
                return True
        return False

    def _park(self, call: Call) -> None:
        self._counters.block(call, self._clock())
        self._waiting.append(call)
        if self._is_closed:
            self._fail_waiting(len(self._waiting))

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        now_ns = self._clock()
        for connection in list(self._connections):
            connection.expire(now_ns)
        if self._streams is not None:
            self._streams.expire(now_ns)
        expired_count = 0
        for call in self._waiting:
            if call.deadline_ns > now_ns:
                break
            expired_count += 1
        self._fail_waiting(expired_count)
        self.send_waiting()

    def _fail_waiting(self, count: int) -> None:
        now_ns = self._clock()
        for _ in range(count):
            call = self._waiting.popleft()
            self._counters.unblock(call, now_ns)
            self._counters.reply_count += 1
            if any(connection.writer.are_slots_held for connection in self._ready):
                status = GrpcStatus.DEADLINE_EXCEEDED
                text = "standing streams hold every stream that the peer allows on a connection"
            elif self._ready:
                status, text = GrpcStatus.DEADLINE_EXCEEDED, "no stream slot or window in time"
            else:
                status, text = GrpcStatus.UNAVAILABLE, self._fault
            self._on_reply(call.token, status, b"", NOT_SENT + text)

    # -------------------------------------------------------------------------- streams

    def _make_streams(
        self, paths: Sequence[str], options: StreamOptions | None
    ) -> FramedStreams | None:
        methods = {
            method: path
            for method, (path, shape) in enumerate(zip(paths, self._shapes, strict=True))
            if shape is Shape.STREAM
        }
        if not methods:
            return None
        assert options is not None, "standing streams need their options"
        return FramedStreams(
            methods=methods,
            options=options,
            on_reply=self._on_reply,
            counters=self._counters,
            clock=self._clock,
            message_bytes_max=self._reply_bytes_max,
            connections=lambda: self._ready,
        )

    async def _finish_streams(self) -> None:
        """Half-close the streams and give the peer a moment to end them in order."""
        if self._streams is None or not self._connections:
            return
        self._streams.finish()
        connections = list(self._connections)
        for connection in connections:
            connection.retire()
        await asyncio.wait([one.lost for one in connections], timeout=CLOSE_TIMEOUT_S)

    # ---------------------------------------------------------------------- connections

    def _encode_blocks(
        self, methods: Sequence[str], metadata: Sequence[tuple[str, str | bytes]]
    ) -> list[bytes]:
        blocks = [
            encode_request_block(
                path=path,
                authority=self._dialer.authority,
                is_tls=self._is_tls,
                timeout_ns=None if shape in _WITHOUT_DEADLINE else self._timeout_ns,
                metadata=metadata,
            )
            for path, shape in zip(methods, self._shapes, strict=True)
        ]
        if any(len(block) > FRAME_BYTES_MAX_DEFAULT for block in blocks):
            raise ValueError(f"path and metadata exceed {FRAME_BYTES_MAX_DEFAULT} bytes")
        return blocks

    async def _keep(self, connection: GrpcConnection) -> None:
        """Replace *connection* when it ends, and its successors, until cancelled."""
        backoff_s = BACKOFF_S_MIN
        while True:
            await asyncio.shield(connection.left)
            self._fault = connection.fault
            if connection.has_answered:
                backoff_s = BACKOFF_S_MIN
            else:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            while True:
                try:
                    connection = await self._open()
                    break
                except OSError as error:
                    self._fault = cause_of(error)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            self._counters.reconnect_count += 1

    async def _open(self) -> GrpcConnection:
        """Make a connection that is ready for calls; raises as `Dialer.connect`."""
        connection = await self._dialer.connect(self._make_connection)
        self._connections.add(connection)
        connection.lost.add_done_callback(lambda _: self._connections.discard(connection))
        if not connection.left.done():
            self._ready.append(connection)
            self.send_waiting()
        return connection

    def _make_connection(self) -> GrpcConnection:
        writer = RequestWriter(
            blocks=self._blocks,
            counters=self._counters,
            clock=self._clock,
            first_stream_id=self._first_stream_id,
        )
        return GrpcConnection(
            writer=writer,
            owner=self,
            on_reply=self._on_reply,
            counters=self._counters,
            reply_bytes_max=self._reply_bytes_max,
        )
