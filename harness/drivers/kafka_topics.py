"""
What partitions a topic has.

Not asked of a consumer: it learns those of topics that it reads already, and only the embedded
broker tells it of all. Nor by the topic's name: many a broker makes a topic that is asked for.
"""

from aiokafka.admin import AIOKafkaAdminClient

from harness.model.kafka_settings import ANY_BROKER


async def partition_numbers(address: str, topic: str) -> list[int]:
    """The numbers of the partitions of *topic*, ascending; none if there is no such topic."""
    client = AIOKafkaAdminClient(
        bootstrap_servers=address, request_timeout_ms=ANY_BROKER.request_timeout_ms
    )
    try:
        await client.start()
        described = await client.describe_topics()
    finally:
        await client.close()
    return sorted(
        partition["partition"]
        for found in described
        if found["topic"] == topic
        for partition in found["partitions"]
    )
