"""The kinds of operation of accounts.v1 that plans may hold, in the order of their numbers."""

from enum import IntEnum

from harness.system import Channel, KindSpec

EXECUTIONS_TOPIC = "me.executions.v1"
LEDGER_TOPIC = "acct.ledger.v1"
BALANCES_TOPIC = "acct.balances.v1"
DEAD_LETTER_TOPIC = "acct.dlq.v1"

REQUEST_ID_AT = 4  # every request begins 0a LEN 0a 10: Meta is its first field, the id Meta's first
ORIGIN_AT = 21  # behind the 16 bytes of the id and the tag of origin_ns


class Kind(IntEnum):
    """The numbers that the column `kind` holds."""

    RESERVE = 0
    AMEND = 1
    RELEASE = 2
    TRANSFER = 3
    INTERNAL_TRANSFER = 4
    CREATE_ACCOUNT = 5
    FILL = 6


_METHODS = {
    Kind.RESERVE: "Reserve",
    Kind.AMEND: "AmendReservation",
    Kind.RELEASE: "Release",
    Kind.TRANSFER: "ApplyTransfer",
    Kind.INTERNAL_TRANSFER: "InternalTransfer",
    Kind.CREATE_ACCOUNT: "CreateAccount",
}


def _spec(kind: Kind) -> KindSpec:
    if kind is Kind.FILL:
        return KindSpec(name="fill", channel=Channel.KAFKA, address=EXECUTIONS_TOPIC, origin_at=-1)
    return KindSpec(
        name=kind.name.lower(),
        channel=Channel.GRPC,
        address=f"/accounts.v1.AccountService/{_METHODS[kind]}",
        origin_at=ORIGIN_AT,
    )


KIND_SPECS = tuple(_spec(kind) for kind in Kind)
