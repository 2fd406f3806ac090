"""
Topics of a broker: made where they are missing, and whether it answers at all. Blocking.

Raises BrokerError where it can't be reached, or rejects what is asked.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, for_code

from harness.errors import BrokerError, Fault, TargetFileError
from harness.model.kafka_settings import ANY_BROKER
from harness.targets.ports import split_address
from harness.targets.target_file import TargetSpec

_TOPIC_EXISTS_CODE = 36
_LEADER_TIMEOUT_S = 30.0
_POLL_S = 0.01
_PROBE_TIMEOUT_S = 0.5
_NO_TLS = b"\0\0\0\x08\0\x12\0\0\0\0\0\0"  # ApiVersions, of a Kafka client
_TLS_ALERT = b"\x15\x03"


def create_topics(address: str, partitions: Mapping[str, int]) -> None:
    """Make sure that the topics exist (replication 1); existing ones are left as they are."""
    asyncio.run(_create_topics(address, partitions))


def check_absent_topics(target: TargetSpec, topics: Sequence[str]) -> None:
    """TargetFileError if what the target file calls absent is not among the system's *topics*."""
    faults = [
        Fault(
            file=target.file,
            key="contract.absent_topics",
            value=repr(topic),
            remedy="write " + (" or ".join(topics) or "none, as its system has no topics"),
        )
        for topic in target.absent_topics
        if topic not in topics
    ]
    if faults:
        raise TargetFileError(tuple(faults))


def check_answers(address: str) -> None:
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
            await _await_leaders(client, list(partitions), address)
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"the broker at {address} can't be used: {_reason(client, address, error)}"
        ) from error
    finally:
        await client.close()


def _reason(client: AIOKafkaAdminClient, address: str, error: Exception) -> str:
    """Why, in a sentence: whoever answers may send clients to an address where nobody does."""
    known = client._client.cluster.brokers()  # noqa: SLF001 - there is no other way to ask
    named = sorted(f"{broker.host}:{broker.port}" for broker in known)
    elsewhere = [one for one in named if one not in address.split(",")]
    if elsewhere:
        return (
            f"it answers, and sends its clients to {', '.join(elsewhere)}, where it can't be"
            " reached from here; correct advertised.listeners of the broker"
        )
    if any(map(_speaks_tls, address.split(","))):
        return (
            "it speaks TLS there, and only plain listeners are spoken to; write the HOST:PORT of"
            " a plain one"
        )
    if isinstance(error, KafkaConnectionError):
        return (
            "nothing that speaks Kafka answers there; start it, or write the HOST:PORT of one that"
            " runs"
        )
    return str(error) or type(error).__name__


def _speaks_tls(address: str) -> bool:
    """Whether whoever listens there answers a word that is no TLS with an alert of it."""
    try:
        with socket.create_connection(split_address(address), timeout=_PROBE_TIMEOUT_S) as probe:
            probe.sendall(_NO_TLS)
            return probe.recv(2) == _TLS_ALERT
    except OSError:
        return False


async def _await_leaders(client: AIOKafkaAdminClient, topics: list[str], address: str) -> None:
    """
    Wait until every partition can be written to.

    Apache Kafka answers when its controller has made a topic; its brokers hear of it later.
    """
    deadline_s = time.monotonic() + _LEADER_TIMEOUT_S
    while True:
        found = await client.describe_topics(topics)
        waiting = set(topics) - {topic["topic"] for topic in found if _has_leaders(topic)}
        if not waiting:
            return
        if time.monotonic() > deadline_s:
            raise BrokerError(
                f"the broker at {address} made the topic {min(waiting)}, but gives it no leader"
            )
        await asyncio.sleep(_POLL_S)


def _has_leaders(topic: Mapping[str, Any]) -> bool:
    leaders = [partition["leader"] for partition in topic["partitions"]]
    return bool(leaders) and min(leaders) >= 0


def _check_created(response: Any, address: str) -> None:
    for topic, code, *words in response.topic_errors:
        if code not in {0, _TOPIC_EXISTS_CODE}:
            said = words[0] if words and words[0] else for_code(code).__name__
            raise BrokerError(f'the broker at {address} rejects the topic "{topic}": {said}')
