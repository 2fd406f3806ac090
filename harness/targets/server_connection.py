"""
The server side of an HTTP/2 connection, framed by hand: what both null services share.

Preface, settings, pings and windows are kept here; what comes on a stream is the heir's. No header
block is decoded: nothing in one could change the answer.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, cast

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
MESSAGE_HEAD_BYTES: Final = 5  # compressed flag and length: all of an empty message
_WIDENING: Final = pack_window_update(0, WINDOW_BYTES_LIMIT - WINDOW_BYTES_DEFAULT)


class ServerConnection(asyncio.Protocol, ABC):
    """
    One connection; an heir takes frames of streams and puts its answers into `out`.

    Attributes:
        out: Bytes that go with the next flush.
        window_bytes: What the client lets us send on all streams together.
        stream_window_bytes: What it lets us send on any stream, before it widens that one.
        used_bytes: Of our own window, not yet given back.
    """

    OWN_STREAM_WINDOW_BYTES = WINDOW_BYTES_LIMIT

    def __init__(self) -> None:
        self.out = bytearray()
        self.window_bytes = self.stream_window_bytes = WINDOW_BYTES_DEFAULT
        self.used_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._is_greeted = False

    @abstractmethod
    def take_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take a DATA or HEADERS frame."""

    def answer(self) -> None:
        """Put into `out` what may go, now that all that came was read and windows are known."""

    def forget(self, stream_id: int) -> None:
        """Hear that the client has reset a stream."""

    def widen(self, stream_id: int, increment_bytes: int) -> None:
        """Hear that the client lets us send more on a stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = {Setting.INITIAL_WINDOW_SIZE: self.OWN_STREAM_WINDOW_BYTES}
        self._transport.write(pack_settings(settings) + _WIDENING)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = self._rest + data if self._rest else data
        try:
            self._rest = data[self._read(data) :]
        except PeerError as error:
            self._transport.write(bytes(self.out) + pack_goaway(0, error.code))
            self._transport.close()
            return
        self.answer()
        if self.used_bytes > WINDOW_BYTES_LIMIT // 2:
            self.out += pack_window_update(0, self.used_bytes)
            self.used_bytes = 0
        self.flush()

    def flush(self) -> None:
        if self.out and self._transport is not None:
            out, self.out = self.out, bytearray()
            self._transport.write(out)

    def _read(self, data: bytes) -> int:
        position, end = 0, len(data)
        if not self._is_greeted:
            if end < len(PREFACE) and PREFACE.startswith(data):
                return 0
            if not data.startswith(PREFACE):
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            self._is_greeted, position = True, len(PREFACE)
        unpack_head, take_frame = HEAD.unpack_from, self.take_frame
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
                take_frame(kind, flags, stream_id, data[start:position])
            else:
                self._read_control(kind, flags, stream_id, data[start:position])
        return position

    def _read_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.SETTINGS and not flags & Flag.ACK:
            for identifier, value in unpack_settings(payload):
                if identifier == Setting.INITIAL_WINDOW_SIZE:
                    if value < MESSAGE_HEAD_BYTES:
                        raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "no window for any reply")
                    self.stream_window_bytes = value
            self.out += pack_frame(FrameType.SETTINGS, Flag.ACK, 0)
        elif kind == FrameType.PING and not flags & Flag.ACK:
            self.out += pack_frame(FrameType.PING, Flag.ACK, 0, payload)
        elif kind == FrameType.WINDOW_UPDATE:
            increment_bytes = int.from_bytes(payload, "big") & STREAM_ID_MAX
            if stream_id == 0:
                self.window_bytes += increment_bytes
            else:
                self.widen(stream_id, increment_bytes)
        elif kind == FrameType.RST_STREAM:
            self.forget(stream_id)
