"""
The null service for streams: every message comes back as it was, on the stream it came on.

`EchoConnection` echoes bytes: a message that is cut by frames comes back cut, which is the same
message. `EchoMethods` is the same for grpc.aio,
what a Python service costs at least. Unary calls are answered with their request.
"""

from typing import Any, Final

import grpc
import grpc.aio

from harness.drivers.http2 import (
    FRAME_BYTES_MAX_DEFAULT,
    ErrorCode,
    Flag,
    FrameType,
    PeerError,
    pack_frame,
    pack_window_update,
)
from harness.targets.server_connection import HEAD_BLOCK, TRAILER_BLOCK, ServerConnection

STREAM_SUFFIX: Final = "Stream"  # of a method's name: it is bidirectional (grpc.aio must know)


class _Echo:
    """One stream: what is to be sent back."""

    __slots__ = ("extra_bytes", "is_ended", "pending", "used_bytes")

    def __init__(self) -> None:
        self.pending = bytearray()
        self.extra_bytes = 0  # of the client's window: its updates, less what was sent
        self.used_bytes = 0  # of our own window, not yet given back
        self.is_ended = False  # by the client


class EchoConnection(ServerConnection):
    """Gives back the bytes of every stream, as the client's windows let it."""

    OWN_STREAM_WINDOW_BYTES = 1 << 24

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[int, _Echo] = {}

    def take_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.HEADERS:
            self._streams[stream_id] = _Echo()
            self.out += pack_frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, HEAD_BLOCK)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if kind == FrameType.DATA:
            if flags & Flag.PADDED:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "padding, which nobody here sends")
            stream.pending += payload
            stream.used_bytes += len(payload)
            self.used_bytes += len(payload)
        stream.is_ended = bool(flags & Flag.END_STREAM)

    def answer(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            pending = stream.pending
            while pending:
                room_bytes = min(
                    self.window_bytes,
                    self.stream_window_bytes + stream.extra_bytes,
                    FRAME_BYTES_MAX_DEFAULT,
                )
                if room_bytes <= 0:
                    break
                piece = bytes(pending[:room_bytes])
                del pending[:room_bytes]
                self.out += pack_frame(FrameType.DATA, 0, stream_id, piece)
                self.window_bytes -= len(piece)
                stream.extra_bytes -= len(piece)
            if stream.used_bytes > self.OWN_STREAM_WINDOW_BYTES // 2:
                self.out += pack_window_update(stream_id, stream.used_bytes)
                stream.used_bytes = 0
            if stream.is_ended and not pending:
                flags = Flag.END_HEADERS | Flag.END_STREAM
                self.out += pack_frame(FrameType.HEADERS, flags, stream_id, TRAILER_BLOCK)
                del self._streams[stream_id]

    def forget(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)

    def widen(self, stream_id: int, increment_bytes: int) -> None:
        if stream_id in self._streams:
            self._streams[stream_id].extra_bytes += increment_bytes


class EchoMethods(grpc.GenericRpcHandler):
    """Every method of grpc.aio: bidirectional if its name ends so, else unary."""

    def __init__(self) -> None:
        self._stream: Any = grpc.stream_stream_rpc_method_handler(self._echo)
        self._unary: Any = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: Any) -> Any:
        is_stream = handler_call_details.method.endswith(STREAM_SUFFIX)
        return self._stream if is_stream else self._unary

    async def _echo(self, _requests: Any, context: Any) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await context.write(message)

    async def _answer(self, request: bytes, _context: Any) -> bytes:
        return request
