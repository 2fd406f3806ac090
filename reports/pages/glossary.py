"""
Each metric in one sentence that a release manager understands.

The words are those of harness.model.operation; the formula stands behind the plain sentence.
"""

from reports.pages.model import Term

OFFERED = Term(
    name="offered", sentence="How many operations a second the plan wanted, whatever happened."
)
SENT = Term(
    name="sent",
    sentence="How many left the generator: fewer than offered where some were dropped, cancelled or"
    " stranded; how late the others left is in Lateness.",
)
ACHIEVED = Term(
    name="achieved",
    sentence="How many the service answered, rejections included; a record is answered when its"
    " event was seen, where events are observed.",
)
RESPONSE = Term(
    name="response",
    sentence="From the moment an operation was due to its answer: what a user would have waited,"
    " queues included (done - intended).",
)
SERVICE = Term(
    name="service",
    sentence="From the moment it was really sent to its answer (done - sent). Where this is far"
    " below response, operations had to wait before they could even be sent.",
)
LATENESS = Term(
    name="lateness",
    sentence="How late the generator itself sent an operation that was ready to go"
    " (sent - eligible). The service has no part in it.",
)
WAIT = Term(
    name="wait",
    sentence="How long an operation had to wait for another one that it depends on"
    " (eligible - intended); part of response, not of lateness.",
)
VISIBLE = Term(
    name="visible",
    sentence="From the moment an operation was due until its effect was seen on a Kafka topic"
    " (visible - intended): when others learn of it. One whose event never came counts as slower"
    " than all that were seen.",
)
FLOOR = Term(
    name="broker baseline",
    sentence="How long the broker alone needs to pass a message on; no visible latency can be"
    " below it.",
)
PERCENTILE = Term(
    name="p50, p99 ...",
    sentence="p99 = 20 ms: 99 of 100 operations took at most 20 ms, one took longer.",
)
INTERVAL = Term(
    name="95 % interval",
    sentence="The small range under a figure: where the true value lies with 95 % confidence,"
    " given how many operations were measured.",
)
WITHHELD = Term(
    name="insufficient samples",
    sentence="Too few operations to say this percentile at all; it shows how many it needs.",
)
IN_FLIGHT = Term(name="in flight", sentence="Operations sent and not yet answered.")
REJECTED = Term(
    name="rejected", sentence="The service answered no, for a reason of its domain: not an error."
)
FAILED = Term(
    name="failed, timed out",
    sentence="No usable answer came; whether the operation took effect is settled by the audit.",
)
DROPPED = Term(
    name="dropped",
    sentence="Not sent because too many were in flight: the service could not keep up.",
)
CANCELLED = Term(
    name="cancelled", sentence="Not sent because an operation it needs had been rejected."
)
STRANDED = Term(
    name="stranded",
    sentence="Not sent because an operation it needs, or waits for, had no answer: counted in"
    " every latency as slower than all, like that one.",
)
INVARIANT = Term(
    name="invariant",
    sentence="What must hold of the ledger after every run, whatever the load was.",
)
FACTS_CHECKED = Term(
    name="checks performed",
    sentence="On how many facts the invariant was tested; none means nothing was proved.",
)
OWN = Term(
    name="self",
    sentence="What a function costs without the functions that it calls; all functions' own costs"
    " add up to the whole. The small figure is its 95 % interval, from segment to segment.",
)
TOTAL = Term(
    name="cumulative",
    sentence="What would be saved if the function were never called; costs of callers and callees"
    " overlap, so these don't add up.",
)
PER_OPERATION = Term(
    name="an operation",
    sentence="The cost in all segments of the measured phase, divided by the operations that were"
    " answered in them, whatever their kind.",
)
NO_FRAME = Term(
    name="no Python frame",
    sentence="CPU time that the kernel accounts to threads in which no Python function runs, such"
    " as those of gRPC's core.",
)
SURVIVES = Term(
    name="survives",
    sentence="Allocated in a segment and still alive at its end; some of it is freed later, so"
    " only what grows with the operations is a leak.",
)
RESIDENT = Term(
    name="resident memory",
    sentence="What the kernel holds in memory for the service, allocators' reserves included.",
)
