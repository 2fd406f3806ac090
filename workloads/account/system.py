"""
The account core as the harness drives it: SYSTEM implements harness.system.System.

Only glue: what is planned is workloads.account.plan, what is read from bytes is replies, what is
asked of the target beside the load is survey, and what is judged is audit. The last two are
imported when they are used: every process of a run has this module, only the first surveys and
judges, and the tables of the audit take as long to import as all else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.record import Invariant
from harness.model.scenario import LoadTransport, Scenario
from harness.system import (
    AuditEvidence,
    Endpoint,
    KindSpec,
    Payloads,
    Replies,
    ShardPlan,
    Subscription,
)
from workloads.account.audit.target_state import TargetState
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.describe import describe_plans
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_data, reference_json
from workloads.account.plan.watched_accounts import watched_accounts
from workloads.account.terms.workload import (
    parse_workload,
    phase_faults,
    workload_faults,
)
from workloads.account.wire.identity import source_name
from workloads.account.wire.kinds import (
    BALANCES_TOPIC,
    DEAD_LETTER_TOPIC,
    EXECUTIONS_TOPIC,
    KIND_SPECS,
    LEDGER_TOPIC,
    STREAM_SPECS,
)
from workloads.account.wire.requests import encode_plan, seal_execution
from workloads.account.wire.write_replies import (
    ack_of,
    decode_replies,
    event_reader,
    reply_code,
    stream_reply,
)


class AccountSystem:
    """accounts.v1."""

    name = "account"
    kinds: tuple[KindSpec, ...] = KIND_SPECS
    observed_topic = LEDGER_TOPIC
    topics = (EXECUTIONS_TOPIC, LEDGER_TOPIC, BALANCES_TOPIC, DEAD_LETTER_TOPIC)

    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        """The kinds as they travel in *scenario*."""
        return STREAM_SPECS if scenario.load.transport is LoadTransport.STREAM else KIND_SPECS

    def check_workload(self, scenario: Scenario) -> Sequence[tuple[str, str, str]]:
        """Faults of the [workload] table, then of it and the phases, as (key, value, remedy)."""
        return workload_faults(scenario.workload) or phase_faults(scenario)

    def plan(self, scenario: Scenario, *, seed: int, shard: int, shard_count: int) -> ShardPlan:
        """The operations of one shard."""
        return make_plan(scenario, seed=seed, shard=shard, shard_count=shard_count)

    def describe(self, scenario: Scenario, plans: Sequence[ShardPlan]) -> Mapping[str, Any]:
        """Statistics of a plan against the scenario's targets."""
        return describe_plans(scenario, plans)

    def encode(self, scenario: Scenario, plan: ShardPlan, *, run_tag: int) -> Payloads:
        """The messages of *plan*."""
        return encode_plan(scenario, plan, run_tag=run_tag)

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        """An execution with its sequence number and time."""
        return seal_execution(payload, sequence, origin_ns)

    def record_headers(self, *, run_tag: int, shard: int) -> Sequence[tuple[str, bytes]]:
        """Who sends, and in which run."""
        return (
            ("src", source_name(run_tag, shard).encode()),
            ("run_id", f"{run_tag:016x}".encode()),
        )

    def stream_reply(self, message: bytes) -> tuple[int, bytes | memoryview]:
        """The operation that a ReserveResult is of, and the reply in it."""
        return stream_reply(message)

    def reply_code(self, message: bytes | memoryview) -> int:
        """Ack.code, read from the first bytes."""
        return reply_code(message)

    def reply_replayed(self, message: bytes | memoryview) -> bool:
        """Whether the stored outcome of an earlier request was repeated."""
        return ack_of(message).replayed

    def reply_position(self, message: bytes | memoryview) -> int:
        """Ack.journal_seq."""
        return ack_of(message).journal_seq

    def code_name(self, code: int) -> str:
        """The contract's word for *code*."""
        known = contract.Code.DESCRIPTOR.values_by_number.get(code)
        return known.name if known is not None else f"CODE_{code}"

    def decode_replies(self, plan: ShardPlan, replies: Replies) -> Mapping[str, NDArray[Any]]:
        """What the replies said, 0 where there was none; see wire.write_replies."""
        return decode_replies(plan, replies)

    def event_reader(self, *, run_tag: int) -> Callable[[bytes], int]:
        """From a JournalTxn to the operation that caused it."""
        return event_reader(run_tag)

    def subscriptions(self, scenario: Scenario, *, seed: int) -> Sequence[Subscription]:
        """A StreamAccount for each account that the scenario wants watched."""
        return [
            Subscription(
                address="/accounts.v1.AccountService/StreamAccount",
                message=contract.StreamRequest(account_id=account_id).SerializeToString(),
                label=f"account {account_id}",
            )
            for account_id in watched_accounts(parse_workload(scenario.workload), seed=seed)
        ]

    def reference_data(self, scenario: Scenario) -> bytes:
        """The ReferenceData of the scenario, in the JSON form of protobuf."""
        return reference_json(parse_workload(scenario.workload))

    def open(self, endpoint: Endpoint, scenario: Scenario, *, seed: int, seed_by: str) -> Any:
        """Seed the target and dump it; see harness.system."""
        from workloads.account.probe import survey  # noqa: PLC0415 - see above

        return survey.open_target(endpoint, scenario, seed=seed, seed_by=seed_by)

    def capabilities(self, opening: Any) -> Mapping[str, Any]:
        """What the target said of itself; empty if nothing."""
        assert isinstance(opening, TargetState)
        return opening.capabilities or {}

    def close(
        self,
        endpoint: Endpoint,
        scenario: Scenario,
        *,
        opening: Any,
        produced_count: int,
        timeout_s: float,
    ) -> Any:
        """Wait for the target to be at rest and dump it; see harness.system."""
        from workloads.account.probe import survey  # noqa: PLC0415 - see above

        return survey.close_target(
            endpoint,
            scenario,
            opening=opening,
            produced_count=produced_count,
            timeout_s=timeout_s,
        )

    def causes_event(self, operations: Any) -> NDArray[np.bool_]:
        """All but reads, records that are sent again, and requests that repeat another."""
        silent = [spec.name for spec in self.kinds if spec.resends or spec.seen_at >= 0]
        repeats = operations["duplicate_of"].to_numpy() >= 0
        found: NDArray[np.bool_] = ~(operations["kind"].isin(silent).to_numpy() | repeats)
        return found

    def event_count(self, closing: Any) -> int | None:
        """How many transactions there were since the opening."""
        assert isinstance(closing, TargetState)
        if closing.journal_seq is None or closing.opening_journal_seq is None:
            return None
        return closing.journal_seq - closing.opening_journal_seq

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        """Every invariant."""
        from workloads.account.audit.judge import judge  # noqa: PLC0415 - see above

        workload = parse_workload(evidence.scenario.workload)
        return judge(
            evidence,
            workload,
            reference=reference_data(workload),
            watched=watched_accounts(workload, seed=evidence.seed),
        )


SYSTEM = AccountSystem()
