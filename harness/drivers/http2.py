"""
HTTP/2 frames as bytes (RFC 9113): numbers, packers, and what is an error.

Only the shapes: no connection, no state. A frame head is read as one `>IBI`: length and type share
the first word. Frame types, flags and settings are plain numbers, since comparing enum members
costs more than reading a frame.
"""

import struct
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES: Final = 9
FRAME_BYTES_MAX_DEFAULT: Final = 16_384
FRAME_BYTES_MAX_LIMIT: Final = 16_777_215
WINDOW_BYTES_DEFAULT: Final = 65_535
WINDOW_BYTES_LIMIT: Final = 2**31 - 1
STREAM_ID_MAX: Final = 2**31 - 1

HEAD: Final = struct.Struct(">IBI")  # length << 8 | type, flags, stream id
_SETTING: Final = struct.Struct(">HI")
_HEAD_AND_WORD: Final = struct.Struct(">IBII")
_HEAD_AND_TWO_WORDS: Final = struct.Struct(">IBIII")


class FrameType:
    DATA: Final = 0
    HEADERS: Final = 1
    PRIORITY: Final = 2
    RST_STREAM: Final = 3
    SETTINGS: Final = 4
    PUSH_PROMISE: Final = 5
    PING: Final = 6
    GOAWAY: Final = 7
    WINDOW_UPDATE: Final = 8
    CONTINUATION: Final = 9


class Flag:
    """ACK and END_STREAM share a bit and never a frame type."""

    ACK: Final = 0x1
    END_STREAM: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class Setting:
    HEADER_TABLE_SIZE: Final = 1
    ENABLE_PUSH: Final = 2
    MAX_CONCURRENT_STREAMS: Final = 3
    INITIAL_WINDOW_SIZE: Final = 4
    MAX_FRAME_SIZE: Final = 5
    MAX_HEADER_LIST_SIZE: Final = 6


class ErrorCode(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class PeerError(Exception):
    """The peer broke the protocol; the connection ends with *code*."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(f"{text} ({code.name})")
        self.code = code


def pack_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def pack_settings(settings: dict[int, int]) -> bytes:
    payload = b"".join(_SETTING.pack(*item) for item in settings.items())
    return pack_frame(FrameType.SETTINGS, 0, 0, payload)


def unpack_settings(payload: bytes) -> list[tuple[int, int]]:
    """
    The (identifier, value) pairs of a SETTINGS payload, unknown identifiers included.

    Raises PeerError: a wrong length, or a value that RFC 9113 section 6.5.2 forbids.
    """
    if len(payload) % _SETTING.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    settings = list(_SETTING.iter_unpack(payload))
    for identifier, value in settings:
        if identifier == Setting.INITIAL_WINDOW_SIZE and value > WINDOW_BYTES_LIMIT:
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
        if identifier == Setting.MAX_FRAME_SIZE and not (
            FRAME_BYTES_MAX_DEFAULT <= value <= FRAME_BYTES_MAX_LIMIT
        ):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
        if identifier == Setting.ENABLE_PUSH and value > 1:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
    return settings


def pack_window_update(stream_id: int, increment_bytes: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return _HEAD_AND_WORD.pack(4 << 8 | FrameType.WINDOW_UPDATE, 0, stream_id, increment_bytes)


def pack_reset(stream_id: int, code: ErrorCode) -> bytes:
    return _HEAD_AND_WORD.pack(4 << 8 | FrameType.RST_STREAM, 0, stream_id, code)


def pack_goaway(last_stream_id: int, code: ErrorCode) -> bytes:
    return _HEAD_AND_TWO_WORDS.pack(8 << 8 | FrameType.GOAWAY, 0, 0, last_stream_id, code)


def unpad(payload: bytes, flags: int) -> bytes:
    """A DATA or HEADERS payload without padding and priority fields; PeerError if too short."""
    start, stop = 0, len(payload)
    if flags & Flag.PADDED:
        start = 1
        stop -= payload[0] if payload else 1
    if flags & Flag.PRIORITY:
        start += 5
    if start > stop:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[start:stop]
