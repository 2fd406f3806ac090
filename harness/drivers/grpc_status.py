"""
How trouble below gRPC becomes a gRPC status, and how a status message is spelt on the wire.

Pure tables from the gRPC-over-HTTP/2 description (grpc/grpc, doc/PROTOCOL-HTTP2.md and
doc/http-grpc-status-mapping.md).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from harness.drivers.grpc import GrpcStatus
from harness.drivers.http2 import ErrorCode

_FROM_HTTP_STATUS: Final = {
    400: GrpcStatus.INTERNAL,
    401: GrpcStatus.UNAUTHENTICATED,
    403: GrpcStatus.PERMISSION_DENIED,
    404: GrpcStatus.UNIMPLEMENTED,
    429: GrpcStatus.UNAVAILABLE,
    502: GrpcStatus.UNAVAILABLE,
    503: GrpcStatus.UNAVAILABLE,
    504: GrpcStatus.UNAVAILABLE,
}

_FROM_RESET: Final[Mapping[int, GrpcStatus]] = {
    ErrorCode.REFUSED_STREAM: GrpcStatus.UNAVAILABLE,
    ErrorCode.CANCEL: GrpcStatus.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: GrpcStatus.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: GrpcStatus.PERMISSION_DENIED,
}


def status_of_http(http_status: int) -> GrpcStatus:
    """Return the status of a reply that carries no grpc-status."""
    return _FROM_HTTP_STATUS.get(http_status, GrpcStatus.UNKNOWN)


def status_of_reset(error_code: int) -> GrpcStatus:
    """Return the status of a call whose stream the peer reset, as grpcio words it."""
    return _FROM_RESET.get(error_code, GrpcStatus.INTERNAL)


def decode_grpc_message(value: bytes) -> str:
    """Undo the percent-encoding of grpc-message; bytes that are not UTF-8 become U+FFFD."""
    return unquote_to_bytes(value).decode("utf-8", "replace")
