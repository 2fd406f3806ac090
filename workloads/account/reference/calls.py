"""
One gRPC call as every handler begins it: bytes to a request, a request to a command, or an abort.

The one idea: what can't be answered with a domain code ends the call here, before anything is
applied, so handlers know only requests that make sense.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.core import Core
from workloads.account.reference.inputs import Call, MalformedError, UnsupportedError

Context = grpc.aio.ServicerContext[bytes, bytes]
Request = TypeVar("Request", bound=Message)

# How long a read waits for the journal_seq it asks for before it is told OVERLOADED.
READ_WAIT_S = 2.0


async def parsed(raw: bytes, message: type[Request], context: Any) -> Request:
    """The request's message; bytes that are none end the call."""
    try:
        return message.FromString(raw)
    except DecodeError as error:
        return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


async def checked(check: Callable[[Request], Any], request: Request, context: Any) -> Any:
    """What *check* makes of the request; a malformed or unsupported one ends the call."""
    try:
        return check(request)
    except MalformedError as error:
        return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except UnsupportedError as error:
        return await _abort(context, grpc.StatusCode.UNIMPLEMENTED, str(error))


async def decoded(
    raw: bytes, message: type[Request], call_of: Callable[[Request], Call], context: Any
) -> Call:
    call: Call = await checked(call_of, await parsed(raw, message, context), context)
    return call


async def _abort(context: Any, status: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(status, detail)
    raise AssertionError("abort raises")


async def caught_up(core: Core, name: str, journal_seq: int, context: Any) -> None:
    """Wait until the transaction that a read requires is durable, at most READ_WAIT_S."""
    try:
        async with asyncio.timeout(READ_WAIT_S):
            await core.commitment.reached(journal_seq)
    except TimeoutError:
        core.counters[f"{name}/{contract.OVERLOADED}"] += 1
        detail = f"5001 OVERLOADED: journal_seq {journal_seq} was not reached in {READ_WAIT_S} s"
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, detail)
