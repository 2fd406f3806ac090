"""
A plan served by a copy of the reference in this process: no harness, no broker, no waiting.

For faults of what the service does with an operation, which is the same however it came. One
operation after the other goes to the copy's own gRPC handlers and its inbox of executions, and what
it journals, answers, emits and tells at the end is the evidence that a run would have left.
"""

import asyncio
import importlib
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pandas as pd

from harness.engine.event_log import EventLogWriter
from harness.model.journal_replay import Replay
from harness.model.operation import Outcome
from harness.model.scenario import Scenario
from harness.system import (
    AuditEvidence,
    Channel,
    Endpoint,
    KindSpec,
    Payloads,
    Replies,
    ShardPlan,
)
from workloads.account.audit.target_state import TargetState
from workloads.account.audit.updates import UpdatesFold
from workloads.account.plan.seeds import seeds
from workloads.account.probe.control_client import Control
from workloads.account.probe.survey import _survey
from workloads.account.system import SYSTEM
from workloads.account.terms.workload import parse_workload
from workloads.account.wire.kinds import KIND_SPECS, SEEN_BYTES
from workloads.account.wire.requests import padded_varint

RUN_TAG = 0x5EED_0000_00C0_FFEE
ORIGIN_NS = 1  # nobody judges when an execution was made
PATIENCE_S = 60.0
PACKAGE = "workloads.account"

