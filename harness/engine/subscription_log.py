"""
The subscriber's log of server streams: every message as it came, and when streams began and ended.

A flat file, so that the subscriber only appends and the audit streams. 17 bytes before each body:
number of the subscription (uint32), what it is (uint8), arrival_ns (int64, CLOCK_MONOTONIC) and the
body's length (uint32), little endian. The body of ENDED is the gRPC status and its text.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

HEADER = struct.Struct("<IBqI")


class Arrival(IntEnum):
    MESSAGE = 0
    OPENED = 1  # a stream was asked for: the first one, or again after an end
    ENDED = 2  # by the target or with the connection: what it told may have a gap here


class Entry(NamedTuple):
    number: int  # index into Probe.subscriptions
    what: Arrival
    arrival_ns: int
    body: bytes


def read_subscriptions(path: Path) -> Iterator[Entry]:
    """Every entry of the log in order; ValueError if the file ends inside one."""
    with path.open("rb", buffering=1 << 20) as file:
        while header := file.read(HEADER.size):
            if len(header) < HEADER.size:
                raise ValueError(f"{path}: ends inside an entry")
            number, what, arrival_ns, length = HEADER.unpack(header)
            body = file.read(length)
            if len(body) < length:
                raise ValueError(f"{path}: ends inside an entry")
            yield Entry(number, Arrival(what), arrival_ns, body)
