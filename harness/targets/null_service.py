"""
A gRPC service that does nothing, exactly when it should: the yardstick of the harness.

It answers every unary method with an empty message, at once or after a delay whose distribution is
known, so that the generator's roofline and its latencies can be held against theory. It knows no
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
from typing import Any, Final, cast

import grpc
import grpc.aio
import uvloop

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
from harness.targets.null_delays import Delay, Departures, parse_delay
from harness.targets.null_echo import HEAD_BLOCK, TRAILER_BLOCK, EchoConnection, EchoMethods

HOST: Final = "127.0.0.1"

# ------------------------------------------------------------------------------------- engine: wire

_MESSAGE_BYTES: Final = 5  # the prefix of an empty message
_GREETING: Final = pack_settings({Setting.INITIAL_WINDOW_SIZE: WINDOW_BYTES_LIMIT})
_WIDENING: Final = pack_window_update(0, WINDOW_BYTES_LIMIT - WINDOW_BYTES_DEFAULT)
_REPLY: Final = struct.Struct(f">5sI{len(HEAD_BLOCK)}s5sI5x5sI{len(TRAILER_BLOCK)}s").pack
_HEAD_START: Final = HEAD.pack(len(HEAD_BLOCK) << 8 | FrameType.HEADERS, Flag.END_HEADERS, 0)[:5]
_DATA_START: Final = HEAD.pack(_MESSAGE_BYTES << 8 | FrameType.DATA, 0, 0)[:5]
_TRAILER_START: Final = HEAD.pack(
    len(TRAILER_BLOCK) << 8 | FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 0
)[:5]


class NullConnection(asyncio.Protocol):
    """
    The server side of one HTTP/2 connection that answers whatever comes.

    Header blocks are not decoded: nothing in them could change the answer.
    """

    def __init__(self, departures: Departures | None) -> None:
        self._departures = departures
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._is_greeted = False
        self._out = bytearray()
        self._window_bytes = WINDOW_BYTES_DEFAULT
        self._unreplied: deque[int] = deque()  # ended by the client, no window to answer
        self._delayed: set[int] = set()
        self._used_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_GREETING + _WIDENING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what is pending."""
        del exc
        self._transport = None
        self._delayed.clear()
        self._unreplied.clear()

    def pause_writing(self) -> None:
        """Read no more from a client that doesn't read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Read whole frames, answer, keep the rest."""
        if self._transport is None or self._transport.is_closing():
            return
        data = self._rest + data if self._rest else data
        try:
            self._rest = data[self._read(data) :]
        except PeerError as error:
            self._transport.write(bytes(self._out) + pack_goaway(0, error.code))
            self._transport.close()
            return
        if self._used_bytes > WINDOW_BYTES_LIMIT // 2:
            self._out += pack_window_update(0, self._used_bytes)
            self._used_bytes = 0
        self._flush()

    def _flush(self) -> None:
        if self._out and self._transport is not None:
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
                if kind == FrameType.DATA:
                    self._used_bytes += payload_bytes
                if flags & Flag.END_STREAM:
                    self._request_ended(stream_id)
            else:
                self._read_control(kind, flags, stream_id, data[start:position])
        return position

    def _read_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.SETTINGS and not flags & Flag.ACK:
            for identifier, value in unpack_settings(payload):
                if identifier == Setting.INITIAL_WINDOW_SIZE and value < _MESSAGE_BYTES:
                    raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "no window for any reply")
            self._out += pack_frame(FrameType.SETTINGS, Flag.ACK, 0)
        elif kind == FrameType.PING and not flags & Flag.ACK:
            self._out += pack_frame(FrameType.PING, Flag.ACK, 0, payload)
        elif kind == FrameType.WINDOW_UPDATE and stream_id == 0:
            self._window_bytes += int.from_bytes(payload, "big") & STREAM_ID_MAX
            while self._unreplied and self._window_bytes >= _MESSAGE_BYTES:
                self._reply(self._unreplied.popleft())
        elif kind == FrameType.RST_STREAM:
            self._delayed.discard(stream_id)

    def _request_ended(self, stream_id: int) -> None:
        if self._departures is None:
            self._reply(stream_id)
        else:
            self._delayed.add(stream_id)
            self._departures.add(self._depart, stream_id)

    def _depart(self, stream_id: int) -> None:
        if stream_id in self._delayed:
            self._delayed.discard(stream_id)
            self._reply(stream_id)
            self._flush()

    def _reply(self, stream_id: int) -> None:
        if self._window_bytes < _MESSAGE_BYTES:
            self._unreplied.append(stream_id)
            return
        self._window_bytes -= _MESSAGE_BYTES
        self._out += _REPLY(
            _HEAD_START,
            stream_id,
            HEAD_BLOCK,
            _DATA_START,
            stream_id,
            _TRAILER_START,
            stream_id,
            TRAILER_BLOCK,
        )


# -------------------------------------------------------------------------------------- engine: aio


class _AnyMethod(grpc.GenericRpcHandler):
    """Takes every method for a unary one with an empty reply."""

    def __init__(self, departures: Departures | None) -> None:
        self._departures = departures
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._call_count = 0
        self._handler: Any = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: Any) -> Any:
        """Return the same handler for every method."""
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


# --------------------------------------------------------------------------------------------- main


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
    """Read the flags and serve."""
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
