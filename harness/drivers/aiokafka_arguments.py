"""harness.model.kafka_settings.KafkaSettings in the words of aiokafka."""

from collections.abc import Mapping
from typing import Any

from harness.model.kafka_settings import KafkaSettings


def producer_arguments(settings: KafkaSettings) -> Mapping[str, Any]:
    return {
        "linger_ms": settings.linger_ms,
        "max_batch_size": settings.batch_bytes,
        "acks": "all",
        "enable_idempotence": settings.is_idempotent,
        "compression_type": None,
        "request_timeout_ms": settings.request_timeout_ms,
    }


def consumer_arguments(settings: KafkaSettings) -> Mapping[str, Any]:
    return {
        "fetch_max_wait_ms": settings.fetch_wait_ms,
        "fetch_min_bytes": 1,
        "enable_auto_commit": False,  # positions belong to the run; nobody resumes from a group
        "auto_offset_reset": "latest",
        "request_timeout_ms": settings.request_timeout_ms,
    }


def client_settings(settings: KafkaSettings) -> Mapping[str, Mapping[str, Any]]:
    """Both, as a record shows them."""
    return {"producer": producer_arguments(settings), "consumer": consumer_arguments(settings)}
