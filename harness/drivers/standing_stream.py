"""
What a standing stream has to answer for: the messages that wait, and those in flight.

The same book is kept for the framed driver and for grpcio; each has its own way to write. The one
idea: a message is in exactly one of two places, `waiting` (no byte of it was written) or
`in_flight`, and leaves it exactly once, with an answer.
"""

from collections import deque
from typing import Final

from harness.drivers.grpc import (
    CONNECTION_LOST,
    NOT_SENT,
    GrpcStatus,
    ReplyHandler,
    StreamOptions,
)
from harness.drivers.grpc_call import Counters

EXPIRED_TEXT: Final = "no reply within the deadline"
UNSENT_TEXT: Final = "no stream or window in time"


class StreamMessage:
    """A message with an ordering key on its way."""

    __slots__ = ("blocked_since_ns", "deadline_ns", "is_retry", "message", "token")

    def __init__(
        self, token: int, message: bytes | bytearray | memoryview, deadline_ns: int
    ) -> None:
        self.token = token
        self.message = message
        self.deadline_ns = deadline_ns
        self.is_retry = False
        self.blocked_since_ns = 0


class StreamBook:
    """
    The messages of one standing stream, over all its openings.

    Attributes:
        waiting: not written, in order.
        in_flight: written, by token, oldest first.
        answered_count: messages that the peer answered since the stream was opened.
    """

    def __init__(
        self,
        *,
        options: StreamOptions,
        on_reply: ReplyHandler,
        counters: Counters,
    ) -> None:
        self.waiting: deque[StreamMessage] = deque()
        self.in_flight: dict[int, StreamMessage] = {}
        self.answered_count = 0
        self.window_count = options.window_count
        self._late: set[int] = set()  # their deadline passed, a reply may still come
        self._read = options.read
        self._on_reply = on_reply
        self._counters = counters

    def open(self) -> None:
        """Begin with a new stream, on which no earlier message can be answered."""
        self.answered_count = 0
        self._late.clear()

    def park(self, message: StreamMessage, now_ns: int) -> None:
        self._counters.block(message, now_ns)
        self.waiting.append(message)

    def put_back(self, messages: list[StreamMessage], now_ns: int) -> None:
        """Let *messages*, of which nothing was written, wait before all others."""
        for message in messages:
            self._counters.block(message, now_ns)
            self.in_flight.pop(message.token, None)
        self.waiting.extendleft(reversed(messages))

    def next(self, now_ns: int) -> StreamMessage:
        message = self.waiting.popleft()
        self._counters.unblock(message, now_ns)
        self.in_flight[message.token] = message
        return message

    def take(self, raw: bytes) -> None:
        """Answer the message that *raw* names; what names none is counted, and that is all."""
        try:
            token, reply = self._read(raw)
        except ValueError:
            self._counters.unmatched_count += 1
            return
        if self.in_flight.pop(token, None) is not None:
            self.answered_count += 1
            self._counters.reply_count += 1
            self._on_reply(token, 0, reply, "")
        elif token in self._late:
            self._late.discard(token)
            self._counters.late_count += 1
        else:
            self._counters.unmatched_count += 1

    def expire(self, now_ns: int) -> None:
        """Answer what is past its deadline, oldest first."""
        in_flight, waiting = self.in_flight, self.waiting
        while in_flight:
            token = next(iter(in_flight))
            if in_flight[token].deadline_ns > now_ns:
                break
            del in_flight[token]
            self._late.add(token)
            self._answer(token, GrpcStatus.DEADLINE_EXCEEDED, EXPIRED_TEXT)
        while waiting and waiting[0].deadline_ns <= now_ns:
            message = waiting.popleft()
            self._counters.unblock(message, now_ns)
            status, text = GrpcStatus.DEADLINE_EXCEEDED, NOT_SENT + UNSENT_TEXT
            self._answer(message.token, status, text)

    def lose(self, status: int, text: str) -> None:
        """Answer all that is in flight: the peer may have acted on it."""
        lost, self.in_flight = self.in_flight, {}
        failure = status or GrpcStatus.UNAVAILABLE
        for token in lost:
            self._answer(token, failure, CONNECTION_LOST + text)

    def fail_waiting(self, status: int, text: str, now_ns: int) -> None:
        unsent, self.waiting = self.waiting, deque()
        for message in unsent:
            self._counters.unblock(message, now_ns)
            self._answer(message.token, status, NOT_SENT + text)

    def retake(self, now_ns: int) -> None:
        """Let all that is in flight wait again, in order: the peer has looked at none of it."""
        self._counters.resent_count += len(self.in_flight)
        self.put_back(list(self.in_flight.values()), now_ns)

    def retake_once(self, text: str, now_ns: int) -> None:
        """The same after a refusal; a message that the peer refuses again is answered."""
        for token, message in list(self.in_flight.items()):
            if message.is_retry:
                del self.in_flight[token]
                self._answer(token, GrpcStatus.UNAVAILABLE, NOT_SENT + text)
            message.is_retry = True
        self.retake(now_ns)

    def _answer(self, token: int, status: int, text: str) -> None:
        self._counters.reply_count += 1
        self._on_reply(token, status, b"", text)
