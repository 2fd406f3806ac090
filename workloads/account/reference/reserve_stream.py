"""
ReserveStream: operations pipelined on one call, each answered when it is durable.

The one idea: reading and answering are two tasks with a queue of commits between them. Whatever is
read before the next commit shares that commit's one wake-up, so an operation costs its message
and nothing else; and since it is applied as it is read, the order of a stream is the order of its
messages, for all its accounts. A window bounds the queue: past it nothing more is read, and
HTTP/2's flow control holds the client.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import machine
from workloads.account.reference.calls import Context
from workloads.account.reference.commitment import Group
from workloads.account.reference.core import Core
from workloads.account.reference.inputs import (
    InputKind,
    MalformedError,
    UnsupportedError,
    operation_call,
)
from workloads.account.reference.replies import OPERATION_NAMES, ResultEncoder
from workloads.account.reference.state import Command, Outcome

# Operations of one stream without a result: some commits' worth at the highest rate, 0.5 MB.
STREAM_WINDOW_MAX_COUNT = 1024
DRAINING = (grpc.StatusCode.UNAVAILABLE, "5002 DRAINING: the service stops")

# (client_tag, command, outcome, t_ingress_ns)
Result = tuple[int, Command, Outcome, int]


class ReserveStreams:
    """The handler of ReserveStream, and the streams that are open."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._readings: set[asyncio.Task[None]] = set()

    async def serve(self, _requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, from its first operation to its status."""
        stream = _Stream(self._core, context)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stream.answer())
                reading = tasks.create_task(stream.take())
                self._readings.add(reading)
                reading.add_done_callback(self._readings.discard)
                await asyncio.wait([reading])
                stream.end()
        finally:
            self._core.streamed_count -= stream.unanswered_count
        if reading.cancelled():
            await context.abort(*DRAINING)
        if stream.fault is not None:
            await context.abort(*stream.fault)

    def drain(self) -> None:
        """Read no more: each stream answers what it has and ends."""
        for reading in self._readings:
            reading.cancel()


class _Stream:
    """
    One stream's queue.

    Attributes:
        unanswered_count: Operations read whose result is not written.
        fault: The status that the stream ends with, if it was given a message that is no operation.
    """

    def __init__(self, core: Core, context: Any) -> None:
        self._core = core
        self._context = context
        # What waits, by the group that makes it durable; a group of None is durable already.
        self._waiting: deque[tuple[Group | None, asyncio.Future[int] | None, list[Result]]] = (
            deque()
        )
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._is_ended = False
        self.unanswered_count = 0
        self.fault: tuple[grpc.StatusCode, str] | None = None

    async def take(self) -> None:
        """Read and apply, until the client or a faulty message ends it."""
        read = self._context.read
        while (raw := await read()) is not grpc.aio.EOF:
            try:
                self._apply(raw)
            except (DecodeError, MalformedError) as error:
                self.fault = (grpc.StatusCode.INVALID_ARGUMENT, str(error))
                return
            except UnsupportedError as error:
                self.fault = (grpc.StatusCode.UNIMPLEMENTED, str(error))
                return
            while self.unanswered_count >= STREAM_WINDOW_MAX_COUNT:
                self._room.clear()
                await self._room.wait()

    async def answer(self) -> None:
        """Write the results of each commit, in order, until all are written."""
        write, encode = self._context.write, ResultEncoder().encode
        while True:
            while not self._waiting:
                if self._is_ended:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            _, commit, results = self._waiting[0]
            t_commit_ns = self._core.commitment.t_commit_ns if commit is None else await commit
            self._waiting.popleft()
            for result in results:
                await write(encode(*result, t_commit_ns))
                self.unanswered_count -= 1
                self._core.streamed_count -= 1
                self._room.set()

    def end(self) -> None:
        self._is_ended = True
        self._arrived.set()

    def _apply(self, raw: bytes) -> None:
        t_ingress_ns = time.monotonic_ns()
        core, state = self._core, self._core.state
        operation = contract.ReserveOp.FromString(raw)
        request_id, epoch, command = operation_call(operation)
        refusal = core.refusal()
        if refusal:
            outcome: Outcome = (int(refusal[:4]), state.journal_seq, 0, 0, 0, 0, False)
        else:
            revision = state.revision
            outcome = machine.apply(state, request_id, epoch, command)
            if state.revision != revision:
                core.commitment.journal(InputKind.OPERATION, raw)
        core.counters[f"{OPERATION_NAMES[command[0]]}/{outcome[0]}"] += 1
        self._queue((operation.client_tag, command, outcome, t_ingress_ns))

    def _queue(self, result: Result) -> None:
        group = self._core.commitment.covering()
        if not self._waiting or self._waiting[-1][0] is not group:
            commit = None if group is None else group.waiter()
            self._waiting.append((group, commit, []))
            self._arrived.set()
        self._waiting[-1][2].append(result)
        self.unanswered_count += 1
        self._core.streamed_count += 1
