"""
The reference behind a guard: every call must carry the token, or is refused.

It does what a careless service does: it writes the token to its log, and repeats it in some of its
refusals. Program: `python guarded_reference.py`, with the reference's own arguments; the token that
it wants is in GUARD_TOKEN.
"""

import os
import sys
from typing import Any

import grpc

from workloads.account.reference import __main__ as reference

TOKEN_VARIABLE = "GUARD_TOKEN"
REFUSED_EVERY = 20  # of the transfers: what it says then must not reach the record
_real_server = grpc.aio.server


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Looks at the metadata of every call."""

    def __init__(self) -> None:
        self.wanted = "Bearer " + os.environ[TOKEN_VARIABLE]
        self.transfer_count = 0

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        sent = str(dict(details.invocation_metadata).get("authorization", "nothing"))
        sys.stdout.write(f"{details.method} {sent}\n")
        if sent != self.wanted:
            return _refusal(grpc.StatusCode.UNAUTHENTICATED, f"wanted {self.wanted}, got {sent}")
        if details.method.endswith("/ApplyTransfer"):
            self.transfer_count += 1
            if self.transfer_count % REFUSED_EVERY == 0:
                return _refusal(grpc.StatusCode.PERMISSION_DENIED, f"{sent} may not")
        return await continuation(details)


def _refusal(status: grpc.StatusCode, words: str) -> Any:
    async def refuse(_request: bytes, context: Any) -> bytes:
        await context.abort(status, words)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(refuse)


def _guarded_server(*arguments: Any, **options: Any) -> Any:
    return _real_server(*arguments, interceptors=[Guard()], **options)


if __name__ == "__main__":
    grpc.aio.server = _guarded_server
    sys.exit(reference.main())
