"""
The sending half of one HTTP/2 connection: streams opened, windows honoured, bytes gathered.

It turns calls into frames in `out` and keeps what the peer allows: stream slots, send windows,
frame size. It reads nothing and writes to no socket. The one idea: a message that fits at once
(nearly all) is one pack and two appends; one that doesn't becomes an upload, fed as windows open.
Streams of many messages (`streams`) are fed likewise, from what their users left pending.
"""

import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from harness.drivers.grpc_call import PREFIX, PREFIX_BYTES, Call, Counters
from harness.drivers.grpc_stream import OpenStream
from harness.drivers.http2 import (
    FRAME_BYTES_MAX_DEFAULT,
    HEAD,
    STREAM_ID_MAX,
    WINDOW_BYTES_DEFAULT,
    WINDOW_BYTES_LIMIT,
    ErrorCode,
    Flag,
    FrameType,
    PeerError,
    Setting,
    pack_frame,
    pack_reset,
)

EXPIRY_STEP_NS: Final = 1_000_000
"""Deadlines are noted once per millisecond, so that noting them costs nothing per call."""

_DATA_END_STREAM: Final = FrameType.DATA << 8 | Flag.END_STREAM
_TABLE_BYTES_DEFAULT: Final = 4_096
_TABLE_RESIZED_TO_ZERO: Final = b"\x20"
"""Dynamic table size update (RFC 7541, section 6.3): our blocks use no table."""


class _Upload:
    """A message longer than a window or a frame; what is left of it."""

    __slots__ = ("body", "call", "offset", "window_bytes")

    def __init__(self, call: Call, window_bytes: int) -> None:
        self.call = call
        self.body = PREFIX.pack(0, len(call.message)) + bytes(call.message)
        self.offset = 0
        self.window_bytes = window_bytes


def _template(block: bytes) -> tuple[Callable[..., bytes], bytes]:
    """
    Return a packer of one call's frame heads, and the constant first field.

    The packer takes (HEADERS head without stream id, stream id, block, DATA length above 16 bits,
    DATA length below, DATA type and flags, stream id, 0, message length): both frame heads, the
    header block and the gRPC prefix are one call.
    """
    head = HEAD.pack(len(block) << 8 | FrameType.HEADERS, Flag.END_HEADERS, 0)[:5]
    return struct.Struct(f">5sI{len(block)}sBHHIBI").pack, head


