"""
The standing streams of the framed driver: opened, fed, finished, opened anew.

A lane (ordering key) keeps to one stream, so its order holds; a stream is on whatever connection
takes it, and on a new one only when nothing is open on the last. The one idea: messages gather in
the stream's pending bytes until `flush`, which makes one DATA frame of them all; what the windows
leave out and of which no byte is written goes back to the waiting.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.drivers.grpc import Clock, GrpcStatus, ReplyHandler, StreamOptions
from harness.drivers.grpc_call import PREFIX, PREFIX_BYTES, Counters
from harness.drivers.grpc_connection import GrpcConnection
from harness.drivers.grpc_stream import Nobody, OpenStream, Unprocessed
from harness.drivers.standing_stream import StreamBook, StreamMessage

BACKOFF_NS_MIN: Final = 20_000_000
BACKOFF_NS_MAX: Final = 1_000_000_000

_pack_prefix: Final = PREFIX.pack


class FramedStream:
    """One standing stream, over all its openings; the user of the one that is open."""

    def __init__(
        self, method: int, book: StreamBook, clock: Clock, dirty: "list[FramedStream]"
    ) -> None:
        self.book = book
        self.method = method
        self.stream: OpenStream | None = None
        self.retry_at_ns = 0
        self._connection: GrpcConnection | None = None
        self._clock = clock
        self._dirty = dirty
        self._batch: list[StreamMessage] = []  # pending, and not yet in a frame
        self._is_free = False  # open, and the peer's windows are
        self._backoff_ns = BACKOFF_NS_MIN

    # ------------------------------------------------------------------------- sending

    def send(self, message: StreamMessage) -> None:
        book = self.book
        if self._is_free and not book.waiting and len(book.in_flight) < book.window_count:
            book.in_flight[message.token] = message
            self._add(message)
        else:
            book.park(message, self._clock())

    def flush(self) -> None:
        stream, connection, batch = self.stream, self._connection, self._batch
        if stream is not None and connection is not None and batch:
            connection.writer.feed(stream)
            if stream.pending:
                self._take_back(stream)
        batch.clear()

    def pump(self, now_ns: int) -> None:
        """Send of the waiting what there is room for; leave a finished stream once it is empty."""
        stream, connection, book = self.stream, self._connection, self.book
        if stream is None or connection is None:
            return
        if stream.is_finishing:
            if not book.in_flight and stream.is_half_closed:
                self._give_up(stream)
            return
        if self._is_free and not book.waiting:
            return
        room_bytes = connection.writer.room_bytes(stream)
        if stream.pending or room_bytes <= 0:
            return
        self._is_free = True
        while book.waiting and len(book.in_flight) < book.window_count and room_bytes > 0:
            message = book.next(now_ns)
            room_bytes -= PREFIX_BYTES + len(message.message)
            self._add(message)

    def _add(self, message: StreamMessage) -> None:
        stream, batch, body = self.stream, self._batch, message.message
        assert stream is not None, "free means open"
        if not batch:
            self._dirty.append(self)
        batch.append(message)
        stream.pending += _pack_prefix(0, len(body))
        stream.pending += body

    def _take_back(self, stream: OpenStream) -> None:
        """Let the messages of the batch wait of which no byte was written."""
        self._is_free = False
        unwritten_bytes, batch = len(stream.pending), self._batch
        whole: list[StreamMessage] = []
        while batch and unwritten_bytes >= PREFIX_BYTES + len(batch[-1].message):
            whole.append(batch.pop())
            unwritten_bytes -= PREFIX_BYTES + len(whole[-1].message)
        del stream.pending[unwritten_bytes:]
        self.book.put_back(whole[::-1], self._clock())

    # ---------------------------------------------------------------------------- life

    def open(self, connections: Sequence[GrpcConnection], message_bytes_max: int) -> bool:
        stream = OpenStream(self, message_bytes_max)
        for connection in connections:
            if connection.writer.open_stream(self.method, stream):
                self.stream, self._connection = stream, connection
                self.book.open()
                return True
        return False

    def finish(self) -> None:
        stream, connection = self.stream, self._connection
        if stream is None or connection is None or stream.is_finishing:
            return
        self._is_free = False
        stream.is_finishing = True
        if self._batch:  # no byte of it was written
            self._forget_batch(stream)
        connection.writer.feed(stream)

    # ---------------------------------------------------------------------- StreamUser

    def take(self, message: bytes) -> None:
        self.book.take(message)

    def leaving(self) -> None:
        """Finish: what comes from now on goes on a stream of another connection."""
        self.finish()

    def ended(self, status: int, text: str, *, unprocessed: Unprocessed) -> None:
        """Answer what was in flight; the stream is opened anew when there is a connection."""
        stream, connection = self.stream, self._connection
        assert stream is not None, "told once, of an open stream"
        assert connection is not None, "told once, of an open stream"
        self.stream = self._connection = None
        now_ns = self._clock()
        self._is_free = False
        if self._batch:
            self._forget_batch(stream)
        # A connection that failed has a backoff of its own.
        if self.book.answered_count or connection.left.done():
            self._backoff_ns = BACKOFF_NS_MIN
            self.retry_at_ns = 0
        else:
            self.retry_at_ns = now_ns + self._backoff_ns
            self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_NS_MAX)
        match unprocessed:
            case Unprocessed.NO:
                self.book.lose(status, text)
            case Unprocessed.REFUSED:
                self.book.retake_once(text, now_ns)
            case Unprocessed.LEFT:
                self.book.retake(now_ns)

    def _give_up(self, stream: OpenStream) -> None:
        """Leave a finished stream to itself: the peer's trailers are all that is to come."""
        stream.user = Nobody()
        self.stream, self._connection = None, None
        self.retry_at_ns = 0

    def _forget_batch(self, stream: OpenStream) -> None:
        batch_bytes = sum(PREFIX_BYTES + len(message.message) for message in self._batch)
        del stream.pending[len(stream.pending) - batch_bytes :]
        self.book.put_back(self._batch, self._clock())
        self._batch.clear()


