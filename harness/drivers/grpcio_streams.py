"""
The standing streams of the grpcio driver: the same book as the framed driver's, grpcio's writing.

One task a stream keeps it open, one more writes to it. grpcio takes one message at a time and says
nothing of HTTP/2's windows, so what waits for them waits inside its `write`, uncounted.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from harness.drivers.background_task import start_task
from harness.drivers.grpc import Clock, GrpcStatus
from harness.drivers.grpc_call import Counters
from harness.drivers.standing_stream import StreamBook, StreamMessage

BACKOFF_S: Final = 0.1
REFUSED: Final = "RST_STREAM with error code 7"
"""How grpcio words REFUSED_STREAM."""
UNPROCESSED: Final = ("failed to connect to all addresses", REFUSED)
"""How grpcio words what can't have had an effect."""


def is_unprocessed(text: str) -> bool:
    """Whether an error of grpcio says that the peer has certainly not seen the call."""
    return any(words in text for words in UNPROCESSED)


class GrpcioStream:
    """One standing stream, kept by a task."""

    def __init__(
        self, begin: Callable[[], Any], book: StreamBook, clock: Clock, counters: Counters
    ) -> None:
        self.book = book
        self._begin = begin  # a new call
        self._clock = clock
        self._counters = counters
        self._wake = asyncio.Event()
        self._call: Any = None
        self._keeper = start_task(self._keep())

    def send(self, message: StreamMessage) -> None:
        """Put *message* behind all earlier ones; past our own window it counts as blocked."""
        book = self.book
        if len(book.in_flight) + len(book.waiting) < book.window_count:
            book.waiting.append(message)
        else:
            book.park(message, self._clock())
        self._wake.set()

    async def close(self) -> None:
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        self.book.lose(GrpcStatus.UNAVAILABLE, "closed by the driver")
        text = "the driver was closed"
        self.book.fail_waiting(GrpcStatus.UNAVAILABLE, text, self._clock())

    async def _keep(self) -> None:
        opened_count = 0
        while True:
            opened_count += 1
            self._counters.reopened_count += opened_count > 1
            call = self._begin()
            self.book.open()
            status, text = await self._serve(call)
            if REFUSED in text:
                self.book.retake_once(text, self._clock())
            elif is_unprocessed(text):
                self.book.retake(self._clock())
            else:
                name = GrpcStatus(status).name
                self.book.lose(status, f"the stream ended, {name}: {text}")
            if not self.book.answered_count:
                await asyncio.sleep(BACKOFF_S)

    async def _serve(self, call: Any) -> tuple[int, str]:
        """Drive *call* to its end; its status and text."""
        writer = start_task(self._write(call))
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                self.book.take(message)
                self._wake.set()  # there is room in the window
            return (await call.code()).value[0], await call.details() or ""
        except grpc.aio.AioRpcError as error:
            return error.code().value[0], error.details() or ""
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            call.cancel()

    async def _write(self, call: Any) -> None:
        book = self.book
        try:
            while True:
                self._wake.clear()
                while book.waiting and len(book.in_flight) < book.window_count:
                    await call.write(bytes(book.next(self._clock()).message))
                await self._wake.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call is over: its reader says why
