"""
An operation: one thing asked of the target, its four stamps and how it ended.

Operations live in columns (one array a field, one row an operation), never as objects: at some
thousand a second an object each would be the generator's own bottleneck.

The four stamps, all CLOCK_MONOTONIC nanoseconds, 0 = did not happen:
    intended   when the plan says it must go
    sent       handed to the transport
    done       its reply is here (Kafka: the broker acknowledged it)
    visible    its effect was seen on the observed Kafka topic
From them:
    eligible   max(intended, when what it depends on was settled)
    response   done - intended      service   done - sent      lateness   sent - eligible
"""

from enum import IntEnum


class Outcome(IntEnum):
    """How an operation stands; the numbers are what the columns hold."""

    PLANNED = 0  # not due yet, or due and waiting for what it depends on
    IN_FLIGHT = 1  # sent, no answer yet
    ACKNOWLEDGED = 2  # applied: domain code 0
    REJECTED = 3  # rejected by the domain, in band: code > 0
    FAILED = 4  # gRPC status other than OK, or the broker rejected it; the effect may be unknown
    TIMED_OUT = 5  # no answer within the timeout; the effect is unknown
    DROPPED = 6  # not sent: the in-flight bound was reached
    CANCELLED = 7  # not sent: what it needs was rejected, or the run was stopped
    STRANDED = 8  # not sent: what it needs, or waits for, had no answer; the service's doing


ADMITTED = (
    Outcome.IN_FLIGHT,
    Outcome.ACKNOWLEDGED,
    Outcome.REJECTED,
    Outcome.FAILED,
    Outcome.TIMED_OUT,
)
ANSWERED = (Outcome.ACKNOWLEDGED, Outcome.REJECTED)
# Had no answer, though the plan wanted one: charged to every latency as slower than any sample.
# What a user would have sent next waits with the user: left out, a stall would look like one call.
UNANSWERED = (
    Outcome.IN_FLIGHT,
    Outcome.FAILED,
    Outcome.TIMED_OUT,
    Outcome.DROPPED,
    Outcome.STRANDED,
)