class FramedStreams:
    """All standing streams of a driver, shared by methods of one path; `send` picks by lane."""

    def __init__(
        self,
        *,
        methods: Mapping[int, str],
        options: StreamOptions,
        on_reply: ReplyHandler,
        counters: Counters,
        clock: Clock,
        message_bytes_max: int,
        connections: Callable[[], Sequence[GrpcConnection]],
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._message_bytes_max = message_bytes_max
        self._connections = connections
        self._dirty: list[FramedStream] = []
        by_path: dict[str, list[FramedStream]] = {}
        for method, path in methods.items():
            if path not in by_path:
                by_path[path] = [
                    FramedStream(
                        method,
                        StreamBook(options=options, on_reply=on_reply, counters=counters),
                        clock,
                        self._dirty,
                    )
                    for _ in range(options.stream_count)
                ]
        self._by_method = {method: by_path[path] for method, path in methods.items()}
        self._all = [stream for streams in by_path.values() for stream in streams]
        self._opened_count = 0
        self._is_started = False
        self._is_closed = False

    def start(self) -> None:
        self._is_started = True
        self._open_missing(self._clock())

    def send(self, message: StreamMessage, method: int, lane: int) -> None:
        """Put *message* on the stream of *lane*."""
        streams = self._by_method[method]
        streams[lane % len(streams)].send(message)
        if self._is_closed:
            self.close("the driver was closed")

    def flush(self) -> None:
        dirty = self._dirty
        if dirty:
            for stream in dirty:
                stream.flush()
            dirty.clear()

    def pump(self) -> None:
        """Send what waits, as far as there is room; open what is missing."""
        now_ns = self._clock()
        is_missing = False
        for stream in self._all:
            stream.pump(now_ns)
            is_missing = is_missing or stream.stream is None
        if is_missing and self._is_started:
            self._open_missing(now_ns)
        self.flush()

    def expire(self, now_ns: int) -> None:
        for stream in self._all:
            stream.book.expire(now_ns)

    def finish(self) -> None:
        self._is_started = False
        for stream in self._all:
            stream.finish()

    def close(self, fault: str) -> None:
        """Answer all that waits; whatever is sent from now on never goes."""
        self._is_closed = True
        now_ns = self._clock()
        for stream in self._all:
            stream.book.fail_waiting(GrpcStatus.UNAVAILABLE, fault, now_ns)

    def _open_missing(self, now_ns: int) -> None:
        ready = self._connections()
        for index, stream in enumerate(self._all):
            if stream.stream is None and stream.retry_at_ns <= now_ns:
                first = index % len(ready) if ready else 0
                if stream.open((*ready[first:], *ready[:first]), self._message_bytes_max):
                    self._opened_count += 1
                    self._counters.reopened_count = max(0, self._opened_count - len(self._all))
                    stream.pump(now_ns)
