"""
The default gRPC driver: HTTP/2 framed by hand, no task and no future per operation.

It spreads calls over connections, keeps those that can't go yet, reports deadlines and makes new
connections when old ones end. It retries only what the peer declared unprocessed. The one idea: an
operation is a `Call` that is either in `waiting` or in one connection's open streams, so it is
always in exactly one place and ends exactly once.

Streaming calls would enter through a second `send` that takes a stream of messages: see `grpc_call`
for the receiving side, `RequestWriter._feed` for the sending one.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from harness.drivers.grpc import (
    NOT_SENT,
    Clock,
    DriverStats,
    GrpcStatus,
    ReplyHandler,
)
from harness.drivers.grpc_call import Call, Counters
from harness.drivers.grpc_connection import GrpcConnection
from harness.drivers.header_blocks import encode_request_block
from harness.drivers.http2 import FRAME_BYTES_MAX_DEFAULT
from harness.drivers.request_writer import RequestWriter
from harness.errors import TransportError
from harness.model.tls import TlsOptions

CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 0.25
SWEEP_S: Final = 0.010
"""How often deadlines are looked at: they are reported at most this and a millisecond late."""
BACKOFF_S_MIN: Final = 0.020
BACKOFF_S_MAX: Final = 1.0
REPLY_BYTES_MAX: Final = 16 * 1024 * 1024


class GrpcWireDriver:
    """A `GrpcDriver`; see there for the contract of each method."""

    def __init__(
        self,
        *,
        address: str,
        methods: Sequence[str],
        on_reply: ReplyHandler,
        timeout_ns: int,
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
        self._host, self._port = _split(address)
        self._tls = tls
        self._timeout_ns = timeout_ns
        self._on_reply = on_reply
        self._clock = clock
        self._connection_count = connection_count
        self._first_stream_id = first_stream_id
        self._reply_bytes_max = reply_bytes_max
        self._blocks = self._encode_blocks(methods, metadata)
        self._counters = Counters()
        self._waiting: deque[Call] = deque()
        self._ready: list[GrpcConnection] = []
        self._connections: set[GrpcConnection] = set()  # the ready ones, and those that finish
        self._turn = 0
        self._keepers: list[asyncio.Task[None]] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._fault = "never connected"
        self._is_closed = False

    # ---------------------------------------------------------------------- GrpcDriver

    async def connect(self) -> None:
        """Open all connections, or raise TransportError."""
        first: list[GrpcConnection] = []
        try:
            first.extend([await self._open() for _ in range(self._connection_count)])
        except OSError as error:
            raise TransportError(
                f"{self._address}: can't connect: {_cause(error)}; is the service listening there?"
            ) from error
        finally:
            if not first:
                await self.close()
        self._keepers = [asyncio.create_task(self._keep(one)) for one in first]
        self._sweep()

    def send(self, token: int, method: int, message: bytes | bytearray | memoryview) -> None:
        """Begin a call."""
        self._counters.sent_count += 1
        call = Call(token, method, message, self._clock() + self._timeout_ns)
        if self._waiting or not self._place(call):
            self._park(call)

    def flush(self) -> None:
        """Write what was sent since the last flush."""
        for connection in self._ready:
            if connection.writer.out:
                connection.flush()

    async def close(self) -> None:
        """Close everything."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        faults = [one.exception() for one in self._keepers if not one.cancelled()]
        connections = list(self._connections)
        for connection in connections:
            connection.close("closed by the driver")
        losses = [connection.lost for connection in connections]
        if losses:
            _, late = await asyncio.wait(losses, timeout=CLOSE_TIMEOUT_S)
            for connection in connections:
                if connection.lost in late:
                    connection.abort()
        self._fault = "the driver was closed"
        self._fail_waiting(len(self._waiting))
        for fault in filter(None, faults):  # a bug of ours: nothing the peer does ends a keeper
            raise fault

    @property
    def stats(self) -> DriverStats:
        """What was done so far."""
        return self._counters.stats()

    # ------------------------------------------------------------------ ConnectionOwner

    def resend(self, calls: list[Call]) -> None:
        """Put *calls*, which the peer has not processed, before all others."""
        self._counters.resent_count += len(calls)
        now_ns = self._clock()
        for call in calls:
            self._counters.block(call, now_ns)
        self._waiting.extendleft(reversed(calls))

    def send_waiting(self) -> None:
        """Send what waits, as far as there is room."""
        waiting = self._waiting
        if not waiting:
            return
        now_ns = self._clock()
        while waiting and self._place(waiting[0]):
            self._counters.unblock(waiting.popleft(), now_ns)
        self.flush()

    def leave(self, connection: GrpcConnection) -> None:
        """Use *connection* for no new call."""
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
            if self._ready:
                status, text = GrpcStatus.DEADLINE_EXCEEDED, "no stream slot or window in time"
            else:
                status, text = GrpcStatus.UNAVAILABLE, self._fault
            self._on_reply(call.token, status, b"", NOT_SENT + text)

    # ---------------------------------------------------------------------- connections

    def _encode_blocks(
        self, methods: Sequence[str], metadata: Sequence[tuple[str, str | bytes]]
    ) -> list[bytes]:
        server_name = self._tls.server_name if self._tls is not None else ""
        blocks = [
            encode_request_block(
                path=path,
                authority=server_name or ("localhost" if self._port is None else self._address),
                is_tls=self._tls is not None,
                timeout_ns=self._timeout_ns,
                metadata=metadata,
            )
            for path in methods
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
                    self._fault = _cause(error)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            self._counters.reconnect_count += 1

    async def _open(self) -> GrpcConnection:
        """
        Make a connection that is ready for calls.

        Raises:
            OSError: refused, no TLS, no HTTP/2 on the other side, or too slow.

        """
        loop = asyncio.get_running_loop()
        tls = _make_tls(self._tls) if self._tls is not None else None
        server_name = (self._tls.server_name or self._host) if self._tls is not None else None

        def make() -> GrpcConnection:
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

        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if self._port is None:
                transport, connection = await loop.create_unix_connection(
                    make, self._host, ssl=tls, server_hostname=server_name
                )
            else:
                transport, connection = await loop.create_connection(
                    make, self._host, self._port, ssl=tls, server_hostname=server_name
                )
            try:
                await asyncio.shield(connection.settled)
            except BaseException:
                transport.abort()
                raise
        if tls is not None and _alpn(transport) != "h2":
            transport.abort()
            raise ConnectionError("the peer's TLS doesn't agree to HTTP/2 (ALPN h2)")
        if connection.lost.done():
            raise ConnectionError(connection.fault)
        self._connections.add(connection)
        connection.lost.add_done_callback(lambda _: self._connections.discard(connection))
        if not connection.left.done():
            self._ready.append(connection)
            self.send_waiting()
        return connection


def _split(address: str) -> tuple[str, int | None]:
    if address.startswith("unix:"):
        return address.removeprefix("unix:"), None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f'address {address!r} is neither "host:port" nor "unix:/path"')
    return host.strip("[]"), int(port)


def _make_tls(options: TlsOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file or None)
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file)
    context.set_alpn_protocols(["h2"])
    return context


def _alpn(transport: asyncio.Transport) -> str | None:
    secured: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return secured.selected_alpn_protocol()


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no HTTP/2 settings within {CONNECT_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__