class RequestWriter:
    """Frames for one connection; `calls` and `streams` are its open streams by id."""

    def __init__(
        self,
        *,
        blocks: Sequence[bytes],
        counters: Counters,
        clock: Callable[[], int],
        first_stream_id: int = 1,
    ) -> None:
        self.out = bytearray()
        self.calls: dict[int, Call] = {}
        self.streams: dict[int, OpenStream] = {}
        self.next_stream_id = first_stream_id
        self._blocks = blocks
        self._templates = [_template(block) for block in blocks]
        self._counters = counters
        self.clock = clock
        self._uploads: dict[int, _Upload] = {}
        self._starved: dict[int, _Upload | OpenStream] = {}  # only the connection holds them back
        self._expiries: deque[tuple[int, int]] = deque()  # deadline of the first id of a step
        self._expiry_edge_ns = 0
        self._window_bytes = WINDOW_BYTES_DEFAULT
        self._stream_window_bytes = WINDOW_BYTES_DEFAULT
        self._frame_bytes_max = FRAME_BYTES_MAX_DEFAULT
        self._whole_bytes_max = FRAME_BYTES_MAX_DEFAULT
        self._peer_slot_count = STREAM_ID_MAX
        self._slot_count = 0  # what admits: 0 while paused, retired or before the peer's settings
        self._is_paused = True
        self._is_retired = False
        self._has_to_resize = False  # the next header block begins with a table size update
        self._has_resized = False

    # ---------------------------------------------------------------------------------- calls

    def open(self, call: Call) -> bool:
        """Begin *call* on a new stream; False (and nothing done) when it has to wait."""
        calls = self.calls
        if len(calls) >= self._slot_count:
            return False
        message = call.message
        message_bytes = len(message)
        body_bytes = message_bytes + PREFIX_BYTES
        stream_id = self.next_stream_id
        if body_bytes <= self._whole_bytes_max and body_bytes <= self._window_bytes:
            self._window_bytes -= body_bytes
            block = self._blocks[call.method]
            pack, head = self._templates[call.method]
            self.out += pack(
                head,
                stream_id,
                block,
                body_bytes >> 16,
                body_bytes & 0xFFFF,
                _DATA_END_STREAM,
                stream_id,
                0,
                message_bytes,
            )
            self.out += message
        elif self._window_bytes > 0:
            self._begin_upload(stream_id, call)
        else:
            return False
        calls[stream_id] = call
        if call.deadline_ns >= self._expiry_edge_ns:
            self._expiries.append((call.deadline_ns, stream_id))
            self._expiry_edge_ns = call.deadline_ns + EXPIRY_STEP_NS
        self.next_stream_id = stream_id + 2
        if self.next_stream_id > STREAM_ID_MAX:
            self.retire()
        return True

    def expired(self, now_ns: int) -> list[int]:
        """
        Return the ids of open streams past their deadline: never early, at most a step late.

        A call that was refused and opened again stands behind younger ones, and is later by as
        much as its refusal took.
        """
        stream_ids: list[int] = []
        expiries = self._expiries
        while expiries and expiries[0][0] + EXPIRY_STEP_NS <= now_ns:
            _, first = expiries.popleft()
            if expiries:
                after = expiries[0][1]
            else:
                after, self._expiry_edge_ns = self.next_stream_id, 0
            stream_ids += [one for one in range(first, after, 2) if one in self.calls]
        return stream_ids

    def reset(self, stream_id: int, code: ErrorCode) -> Call:
        self.out += pack_reset(stream_id, code)
        self._drop_upload(stream_id)
        return self.calls.pop(stream_id)

    def close_stream(self, stream_id: int) -> None:
        """Forget a stream that the peer ended; a half-sent message is given up."""
        del self.calls[stream_id]
        if self._uploads and self._drop_upload(stream_id):
            self.out += pack_reset(stream_id, ErrorCode.NO_ERROR)

    def take_calls(self, above: int = 0) -> list[Call]:
        """Remove and return the open calls with ids above *above*, oldest first."""
        stream_ids = sorted(one for one in self.calls if one > above)
        for stream_id in stream_ids:
            self._drop_upload(stream_id)
        return [self.calls.pop(stream_id) for stream_id in stream_ids]

    # -------------------------------------------------------------------------------- streams

    def open_stream(self, method: int, stream: OpenStream) -> bool:
        """Begin *stream* with its HEADERS; False (and nothing done) when it has to wait."""
        if len(self.calls) >= self._slot_count:
            return False
        stream.stream_id = self.next_stream_id
        stream.window_bytes = self._stream_window_bytes
        self._write_head(stream.stream_id, method)
        self.streams[stream.stream_id] = stream
        self.next_stream_id += 2
        if self.next_stream_id > STREAM_ID_MAX:
            self.retire()
        self._count_slots()
        return True

    def room_bytes(self, stream: OpenStream) -> int:
        """Return what may be written on *stream* now."""
        return 0 if self._is_paused else min(self._window_bytes, stream.window_bytes)

    def feed(self, stream: OpenStream) -> None:
        """Write what is pending on *stream*, as far as the windows go, and its end behind it."""
        pending = stream.pending
        while pending:
            room_bytes = min(self.room_bytes(stream), self._frame_bytes_max)
            if room_bytes <= 0:
                if stream.window_bytes > 0:
                    self._starved[stream.stream_id] = stream
                return
            chunk_bytes = min(len(pending), room_bytes)
            self.out += HEAD.pack(chunk_bytes << 8 | FrameType.DATA, 0, stream.stream_id)
            if chunk_bytes == len(pending):
                self.out += pending
                pending.clear()
            else:
                self.out += pending[:chunk_bytes]
                del pending[:chunk_bytes]
            stream.window_bytes -= chunk_bytes
            self._window_bytes -= chunk_bytes
        if stream.is_finishing and not stream.is_half_closed:
            stream.is_half_closed = True
            self.out += pack_frame(FrameType.DATA, Flag.END_STREAM, stream.stream_id)

    def drop_stream(self, stream: OpenStream, code: ErrorCode | None) -> None:
        """Forget *stream*; the peer is told *code*, unless it ended the stream itself."""
        if code is not None:
            self.out += pack_reset(stream.stream_id, code)
        del self.streams[stream.stream_id]
        self._starved.pop(stream.stream_id, None)
        self._count_slots()

    def take_streams(self, above: int = 0) -> list[OpenStream]:
        taken = [self.streams.pop(one) for one in sorted(self.streams) if one > above]
        for stream in taken:
            self._starved.pop(stream.stream_id, None)
        self._count_slots()
        return taken

    # --------------------------------------------------------------------------------- limits

    @property
    def is_retired(self) -> bool:
        return self._is_retired

    def retire(self) -> None:
        self._is_retired = True
        self._count_slots()

    def pause(self) -> None:
        """Open no streams and feed no uploads: the transport is full."""
        self._is_paused = True
        self._count_slots()

    def resume(self) -> None:
        """Go on after `pause`; also the start, once the peer's settings are here."""
        self._is_paused = False
        self._count_slots()
        self._feed_starved()

    def apply_settings(self, settings: list[tuple[int, int]]) -> None:
        """Take and acknowledge the peer's settings; PeerError if a stream's window overflows."""
        for identifier, value in settings:
            if identifier == Setting.MAX_CONCURRENT_STREAMS:
                self._peer_slot_count = value
            elif identifier == Setting.MAX_FRAME_SIZE:
                self._frame_bytes_max = value
            elif identifier == Setting.INITIAL_WINDOW_SIZE:
                self._change_stream_windows(value - self._stream_window_bytes)
                self._stream_window_bytes = value
            elif identifier == Setting.HEADER_TABLE_SIZE and value < _TABLE_BYTES_DEFAULT:
                self._has_to_resize = not self._has_resized
        self._count_whole()
        self.out += pack_frame(FrameType.SETTINGS, Flag.ACK, 0)
        if not self._is_paused:
            self.resume()

    def widen_connection(self, increment_bytes: int) -> None:
        """Take a WINDOW_UPDATE of the connection; PeerError if the window would exceed 2^31 - 1."""
        self._window_bytes += increment_bytes
        if self._window_bytes > WINDOW_BYTES_LIMIT:
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "connection window overflow")
        self._feed_starved()

    def widen_stream(self, stream_id: int, increment_bytes: int) -> bool:
        """Take a WINDOW_UPDATE of a stream; False if its window would exceed 2^31 - 1."""
        holder = self._uploads.get(stream_id) or self.streams.get(stream_id)
        if holder is None:  # all of it is sent, or the stream is gone
            return True
        holder.window_bytes += increment_bytes
        if holder.window_bytes > WINDOW_BYTES_LIMIT:
            return False
        if holder.window_bytes > 0:
            self._starved[stream_id] = holder
            self._feed_starved()
        return True

    @property
    def are_slots_held(self) -> bool:
        """True while streams that stand hold every stream that the peer allows at once."""
        return bool(self.streams) and len(self.streams) >= self._peer_slot_count

    def _count_slots(self) -> None:
        is_closed = self._is_paused or self._is_retired
        self._slot_count = 0 if is_closed else self._peer_slot_count - len(self.streams)

    def _count_whole(self) -> None:
        """What `open` may write at once; nothing before a table size update has gone out."""
        whole_bytes = min(self._frame_bytes_max, self._stream_window_bytes)
        self._whole_bytes_max = 0 if self._has_to_resize else whole_bytes

    def _write_head(self, stream_id: int, method: int) -> None:
        block = self._blocks[method]
        if self._has_to_resize:
            block = _TABLE_RESIZED_TO_ZERO + block
            self._has_to_resize, self._has_resized = False, True
            self._count_whole()
        self.out += pack_frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, block)

    # -------------------------------------------------------------------------------- uploads

    def _begin_upload(self, stream_id: int, call: Call) -> None:
        self._write_head(stream_id, call.method)
        upload = self._uploads[stream_id] = _Upload(call, self._stream_window_bytes)
        self._feed(stream_id, upload)
        if stream_id in self._uploads:
            self._counters.block(call, self.clock())

    def _drop_upload(self, stream_id: int) -> bool:
        self._starved.pop(stream_id, None)
        return self._uploads.pop(stream_id, None) is not None

    def _feed_starved(self) -> None:
        """Feed what only the connection held back, in turn; each is looked at once a window."""
        starved = self._starved
        while starved and self._window_bytes > 0 and not self._is_paused:
            stream_id = next(iter(starved))
            holder = starved.pop(stream_id)
            if isinstance(holder, _Upload):
                self._feed(stream_id, holder)
            else:
                self.feed(holder)

    def _feed(self, stream_id: int, upload: _Upload) -> None:
        body = memoryview(upload.body)
        while (left_bytes := len(body) - upload.offset) > 0:
            chunk_bytes = min(
                left_bytes, self._frame_bytes_max, self._window_bytes, upload.window_bytes
            )
            if chunk_bytes <= 0:
                if upload.window_bytes > 0:
                    self._starved[stream_id] = upload
                return
            flags = Flag.END_STREAM if chunk_bytes == left_bytes else 0
            self.out += HEAD.pack(chunk_bytes << 8 | FrameType.DATA, flags, stream_id)
            self.out += body[upload.offset : upload.offset + chunk_bytes]
            upload.offset += chunk_bytes
            upload.window_bytes -= chunk_bytes
            self._window_bytes -= chunk_bytes
        del self._uploads[stream_id]
        self._counters.unblock(upload.call, self.clock())

    def _change_stream_windows(self, difference_bytes: int) -> None:
        holders: dict[int, _Upload | OpenStream] = {**self.streams, **self._uploads}
        for stream_id, holder in holders.items():
            holder.window_bytes += difference_bytes
            if holder.window_bytes > 0:
                self._starved[stream_id] = holder
            if holder.window_bytes > WINDOW_BYTES_LIMIT:
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "stream window overflow")
