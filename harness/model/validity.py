"""
Was the generator honest? The checks behind the first verdict.

They judge only what the generator, the machine and the inputs caused. A slow target is never
INVALID: drops at the in-flight bound, an unmet rate or late dependents while lateness is fine are
failures of performance, not of the measurement. No data is INVALID, never a pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.operation import ADMITTED, Outcome
from harness.model.quantiles import Distribution, ordered_distribution
from harness.model.record import Check, Operations, ValiditySection
from harness.model.scenario import Limits
from harness.model.text import duration, exact, quantity, share, significant, trimmed
from harness.model.verdict import Validity, worst
from harness.model.window import Stamps, Window, ordered_between_ns

LITTLE_TOLERANCE = 0.10  # of the mean in flight; sampling every 10 ms is good to a few per cent
LITTLE_STANDARD_ERRORS = 4.0
LITTLE_COUNT_MIN = 0.25  # operations; below it Little's law says nothing
SERVICE_SHARE_OF_LATENESS = 0.10  # lateness below a tenth of the tail can't mislead about it
# However slow the target is: so late, and what arrives together is no longer what was planned.
SHARED_LATENESS_NS_MAX = 10_000_000
CLOCK_DRIFT_MAX = 500e-6  # of monotonic against raw time; NTP slews at most that much
_TAIL_QUANTILES = (0.999, 0.9999)
_LATENESS_QUANTILES = (0.99, *_TAIL_QUANTILES)
OBSERVER_CORES_WARN = 0.9  # of its core; beyond it events wait for the observer
STEAL_SHARE_WARN = 0.02  # of the machine's time taken by the hypervisor
NEIGHBOURS_SHARE_WARN = 0.05  # of the machine's processors, used by others than the run
_SLICE_COUNT = 1 << 18  # operations looked at together, where one after the other will do


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """
    What others than the run used of the machine while it went.

    Attributes:
        cores: Processors, of the *processor_count* on which the run may go: seen or not.
        busiest: (Name, processors) of the busiest that could be seen there, most first.
        has_unknown: A target or broker whose process is not known may be among them.
    """

    cores: float
    processor_count: int
    busiest: tuple[tuple[str, float], ...] = ()
    has_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFacts:
    """
    What is known of the generator besides the stamps.

    Attributes:
        in_flight_counts: One array a load process, sampled every 10 ms over the measured phase.
        cpu_cores: Processor use of each load process over the measured phase.
        clock_drift: Relative drift of CLOCK_MONOTONIC against CLOCK_MONOTONIC_RAW over the run.
        steal_share: Share of the machine's time that the hypervisor took; None if not known.
        neighbours: What others than the run used of the machine; None if not known.
        observer_cpu_cores: Processor use of the observer, with the load process that shares its
            core; None: nothing was observed; NaN: not known.
    """

    in_flight_counts: Sequence[NDArray[np.int64]]
    cpu_cores: Sequence[float]
    clock_drift: float
    steal_share: float | None
    neighbours: Neighbours | None
    observer_cpu_cores: float | None = None


def judge_validity(
    stamps: Stamps, window: Window, operations: Operations, facts: GeneratorFacts, limits: Limits
) -> ValiditySection:
    """Every check of the generator over the measured phase; the worst status is the verdict."""
    late = ordered_distribution(stamps.ordered_lateness_ns(window), _LATENESS_QUANTILES)
    answered = (stamps.done_ns > 0) & window.holds(stamps.intended_ns)
    service = ordered_distribution(
        ordered_between_ns(stamps.sent_ns, stamps.done_ns, answered), _LATENESS_QUANTILES
    )
    checks = (
        check_rate(stamps, window, limits),
        check_lateness(late, service, limits),
        check_lateness_tail(late, service, limits),
        check_conservation(operations),
        check_little(stamps, window, facts.in_flight_counts),
        check_generator_cpu(facts.cpu_cores, limits),
        *(() if facts.observer_cpu_cores is None else (check_observer(facts.observer_cpu_cores),)),
        check_clock(stamps, facts.clock_drift),
        check_steal(facts.steal_share),
        check_neighbours(facts.neighbours),
    )
    status = worst((check.status for check in checks), Validity.VALID)
    return ValiditySection(status=status, checks=checks)


def check_rate(stamps: Stamps, window: Window, limits: Limits) -> Check:
    """Operations that could go in the measured phase, against those that went."""
    admitted = np.isin(stamps.outcome, [int(outcome) for outcome in ADMITTED])
    eligible = int(np.count_nonzero(admitted & window.holds(stamps.eligible_ns)))
    sent = int(np.count_nonzero(admitted & window.holds(stamps.sent_ns)))
    error = abs(sent - eligible) / eligible if eligible else None
    return _check(
        "rate",
        "Sent against offered rate",
        error,
        limits.rate_error,
        "share",
        "nothing was due in the measured phase"
        if error is None
        else f"{sent} of {eligible} operations that were due were sent in the measured phase",
    )


def check_lateness(late: Distribution, service: Distribution, limits: Limits) -> Check:
    """
    Lateness p99 below the limit, or below a tenth of the target's own p99 where that is more.

    The tenth counts only up to SHARED_LATENESS_NS_MAX: a generator that can't keep its schedule
    doesn't become honest by a target that is slower still.
    """
    # Too few samples for a p99: the maximum stands in, which can only be stricter.
    value_ns = late.at(0.99) if late.at(0.99) is not None else late.max
    return _check(
        "lateness",
        "Generator lateness p99",
        None if value_ns is None else value_ns / 1e3,
        _allowed_lateness_ns(service, 0.99, limits) / 1e3,
        "us",
        "no operation was sent"
        if value_ns is None
        else f"99 % of operations went at most {duration(value_ns)} after they could",
    )


def check_lateness_tail(late: Distribution, service: Distribution, limits: Limits) -> Check:
    """
    The same beyond p99, for every quantile that is published: a warning.

    A generator that stood still for half a second of a minute is on time by its p99, and what users
    would read as the service's p99.9 is its own.
    """
    found: list[tuple[float, float, float]] = []  # late, allowed (microseconds), of which quantile
    for q in _TAIL_QUANTILES:
        late_ns = late.at(q)
        if late_ns is not None:
            found.append((late_ns / 1e3, _allowed_lateness_ns(service, q, limits) / 1e3, q))
    worst = max(found, key=lambda item: item[0] / item[1], default=None)
    is_late = worst is not None and worst[0] > worst[1]
    sentence = "too few operations were sent to say anything beyond p99"
    if worst is not None:
        late_us, _, q = worst
        shown = quantity(late_us, "us")
        sentence = f"{exact(100 * q)} % of operations went at most {shown} after they could"
    if is_late:
        sentence += "; from there on response and service are the generator's too"
    return Check(
        id="lateness_tail",
        title="Generator lateness beyond p99",
        status=Validity.WARN if is_late else Validity.VALID,
        value=None if worst is None else worst[0],
        limit=limits.lateness_p99_ns / 1e3 if worst is None else worst[1],
        unit="us",
        sentence=sentence,
    )


def _allowed_lateness_ns(service: Distribution, q: float, limits: Limits) -> float:
    share_ns = min(SERVICE_SHARE_OF_LATENESS * (service.at(q) or 0), SHARED_LATENESS_NS_MAX)
    return max(limits.lateness_p99_ns, share_ns)


def check_conservation(operations: Operations) -> Check:
    """Each scheduled operation is admitted or, for a reason, not; each admitted one ended."""
    ended = operations.acknowledged + operations.rejected + operations.failed + operations.timed_out
    unsent = operations.dropped + operations.cancelled + operations.stranded
    missing = abs(operations.scheduled - operations.admitted - unsent)
    missing += abs(operations.admitted - ended)
    return _check(
        "conservation",
        "Conservation of operations",
        float(missing) if operations.scheduled else None,
        0.0,
        "operations",
        f"{operations.scheduled} scheduled = {operations.admitted} admitted + "
        f"{operations.dropped} dropped + {operations.cancelled} cancelled + "
        f"{operations.stranded} stranded; "
        f"{ended} of the admitted ended",
    )


def check_little(
    stamps: Stamps, window: Window, in_flight_counts: Sequence[NDArray[np.int64]]
) -> Check:
    """Mean in flight as sampled, against rate x service time from the stamps."""
    expected = _in_flight_ns(stamps, window) / window.own_ns
    if not in_flight_counts or any(len(counts) < 10 for counts in in_flight_counts):
        return _check(
            "little", "Little's law", None, None, "operations", "too few samples in flight"
        )
    sampled = float(sum(counts.mean() for counts in in_flight_counts))
    error = sum(_batch_standard_error(counts) ** 2 for counts in in_flight_counts) ** 0.5
    tolerance = max(LITTLE_COUNT_MIN, LITTLE_TOLERANCE * expected, LITTLE_STANDARD_ERRORS * error)
    return _check(
        "little",
        "Little's law",
        abs(sampled - expected),
        tolerance,
        "operations",
        f"{significant(sampled)} operations in flight as sampled, {significant(expected)} from rate"
        " x service time",
    )


def _in_flight_ns(stamps: Stamps, window: Window) -> int:
    """How long operations were in flight inside the window, all of them together."""
    total_ns = 0
    for first in range(0, len(stamps.sent_ns), _SLICE_COUNT):
        sent_ns = stamps.sent_ns[first : first + _SLICE_COUNT]
        done_ns = stamps.done_ns[first : first + _SLICE_COUNT]
        # What was never answered was in flight to the end: the target's doing, not a lost reply.
        ended_ns = np.where(done_ns > 0, done_ns, window.end_ns)
        inside_ns = window.own_ns_before(ended_ns) - window.own_ns_before(sent_ns)
        total_ns += int(np.maximum(inside_ns, 0).sum(where=sent_ns > 0))
    return total_ns


def check_generator_cpu(cpu_cores: Sequence[float], limits: Limits) -> Check:
    """The busiest load process over the measured phase."""
    busiest = max(cpu_cores, default=None)
    return _check(
        "generator_cpu",
        "Generator CPU headroom",
        busiest,
        limits.generator_cpu,
        "cores",
        "the generator's processor time is not known"
        if busiest is None
        else f"the busiest load process used {share(busiest)} of its core",
    )


def check_observer(cpu_cores: float) -> Check:
    """
    The core of the observer not full: a warning.

    Where it is, events wait to be seen, and `visible` is the observer's queue, not the service's.
    """
    is_known = not math.isnan(cpu_cores)
    return _check(
        "observer_cpu",
        "Observer CPU headroom",
        cpu_cores if is_known else None,
        OBSERVER_CORES_WARN,
        "cores",
        f"the observer, with what shares its core, used {share(cpu_cores)} of it"
        if is_known
        else "how much of its core the observer used is not known",
        Validity.WARN,
    )


def check_clock(stamps: Stamps, drift: float) -> Check:
    """No stamp before the one that causes it, and a clock that runs at one speed."""
    sent, done, seen = stamps.sent_ns > 0, stamps.done_ns > 0, stamps.visible_ns > 0
    backwards = (
        np.count_nonzero(stamps.sent_ns[sent] < stamps.eligible_ns[sent])
        + np.count_nonzero(stamps.done_ns[done] < stamps.sent_ns[done])
        + np.count_nonzero(stamps.visible_ns[seen] < stamps.sent_ns[seen])
    )
    if abs(drift) > CLOCK_DRIFT_MAX:
        return _check(
            "clock",
            "Clock order and drift",
            abs(drift) * 1e6,
            CLOCK_DRIFT_MAX * 1e6,
            "ppm",
            "the monotonic clock ran at another speed than the raw one",
        )
    return _check(
        "clock",
        "Clock order and drift",
        float(backwards),
        0.0,
        "stamps",
        f"{backwards} stamps lie before their cause; drift {significant(drift * 1e6)} ppm",
    )


def check_steal(steal_share: float | None) -> Check:
    """The hypervisor's share of the machine: a warning, since both sides suffer it."""
    return _check(
        "steal",
        "Hypervisor steal",
        steal_share,
        STEAL_SHARE_WARN,
        "share",
        "the machine does not tell how much the hypervisor took"
        if steal_share is None
        else f"the hypervisor took {share(steal_share)} of the machine's time",
        Validity.WARN,
    )


