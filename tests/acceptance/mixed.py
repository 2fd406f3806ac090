"""A system of every channel at once, asking for nothing, for tests of timing."""

from dataclasses import replace

import numpy as np

from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.system import AuditEvidence, Channel, KindSpec, ShardPlan, System
from workloads.null.system import NullAuditor, NullCodec, NullPlanner

CALL, PAGES, MESSAGE, RECORD = range(4)
NAMES = ("call", "pages", "message", "record")
PATTERN = (MESSAGE, CALL, MESSAGE, RECORD, MESSAGE, MESSAGE, CALL, RECORD, MESSAGE, PAGES)
_KEY_COUNT = 16


KINDS = (
    KindSpec(name="call", channel=Channel.GRPC, address="/null.v1.S/Call", origin_at=0),
    KindSpec(name="pages", channel=Channel.GRPC_PAGES, address="/null.v1.S/List", origin_at=0),
    KindSpec(name="message", channel=Channel.GRPC_STREAM, address="/null.v1.S/Stream", origin_at=0),
    KindSpec(name="record", channel=Channel.KAFKA, address="records", origin_at=-1),
)


class MixedPlanner(NullPlanner):
    """Kinds in turn as in PATTERN: target "echo" answers all that goes over gRPC."""

    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        """Always the same."""
        del scenario
        return KINDS

    def plan(self, scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
        """The null system's arrivals, dealt out to the channels."""
        plan = super().plan(scenario, seed=seed, shard=shard, shard_count=shard_count)
        number = np.arange(len(plan), dtype=np.int32)
        kind = np.resize(np.array(PATTERN, np.uint8), len(plan))
        has_lane = (kind == MESSAGE) | (kind == RECORD)
        return replace(plan, kind=kind, stream=np.where(has_lane, number % _KEY_COUNT, -1))


class MixedCodec(NullCodec):
    """Messages of the null system, and records."""

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        """Nobody reads it."""
        return bytes(payload) + sequence.to_bytes(8, "little") + origin_ns.to_bytes(8, "little")


class MixedAuditor(NullAuditor):
    """One reply to each call."""

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        """N1, of all that has a reply."""
        table = evidence.operations
        return super().audit(replace(evidence, operations=table[table["kind"] != "record"]))


SYSTEM = System(
    planner=MixedPlanner(), codec=MixedCodec(), auditor=MixedAuditor(), topics=("records",)
)
