"""
The cross-check driver: the same seam on the official grpcio client.

It is several times slower than `grpc_wire` and exists so that another implementation can be asked
what the outcome of an operation is. One task per call, no flow-control figures: grpcio shows none.
Where no connection can be had, grpcio gives up at once; `grpc_wire` waits until the deadline.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from harness.drivers.credentials import channel_credentials, channel_options
from harness.drivers.grpc import (
    CONNECTION_LOST,
    NOT_SENT,
    Clock,
    DriverStats,
    GrpcStatus,
    ReplyHandler,
)
from harness.drivers.grpc_call import Counters
from harness.errors import TransportError
from harness.model.tls import TlsOptions

CONNECT_TIMEOUT_S: Final = 5.0
REPLY_BYTES_MAX: Final = 16 * 1024 * 1024
_NANOS_PER_SECOND: Final = 1_000_000_000
_UNPROCESSED: Final = ("failed to connect to all addresses", "RST_STREAM with error code 7")
"""How grpcio words what can't have had an effect; code 7 is REFUSED_STREAM."""

_Method = grpc.aio.UnaryUnaryMultiCallable[Any, Any]


class GrpcioDriver:
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
    ) -> None:
        """Keep what is needed to connect; the arguments are those of `GrpcWireDriver`."""
        del clock  # grpcio keeps the deadlines by its own
        self._address = address
        self._paths = tuple(methods)
        self._on_reply = on_reply
        self._timeout_s = timeout_ns / _NANOS_PER_SECOND
        self._connection_count = connection_count
        self._metadata = tuple((key.lower(), value) for key, value in metadata)
        self._tls = tls
        self._channels: list[grpc.aio.Channel] = []
        self._methods: list[list[_Method]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._counters = Counters()
        self._is_closed = False

    async def connect(self) -> None:
        """Open all channels, or raise TransportError."""
        self._channels = [self._make_channel() for _ in range(self._connection_count)]
        self._methods = [
            [channel.unary_unary(path) for path in self._paths] for channel in self._channels
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

    def send(self, token: int, method: int, message: bytes | bytearray | memoryview) -> None:
        """Begin a call."""
        count = self._counters.sent_count
        self._counters.sent_count = count + 1
        if self._is_closed:
            self._answer(token, GrpcStatus.UNAVAILABLE, b"", NOT_SENT + "the driver was closed")
            return
        target = self._methods[count % len(self._methods)][method]
        call = asyncio.get_running_loop().create_task(self._call(token, target, bytes(message)))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    def flush(self) -> None:
        """Do nothing: grpcio writes when it likes."""

    async def close(self) -> None:
        """Cancel what is in flight and close the channels."""
        self._is_closed = True
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        for channel in self._channels:
            await channel.close()

    @property
    def stats(self) -> DriverStats:
        """What was done so far; the transport's own counts stay 0."""
        return self._counters.stats()

    async def _call(self, token: int, target: _Method, message: bytes) -> None:
        try:
            reply = await target(message, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            status, text = error.code().value[0], error.details() or ""
            certainty = NOT_SENT if any(words in text for words in _UNPROCESSED) else ""
            self._answer(token, status, b"", certainty + text)
        except asyncio.CancelledError:
            text = CONNECTION_LOST + "closed by the driver"
            self._answer(token, GrpcStatus.UNAVAILABLE, b"", text)
            raise
        else:
            self._answer(token, GrpcStatus.OK, reply, "")

    def _answer(self, token: int, status: int, message: bytes, text: str) -> None:
        self._counters.reply_count += 1
        self._on_reply(token, status, message, text)

    def _make_channel(self) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", REPLY_BYTES_MAX),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if self._tls is None:
            return grpc.aio.insecure_channel(self._address, options)
        credentials = channel_credentials(self._tls)
        options += channel_options(self._tls)
        return grpc.aio.secure_channel(self._address, credentials, options)
