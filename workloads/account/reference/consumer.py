"""
Executions in: records of me.executions.v1 to the core, from where the journal says it left off.

It judges nothing: duplicates, gaps and poison are the state machine's business. The one idea: no
consumer group and no committed offsets; the offset is journalled with the record's effect, so the
two can't part.
"""

import sys

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from workloads.account.reference.core import Core
from workloads.account.reference.inputs import InputKind, execution_payload

POLL_TIMEOUT_MS = 1000
RECORDS_MAX = 500
# A source's name is a few characters; a header beyond this is not one.
SRC_BYTES_MAX = 256


async def consume_executions(core: Core, *, kafka: str, fetch_wait_ms: int) -> None:
    """Feed the core until cancelled."""
    topic = core.topics.executions
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=fetch_wait_ms,
    )
    await consumer.start()
    try:
        for partition in consumer.assignment():
            next_offset = core.state.next_offsets.get(partition.partition)
            if next_offset is not None:
                consumer.seek(partition, next_offset)
            if partition.partition in core.state.stopped_partitions:
                consumer.pause(partition)
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX)
            for partition, records in fetched.items():
                for record in records:
                    if partition.partition in core.state.stopped_partitions:
                        break
                    take(core, record)
                if partition.partition in core.state.stopped_partitions:
                    consumer.pause(partition)
                    sys.stderr.write(f"ALARM: {topic} partition {partition.partition} stopped\n")
            # One poll in memory at a time: what waits for the disk or the broker stays bounded.
            await core.commitment.durable()
            await core.room()
    finally:
        await consumer.stop()


def take(core: Core, record: ConsumerRecord) -> None:
    src = next((value for name, value in record.headers if name == "src"), b"")
    name = src.decode(errors="replace") if len(src) <= SRC_BYTES_MAX else ""
    payload = execution_payload(record.partition, record.offset, name, record.value or b"")
    core.apply(InputKind.EXECUTION, payload)
