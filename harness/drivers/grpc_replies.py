"""
Replies of one connection, frame by frame, in full generality.

The read loop of `grpc_connection` settles the common reply by itself and hands the rest here:
padding, CONTINUATION, pieces, errors, resets, trailers-only, replies nobody waits for any more. It
decides what status a call ends with; it knows nothing of sockets, settings or other connections.
What reads a frame raises PeerError where the peer breaks the protocol: a stream that was never
opened, wrong padding or length, a block that can't be decoded or grows without end.
"""

from typing import Final

from harness.drivers.grpc import NOT_SENT, GrpcStatus, ReplyHandler
from harness.drivers.grpc_call import (
    HEAD_SEEN,
    NOTHING,
    Call,
    Counters,
    PagedReply,
    PartialReply,
    ReplyError,
)
from harness.drivers.grpc_status import status_of_http, status_of_reset
from harness.drivers.grpc_stream import OpenStream, Unprocessed
from harness.drivers.header_blocks import HEADER_BLOCK_BYTES_MAX, ReplyHeaders, ReplyHeadersDecoder
from harness.drivers.http2 import ErrorCode, Flag, PeerError, pack_window_update, unpad
from harness.drivers.request_writer import RequestWriter

STREAM_WINDOW_BYTES: Final = 4 * 1024 * 1024
"""What a peer may send on one stream before we give window back."""

_HTTP_OK: Final = 200
_NO_TRAILERS: Final = ReplyHeaders(None, False, None, "", False, False)


