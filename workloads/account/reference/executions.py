"""
The inbox of the matching engine's records: each applied once, in its source's order.

Pure: given records in arbitration order it says what became of them. The one idea: sequence
numbers are gap-free per source and instrument, so a lower one is a duplicate, and a higher one
waits in a bounded reorder buffer; past the buffer the partition stops, because nothing after a
lost record can be trusted.
"""

from google.protobuf.message import DecodeError

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.fills import apply_match, apply_order_event
from workloads.account.reference.state import ExecutionCause, Source, State

REORDER_MAX_COUNT = 64


def consume(state: State, partition: int, offset: int, src: str, value: bytes) -> None:
    """Apply the record at *offset*; one that can't be applied goes to state.dead_letters."""
    state.revision += 1
    state.next_offsets[partition] = offset + 1
    event = _decoded(value)
    if event is None or event.seq == 0 or event.WhichOneof("e") is None:
        state.bury(value, "not an ExecutionEvent with a seq and an event")
        return
    if not src:
        state.bury(value, "the header src is missing")
        return
    source = state.sources.setdefault((src, event.instrument_id), Source())
    if event.seq <= source.last_seq or event.seq in source.waiting:
        state.duplicate_count += 1
    elif event.seq == source.last_seq + 1:
        _apply_in_order(state, source, src, (partition, offset, value), event)
    elif len(source.waiting) < REORDER_MAX_COUNT:
        source.waiting[event.seq] = (partition, offset, value)
    else:
        state.stopped_partitions.add(partition)
        state.bury(
            value,
            f"gap: seq {source.last_seq + 1} of src {src}, instrument {event.instrument_id} is "
            f"missing and {REORDER_MAX_COUNT} records wait for it; partition {partition} stopped",
        )


def _decoded(value: bytes) -> contract.ExecutionEvent | None:
    try:
        return contract.ExecutionEvent.FromString(value)
    except DecodeError:
        return None


def _apply_in_order(
    state: State,
    source: Source,
    src: str,
    record: tuple[int, int, bytes],
    event: contract.ExecutionEvent,
) -> None:
    while True:
        partition, offset, value = record
        source.last_seq = event.seq
        named = event.match.match_id or event.order.event_id
        cause = ExecutionCause(partition, offset, event.seq, src, event.instrument_id, named)
        reason = (
            apply_match(state, event.instrument_id, event.match, cause)
            if event.HasField("match")
            else apply_order_event(state, event.instrument_id, event.order, cause)
        )
        if reason:
            state.bury(value, reason)
        following = source.waiting.pop(source.last_seq + 1, None)
        if following is None:
            return
        record = following
        event = contract.ExecutionEvent.FromString(record[2])
