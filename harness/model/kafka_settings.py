"""
How the clients of a run use its broker: one set of values a kind of broker, declared, never tuned.

Driver, observer and floor measurement all use them, every record carries them, and a target file
can hand them to the service ({kafka_linger_ms} ...), because `visible` depends on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """
    What a client may ask of a broker.

    Attributes:
        linger_ms: How long the first record of a batch waits for company.
        batch_bytes: How large a batch may get.
        is_idempotent: The producer numbers its batches, and the broker drops repeated ones.
        fetch_wait_ms: How long the broker may hold back an empty answer.
        request_timeout_ms: After this without an answer a request is given up and repeated.
    """

    linger_ms: int
    batch_bytes: int
    is_idempotent: bool
    fetch_wait_ms: int
    request_timeout_ms: int


ANY_BROKER = KafkaSettings(
    linger_ms=5,
    batch_bytes=65_536,  # 5 ms at 20,000/s of 500-byte records still fit in one batch
    is_idempotent=False,
    fetch_wait_ms=10,
    request_timeout_ms=10_000,
)
"""
What every broker bears, the embedded one included, which looks for new records by polling: with
linger 0 it takes 76-82 % of a core at 2,000/s, and at default fetch settings its polling alone
makes visible 127 ms p50; with linger 5 ms and a fetch wait of 10 ms it is 44 % of a core and 8 ms.
It has no idempotent producer, though it says so.
"""

APACHE_KAFKA = KafkaSettings(
    linger_ms=0,
    batch_bytes=65_536,
    is_idempotent=True,
    fetch_wait_ms=100,
    request_timeout_ms=30_000,
)
"""
A real broker answers a waiting fetch when a record arrives: no wait costs latency, and a long one
saves polling. The request timeout is its clients' own default.
"""


def placeholder_values(settings: KafkaSettings) -> Mapping[str, str]:
    """What the placeholders of a target file say of *settings*."""
    return {
        "kafka_linger_ms": str(settings.linger_ms),
        "kafka_fetch_wait_ms": str(settings.fetch_wait_ms),
        "kafka_idempotence": "on" if settings.is_idempotent else "off",
    }
