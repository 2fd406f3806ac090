"""
What a child of ours is told first.

Apart from the children's programs: a program's own module has another name in the child, where it
is the main one, than in the parent.
"""

from dataclasses import dataclass

from harness.model.kafka_settings import KafkaSettings
from harness.model.scenario import Scenario
from harness.system import Endpoint

FIRST_WORDS_S = 10.0
"""How long the load waits for subscriptions that say nothing; the audit tells what they lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpecification:
    scenario: Scenario
    seed: int
    shard: int
    shard_count: int
    run_tag: int
    cores: tuple[int, ...]
    plan_path: str  # the file of its plan
    event_descriptor: int  # an eventfd that the observer writes to; -1 for none


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverSpecification:
    system: str
    run_tag: int
    kafka_address: str
    kafka: KafkaSettings
    topic: str
    log_path: str
    cores: tuple[int, ...]
    event_descriptors: tuple[int, ...]  # an eventfd a shard


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberSpecification:
    scenario: Scenario
    seed: int
    endpoint: Endpoint
    log_path: str
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpecification:
    scenario: Scenario
    seed: int
    shard: int
    shard_count: int
    folder: str  # where it leaves the plan
