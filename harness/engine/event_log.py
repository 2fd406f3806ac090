"""
The observer's log of one Kafka topic: every record as it came, with the time it was seen.

A flat file, so that the observer only appends and the audit streams; 12 bytes before each value:
seen_ns (int64, CLOCK_MONOTONIC) and the value's length (uint32), little endian.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct("<qI")


def read_events(path: Path) -> Iterator[tuple[int, bytes]]:
    """
    Every (seen_ns, value) of the log in order.

    Raises:
        ValueError: the file ends inside a record.
    """
    with path.open("rb", buffering=1 << 20) as file:
        while header := file.read(HEADER.size):
            if len(header) < HEADER.size:
                raise ValueError(f"{path}: ends inside a record")
            seen_ns, length = HEADER.unpack(header)
            value = file.read(length)
            if len(value) < length:
                raise ValueError(f"{path}: ends inside a record")
            yield seen_ns, value
