"""
The one set of Kafka client settings: driver, observer and floor measurement all use it.

They are fixed, not tunable, because `visible` depends on them: with linger 0 the embedded broker
takes 76-82 % of a core at 2,000/s, and with default fetch settings its polling alone makes visible
127 ms p50; with linger 5 ms and a fetch wait of 10 ms it is 44 % of a core and 8 ms. Every record
carries them.
"""

from collections.abc import Mapping
from typing import Any

PRODUCER_LINGER_MS = 5
PRODUCER_BATCH_BYTES = 65_536  # 5 ms at 20,000/s of 500-byte records still fit in one batch
CONSUMER_FETCH_WAIT_MS = 10
REQUEST_TIMEOUT_MS = 10_000

PRODUCER_SETTINGS: Mapping[str, Any] = {
    "linger_ms": PRODUCER_LINGER_MS,
    "max_batch_size": PRODUCER_BATCH_BYTES,
    "acks": "all",
    "enable_idempotence": False,  # the embedded broker has no idempotent producer
    "compression_type": None,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}

CONSUMER_SETTINGS: Mapping[str, Any] = {
    "fetch_max_wait_ms": CONSUMER_FETCH_WAIT_MS,
    "fetch_min_bytes": 1,
    "enable_auto_commit": False,  # positions belong to the run; nobody resumes from a group
    "auto_offset_reset": "latest",
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}

CLIENT_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "producer": PRODUCER_SETTINGS,
    "consumer": CONSUMER_SETTINGS,
}
"""Both, as a record shows them."""
