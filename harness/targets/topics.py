"""Topics of a broker: made where they are missing, and whether it answers at all. Blocking."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from harness.errors import BrokerError
from harness.model.kafka import ANY_BROKER

_TOPIC_EXISTS_CODE = 36


def create_topics(address: str, partitions: Mapping[str, int]) -> None:
    """
    Make sure that the topics exist (replication 1); existing ones are left as they are.

    Raises:
        BrokerError: the broker can't be reached, or refuses.
    """
    asyncio.run(_create_topics(address, partitions))


def check_answers(address: str) -> None:
    """
    Nothing, if a broker answers there.

    Raises:
        BrokerError: none does.
    """
    asyncio.run(_create_topics(address, {}))


async def _create_topics(address: str, partitions: Mapping[str, int]) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # trouble is raised, not logged
    client = AIOKafkaAdminClient(
        bootstrap_servers=address, request_timeout_ms=ANY_BROKER.request_timeout_ms
    )
    try:
        await client.start()
        if partitions:
            topics = [NewTopic(name, count, 1) for name, count in partitions.items()]
            _check_created(await client.create_topics(topics), address)
    except (KafkaError, OSError) as error:
        raise BrokerError(f"the broker at {address} can't be used: {error}") from error
    finally:
        await client.close()


def _check_created(response: Any, address: str) -> None:
    for topic, code, *words in response.topic_errors:
        if code not in {0, _TOPIC_EXISTS_CODE}:
            said = words[0] if words and words[0] else for_code(code).__name__
            raise BrokerError(f'the broker at {address} refuses the topic "{topic}": {said}')
