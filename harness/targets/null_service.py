"""
A gRPC service that does nothing, exactly when it should: the yardstick of the harness.

It answers every unary method with an empty message, at once or after a delay whose distribution is
known, so that the generator's roofline and its latencies can be compared with theory. It knows no
contract and looks at no request. `--engine aio` is an empty grpc.aio method, what a Python service
costs at least; `--engine wire` frames HTTP/2 by hand, to be faster than whoever asks and on time.
The one idea: nothing a client says can change the answer, so the wire engine decodes no header.
With `--echo` it gives back what it gets, on streams too: see `null_echo`.

    python -m harness.targets.null_service --port 0 --engine wire --delay serial:300us
"""

import argparse
import asyncio
import json
import os
import signal
import struct
import sys
import threading
from collections import deque
from typing import Any, Final

import grpc
import grpc.aio
import uvloop

from harness.drivers.http2 import HEAD, Flag, FrameType
from harness.targets.null_delays import Delay, Departures, parse_delay
from harness.targets.null_echo import EchoConnection, EchoMethods
from harness.targets.server_connection import (
    HEAD_BLOCK,
    MESSAGE_HEAD_BYTES,
    TRAILER_BLOCK,
    ServerConnection,
)

HOST: Final = "127.0.0.1"

_REPLY: Final = struct.Struct(f">5sI{len(HEAD_BLOCK)}s5sI5x5sI{len(TRAILER_BLOCK)}s").pack
_HEAD_START: Final = HEAD.pack(len(HEAD_BLOCK) << 8 | FrameType.HEADERS, Flag.END_HEADERS, 0)[:5]
_DATA_START: Final = HEAD.pack(MESSAGE_HEAD_BYTES << 8 | FrameType.DATA, 0, 0)[:5]
_TRAILER_START: Final = HEAD.pack(
    len(TRAILER_BLOCK) << 8 | FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 0
)[:5]


class NullConnection(ServerConnection):
    """Answers whatever comes with an empty message."""

    def __init__(self, departures: Departures | None) -> None:
        super().__init__()
        self._departures = departures
        self._delayed: set[int] = set()
        self._due: deque[int] = deque()

    def take_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Answer at the end of a request, be it what it may."""
        if kind == FrameType.DATA:
            self.used_bytes += len(payload)
        if flags & Flag.END_STREAM:
            if self._departures is None:
                self._due.append(stream_id)
            else:
                self._delayed.add(stream_id)
                self._departures.add(self._depart, stream_id)

    def answer(self) -> None:
        """Reply to what is due, as far as the client's window goes."""
        due = self._due
        while due and self.window_bytes >= MESSAGE_HEAD_BYTES:
            stream_id = due.popleft()
            self.window_bytes -= MESSAGE_HEAD_BYTES
            self.out += _REPLY(
                _HEAD_START,
                stream_id,
                HEAD_BLOCK,
                _DATA_START,
                stream_id,
                _TRAILER_START,
                stream_id,
                TRAILER_BLOCK,
            )

    def forget(self, stream_id: int) -> None:
        """Its reply needn't leave."""
        self._delayed.discard(stream_id)

    def _depart(self, stream_id: int) -> None:
        if stream_id in self._delayed:
            self._delayed.discard(stream_id)
            self._due.append(stream_id)
            self.answer()
            self.flush()


class _AnyMethod(grpc.GenericRpcHandler):
    """Takes every method for a unary one with an empty reply."""

    def __init__(self, departures: Departures | None) -> None:
        self._departures = departures
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._call_count = 0
        self._handler: Any = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: Any) -> Any:
        del handler_call_details
        return self._handler

    async def _answer(self, _request: bytes, _context: Any) -> bytes:
        if self._departures is not None:
            self._call_count += 1
            call = self._call_count
            future = self._waiting[call] = asyncio.get_running_loop().create_future()
            self._departures.add(self._depart, call)
            await future
        return b""

    def _depart(self, call: int) -> None:
        future = self._waiting.pop(call)
        if not future.done():  # its client may have gone
            future.set_result(None)


async def serve(*, port: int, engine: str, delay: Delay | None, is_echo: bool = False) -> None:
    """Serve on *port* (0: any) until stdin ends or SIGTERM comes; prints the ready line."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    departures = Departures(delay) if delay is not None else None
    if engine == "wire":
        server = await loop.create_server(
            lambda: EchoConnection() if is_echo else NullConnection(departures), HOST, port
        )
        _announce(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()
        return
    aio_server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    aio_server.add_generic_rpc_handlers((EchoMethods() if is_echo else _AnyMethod(departures),))
    bound_port = aio_server.add_insecure_port(f"{HOST}:{port}")
    await aio_server.start()
    _announce(bound_port)
    await stop.wait()
    await aio_server.stop(grace=0)


def _announce(port: int) -> None:
    ready = json.dumps({"grpc_port": port, "pid": os.getpid()})
    sys.stdout.write(f"ready {ready}\n")
    sys.stdout.flush()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4_096):
        pass
    loop.call_soon_threadsafe(stop.set)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--engine", choices=("aio", "wire"), default="wire")
    parser.add_argument(
        "--delay", default="", help="constant:2ms, serial:300us, bimodal:1ms:20ms:0.1"
    )
    parser.add_argument("--echo", action="store_true", help="give back what comes; no delay")
    flags = parser.parse_args()
    if flags.echo and flags.delay:
        parser.error("--echo answers at once: it takes no --delay")
    try:
        delay = parse_delay(flags.delay) if flags.delay else None
    except ValueError as error:
        parser.error(str(error))
    uvloop.run(serve(port=flags.port, engine=flags.engine, delay=delay, is_echo=flags.echo))


if __name__ == "__main__":
    main()
