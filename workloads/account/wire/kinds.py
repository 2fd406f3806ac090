"""The kinds of operation of accounts.v1 that plans may hold, in the order of their numbers."""

from dataclasses import replace
from enum import IntEnum

from harness.system import Channel, KindSpec

EXECUTIONS_TOPIC = "me.executions.v1"
LEDGER_TOPIC = "acct.ledger.v1"
BALANCES_TOPIC = "acct.balances.v1"
DEAD_LETTER_TOPIC = "acct.dlq.v1"

STREAM_HEAD_BYTES = 8  # of a ReserveOp: client_tag (1 and 5 bytes), the request's tag and length
REQUEST_ID_AT = 4  # every request begins 0a LEN 0a 10: Meta is its first field, the id Meta's first
SEEN_AT = 30  # of a read: min_applied_seq, behind the origin time and its own tag
SEEN_BYTES = 10  # a padded varint
ORIGIN_AT = 21  # behind the 16 bytes of the id and the tag of origin_ns


class Kind(IntEnum):
    """The numbers that the column `kind` holds; final, new ones come behind."""

    RESERVE = 0
    AMEND = 1
    RELEASE = 2
    TRANSFER = 3
    INTERNAL_TRANSFER = 4
    CREATE_ACCOUNT = 5
    FILL = 6
    GET_BALANCES = 7
    LIST_LEDGER = 8
    PEND = 9  # a transfer's first phase
    POST = 10
    VOID = 11
    ORDER_EVENT = 12  # the matching engine ends an order
    LATE_FILL = 13  # a fill that is sent behind later records of its stream
    REPEAT = 14  # a fill's record once more


MATCHES = (Kind.FILL, Kind.LATE_FILL)
ON_STREAM = (Kind.RESERVE, Kind.AMEND, Kind.RELEASE)  # if the scenario's transport is a stream
READS = (Kind.GET_BALANCES, Kind.LIST_LEDGER)
RECORDS = (*MATCHES, Kind.ORDER_EVENT, Kind.REPEAT)  # on Kafka

_METHODS = {
    Kind.RESERVE: "Reserve",
    Kind.AMEND: "AmendReservation",
    Kind.RELEASE: "Release",
    Kind.TRANSFER: "ApplyTransfer",
    Kind.INTERNAL_TRANSFER: "InternalTransfer",
    Kind.CREATE_ACCOUNT: "CreateAccount",
    Kind.GET_BALANCES: "GetBalances",
    Kind.LIST_LEDGER: "ListLedger",
    Kind.PEND: "ApplyTransfer",
    Kind.POST: "ApplyTransfer",
    Kind.VOID: "ApplyTransfer",
}


def _spec(kind: Kind) -> KindSpec:
    if kind in RECORDS:
        return KindSpec(
            name=kind.name.lower(),
            channel=Channel.KAFKA,
            address=EXECUTIONS_TOPIC,
            origin_at=-1,
            resends=kind is Kind.REPEAT,
        )
    return KindSpec(
        name=kind.name.lower(),
        channel=Channel.GRPC_PAGES if kind is Kind.LIST_LEDGER else Channel.GRPC,
        address=f"/accounts.v1.AccountService/{_METHODS[kind]}",
        origin_at=ORIGIN_AT,
        seen_at=SEEN_AT if kind in READS else -1,
    )


def _on_stream(kind: Kind) -> KindSpec:
    if kind not in ON_STREAM:
        return _spec(kind)
    return replace(
        _spec(kind),
        channel=Channel.GRPC_STREAM,
        address="/accounts.v1.AccountService/ReserveStream",
        origin_at=ORIGIN_AT + STREAM_HEAD_BYTES,
    )


KIND_SPECS = tuple(_spec(kind) for kind in Kind)
STREAM_SPECS = tuple(_on_stream(kind) for kind in Kind)
