"""
The receiving half of one HTTP/2 connection, and its life from preface to GOAWAY.

Replies are parsed where they arrive, on the loop's thread, without a task or a queue. The one idea:
the read loop recognises the three frames that nearly every unary reply is made of (plain head, one
whole message, plain OK), and the plain DATA of a stream; it hands every other frame to a general
path that knows the whole protocol. Whatever the peer sends, the worst that follows is the end of
this connection, with the right code.

A stream's id on the wire has a reserved high bit; it is dropped in the general path, which is where
a frame with that bit set ends up, since no open stream has such an id.
"""

import asyncio
from typing import Final, Protocol, cast

from harness.drivers.grpc import CONNECTION_LOST, GrpcStatus, ReplyHandler
from harness.drivers.grpc_call import HEAD_SEEN, NOTHING, PREFIX, PREFIX_BYTES, Call, Counters
from harness.drivers.grpc_replies import STREAM_WINDOW_BYTES, ReplyReader
from harness.drivers.grpc_stream import Unprocessed
from harness.drivers.header_blocks import HEADER_LIST_BYTES_MAX
from harness.drivers.http2 import (
    FRAME_BYTES_MAX_DEFAULT,
    HEAD,
    HEAD_BYTES,
    PREFACE,
    STREAM_ID_MAX,
    WINDOW_BYTES_DEFAULT,
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
from harness.drivers.request_writer import RequestWriter

CONNECTION_WINDOW_BYTES: Final = 64 * 1024 * 1024
UNWRITTEN_BYTES_MAX: Final = 1024 * 1024
"""A peer that makes us answer (PING, SETTINGS) while more than this lies unread is cut off."""

_OPENING: Final = (
    PREFACE
    + pack_settings(
        {
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES_MAX,
        }
    )
    + pack_window_update(0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES_DEFAULT)
)
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake; no frame begins so
_LONGEST_FRAME: Final = FRAME_BYTES_MAX_DEFAULT << 8 | 0xFF
_DATA: Final = FrameType.DATA
_HEADERS: Final = FrameType.HEADERS
_HEAD_FLAGS: Final = Flag.END_HEADERS
_TRAILER_FLAGS: Final = Flag.END_HEADERS | Flag.END_STREAM


class ConnectionOwner(Protocol):
    def resend(self, calls: list[Call]) -> None:
        """Take back *calls*, which the peer has certainly not processed."""

    def send_waiting(self) -> None:
        """There may be room for what waits, or replies have set something free."""

    def leave(self, connection: "GrpcConnection") -> None:
        """*connection* takes no new calls any more."""


class GrpcConnection(asyncio.Protocol):
    """One connection; `writer` opens its streams."""

    def __init__(
        self,
        *,
        writer: RequestWriter,
        owner: ConnectionOwner,
        on_reply: ReplyHandler,
        counters: Counters,
        reply_bytes_max: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.writer = writer
        self.settled: asyncio.Future[None] = loop.create_future()
        """Done once the peer's settings are here, or the connection is lost before that."""
        self.left: asyncio.Future[None] = loop.create_future()
        """Done once no new call can be opened here."""
        self.lost: asyncio.Future[None] = loop.create_future()
        self.fault = ""
        self._owner = owner
        self._on_reply = on_reply
        self._counters = counters
        self._replies = ReplyReader(
            writer=writer,
            on_reply=on_reply,
            counters=counters,
            reply_bytes_max=reply_bytes_max,
        )
        self._readers = (  # by frame type
            self._read_data,
            self._replies.read_headers,
            self._read_priority,
            self._replies.read_reset,
            self._read_settings,
            self._read_push_promise,
            self._read_ping,
            self._read_goaway,
            self._read_window_update,
            self._replies.read_continuation,
        )
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._used_bytes = 0  # of the connection's receive window, not yet given back
        self._is_settled = False

    # ---------------------------------------------------------------------------- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is None:
            # High water at zero makes uvloop write at once instead of at the end of the loop's
            # round. A TLS transport would take it as always full.
            self._transport.set_write_buffer_limits(high=0)
        self._transport.write(_OPENING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer what was in flight: its outcome is unknown."""
        self.fault = self.fault or (str(exc) if exc else "closed by the peer")
        self._transport = None
        self._leave()
        for future in (self.settled, self.lost):
            if not future.done():
                future.set_result(None)
        for call in self.writer.take_calls():
            self._replies.answer(call, GrpcStatus.UNAVAILABLE, CONNECTION_LOST + self.fault)
        for stream in self.writer.take_streams():
            stream.user.ended(GrpcStatus.UNAVAILABLE, self.fault, unprocessed=Unprocessed.NO)

    def close(self, fault: str, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """Say goodbye with *code* and close; *fault* is what operations in flight will read."""
        transport = self._transport
        self.fault = self.fault or fault
        self._leave()
        if transport is not None and not transport.is_closing():
            transport.write(bytes(self.writer.out) + pack_goaway(0, code))
            self.writer.out.clear()
            if transport.get_write_buffer_size():
                transport.abort()
            else:
                transport.close()

    def retire(self) -> None:
        """Take nothing new, finish what is open, then close."""
        self._leave()
        self.flush()
        self._close_if_done()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def has_answered(self) -> bool:
        """True once the peer has answered a call here: it is worth coming back to at once."""
        return self._replies.answered_count > 0

    def pause_writing(self) -> None:
        """Stop opening streams while the transport is full."""
        self.writer.pause()

    def resume_writing(self) -> None:
        self.writer.resume()
        self._owner.send_waiting()
        self.flush()

    def flush(self) -> None:
        out = self.writer.out
        if out and self._transport is not None:
            self.writer.out = bytearray()
            self._counters.sent_bytes += len(out)
            self._transport.write(out)

    def expire(self, now_ns: int) -> None:
        """Answer the calls past their deadline, and tell the peer to stop working on them."""
        for stream_id in self.writer.expired(now_ns):
            call = self.writer.reset(stream_id, ErrorCode.CANCEL)
            self._replies.answer(call, GrpcStatus.DEADLINE_EXCEEDED, "no reply within the deadline")
        self.flush()
        self._close_if_done()

    def _leave(self) -> None:
        self.writer.retire()
        if not self.left.done():
            self.left.set_result(None)
            self._owner.leave(self)
            for stream in list(self.writer.streams.values()):
                stream.user.leaving()

    def _close_if_done(self) -> None:
        if self.writer.is_retired and not self.writer.calls and not self.writer.streams:
            self.close("retired")

    # ------------------------------------------------------------------------- reading

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._counters.received_bytes += len(data)
        if self._rest:
            data = self._rest + data
        try:
            if not self._is_settled:
                _check_protocol(data)
            consumed_bytes = self._read_frames(data)
            if self._used_bytes > CONNECTION_WINDOW_BYTES // 2:
                self._give_back_window()
        except PeerError as error:
            self.close(str(error), error.code)
            return
        finally:
            if self._replies.refused:
                self._owner.resend(self._replies.refused)
                self._replies.refused = []
        self._rest = data[consumed_bytes:]
        self._owner.send_waiting()
        if self.writer.is_retired:
            self._leave()
            self._close_if_done()
        self.flush()

    def _read_frames(self, data: bytes) -> int:
        calls, streams = self.writer.calls, self.writer.streams
        replies = self._replies
        remembered = replies.decoder.remembered
        on_reply = self._on_reply
        unpack_head, unpack_prefix = HEAD.unpack_from, PREFIX.unpack_from
        is_between_blocks = not replies.is_block_open
        position, end, reply_count = 0, len(data), 0
        while end - position >= HEAD_BYTES:
            word, flags, stream_id = unpack_head(data, position)
            if word > _LONGEST_FRAME:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"frame of {word >> 8} bytes")
            start = position + HEAD_BYTES
            stop = start + (word >> 8)
            if stop > end:
                break
            position = stop
            kind = word & 0xFF
            call = calls.get(stream_id)
            if call is not None and is_between_blocks:
                if kind == _HEADERS:
                    headers = remembered.get(data[start:stop])
                    if headers is not None:
                        if flags == _TRAILER_FLAGS:
                            message = call.reply
                            if headers.is_plain_ok and type(message) is bytes:
                                del calls[stream_id]
                                reply_count += 1
                                on_reply(call.token, 0, message, "")
                                continue
                        elif (
                            flags == _HEAD_FLAGS and headers.is_plain_head and call.reply is NOTHING
                        ):
                            call.reply = HEAD_SEEN
                            continue
                elif kind == _DATA and flags == 0 and call.reply is HEAD_SEEN:
                    body_bytes = stop - start
                    if body_bytes >= PREFIX_BYTES:
                        compressed, message_bytes = unpack_prefix(data, start)
                        if message_bytes == body_bytes - PREFIX_BYTES and not compressed:
                            self._used_bytes += body_bytes
                            call.reply = data[start + PREFIX_BYTES : stop]
                            continue
            elif kind == _DATA and flags == 0 and is_between_blocks:
                stream = streams.get(stream_id)
                if stream is not None:
                    self._used_bytes += stop - start
                    replies.read_messages(stream, data, start, stop)
                    continue
            self._read_frame(kind, flags, stream_id & STREAM_ID_MAX, data[start:stop])
            is_between_blocks = not replies.is_block_open
        replies.answered_count += reply_count
        self._counters.reply_count += reply_count
        return position

    def _read_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._is_settled and (kind != FrameType.SETTINGS or flags & Flag.ACK):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "the peer doesn't begin with SETTINGS")
        if self._replies.is_block_open and kind != FrameType.CONTINUATION:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if kind < len(self._readers):  # unknown types are to be ignored
            self._readers[kind](flags, stream_id, payload)

    # ----------------------------------------------------------- frames of the connection

    def _read_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._used_bytes += len(payload)
        self._replies.read_data(flags, stream_id, payload)

    def _read_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Ignore it: it is advice."""

    def _read_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which was switched off")

    def _read_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & Flag.ACK:
            if payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
            return
        self.writer.apply_settings(unpack_settings(payload))
        self._limit_unwritten()
        if not self._is_settled:
            self._is_settled = True
            self.writer.resume()
            self.settled.set_result(None)

    def _read_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if not flags & Flag.ACK:
            self.writer.out += pack_frame(FrameType.PING, Flag.ACK, 0, payload)
            self._limit_unwritten()

    def _read_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        last_stream_id = int.from_bytes(payload[:4], "big") & STREAM_ID_MAX
        code = int.from_bytes(payload[4:8], "big")
        self._counters.goaway_count += 1
        self.fault = f"GOAWAY, code {code}, {payload[8:72].decode('ascii', 'replace')!r}"
        self._leave()
        self._owner.resend(self.writer.take_calls(above=last_stream_id))
        for stream in self.writer.take_streams(above=last_stream_id):
            stream.user.ended(GrpcStatus.UNAVAILABLE, self.fault, unprocessed=Unprocessed.LEFT)

    def _read_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        increment_bytes = int.from_bytes(payload, "big") & STREAM_ID_MAX
        if stream_id:
            self._replies.widen(stream_id, increment_bytes)
        elif increment_bytes:
            self.writer.widen_connection(increment_bytes)
        else:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")

    def _give_back_window(self) -> None:
        if self._used_bytes > CONNECTION_WINDOW_BYTES:
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        self.writer.out += pack_window_update(0, self._used_bytes)
        self._used_bytes = 0

    def _limit_unwritten(self) -> None:
        assert self._transport is not None, "frames come from a transport"
        if self._transport.get_write_buffer_size() > UNWRITTEN_BYTES_MAX:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "our answers are not read")


def _check_protocol(data: bytes) -> None:
    """Raise PeerError if the peer's first bytes are HTTP/1.1 or TLS."""
    if data.startswith(b"HTTP/1"):
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "the peer speaks HTTP/1.1, not HTTP/2")
    if data[:2] in _TLS_RECORDS:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "the peer speaks TLS, not plain text")
