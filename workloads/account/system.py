"""
The account core as the harness drives it: which function is which ability of a System's parts.

The audit is imported when it is used: every process of a run has this module, only the first one
judges, and the tables of the audit take as long to import as all else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.record import Invariant
from harness.model.scenario import LoadTransport, Scenario
from harness.system import (
    AuditEvidence,
    Auditor,
    Codec,
    KindSpec,
    Planner,
    Probe,
    Subscription,
    System,
)
from workloads.account.audit.target_state import TargetState
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.describe import describe_plans
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_data, reference_json
from workloads.account.plan.watched_accounts import watched_accounts
from workloads.account.probe import survey
from workloads.account.terms.workload import parse_workload, phase_faults, workload_faults
from workloads.account.wire import requests, write_replies
from workloads.account.wire.identity import source_name
from workloads.account.wire.kinds import (
    BALANCES_TOPIC,
    DEAD_LETTER_TOPIC,
    EXECUTIONS_TOPIC,
    KIND_SPECS,
    LEDGER_TOPIC,
    STREAM_SPECS,
)


class AccountPlanner(Planner):
    """Orders, fills, transfers and reads of accounts.v1."""

    plan = staticmethod(make_plan)
    describe = staticmethod(describe_plans)

    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        return STREAM_SPECS if scenario.load.transport is LoadTransport.STREAM else KIND_SPECS

    def check_workload(self, scenario: Scenario) -> Sequence[tuple[str, str, str]]:
        return workload_faults(scenario.workload) or phase_faults(scenario)

    def reference_data(self, scenario: Scenario) -> bytes:
        return reference_json(parse_workload(scenario.workload))


class AccountCodec(Codec):
    """The messages of accounts.v1."""

    encode = staticmethod(requests.encode_plan)
    seal = staticmethod(requests.seal_execution)
    reply_code = staticmethod(write_replies.reply_code)
    stream_reply = staticmethod(write_replies.stream_reply)
    decode_replies = staticmethod(write_replies.decode_replies)

    def record_headers(self, *, run_tag: int, shard: int) -> Sequence[tuple[str, bytes]]:
        return (
            ("src", source_name(run_tag, shard).encode()),
            ("run_id", f"{run_tag:016x}".encode()),
        )

    def reply_replayed(self, message: bytes | memoryview) -> bool:
        return write_replies.ack_of(message).replayed

    def reply_position(self, message: bytes | memoryview) -> int:
        return write_replies.ack_of(message).journal_seq

    def code_name(self, code: int) -> str:
        known = contract.Code.DESCRIPTOR.values_by_number.get(code)
        return known.name if known is not None else f"CODE_{code}"


class AccountProbe(Probe):
    """Control calls before and after the load, StreamAccount and the ledger's topic during it."""

    observed_topic = LEDGER_TOPIC
    open = staticmethod(survey.open_target)
    close = staticmethod(survey.close_target)
    event_reader = staticmethod(write_replies.event_reader)

    def capabilities(self, opening: TargetState) -> Mapping[str, Any]:
        return opening.capabilities or {}

    def subscriptions(self, scenario: Scenario, *, seed: int) -> Sequence[Subscription]:
        return [
            Subscription(
                address="/accounts.v1.AccountService/StreamAccount",
                message=contract.StreamRequest(account_id=account_id).SerializeToString(),
                label=f"account {account_id}",
            )
            for account_id in watched_accounts(parse_workload(scenario.workload), seed=seed)
        ]

    def causes_event(self, operations: Any) -> NDArray[np.bool_]:
        """All but reads, records that are sent again, and requests that repeat another."""
        silent = [spec.name for spec in KIND_SPECS if spec.resends or spec.seen_at >= 0]
        repeats = operations["duplicate_of"].to_numpy() >= 0
        found: NDArray[np.bool_] = ~(operations["kind"].isin(silent).to_numpy() | repeats)
        return found

    def event_count(self, closing: TargetState) -> int | None:
        if closing.journal_seq is None or closing.opening_journal_seq is None:
            return None
        return closing.journal_seq - closing.opening_journal_seq


class AccountAuditor(Auditor):
    """The invariants of accounts.v1."""

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        from workloads.account.audit.judge import judge  # noqa: PLC0415 - see above

        workload = parse_workload(evidence.scenario.workload)
        return judge(
            evidence,
            workload,
            reference=reference_data(workload),
            watched=watched_accounts(workload, seed=evidence.seed),
        )


SYSTEM = System(
    planner=AccountPlanner(),
    codec=AccountCodec(),
    probe=AccountProbe(),
    auditor=AccountAuditor(),
    topics=(EXECUTIONS_TOPIC, LEDGER_TOPIC, BALANCES_TOPIC, DEAD_LETTER_TOPIC),
)
