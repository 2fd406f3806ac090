"""Kernels of replies and events: encoded by the reference, decoded by the harness."""

from collections.abc import Callable
from typing import Any

from harness.engine.event_log import Values
from workloads.account.audit import ledger_table, update_table
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import machine
from workloads.account.reference.kernels import funded_state, reserve_release_calls
from workloads.account.reference.ledger import Ledger
from workloads.account.reference.replies import ResultEncoder, reserve_reply, transfer_reply
from workloads.account.reference.state import Command, Outcome, Transaction
from workloads.account.wire.kinds import EXECUTIONS_TOPIC
from workloads.account.wire.write_replies import ack_of, reply_code, stream_reply
from workloads.micro.kernel import Kernel, Round, first_fault, unequal

_COUNT = 1024
_ACCOUNT_COUNT = 64
_INGRESS_NS, _COMMIT_NS = 1_700_000_000_000_000_000, 1_700_000_000_001_000_000
_ANY_RUN = 0
_Applied = list[tuple[Command, Outcome]]


def _applied() -> tuple[_Applied, list[Transaction]]:
    """Reserves and releases with their outcomes, and the transactions that they made."""
    state = funded_state(_ACCOUNT_COUNT)
    calls = reserve_release_calls(_COUNT // 2, _ACCOUNT_COUNT)
    outcomes = [
        (command, machine.apply(state, request_id, 0, command)) for request_id, command in calls
    ]
    return outcomes, list(state.transactions)


def _reserve_replies(applied: _Applied) -> list[bytes]:
    return [
        reserve_reply(command, outcome, _INGRESS_NS, _COMMIT_NS).SerializeToString()
        for command, outcome in applied
    ]


def _reply_fault(replies: list[Any], applied: _Applied) -> str:
    """Where decoded *replies* are not the outcomes."""
    told = [
        (
            reply.ack.code,
            reply.ack.journal_seq,
            reply.ack.account_seq,
            reply.asset_id,
            reply.available_minor,
            reply.ack.t_commit_ns,
        )
        for reply in replies
    ]
    expected = [(*item[:4], item[5], _COMMIT_NS) for _, item in applied]
    return unequal("replies", told, expected)


def _encode_reserve_reply() -> Round[list[bytes]]:
    applied, _ = _applied()
    parse = contract.ReserveReply.FromString
    return Round(
        work=lambda: _reserve_replies(applied),
        fault=lambda encoded: _reply_fault([parse(raw) for raw in encoded], applied),
    )


def _encode_transfer_reply() -> Round[list[bytes]]:
    applied, _ = _applied()
    parse = contract.TransferReply.FromString
    return Round(
        work=lambda: [transfer_reply(item, _INGRESS_NS, _COMMIT_NS) for _, item in applied],
        fault=lambda encoded: _reply_fault([parse(raw) for raw in encoded], applied),
    )


def _results(applied: _Applied) -> list[bytes]:
    encode = ResultEncoder().encode
    return [
        encode(tag, command, outcome, _INGRESS_NS, _COMMIT_NS)
        for tag, (command, outcome) in enumerate(applied, 1)
    ]


def _encode_result() -> Round[list[bytes]]:
    applied, _ = _applied()

    def fault(encoded: list[bytes]) -> str:
        results = [contract.ReserveResult.FromString(raw) for raw in encoded]
        return first_fault((
            unequal("tags", [item.client_tag for item in results], list(range(1, _COUNT + 1))),
            _reply_fault([item.reply for item in results], applied),
        ))  # fmt: skip

    return Round(work=lambda: _results(applied), fault=fault)


def _encode_event() -> Round[list[bytes]]:
    _, transactions = _applied()
    append = Ledger(EXECUTIONS_TOPIC).append

    def fault(encoded: list[bytes]) -> str:
        events = [contract.JournalTxn.FromString(raw) for raw in encoded]
        moved = [sum(line.delta_minor for line in event.postings) for event in events]
        return first_fault((
            unequal("numbers", [item.journal_seq for item in events], _numbers(transactions)),
            unequal("the sum of each event's postings", moved, [0] * _COUNT),
            unequal("postings", _line_count(events), sum(len(item[3]) for item in transactions)),
        ))  # fmt: skip

    return Round(work=lambda: [append(item, _COMMIT_NS) for item in transactions], fault=fault)


def _encode_update() -> Round[list[list[tuple[int, int, bytes]]]]:
    _, transactions = _applied()
    updates = Ledger(EXECUTIONS_TOPIC).updates

    def fault(encoded: list[list[tuple[int, int, bytes]]]) -> str:
        told = [
            (update.account_id, update.account_seq, update.balances[0].available_minor)
            for items in encoded
            for update in (contract.AccountUpdate.FromString(raw) for _, _, raw in items)
        ]
        expected = [
            (account_id, account_seq, balances[0][1])
            for item in transactions
            for account_id, account_seq, balances in item[4]
        ]
        return unequal("updates", told, expected)

    return Round(work=lambda: [updates(item, _COMMIT_NS) for item in transactions], fault=fault)


def _numbers(transactions: list[Transaction]) -> list[int]:
    return [item[0] for item in transactions]


def _line_count(events: list[contract.JournalTxn]) -> int:
    return sum(len(event.postings) for event in events)


def _decode_reserve_reply() -> Round[list[tuple[int, int]]]:
    applied, _ = _applied()
    replies = _reserve_replies(applied)
    expected = [(outcome[0], outcome[1]) for _, outcome in applied]
    return Round(
        work=lambda: [(reply_code(raw), ack_of(raw).journal_seq) for raw in replies],
        fault=lambda told: unequal("codes and positions", told, expected),
    )


def _decode_result() -> Round[list[tuple[int, int]]]:
    applied, _ = _applied()
    results = _results(applied)

    def work() -> list[tuple[int, int]]:
        told = []
        for raw in results:
            tag, reply = stream_reply(raw)
            told.append((tag, reply_code(reply)))
        return told

    expected = [(tag, outcome[0]) for tag, (_, outcome) in enumerate(applied, 1)]
    return Round(work=work, fault=lambda told: unequal("tags and codes", told, expected))


def _decode_events() -> Round[tuple[ledger_table.Transactions, Exception | None]]:
    _, transactions = _applied()
    ledger = Ledger(EXECUTIONS_TOPIC)
    values = Values.joined([ledger.append(item, _COMMIT_NS) for item in transactions])

    def fault(decoded: tuple[ledger_table.Transactions, Exception | None]) -> str:
        table, error = decoded
        deltas = [posting[3] for item in transactions for posting in item[3]]
        return first_fault((
            unequal("the error", error, None),
            unequal("numbers", table.journal_seq.tolist(), _numbers(transactions)),
            unequal("deltas", table.postings.delta_minor.tolist(), deltas),
        ))  # fmt: skip

    return Round(work=lambda: ledger_table.decode(values, run_tag=_ANY_RUN), fault=fault)


def _decode_updates() -> Round[update_table.Updates]:
    _, transactions = _applied()
    ledger = Ledger(EXECUTIONS_TOPIC)
    encoded = [raw for item in transactions for _, _, raw in ledger.updates(item, _COMMIT_NS)]
    values = Values.joined(encoded)

    def fault(table: update_table.Updates) -> str:
        parsed = [contract.AccountUpdate.FromString(raw) for raw in encoded]
        available = [item.available_minor for update in parsed for item in update.balances]
        return first_fault((
            unequal("accounts", table.account_id.tolist(), [item.account_id for item in parsed]),
            unequal("balances", table.balances.available_minor.tolist(), available),
        ))  # fmt: skip

    return Round(work=lambda: update_table.decode(values), fault=fault)


def _kernel(name: str, title: str, prepare: Callable[[], Round[Any]]) -> Kernel:
    return Kernel(name=name, title=title, operation_count=_COUNT, prepare=prepare)


KERNELS = (
    _kernel("reference.encode-reserve-reply", "write a ReserveReply", _encode_reserve_reply),
    _kernel("reference.encode-transfer-reply", "write a TransferReply", _encode_transfer_reply),
    _kernel("reference.encode-result", "write a ReserveResult of a stream", _encode_result),
    _kernel("reference.encode-event", "write and keep a JournalTxn", _encode_event),
    _kernel("reference.encode-update", "write the AccountUpdates of a transaction", _encode_update),
    _kernel("harness.decode-reserve-reply", "code and position of a reply", _decode_reserve_reply),
    _kernel("harness.decode-result", "tag and code of a stream's ReserveResult", _decode_result),
    _kernel("harness.decode-events", "a JournalTxn into the audit's columns", _decode_events),
    _kernel("harness.decode-updates", "an AccountUpdate into the audit's columns", _decode_updates),
)