class ReplyReader:
    """
    Ends calls and streams of `writer` as their replies come in.

    Attributes:
        decoder: the connection's HPACK state.
        is_block_open: HEADERS came without END_HEADERS; only CONTINUATION may follow.
        answered_count: calls the peer itself has answered.
        refused: calls the peer declared unprocessed, to be sent once more by whoever takes them.
    """

    def __init__(
        self,
        *,
        writer: RequestWriter,
        on_reply: ReplyHandler,
        counters: Counters,
        reply_bytes_max: int,
    ) -> None:
        self.decoder = ReplyHeadersDecoder()
        self.is_block_open = False
        self.answered_count = 0
        self.refused: list[Call] = []
        self._block = bytearray()
        self._block_flags = 0
        self._block_stream_id = 0
        self._writer = writer
        self._on_reply = on_reply
        self._counters = counters
        self._reply_bytes_max = reply_bytes_max

    def answer(self, call: Call, status: int, text: str) -> None:
        self._counters.reply_count += 1
        self._on_reply(call.token, status, b"", text)

    def read_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        body = unpad(payload, flags & Flag.PADDED)
        stream = self._writer.streams.get(stream_id)
        if stream is not None:
            stream.flow_bytes += len(payload) - len(body)
            self.read_messages(stream, body, 0, len(body))
            if flags & Flag.END_STREAM and stream_id in self._writer.streams:
                self._finish_stream(stream, _NO_TRAILERS)
            return
        call = self._find(stream_id)
        if call is None:
            return
        if _awaits_head(call):
            self._refuse(stream_id, "DATA before HEADERS", ErrorCode.PROTOCOL_ERROR)
            return
        try:
            self._add(stream_id, call, body, len(payload))
        except ReplyError as error:
            self._refuse(stream_id, str(error), ErrorCode.CANCEL, error.status)
            return
        if flags & Flag.END_STREAM:
            self._finish(stream_id, call, _NO_TRAILERS)

    def read_messages(self, stream: OpenStream, data: bytes, start: int, stop: int) -> None:
        """Take the body data[start:stop] of a DATA frame of *stream*."""
        if not stream.is_head_seen:
            self._refuse_stream(stream, "DATA before HEADERS", ErrorCode.PROTOCOL_ERROR)
            return
        self.answered_count += 1
        try:
            stream.receive(data, start, stop)
        except ReplyError as error:
            self._refuse_stream(stream, str(error), ErrorCode.CANCEL, error.status)
            return
        if stream.flow_bytes > STREAM_WINDOW_BYTES // 2:
            self._writer.out += pack_window_update(stream.stream_id, stream.flow_bytes)
            stream.flow_bytes = 0

    def read_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = unpad(payload, flags)
        if flags & Flag.END_HEADERS:
            self._read_block(flags, stream_id, block)
            return
        self.is_block_open = True
        self._block, self._block_flags = bytearray(block), flags
        self._block_stream_id = stream_id

    def read_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self.is_block_open or stream_id != self._block_stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        is_last = bool(flags & Flag.END_HEADERS)
        self._block += payload
        if len(self._block) > HEADER_BLOCK_BYTES_MAX or not (payload or is_last):
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if is_last:
            self.is_block_open = False
            self._read_block(self._block_flags, stream_id, bytes(self._block))

    def read_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM")
        code = int.from_bytes(payload, "big")
        stream = self._writer.streams.get(stream_id)
        if stream is not None:
            self._writer.drop_stream(stream, None)
            is_refused = code == ErrorCode.REFUSED_STREAM and not stream.is_head_seen
            stream.user.ended(
                status_of_reset(code),
                f"the peer reset the stream, code {code}",
                unprocessed=Unprocessed.REFUSED if is_refused else Unprocessed.NO,
            )
            return
        call = self._find(stream_id)
        if call is None:
            return
        self._writer.close_stream(stream_id)
        if code == ErrorCode.REFUSED_STREAM and not call.is_retry:
            call.is_retry = True
            self.refused.append(call)
            return
        certainty = NOT_SENT if code == ErrorCode.REFUSED_STREAM else ""
        self.answered_count += 1
        status = status_of_reset(code)
        if code == ErrorCode.CANCEL and call.deadline_ns <= self._writer.clock():
            status = GrpcStatus.DEADLINE_EXCEEDED  # the peer keeps the same deadline
        self.answer(call, status, f"{certainty}the peer reset the stream, code {code}")

    def widen(self, stream_id: int, increment_bytes: int) -> None:
        stream = self._writer.streams.get(stream_id)
        if stream is not None:
            if increment_bytes == 0:
                self._refuse_stream(stream, "WINDOW_UPDATE of nothing", ErrorCode.PROTOCOL_ERROR)
            elif not self._writer.widen_stream(stream_id, increment_bytes):
                code = ErrorCode.FLOW_CONTROL_ERROR
                self._refuse_stream(stream, "stream window overflow", code)
            return
        if self._find(stream_id) is None:
            return
        if increment_bytes == 0:
            self._refuse(stream_id, "WINDOW_UPDATE of nothing", ErrorCode.PROTOCOL_ERROR)
        elif not self._writer.widen_stream(stream_id, increment_bytes):
            self._refuse(stream_id, "stream window overflow", ErrorCode.FLOW_CONTROL_ERROR)

    def _find(self, stream_id: int) -> Call | None:
        """Return the open call, or None if it was open once."""
        call = self._writer.calls.get(stream_id)
        if call is None and (stream_id % 2 == 0 or stream_id >= self._writer.next_stream_id):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} was never opened")
        return call

    def _read_block(self, flags: int, stream_id: int, block: bytes) -> None:
        headers = self.decoder.decode(block)
        stream = self._writer.streams.get(stream_id)
        if stream is not None:
            self._read_stream_block(flags, stream, headers)
            return
        call = self._find(stream_id)
        if call is None:
            if flags & Flag.END_STREAM:
                self._counters.late_count += 1
        elif flags & Flag.END_STREAM:
            self._finish(stream_id, call, headers)
        elif not _awaits_head(call):
            self._refuse(stream_id, "HEADERS in mid-reply", ErrorCode.PROTOCOL_ERROR)
        elif headers.is_plain_head:
            if isinstance(call.reply, PagedReply):
                call.reply.is_head_seen = True
            else:
                call.reply = HEAD_SEEN
        elif headers.http_status is None or headers.http_status >= _HTTP_OK:
            self._writer.reset(stream_id, ErrorCode.CANCEL)
            self._end(call, headers)

    def _add(self, stream_id: int, call: Call, body: bytes, flow_bytes: int) -> None:
        reply = call.reply
        if isinstance(reply, bytes):
            if body:
                raise ReplyError("more than one message in a unary reply")
            return
        if not isinstance(reply, (PagedReply, PartialReply)):
            reply = call.reply = PartialReply(self._reply_bytes_max)
        reply.flow_bytes += flow_bytes
        message = None
        if isinstance(reply, PagedReply):
            reply.add(body)
        else:
            message = reply.add(body)
        if message is not None:
            call.reply = message
        elif reply.flow_bytes > STREAM_WINDOW_BYTES // 2:
            self._writer.out += pack_window_update(stream_id, reply.flow_bytes)
            reply.flow_bytes = 0

    def _finish(self, stream_id: int, call: Call, headers: ReplyHeaders) -> None:
        self._writer.close_stream(stream_id)
        self._end(call, headers)

    def _end(self, call: Call, headers: ReplyHeaders) -> None:
        self.answered_count += 1
        status = headers.grpc_status
        if status is None:
            self.answer(call, *_without_status(headers))
        elif status != GrpcStatus.OK:
            self.answer(call, status, headers.grpc_message)
        elif (message := _whole_message(call)) is not None:
            self._counters.reply_count += 1
            self._on_reply(call.token, GrpcStatus.OK, message, headers.grpc_message)
        elif isinstance(call.reply, (PagedReply, PartialReply)):
            self.answer(call, GrpcStatus.INTERNAL, "the reply's message was cut short")
        else:
            self.answer(call, GrpcStatus.INTERNAL, "status OK without a message")

    def _refuse(
        self,
        stream_id: int,
        text: str,
        code: ErrorCode,
        status: GrpcStatus = GrpcStatus.INTERNAL,
    ) -> None:
        self.answered_count += 1
        self.answer(self._writer.reset(stream_id, code), status, text)

    # ------------------------------------------------------------- streams of many messages

    def _read_stream_block(self, flags: int, stream: OpenStream, headers: ReplyHeaders) -> None:
        if flags & Flag.END_STREAM:
            self._finish_stream(stream, headers)
        elif stream.is_head_seen:
            self._refuse_stream(stream, "HEADERS in mid-stream", ErrorCode.PROTOCOL_ERROR)
        elif headers.is_plain_head:
            stream.is_head_seen = True
        elif headers.http_status is None or headers.http_status >= _HTTP_OK:
            self._writer.drop_stream(stream, ErrorCode.CANCEL)
            self._end_stream(stream, headers)

    def _finish_stream(self, stream: OpenStream, headers: ReplyHeaders) -> None:
        # Our half may still be open: the reset tells the peer that nothing more will come on it.
        self._writer.drop_stream(stream, None if stream.is_half_closed else ErrorCode.NO_ERROR)
        self._end_stream(stream, headers)

    def _end_stream(self, stream: OpenStream, headers: ReplyHeaders) -> None:
        self.answered_count += 1
        status, text = headers.grpc_status, headers.grpc_message
        if status is None:
            status, text = _without_status(headers)
        elif status == GrpcStatus.OK and stream.is_cut_short:
            status, text = GrpcStatus.INTERNAL, "the stream's last message was cut short"
        name = GrpcStatus(status).name
        stream.user.ended(status, f"the stream ended, {name}: {text}", unprocessed=Unprocessed.NO)

    def _refuse_stream(
        self,
        stream: OpenStream,
        text: str,
        code: ErrorCode,
        status: GrpcStatus = GrpcStatus.INTERNAL,
    ) -> None:
        self._writer.drop_stream(stream, code)
        stream.user.ended(status, text, unprocessed=Unprocessed.NO)


def _awaits_head(call: Call) -> bool:
    reply = call.reply
    return not reply.is_head_seen if isinstance(reply, PagedReply) else reply is NOTHING


def _whole_message(call: Call) -> bytes | None:
    reply = call.reply
    if isinstance(reply, PagedReply):
        return reply.whole()
    return reply if isinstance(reply, bytes) else None


def _without_status(headers: ReplyHeaders) -> tuple[GrpcStatus, str]:
    http_status = headers.http_status
    if http_status is None:
        return GrpcStatus.UNKNOWN, "the reply ended without grpc-status"
    if http_status != _HTTP_OK:
        return status_of_http(http_status), f"HTTP status {http_status}"
    return GrpcStatus.UNKNOWN, "HTTP status 200, but neither grpc-status nor a gRPC content-type"