def check_neighbours(neighbours: Neighbours | None) -> Check:
    """
    What other processes took of the machine: a warning.

    A target that shares its processors is slower than one alone, and no figure of the run says so.
    """
    part = None
    sentence = "the machine does not tell who else used its processors"
    if neighbours is not None:
        part = neighbours.cores / neighbours.processor_count
        names = ", ".join(f"{name} {trimmed(cores, 2)}" for name, cores in neighbours.busiest)
        sentence = (
            f"processes that are not the run's used {trimmed(neighbours.cores)} of its "
            f"{neighbours.processor_count} processors{f' (busiest: {names})' if names else ''}"
        )
        if neighbours.has_unknown and part > NEIGHBOURS_SHARE_WARN:
            sentence += (
                "; a target or broker whose pid was not given is among them, if it runs here"
            )
    title, limit = "Noisy neighbours", NEIGHBOURS_SHARE_WARN
    return _check("neighbours", title, part, limit, "share", sentence, Validity.WARN)


def count_operations(outcome: NDArray[np.uint8]) -> Operations:
    """How the operations of these outcomes ended."""
    counts = np.bincount(outcome, minlength=len(Outcome))
    return Operations(
        scheduled=len(outcome),
        admitted=int(sum(counts[int(state)] for state in ADMITTED)),
        dropped=int(counts[int(Outcome.DROPPED)]),
        acknowledged=int(counts[int(Outcome.ACKNOWLEDGED)]),
        rejected=int(counts[int(Outcome.REJECTED)]),
        failed=int(counts[int(Outcome.FAILED)]),
        timed_out=int(counts[int(Outcome.TIMED_OUT)]),
        cancelled=int(counts[int(Outcome.CANCELLED)]),
        stranded=int(counts[int(Outcome.STRANDED)]),
    )


def _batch_standard_error(samples: NDArray[np.int64], batch_count: int = 20) -> float:
    """Standard error of a mean of dependent samples, by batch means (Law & Kelton, 9.5.3)."""
    usable = len(samples) // batch_count * batch_count
    if usable == 0:
        return 0.0
    means = samples[:usable].reshape(batch_count, -1).mean(axis=1)
    return float(means.std(ddof=1) / batch_count**0.5)


def _check(  # noqa: PLR0917 - one line a check reads best
    id_: str,
    title: str,
    value: float | None,
    limit: float | None,
    unit: str,
    sentence: str,
    otherwise: Validity = Validity.INVALID,
) -> Check:
    is_valid = value is not None and limit is not None and value <= limit
    return Check(
        id=id_,
        title=title,
        status=Validity.VALID if is_valid else otherwise,
        value=value,
        limit=limit,
        unit=unit,
        sentence=sentence,
    )
