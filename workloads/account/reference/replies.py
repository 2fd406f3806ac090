"""
Outcomes as the contract's replies: pure, one function a message.

The one idea: a result of a stream is written a hundred thousand times, so it is one message that
is filled in again and again; the others are made where they are needed.
"""

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import machine
from workloads.account.reference.state import Command, Outcome

# Counters of what a batch or a stream carries go by the names of the unary methods.
OPERATION_NAMES = {
    machine.RESERVE: "Reserve",
    machine.AMEND: "AmendReservation",
    machine.RELEASE: "Release",
}
# Where a reserve, an amend and a release name their order.
_ORDER_ID_AT = {machine.RESERVE: 3, machine.AMEND: 2, machine.RELEASE: 2}


def code_detail(code: int) -> str:
    """A code's word; empty for OK."""
    return contract.Code.Name(code) if code else ""  # type: ignore[arg-type]  # the enum's number


def ack(outcome: Outcome, t_ingress_ns: int, t_commit_ns: int) -> contract.Ack:
    code, journal_seq, account_seq, _, _, _, is_replayed = outcome
    return contract.Ack(
        code=code,  # type: ignore[arg-type]  # the enum's number
        journal_seq=journal_seq,
        account_seq=account_seq,
        replayed=is_replayed,
        t_ingress_ns=t_ingress_ns,
        t_commit_ns=t_commit_ns,
        detail=code_detail(code),
    )


def transfer_reply(outcome: Outcome, t_ingress_ns: int, t_commit_ns: int) -> bytes:
    return contract.TransferReply(
        ack=ack(outcome, t_ingress_ns, t_commit_ns),
        asset_id=outcome[3],
        available_minor=outcome[5],
    ).SerializeToString()


def reserve_reply(
    command: Command, outcome: Outcome, t_ingress_ns: int, t_commit_ns: int
) -> contract.ReserveReply:
    return contract.ReserveReply(
        ack=ack(outcome, t_ingress_ns, t_commit_ns),
        order_id=command[_ORDER_ID_AT[command[0]]],
        asset_id=outcome[3],
        locked_minor=outcome[4],
        available_minor=outcome[5],
    )


class ResultEncoder:
    """Results of a ReserveStream as bytes, through one message; it costs a third of a new one."""

    def __init__(self) -> None:
        self._result = contract.ReserveResult()
        self._reply = self._result.reply
        self._ack = self._reply.ack

    def encode(
        self,
        client_tag: int,
        command: Command,
        outcome: Outcome,
        t_ingress_ns: int,
        t_commit_ns: int,
    ) -> bytes:
        """One result; every field is set, so nothing of the one before is left."""
        reply, head = self._reply, self._ack
        self._result.client_tag = client_tag
        (
            code,
            head.journal_seq,
            head.account_seq,
            reply.asset_id,
            reply.locked_minor,
            reply.available_minor,
            head.replayed,
        ) = outcome
        head.code = code  # type: ignore[assignment]  # the enum's number
        head.detail = code_detail(code)
        head.t_ingress_ns, head.t_commit_ns = t_ingress_ns, t_commit_ns
        reply.order_id = command[_ORDER_ID_AT[command[0]]]
        return self._result.SerializeToString()
