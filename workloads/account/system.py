"""
The account core as the harness drives it: SYSTEM implements harness.system.System.

Only glue and the two readers that run once a message: what a reply's code is, and which operation
an event belongs to. They look at fixed bytes, because a protobuf object a message would cost the
load process and the observer more than everything else they do.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from harness.model.record import Invariant
from harness.model.scenario import LoadTransport, Scenario
from harness.system import (
    AuditEvidence,
    Endpoint,
    KindSpec,
    MalformedReplyError,
    Payloads,
    Replies,
    ShardPlan,
    Subscription,
)
from workloads.account import survey
from workloads.account.audit.evidence import TargetState
from workloads.account.audit.judge import judge
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.describe import describe_plans
from workloads.account.plan.identity import operation_of_cause, operation_of_id, source_name
from workloads.account.plan.kinds import (
    BALANCES_TOPIC,
    DEAD_LETTER_TOPIC,
    EXECUTIONS_TOPIC,
    KIND_SPECS,
    LEDGER_TOPIC,
)
from workloads.account.plan.messages import encode_plan, seal_execution
from workloads.account.plan.parameters import parse_workload, workload_faults
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_json
from workloads.account.plan.watched import watched_accounts

_ACK_TAG = 0x0A  # field 1 of every reply but CreateAccount's, which is an Ack itself
_CODE_TAG, _JOURNAL_SEQ_TAG = 0x08, 0x10
_REQUEST_HEAD = b"\x0a\x12\x0a\x10"  # JournalTxn.cause (18 bytes) = Cause.request_id (16 bytes)
_MATCH_ID_TAG, _KAFKA_TAG = 0x39, 0x12
_FIXED64 = struct.Struct("<Q")


class AccountSystem:
    """accounts.v1."""

    name = "account"
    kinds: tuple[KindSpec, ...] = KIND_SPECS
    observed_topic = LEDGER_TOPIC
    topics = (EXECUTIONS_TOPIC, LEDGER_TOPIC, BALANCES_TOPIC, DEAD_LETTER_TOPIC)

    def kinds_of(self, scenario: Scenario) -> tuple[KindSpec, ...]:
        """The kinds as they travel in *scenario*."""
        del scenario
        return self.kinds

    def check_workload(self, scenario: Scenario) -> Sequence[tuple[str, str, str]]:
        """Faults of the [workload] table as (key, value, remedy)."""
        faults = list(workload_faults(scenario.workload))
        if scenario.load.transport is LoadTransport.STREAM:
            faults.append(("load.transport", "stream", "this system has unary calls only"))
        return faults

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
        """No operation goes on a stream yet (see check_workload)."""
        raise MalformedReplyError(f"no stream was asked for, and {len(message)} bytes came")

    def reply_code(self, message: bytes | memoryview) -> int:
        """
        Ack.code, read from the first bytes.

        Encoders write fields in ascending order, and proto3 leaves a 0 out: an Ack begins with its
        code, or the code is 0. Anything that begins otherwise is left to protobuf.
        """
        if len(message) >= 4 and message[0] == _ACK_TAG and message[1] <= 0x7F:
            tag = message[2]
            if tag == _JOURNAL_SEQ_TAG:
                return 0
            if tag == _CODE_TAG:
                low = message[3]
                if low <= 0x7F:
                    return low
                if len(message) >= 5 and message[4] <= 0x7F:
                    return low & 0x7F | message[4] << 7
        return _ack_of(message).code

    def reply_replayed(self, message: bytes | memoryview) -> bool:
        """Whether the stored outcome of an earlier request was repeated."""
        return _ack_of(message).replayed

    def reply_position(self, message: bytes | memoryview) -> int:
        """Ack.journal_seq."""
        return _ack_of(message).journal_seq

    def code_name(self, code: int) -> str:
        """The contract's word for *code*."""
        known = contract.Code.DESCRIPTOR.values_by_number.get(code)
        return known.name if known is not None else f"CODE_{code}"

    def decode_replies(self, plan: ShardPlan, replies: Replies) -> Mapping[str, NDArray[Any]]:
        """
        What the replies said, 0 where there was none.

        Columns: journal_seq, account_seq, replayed, t_ingress_ns, t_commit_ns, locked_minor,
        available_minor, malformed.
        """
        return decode_replies(plan, replies)

    def event_reader(self, *, run_tag: int) -> Callable[[bytes], int]:
        """From a JournalTxn to the operation that caused it."""
        return make_event_reader(run_tag)

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
        return survey.close_target(
            endpoint,
            scenario,
            opening=opening,
            produced_count=produced_count,
            timeout_s=timeout_s,
        )

    def event_count(self, closing: Any) -> int | None:
        """How many transactions there were since the opening."""
        assert isinstance(closing, TargetState)
        if closing.journal_seq is None or closing.opening_journal_seq is None:
            return None
        return closing.journal_seq - closing.opening_journal_seq

    def audit(self, evidence: AuditEvidence) -> tuple[Invariant, ...]:
        """Every invariant."""
        return judge(evidence)


