"""
Who an operation is, by arithmetic alone: no dictionary joins replies and events to operations.

    request id   16 bytes: run tag (8, big endian), shard (4), index (4)
    order id     64 bits: low 24 bits of the run tag, shard (8), index of the reserve (32)
    match id     the same, index of the fill
    operation    (shard << 32 | index), as harness.system joins
"""

import struct

from workloads.account.contract.accounts_pb2 import Cause

REQUEST_ID = struct.Struct(">QII")
TAG_BITS = 24
_TAG_MASK = (1 << TAG_BITS) - 1
OPERATION_BITS = 40


def id_base(run_tag: int, shard: int) -> int:
    """What an index is added to, to make an order or match id of *shard*."""
    return tag_of_ids(run_tag) << OPERATION_BITS | shard << 32


def tag_of_ids(run_tag: int) -> int:
    """What order and match ids of the run begin with, above their OPERATION_BITS."""
    return run_tag & _TAG_MASK


def operation_of_id(identifier: int, run_tag: int) -> int:
    """The operation of an order or match id, -1 for one of another run."""
    if identifier >> OPERATION_BITS != tag_of_ids(run_tag):
        return -1
    return identifier & (1 << OPERATION_BITS) - 1


def source_name(run_tag: int, shard: int) -> str:
    """The `src` of the executions that *shard* sends; of this run alone, as its seq starts at 1."""
    return f"{run_tag:016x}-{shard}"


def operation_of_cause(cause: Cause, run_tag: int) -> int:
    """The operation that a transaction names as its cause, -1 for one of another run."""
    if cause.WhichOneof("c") == "kafka":
        return operation_of_id(cause.kafka.match_id, run_tag) if cause.kafka.match_id else -1
    if len(cause.request_id) != REQUEST_ID.size:
        return -1
    tag, shard, index = REQUEST_ID.unpack(cause.request_id)
    return shard << 32 | index if tag == run_tag else -1
