"""
The observer's log of one Kafka topic: every record as it came, with the time it was seen.

A flat file of frames, so that the observer only appends and the audit streams. A frame is what was
seen at one moment of one partition, without a hole in its offsets: seen_ns (int64,
CLOCK_MONOTONIC), the offset of the first record (int64), the partition (uint32), how many records
(uint32), how many bytes their values have together (uint32), the length of each value (uint32),
then the values, one behind the other. Little endian. A record without a value is one of no bytes.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

_FRAME = struct.Struct("<qqIII")
_BUFFER_BYTES = 1 << 20
# Large enough that numpy's own overhead vanishes, small enough that columns stay in the cache.
_CHUNK_BYTES = 4 << 20
PADDING_BYTES = 16  # behind the last value, so that a reader may look at whole words


class EventLogWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=_BUFFER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def append(
        self, seen_ns: int, values: Sequence[bytes], *, partition: int = 0, offset: int = 0
    ) -> None:
        """The *values* of consecutive records from *offset* on, which were seen at *seen_ns*."""
        lengths = array("I", map(len, values))
        self._file.write(_FRAME.pack(seen_ns, offset, partition, len(lengths), sum(lengths)))
        self._file.write(lengths.tobytes())
        self._file.write(b"".join(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """
    Messages in one buffer: number i is data[start[i] : start[i] + length[i]].

    Attributes:
        data: With PADDING_BYTES behind the last message.
        start, length: int64, one a message.
    """

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def joined(cls, messages: Sequence[bytes]) -> Self:
        length = np.fromiter(map(len, messages), np.int64, len(messages))
        data = np.frombuffer(b"".join((*messages, bytes(PADDING_BYTES))), np.uint8)
        return cls(data=data, start=np.cumsum(length) - length, length=length)

    def __len__(self) -> int:
        return len(self.start)

    def value(self, index: int) -> bytes:
        start = int(self.start[index])
        return self.data[start : start + int(self.length[index])].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChunk:
    """
    Some frames of a log, a row a record.

    Attributes:
        partition, offset: Where on the topic it was.
        offset_bytes: Where in the file `values.data` begins.
    """

    values: Values
    seen_ns: NDArray[np.int64]
    partition: NDArray[np.int64]
    offset: NDArray[np.int64]
    offset_bytes: int


def read_chunks(path: Path, *, offset_bytes: int = 0) -> Iterator[EventChunk]:
    """
    The log in order, some megabytes at a time.

    Args:
        path: The log.
        offset_bytes: Where a frame begins: of an EventChunk, or 0.

    Raises:
        ValueError: the file ends inside a frame; all whole frames were given before.
    """
    with path.open("rb") as file:
        file.seek(offset_bytes)
        rest, wanted_bytes = b"", _CHUNK_BYTES
        while read := file.read(wanted_bytes):
            raw = rest + read
            chunk, used_bytes = _chunk(raw, offset_bytes)
            if used_bytes:
                yield chunk
            rest = raw[used_bytes:]
            offset_bytes += used_bytes
            # A frame larger than a chunk: read on until it is whole.
            wanted_bytes = _CHUNK_BYTES if used_bytes else len(raw)
        if rest:
            raise ValueError(f"{path}: ends inside a record")


def _chunk(raw: bytes, offset_bytes: int) -> tuple[EventChunk, int]:
    """The whole frames in *raw*, and how many bytes they are."""
    at = 0
    seen_ns, offsets, partitions = array("q"), array("q"), array("q")
    counts, sizes, starts = array("q"), array("q"), array("q")
    lengths = []
    while at + _FRAME.size <= len(raw):
        frame_ns, offset, partition, count, value_bytes = _FRAME.unpack_from(raw, at)
        start = at + _FRAME.size + 4 * count
        if start + value_bytes > len(raw):
            break
        seen_ns.append(frame_ns)
        offsets.append(offset)
        partitions.append(partition)
        counts.append(count)
        sizes.append(value_bytes)
        starts.append(start)
        lengths.append(raw[at + _FRAME.size : start])
        at = start + value_bytes
    length = np.frombuffer(b"".join(lengths), np.uint32).astype(np.int64)
    heads_bytes = np.asarray(starts) - (np.cumsum(sizes) - sizes)  # of all frames up to each
    values = Values(
        data=np.frombuffer(raw[:at] + bytes(PADDING_BYTES), np.uint8),
        start=np.cumsum(length) - length + np.repeat(heads_bytes, counts),
        length=length,
    )
    first = np.cumsum(counts) - counts  # the number of each frame's first record
    chunk = EventChunk(
        values=values,
        seen_ns=np.repeat(np.asarray(seen_ns), counts),
        partition=np.repeat(np.asarray(partitions), counts),
        offset=np.arange(len(values)) + np.repeat(np.asarray(offsets) - first, counts),
        offset_bytes=offset_bytes,
    )
    return chunk, at
