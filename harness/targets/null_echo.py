"""
The null service for streams: every message comes back as it was, on the stream it came on.

`EchoConnection` frames HTTP/2 by hand, as `null_service` does, and echoes bytes: a message that is
cut by frames comes back cut, which is the same message. `EchoMethods` is the same for grpc.aio,
what a Python service costs at least. Unary calls are answered with their request.
"""

import asyncio
from typing import Any, Final, cast

import grpc
import grpc.aio

from harness.drivers.http2 import (
    FRAME_BYTES_MAX_DEFAULT,
    HEAD,
    HEAD_BYTES,
    PREFACE,
    STREAM_ID_MAX,
    WINDOW_BYTES_DEFAULT,
    WINDOW_BYTES_LIMIT,
    ErrorCode,
    Flag,
    FrameType,
    PeerError,
    Setting,
    pack_frame,
    pack_goaway,
    pack_settings,
    pack_window_update,
    unpack_settings,
)

HEAD_BLOCK: Final = b"\x88\x0f\x10\x10application/grpc"  # :status 200, content-type
TRAILER_BLOCK: Final = b"\x00\x0bgrpc-status\x010"
STREAM_SUFFIX: Final = "Stream"  # of a method's name: it is bidirectional (grpc.aio must know)
_STREAM_WINDOW_BYTES: Final = 1 << 24
_GREETING: Final = pack_settings({Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW_BYTES})
_WIDENING: Final = pack_window_update(0, WINDOW_BYTES_LIMIT - WINDOW_BYTES_DEFAULT)


class _Echo:
    """One stream: what is to be sent back."""

    __slots__ = ("is_ended", "pending", "used_bytes", "window_bytes")

    def __init__(self, window_bytes: int) -> None:
        self.pending = bytearray()
        self.window_bytes = window_bytes
        self.used_bytes = 0  # of our own window, not yet given back
        self.is_ended = False  # by the client


class EchoConnection(asyncio.Protocol):
    """The server side of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._is_greeted = False
        self._out = bytearray()
        self._streams: dict[int, _Echo] = {}
        self._window_bytes = WINDOW_BYTES_DEFAULT
        self._stream_window_bytes = WINDOW_BYTES_DEFAULT
        self._used_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_GREETING + _WIDENING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what is pending."""
        del exc
        self._transport = None
        self._streams.clear()

    def pause_writing(self) -> None:
        """Read no more from a client that doesn't read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Read whole frames, echo, keep the rest."""
        if self._transport is None or self._transport.is_closing():
            return
        data = self._rest + data if self._rest else data
        try:
            self._rest = data[self._read(data) :]
        except PeerError as error:
            self._transport.write(bytes(self._out) + pack_goaway(0, error.code))
            self._transport.close()
            return
        self._send_back()
        if self._used_bytes > WINDOW_BYTES_LIMIT // 2:
            self._out += pack_window_update(0, self._used_bytes)
            self._used_bytes = 0
        if self._out:
            out, self._out = self._out, bytearray()
            self._transport.write(out)

    def _read(self, data: bytes) -> int:
        position, end = 0, len(data)
        if not self._is_greeted:
            if end < len(PREFACE) and PREFACE.startswith(data):
                return 0
            if not data.startswith(PREFACE):
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            self._is_greeted, position = True, len(PREFACE)
        unpack_head = HEAD.unpack_from
        while end - position >= HEAD_BYTES:
            word, flags, stream_id = unpack_head(data, position)
            payload_bytes, kind = word >> 8, word & 0xFF
            if payload_bytes > FRAME_BYTES_MAX_DEFAULT:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"frame of {payload_bytes} bytes")
            start = position + HEAD_BYTES
            if start + payload_bytes > end:
                break
            position = start + payload_bytes
            if kind <= FrameType.HEADERS:
                self._read_stream(kind, flags, stream_id, data[start:position])
            else:
                self._read_control(kind, flags, stream_id, data[start:position])
        return position

    def _read_stream(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.HEADERS:
            self._streams[stream_id] = _Echo(self._stream_window_bytes)
            self._out += pack_frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, HEAD_BLOCK)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if kind == FrameType.DATA:
            if flags & Flag.PADDED:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "padding, which nobody here sends")
            stream.pending += payload
            stream.used_bytes += len(payload)
            self._used_bytes += len(payload)
        stream.is_ended = bool(flags & Flag.END_STREAM)

    def _read_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.SETTINGS and not flags & Flag.ACK:
            for identifier, value in unpack_settings(payload):
                if identifier == Setting.INITIAL_WINDOW_SIZE:
                    for stream in self._streams.values():
                        stream.window_bytes += value - self._stream_window_bytes
                    self._stream_window_bytes = value
            self._out += pack_frame(FrameType.SETTINGS, Flag.ACK, 0)
        elif kind == FrameType.PING and not flags & Flag.ACK:
            self._out += pack_frame(FrameType.PING, Flag.ACK, 0, payload)
        elif kind == FrameType.WINDOW_UPDATE:
            increment_bytes = int.from_bytes(payload, "big") & STREAM_ID_MAX
            if stream_id == 0:
                self._window_bytes += increment_bytes
            elif stream_id in self._streams:
                self._streams[stream_id].window_bytes += increment_bytes
        elif kind == FrameType.RST_STREAM:
            self._streams.pop(stream_id, None)

    def _send_back(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            pending = stream.pending
            while pending:
                room_bytes = min(self._window_bytes, stream.window_bytes, FRAME_BYTES_MAX_DEFAULT)
                if room_bytes <= 0:
                    break
                piece = bytes(pending[:room_bytes])
                del pending[:room_bytes]
                self._out += pack_frame(FrameType.DATA, 0, stream_id, piece)
                self._window_bytes -= len(piece)
                stream.window_bytes -= len(piece)
            if stream.used_bytes > _STREAM_WINDOW_BYTES // 2:
                self._out += pack_window_update(stream_id, stream.used_bytes)
                stream.used_bytes = 0
            if stream.is_ended and not pending:
                flags = Flag.END_HEADERS | Flag.END_STREAM
                self._out += pack_frame(FrameType.HEADERS, flags, stream_id, TRAILER_BLOCK)
                del self._streams[stream_id]


class EchoMethods(grpc.GenericRpcHandler):
    """Every method of grpc.aio: bidirectional if its name ends so, else unary."""

    def __init__(self) -> None:
        self._stream: Any = grpc.stream_stream_rpc_method_handler(self._echo)
        self._unary: Any = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: Any) -> Any:
        """Find the handler by the method's name."""
        is_stream = handler_call_details.method.endswith(STREAM_SUFFIX)
        return self._stream if is_stream else self._unary

    async def _echo(self, _requests: Any, context: Any) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await context.write(message)

    async def _answer(self, request: bytes, _context: Any) -> bytes:
        return request
