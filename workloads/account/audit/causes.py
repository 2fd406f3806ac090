"""What caused a transaction or an update: the operation, by the identity that its bytes carry."""

import numpy as np

from workloads.account.audit.message_columns import Messages, Spans, big_endian
from workloads.account.contract.accounts_pb2 import Cause
from workloads.account.wire.column_types import Column, Mask
from workloads.account.wire.identity import (
    OPERATION_BITS,
    REQUEST_ID,
    operation_of_cause,
    tag_of_ids,
)

_NOBODY = -1
_OPERATION_MAX = 2**63 - 1  # what a column holds; no shard has a larger number


def operation_of(cause: Cause, run_tag: int) -> int:
    """Shard << 32 | index of the operation that *cause* names, -1 for none of this run's."""
    operation = operation_of_cause(cause, run_tag)
    return operation if operation <= _OPERATION_MAX else _NOBODY


def operations_of(causes: Messages, plain: Mask, run_tag: int) -> tuple[Column, Column]:
    """operation_of each cause, and its source_seq (0 of requests); *plain* loses other rows."""
    requests, records = causes.span(1), causes.span(2)
    plain &= causes.finish()
    plain &= ~(requests.is_present & records.is_present)  # the later one would count
    operation, memory = np.full(len(plain), _NOBODY), causes.memory
    source_seq = np.zeros(len(plain), np.int64)
    tag, number = memory.words_at(requests.start), memory.words_at(requests.start + 8)
    ours = (requests.length == REQUEST_ID.size) & (big_endian(tag) == np.uint64(run_tag))
    ours &= big_endian(number) <= np.uint64(_OPERATION_MAX)
    operation[ours] = big_endian(number)[ours]
    matched = np.flatnonzero(records.is_present)
    operation[matched], source_seq[matched] = _operations_of_matches(
        causes, records.of(matched), plain, matched, run_tag
    )
    return operation, source_seq


def _operations_of_matches(
    causes: Messages, records: Spans, plain: Mask, matched: Column, run_tag: int
) -> tuple[Column, Column]:
    """The same of the causes that are records of me.executions.v1."""
    sources = causes.within(records)
    topic = sources.span(1)
    sources.varint(2, bits=32)  # partition
    sources.varint(3)  # offset
    source_seq = sources.varint(4)
    src = sources.span(5)
    sources.varint(6, bits=32)  # instrument_id
    match_id = sources.fixed64(7)
    is_text = causes.memory.is_ascii(topic) & causes.memory.is_ascii(src)
    plain[matched] &= sources.finish() & is_text
    ours = (match_id != 0) & (
        match_id >> np.uint64(OPERATION_BITS) == np.uint64(tag_of_ids(run_tag))
    )
    index = match_id & np.uint64((1 << OPERATION_BITS) - 1)
    return np.where(ours, index.astype(np.int64), _NOBODY), source_seq