def make_event_reader(run_tag: int) -> Callable[[bytes], int]:
    """From a JournalTxn's bytes to (shard << 32 | index), -1 for another run's."""
    request_head = _REQUEST_HEAD + run_tag.to_bytes(8, "big")
    head_length = len(request_head)
    from_bytes = int.from_bytes
    unpack = _FIXED64.unpack_from

    def read(value: bytes) -> int:
        if value[:head_length] == request_head:
            return from_bytes(value[head_length : head_length + 8], "big")
        # A match: its id is the last field of the cause, which is the transaction's first.
        if len(value) > 2 and value[0] == 0x0A and value[2] == _KAFKA_TAG:
            end = 2 + value[1]
            if value[1] <= 0x7F and len(value) >= end and value[end - 9] == _MATCH_ID_TAG:
                return operation_of_id(unpack(value, end - 8)[0], run_tag)
        if value[:4] == _REQUEST_HEAD:
            return -1  # another client's request
        return operation_of_cause(_cause_of(value), run_tag)

    return read


def decode_replies(plan: ShardPlan, replies: Replies) -> dict[str, NDArray[Any]]:
    """See AccountSystem.decode_replies."""
    names = ("journal_seq", "account_seq", "t_ingress_ns", "t_commit_ns")
    amounts = ("locked_minor", "available_minor")
    columns = {name: np.zeros(len(plan), dtype=np.int64) for name in (*names, *amounts)}
    replayed = np.zeros(len(plan), dtype=np.bool_)
    malformed = np.zeros(len(plan), dtype=np.bool_)
    messages = {
        spec_index: _REPLY_OF[spec.address.rpartition("/")[2]]
        for spec_index, spec in enumerate(KIND_SPECS)
        if spec.address.startswith("/")
    }
    kinds, blob, start = plan.kind.data, memoryview(replies.blob), replies.start.tolist()
    for position, operation in enumerate(replies.operation.tolist()):
        message = messages[kinds[operation]]
        try:
            reply = message.FromString(bytes(blob[start[position] : start[position + 1]]))
        except DecodeError:
            malformed[operation] = True
            continue
        ack = reply if message is contract.Ack else reply.ack
        for name in names:
            columns[name][operation] = getattr(ack, name)
        replayed[operation] = ack.replayed
        if message is contract.ReserveReply:
            columns["locked_minor"][operation] = reply.locked_minor
        if message is not contract.Ack:
            columns["available_minor"][operation] = reply.available_minor
    return {**columns, "replayed": replayed, "malformed": malformed}


_REPLY_OF: Mapping[str, Any] = {
    "Reserve": contract.ReserveReply,
    "AmendReservation": contract.ReserveReply,
    "Release": contract.ReserveReply,
    "ApplyTransfer": contract.TransferReply,
    "InternalTransfer": contract.TransferReply,
    "CreateAccount": contract.Ack,
}


def _ack_of(message: bytes | memoryview) -> contract.Ack:
    """The Ack of any reply: its field 1, or (CreateAccount) the whole message."""
    whole = bytes(message)
    try:
        if whole and whole[0] & 0x07 == 0 and whole[0] >> 3 == 1:
            return contract.Ack.FromString(whole)
        reply = contract.TransferReply.FromString(whole)
        return reply.ack if reply.HasField("ack") else contract.Ack.FromString(whole)
    except DecodeError as error:
        raise MalformedReplyError(f"no Ack in a reply of {len(whole)} bytes: {error}") from error


def _cause_of(value: bytes) -> contract.Cause:
    try:
        return contract.JournalTxn.FromString(value).cause
    except DecodeError:
        return contract.Cause()  # no transaction: the audit, which reads all of them, says so


SYSTEM = AccountSystem()
