"""
What the account core says, read from bytes: replies, results of a stream, pages, ledger events.

The readers that run once a message look at fixed bytes, because a protobuf object a message would
cost the load process and the observer more than everything else they do; whatever is written
otherwise than encoders write it is left to protobuf. decode_replies runs after the load.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from harness.system import MalformedReplyError, Replies, ShardPlan
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.identity import operation_of_cause, operation_of_id
from workloads.account.wire.kinds import READS, Kind
from workloads.account.wire.read_replies import ReadReply, decode_balances, decode_page

_ACK_TAG = 0x0A  # field 1 of every reply but CreateAccount's, which is an Ack itself
_CODE_TAG, _JOURNAL_SEQ_TAG = 0x08, 0x10
_CLIENT_TAG_TAG, _REPLY_TAG = 0x08, 0x12  # of a ReserveResult
_PAGE_START = 0x00  # a page's prefix begins "not compressed"; no message begins so
_REQUEST_HEAD = b"\x0a\x12\x0a\x10"  # JournalTxn.cause (18 bytes) = Cause.request_id (16 bytes)
_MATCH_ID_TAG, _KAFKA_TAG = 0x39, 0x12
_FIXED64 = struct.Struct("<Q")
_INT64_MAX = 2**63 - 1

_SEQUENCES = ("journal_seq", "account_seq")
_TIMES = ("t_ingress_ns", "t_commit_ns")
_AMOUNTS = ("locked_minor", "available_minor")
_TOLD = ("told_first_seq", "told_count", "told_print", "told_flaw")
_REPLY_OF: Mapping[int, Any] = {
    Kind.RESERVE: contract.ReserveReply,
    Kind.AMEND: contract.ReserveReply,
    Kind.RELEASE: contract.ReserveReply,
    Kind.TRANSFER: contract.TransferReply,
    Kind.INTERNAL_TRANSFER: contract.TransferReply,
    Kind.CREATE_ACCOUNT: contract.Ack,
    Kind.GET_BALANCES: contract.BalancesReply,
    Kind.PEND: contract.TransferReply,
    Kind.POST: contract.TransferReply,
    Kind.VOID: contract.TransferReply,
}


def reply_code(message: bytes | memoryview) -> int:
    """
    Ack.code of any reply, 0 of pages.

    Encoders write fields in ascending order, and proto3 leaves a 0 out: an Ack begins with its
    code, or the code is 0.

    Raises:
        MalformedReplyError: it is no reply.
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
    return ack_of(message).code


def ack_of(message: bytes | memoryview) -> contract.Ack:
    """
    The Ack of any reply: its field 1, or (CreateAccount) the whole message; pages have none.

    Raises:
        MalformedReplyError: it is no reply.
    """
    whole = bytes(message)
    if whole[:1] == bytes([_PAGE_START]):
        return contract.Ack()
    try:
        if whole and whole[0] & 0x07 == 0 and whole[0] >> 3 == 1:
            return contract.Ack.FromString(whole)
        reply = contract.TransferReply.FromString(whole)
        return reply.ack if reply.HasField("ack") else contract.Ack.FromString(whole)
    except DecodeError as error:
        raise MalformedReplyError(f"no Ack in a reply of {len(whole)} bytes: {error}") from error


def stream_reply(message: bytes) -> tuple[int, bytes | memoryview]:
    """A ReserveResult's client_tag and its ReserveReply; MalformedReplyError if it is none."""
    position, tag = 0, 0
    if message[:1] == bytes([_CLIENT_TAG_TAG]):
        position, tag = _varint(message, 1)
    if position < len(message) and message[position] == _REPLY_TAG:
        start, length = _varint(message, position + 1)
        if start + length == len(message):
            return tag, memoryview(message)[start:]
    try:
        result = contract.ReserveResult.FromString(message)
    except DecodeError as error:
        raise MalformedReplyError(f"{len(message)} bytes are no ReserveResult: {error}") from error
    return result.client_tag, result.reply.SerializeToString()


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Where the varint at *position* ends, and its value."""
    value = shift = 0
    for index in range(position, min(position + 10, len(message))):
        value |= (message[index] & 0x7F) << shift
        if message[index] <= 0x7F:
            return index + 1, value
        shift += 7
    raise MalformedReplyError(f"a number at byte {position} does not end")


def event_reader(run_tag: int) -> Callable[[bytes], int]:
    """From a JournalTxn's bytes to (shard << 32 | index), -1 for another run's."""
    request_head = _REQUEST_HEAD + run_tag.to_bytes(8, "big")
    head_length = len(request_head)
    from_bytes = int.from_bytes
    unpack = _FIXED64.unpack_from

    def read(value: bytes) -> int:
        if value[:head_length] == request_head:
            return from_bytes(value[head_length : head_length + 8], "big")
        # An execution: its id is the last field of the cause, which is the transaction's first.
        if len(value) > 2 and value[0] == 0x0A and value[2] == _KAFKA_TAG:
            end = 2 + value[1]
            is_whole = 9 <= value[1] <= 0x7F and len(value) >= end
            if is_whole and value[end - 9] == _MATCH_ID_TAG:
                return operation_of_id(unpack(value, end - 8)[0], run_tag)
        if value[:4] == _REQUEST_HEAD:
            return -1  # another client's request
        return operation_of_cause(_cause_of(value), run_tag)

    return read


def _cause_of(value: bytes) -> contract.Cause:
    try:
        return contract.JournalTxn.FromString(value).cause
    except DecodeError:
        return contract.Cause()  # no transaction: the audit, which reads all of them, says so


def decode_replies(plan: ShardPlan, replies: Replies) -> dict[str, NDArray[Any]]:
    """
    What the replies said, a row an operation, 0 where there was none.

    Columns: journal_seq, account_seq, replayed, t_ingress_ns, t_commit_ns, locked_minor,
    available_minor, malformed; if the plan has reads also those of read_replies.ReadReply. A number
    past 63 bits reads as the largest one that fits: no legal value is that large.
    """
    has_reads = bool(np.isin(plan.kind, READS).any())
    columns = {
        name: np.zeros(len(plan), dtype=np.int64)
        for name in (*_SEQUENCES, *_TIMES, *_AMOUNTS, *(_TOLD if has_reads else ()))
    }
    replayed, malformed = (np.zeros(len(plan), dtype=np.bool_) for _ in range(2))
    kinds, blob, start = plan.kind.data, memoryview(replies.blob), replies.start.tolist()
    for position, operation in enumerate(replies.operation.tolist()):
        raw = bytes(blob[start[position] : start[position + 1]])
        kind = kinds[operation]
        try:
            if kind == Kind.LIST_LEDGER:
                _tell(decode_page(raw), operation, columns)
                continue
            message = _REPLY_OF[kind]
            reply = message.FromString(raw)
        except DecodeError:
            malformed[operation] = True
            continue
        ack = reply if message is contract.Ack else reply.ack
        for name in (*_SEQUENCES, *_TIMES):
            columns[name][operation] = min(getattr(ack, name), _INT64_MAX)
        replayed[operation] = ack.replayed
        if message is contract.ReserveReply:
            columns["locked_minor"][operation] = reply.locked_minor
        if message is contract.BalancesReply:
            _tell(decode_balances(reply), operation, columns)
        elif message is not contract.Ack:
            columns["available_minor"][operation] = reply.available_minor
    return {**columns, "replayed": replayed, "malformed": malformed}


def _tell(told: ReadReply, operation: int, columns: Mapping[str, NDArray[Any]]) -> None:
    for name, value in told._asdict().items():
        columns[name][operation] = min(value, _INT64_MAX)
