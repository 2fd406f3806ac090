"""
Header blocks of gRPC: requests encoded once, replies decoded once per distinct block.

A request's block is the same for every call of a method, so it is literals that touch no dynamic
table (RFC 7541, section 6.2.2), made when the driver is made. A reply's block is decoded by the
hpack library; the result is remembered by the block's bytes. That is right only while the dynamic
table stays as it is, since an indexed field names a *position* in it: a block that inserts or
resizes is never remembered, and it empties the memory.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from hpack import Decoder, HPACKError
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

from harness.drivers.grpc import GrpcStatus
from harness.drivers.grpc_status import decode_grpc_message
from harness.drivers.http2 import ErrorCode, PeerError

HEADER_LIST_BYTES_MAX: Final = 65_536
"""What a reply's fields may come to (RFC 9113, section 6.5.2); a longer one fails its call."""
HEADER_BLOCK_BYTES_MAX: Final = 4 * HEADER_LIST_BYTES_MAX
"""Past this a block is not decoded, and without it nothing that comes later can be."""
_FIELD_BYTES: Final = 32  # added for each field by that definition
_REMEMBERED_COUNT_MAX: Final = 512
_REMEMBERED_BLOCK_BYTES_MAX: Final = 256

_METADATA_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_TIMEOUT_UNITS: Final = ((1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S"))
_TIMEOUT_VALUE_LIMIT: Final = 100_000_000  # at most eight digits
_METHOD_POST: Final = b"\x83"
_SCHEME_HTTP: Final = b"\x86"
_SCHEME_HTTPS: Final = b"\x87"
_HTTP_OK: Final = 200
_KNOWN_STATUSES: Final = frozenset(map(int, GrpcStatus))
_INDEX_AUTHORITY: Final = 1
_INDEX_PATH: Final = 4
_INDEX_CONTENT_TYPE: Final = 31
_INDEX_USER_AGENT: Final = 58


class ReplyHeaders(NamedTuple):
    """
    What a header block of a reply says; None where it doesn't say.

    The two `is_plain` are the answers that the hot path asks for.
    """

    http_status: int | None
    is_grpc: bool
    grpc_status: int | None
    grpc_message: str
    is_plain_head: bool
    is_plain_ok: bool


def encode_request_block(
    *,
    path: str,
    authority: str,
    is_tls: bool,
    timeout_ns: int | None,
    metadata: Sequence[tuple[str, str | bytes]],
) -> bytes:
    """The header block of every call of one method; ValueError for metadata HTTP/2 can't carry."""
    fields = [
        _METHOD_POST,
        _SCHEME_HTTPS if is_tls else _SCHEME_HTTP,
        _literal(_INDEX_PATH, path.encode()),
        _literal(_INDEX_AUTHORITY, authority.encode()),
        _named(b"te", b"trailers"),
        _literal(_INDEX_CONTENT_TYPE, b"application/grpc"),
        _literal(_INDEX_USER_AGENT, b"acctbench"),
    ]
    if timeout_ns is not None:
        fields.append(_named(b"grpc-timeout", encode_timeout(timeout_ns)))
    fields += [_named(*_metadata_field(key, value)) for key, value in metadata]
    return b"".join(fields)


def encode_timeout(timeout_ns: int) -> bytes:
    """Return the value of grpc-timeout: at most eight digits and a unit, rounded up."""
    for unit_ns, unit in _TIMEOUT_UNITS:
        value = -(-timeout_ns // unit_ns)
        if value < _TIMEOUT_VALUE_LIMIT:
            return f"{value}{unit}".encode()
    return b"99999999S"


def _metadata_field(key: str, value: str | bytes) -> tuple[bytes, bytes]:
    name = key.lower()
    if not _METADATA_KEY.fullmatch(name) or name.startswith("grpc-"):
        raise ValueError(f"metadata key {key!r} is not [0-9a-z_.-]+ or is reserved")
    if name.endswith("-bin"):
        raw = value.encode() if isinstance(value, str) else value
        return name.encode(), base64.b64encode(raw).rstrip(b"=")
    text = value if isinstance(value, str) else value.decode("ascii")
    if not (text.isascii() and text.isprintable()):
        raise ValueError(
            f"metadata value of {key!r} is not printable ASCII; use a key ending in -bin"
        )
    return name.encode(), text.encode()


def _literal(name_index: int, value: bytes) -> bytes:
    return bytes(encode_integer(name_index, 4)) + _string(value)


def _named(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _string(name) + _string(value)


def _string(value: bytes) -> bytes:
    return bytes(encode_integer(len(value), 7)) + value


class _WatchedTable(HeaderTable):
    """A dynamic table that counts its insertions."""

    def __init__(self) -> None:
        super().__init__()
        self.insertion_count = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.insertion_count += 1
        super().add(name, value)


class ReplyHeadersDecoder:
    """The receiving side of HPACK for one connection."""

    def __init__(self) -> None:
        self._table = _WatchedTable()
        # The decoder must read a block to its end to know the table: our own limit comes after it.
        self._decoder = Decoder(max_header_list_size=HEADER_BLOCK_BYTES_MAX * 4_096)
        self._decoder.header_table = self._table
        self.remembered: dict[bytes, ReplyHeaders] = {}
        """Blocks whose meaning is known as long as the table stays; read by the hot path."""

    def decode(self, block: bytes) -> ReplyHeaders:
        """The meaning of *block*, given all before it; PeerError: no later one can be read."""
        known = self.remembered.get(block)
        if known is not None:
            return known
        insertion_count = self._table.insertion_count
        try:
            fields = list(self._decoder.decode(block, raw=True))
        except (HPACKError, IndexError, UnicodeDecodeError) as error:
            raise PeerError(ErrorCode.COMPRESSION_ERROR, f"header block: {error!r}") from error
        headers = _TOO_LONG if _is_too_long(fields) else _read_fields(fields)
        has_resize = block[:1] and block[0] & 0xE0 == 0x20
        if has_resize or self._table.insertion_count != insertion_count:
            self.remembered.clear()
        elif len(block) <= _REMEMBERED_BLOCK_BYTES_MAX:
            if len(self.remembered) >= _REMEMBERED_COUNT_MAX:
                self.remembered.clear()
            self.remembered[block] = headers
        return headers


_TOO_LONG: Final = ReplyHeaders(
    http_status=None,
    is_grpc=False,
    grpc_status=GrpcStatus.RESOURCE_EXHAUSTED,
    grpc_message=f"headers of more than {HEADER_LIST_BYTES_MAX} bytes",
    is_plain_head=False,
    is_plain_ok=False,
)


def _is_too_long(fields: Sequence[tuple[Any, Any]]) -> bool:
    list_bytes = sum(len(name) + len(value) + _FIELD_BYTES for name, value in fields)
    return list_bytes > HEADER_LIST_BYTES_MAX


def _read_fields(fields: Iterable[tuple[Any, Any]]) -> ReplyHeaders:
    http_status: int | None = None
    grpc_status: int | None = None
    is_grpc = False
    grpc_message = ""
    for name, value in fields:
        if name == b":status":
            http_status = _small_number(value)
        elif name == b"content-type":
            is_grpc = value.startswith(b"application/grpc")
        elif name == b"grpc-status":
            grpc_status = _small_number(value)
            if grpc_status is None or grpc_status not in _KNOWN_STATUSES:
                grpc_status = GrpcStatus.UNKNOWN
        elif name == b"grpc-message":
            grpc_message = decode_grpc_message(value)
    return ReplyHeaders(
        http_status=http_status,
        is_grpc=is_grpc,
        grpc_status=grpc_status,
        grpc_message=grpc_message,
        is_plain_head=http_status == _HTTP_OK and is_grpc and grpc_status is None,
        is_plain_ok=grpc_status == GrpcStatus.OK,
    )


def _small_number(digits: bytes) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) <= 3 else None