Import = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A scenario, what it sends, and the messages: made once for all copies."""

    scenario: Scenario
    plan: ShardPlan
    payloads: Payloads


def planned_of(scenario: Scenario) -> Planned:
    """The plan of *scenario*, all of it in one shard."""
    plan = SYSTEM.planner.plan(scenario, seed=scenario.seed, shard=0, shard_count=1)
    payloads = SYSTEM.codec.encode(scenario, plan, run_tag=RUN_TAG)
    return Planned(scenario=scenario, plan=plan, payloads=payloads)


def evidence_of(copy: Path, planned: Planned, *, folder: Path) -> AuditEvidence:
    """What the reference in *copy* leaves when it has served the plan; files go to *folder*."""
    scenario = planned.scenario
    with reference_of(copy) as reference, _served(reference, folder) as service:
        opening = service.seed(scenario)
        table = service.play(planned)
        produced_count = int((table["sequence"] > 0).sum())
        closing = service.survey(opening, produced_count=produced_count)
        service.stop()
        digest = reference("replay").replayed_digest(reference("journal").Journal(folder))
    path = folder / "events.log"
    with EventLogWriter(path) as log:
        log.append(1, service.streams["ledger"].taken)
    fold = UpdatesFold(opening.accounts)
    fold.fold(service.streams["balances"].taken)
    return AuditEvidence(
        scenario=scenario,
        run_tag=RUN_TAG,
        seed=scenario.seed,
        operations=table,
        events_path=path,
        opening=opening,
        closing=replace(closing, updates=fold.result(), opening_journal_seq=opening.journal_seq),
        restarts_ns=(),
        produced_count=produced_count,
        plans=lambda: (planned.plan,),
        replay=Replay(digest=digest.hex()),
    )


@contextmanager
def reference_of(copy: Path) -> Iterator[Import]:
    """A function that imports a module of the reference in *copy*; the installed one comes back."""
    package = importlib.import_module(PACKAGE)
    name = f"{PACKAGE}.reference"
    path, installed = package.__path__, _forget(name)
    package.__path__ = [str(copy.joinpath(*PACKAGE.split("."))), *path]
    try:
        yield lambda module: importlib.import_module(f"{name}.{module}")
    finally:
        package.__path__ = path
        _forget(name)
        sys.modules |= installed
        if name in installed:
            package.reference = installed[name]  # type: ignore[attr-defined]


def _forget(name: str) -> dict[str, ModuleType]:
    """Take *name* and all below it out of the imported modules."""
    found = [key for key in sys.modules if key == name or key.startswith(f"{name}.")]
    return {key: sys.modules.pop(key) for key in found}


@dataclass
class Kept:
    """In place of a topic: keeps what is emitted, at once."""

    taken: list[bytes] = field(default_factory=list)
    emitted_seq: int = 0

    def put(self, record: Any) -> None:
        """Keep it."""
        self.taken.append(record.value)
        self.emitted_seq = record.seq

    def __len__(self) -> int:
        return 0

    async def shrunk(self, count: int) -> None:
        """Nothing waits."""


@contextmanager
def _served(reference: Import, folder: Path) -> Iterator["_Service"]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield _Service(reference, folder, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Service:
    """A copy's handlers behind a real gRPC server on an event loop of its own."""

    def __init__(self, reference: Import, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._take = reference("consumer").take
        self._loop = loop
        self.streams = {name: Kept() for name in ("ledger", "balances", "dead_letters")}
        self._core, self._server, port = self._await(self._start(reference, folder))
        address = f"127.0.0.1:{port}"
        self._endpoint = Endpoint(grpc_address=address, kafka_address="", topic_prefix="")
        self._channel = grpc.insecure_channel(address)
        self._control = Control(self._endpoint)

    def seed(self, scenario: Scenario) -> TargetState:
        """The market and the starting balances; the opening state, from which on all is kept."""
        workload = parse_workload(scenario.workload)
        self._control.load_reference_data(workload)
        self._control.seed(seeds(workload, seed=scenario.seed))
        state = self.survey()
        for stream in self.streams.values():
            stream.taken.clear()
        return state

    def survey(self, opening: TargetState | None = None, *, produced_count: int = 0) -> TargetState:
        """What it tells of its state."""
        state, _ = _survey(
            self._control,
            self._endpoint,
            self._control.capabilities(),
            (),
            opening=opening,
            produced_count=produced_count,
            timeout_s=PATIENCE_S,
            quiet_s=0.0,
        )
        return state

    def play(self, planned: Planned) -> pd.DataFrame:
        """Every operation, one after the other; the table of them."""
        plan = planned.plan
        table, replies = _empty_table(plan), _Replies()
        sequences: dict[int, int] = defaultdict(int)
        for index, kind in enumerate(plan.kind.tolist()):
            needs = [int(of[index]) for of in (plan.needs_a, plan.needs_b) if of[index] >= 0]
            if any(table["outcome"][need] != Outcome.ACKNOWLEDGED for need in needs):
                table["outcome"][index] = Outcome.CANCELLED
                continue
            spec, start = KIND_SPECS[kind], planned.payloads.start
            message = planned.payloads.blob[start[index] : start[index + 1]]
            table["sent_ns"][index] = time.monotonic_ns()
            if spec.channel is Channel.KAFKA:
                stream = int(plan.stream[index])
                sequences[stream] += 1
                table["sequence"][index] = sequences[stream]
                value = SYSTEM.codec.seal(memoryview(message), sequences[stream], ORIGIN_NS)
                self._consume(stream, sequences[stream], value)
                table["outcome"][index] = Outcome.ACKNOWLEDGED
            else:
                if spec.seen_at >= 0 and needs:
                    seen = padded_varint(
                        SYSTEM.codec.reply_position(replies.of[needs[0]]), SEEN_BYTES
                    )
                    message[spec.seen_at : spec.seen_at + SEEN_BYTES] = seen
                outcome, code, reply = self._call(spec, bytes(message))
                table["outcome"][index], table["code"][index] = outcome, code
                if reply is not None:
                    replies.of[index] = reply
            table["done_ns"][index] = table["visible_ns"][index] = time.monotonic_ns()
        told = SYSTEM.codec.decode_replies(plan, replies.all())
        return pd.DataFrame({**table, **plan.columns, **told})

    def stop(self) -> None:
        """Everything durable, and the journal closed."""
        self._control.__exit__()
        self._channel.close()
        self._await(self._server.stop(None))
        self._await(self._core.commitment.durable())
        self._core.close()

    async def _start(self, reference: Import, folder: Path) -> tuple[Any, Any, int]:
        core = reference("core").Core(
            reference("journal").Journal(folder),
            topics=reference("emission").Topics.with_prefix(""),
            kafka="",
            linger_ms=0,
        )
        core.streams = self.streams
        services = {
            "AccountService": reference("service").AccountService(core),
            "ControlService": reference("control").ControlService(core),
        }
        server = grpc.aio.server()
        for name, service in services.items():
            handler = grpc.method_handlers_generic_handler(f"accounts.v1.{name}", service.methods())
            server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return core, server, port

    def _call(self, spec: KindSpec, message: bytes) -> tuple[Outcome, int, bytes | None]:
        """Outcome, domain code or gRPC status, and the reply if there was one."""
        try:
            if spec.channel is Channel.GRPC_PAGES:
                pages = self._channel.unary_stream(spec.address)(message, timeout=PATIENCE_S)
                prefixed = [b"\0" + len(page).to_bytes(4, "big") + page for page in pages]
                return Outcome.ACKNOWLEDGED, 0, b"".join(prefixed)
            reply: bytes = self._channel.unary_unary(spec.address)(message, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            return Outcome.FAILED, error.code().value[0], None
        code = SYSTEM.codec.reply_code(reply)
        return (Outcome.REJECTED if code else Outcome.ACKNOWLEDGED), code, reply

    def _consume(self, stream: int, sequence: int, value: bytes) -> None:
        """Hand a record to the inbox, and wait until what it does is durable."""
        headers = SYSTEM.codec.record_headers(run_tag=RUN_TAG, shard=0)
        record = SimpleNamespace(partition=stream, offset=sequence, headers=headers, value=value)

        async def consume() -> None:
            self._take(self._core, record)
            await self._core.commitment.durable()

        self._await(consume())

    def _await(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)


class _Replies:
    """Replies by operation, in order of arrival."""

    def __init__(self) -> None:
        self.of: dict[int, bytes] = {}

    def all(self) -> Replies:
        """As the load process keeps them."""
        messages = list(self.of.values())
        return Replies(
            operation=np.array(list(self.of), np.int32),
            blob=b"".join(messages),
            start=np.cumsum([0, *map(len, messages)], dtype=np.int64),
        )


def _empty_table(plan: ShardPlan) -> dict[str, Any]:
    count = len(plan)
    names = [KIND_SPECS[kind].name for kind in plan.kind.tolist()]
    unasked = {"resolved_outcome": np.int8, "resolved_code": np.int32, "resolved_replayed": np.int8}
    return {
        "shard": np.zeros(count, np.int16),
        "index": np.arange(count, dtype=np.int32),
        "kind": pd.Categorical(names, categories=[spec.name for spec in KIND_SPECS]),
        "outcome": np.zeros(count, np.uint8),
        "code": np.zeros(count, np.int32),
        "never_sent": np.zeros(count, np.bool_),
        **{
            name: np.zeros(count, np.int64)
            for name in ("sent_ns", "done_ns", "visible_ns", "sequence")
        },
        **{name: np.full(count, -1, kind) for name, kind in unasked.items()},
    }
