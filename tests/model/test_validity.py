"""Each check of the generator: green on honest stamps, red on the one lie it is there for."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.model.operation import Outcome
from harness.model.scenario import Limits
from harness.model.validity import (
    GeneratorFacts,
    Neighbours,
    count_operations,
    judge_validity,
)
from harness.model.verdict import Validity
from harness.model.window import Stamps, Window

TOO_LATE = {"lateness": Validity.INVALID, "lateness_tail": Validity.WARN}
LIMITS = Limits(lateness_p99_ns=1_000_000, rate_error=0.01, generator_cpu=0.8)
COUNT, GAP_NS, SERVICE_NS, LATE_NS = 20_000, 1_000_000, 5_000_000, 50_000
WINDOW = Window(start_ns=10**12, end_ns=10**12 + COUNT * GAP_NS)


def honest() -> tuple[Stamps, GeneratorFacts]:
    """1,000/s for 20 s at a constant 5 ms: five in flight."""
    intended_ns = WINDOW.start_ns + np.arange(COUNT, dtype=np.int64) * GAP_NS
    stamps = Stamps(
        intended_ns=intended_ns,
        eligible_ns=intended_ns,
        sent_ns=intended_ns + LATE_NS,
        done_ns=intended_ns + LATE_NS + SERVICE_NS,
        visible_ns=intended_ns + 2 * SERVICE_NS,
        outcome=np.full(COUNT, int(Outcome.ACKNOWLEDGED), np.uint8),
    )
    facts = GeneratorFacts(
        in_flight_counts=[np.full(2_000, 5, np.int64)],
        cpu_cores=[0.2],
        clock_drift=1e-6,
        steal_share=0.0,
        neighbours=Neighbours(cores=0.05, processor_count=2),
    )
    return stamps, facts


def statuses(stamps: Stamps, facts: GeneratorFacts) -> dict[str, Validity]:
    """The checks that are not VALID."""
    section = judge_validity(stamps, WINDOW, count_operations(stamps.outcome), facts, LIMITS)
    failed = {check.id: check.status for check in section.checks if check.status != "VALID"}
    assert (section.status is Validity.VALID) == (not failed)
    return failed


def test_honest_generator_is_valid() -> None:
    """Nothing is red on an honest run."""
    assert statuses(*honest()) == {}


def test_late_generator_is_invalid() -> None:
    """2 % of operations sent 3 ms late fail the lateness check, and that of the tail warns."""
    stamps, facts = honest()
    sent_ns, done_ns = stamps.sent_ns.copy(), stamps.done_ns.copy()
    sent_ns[::50] += 3_000_000
    done_ns[::50] += 3_000_000

    assert statuses(replace(stamps, sent_ns=sent_ns, done_ns=done_ns), facts) == {
        "lateness": Validity.INVALID,
        "lateness_tail": Validity.WARN,
    }


def test_a_short_stop_of_the_generator_is_told() -> None:
    """Half a per cent of operations sent late: the p99 is fine, and p99.9 is the generator's."""
    stamps, facts = honest()
    sent_ns, done_ns = stamps.sent_ns.copy(), stamps.done_ns.copy()
    sent_ns[::200] += 3_000_000
    done_ns[::200] += 3_000_000
    late = replace(stamps, sent_ns=sent_ns, done_ns=done_ns)

    assert statuses(late, facts) == {"lateness_tail": Validity.WARN}


@pytest.mark.parametrize(
    ("late_ns", "expected"),
    [(0, {}), (9_000_000, {}), (11_000_000, TOO_LATE)],
)
def test_slow_target_is_not_the_generators_fault(
    late_ns: int, expected: dict[str, Validity]
) -> None:
    """
    Replies after 2 s, drops and waits leave the run valid as long as sends are on time.

    Against such replies some milliseconds are nothing; but no target is so slow that a generator
    may be as late as it likes.
    """
    stamps, _ = honest()
    outcome = stamps.outcome.copy()
    outcome[-5_000:] = int(Outcome.DROPPED)
    sent_ns = stamps.sent_ns.copy()
    sent_ns[::50] += late_ns
    done_ns = sent_ns + 2_000_000_000
    sent_ns[-5_000:] = 0
    done_ns[-5_000:] = 0
    slow = replace(stamps, sent_ns=sent_ns, done_ns=done_ns, visible_ns=sent_ns, outcome=outcome)
    admitted = sent_ns > 0
    ticks = np.arange(WINDOW.start_ns, WINDOW.end_ns, 10_000_000)
    in_flight = np.searchsorted(np.sort(sent_ns[admitted]), ticks, "right") - np.searchsorted(
        np.sort(done_ns[admitted]), ticks, "right"
    )
    facts = GeneratorFacts(
        in_flight_counts=[in_flight],
        cpu_cores=[0.2],
        clock_drift=0.0,
        steal_share=0.0,
        neighbours=Neighbours(cores=0.0, processor_count=2),
    )

    assert statuses(slow, facts) == expected


def test_silent_target_is_not_the_generators_fault() -> None:
    """Operations that were never answered were in flight to the end, and Little's law says so."""
    stamps, facts = honest()
    outcome, done_ns = stamps.outcome.copy(), stamps.done_ns.copy()
    outcome[:50] = int(Outcome.TIMED_OUT)
    done_ns[:50] = 0
    silent = replace(stamps, outcome=outcome, done_ns=done_ns)
    in_flight = np.full(2_000, 55, np.int64)

    assert statuses(silent, replace(facts, in_flight_counts=[in_flight])) == {}


def test_unsent_operations_fail_the_rate() -> None:
    """A generator that had not sent 3 % of what was due by the end is invalid."""
    stamps, facts = honest()
    sent_ns, done_ns = stamps.sent_ns.copy(), stamps.done_ns.copy()
    sent_ns[-600:] = WINDOW.end_ns + 1
    done_ns[-600:] = WINDOW.end_ns + 2

    assert "rate" in statuses(replace(stamps, sent_ns=sent_ns, done_ns=done_ns), facts)


def test_unended_operation_fails_conservation() -> None:
    """One operation still in flight at the end of everything is one too many."""
    stamps, facts = honest()
    outcome = stamps.outcome.copy()
    outcome[7] = int(Outcome.IN_FLIGHT)

    assert statuses(replace(stamps, outcome=outcome), facts) == {"conservation": Validity.INVALID}


def test_lost_replies_fail_littles_law() -> None:
    """Counting 8 in flight where the stamps explain 5 is a contradiction."""
    stamps, facts = honest()
    counted = replace(facts, in_flight_counts=[np.full(2_000, 8, np.int64)])

    assert statuses(stamps, counted) == {"little": Validity.INVALID}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"cpu_cores": [0.2, 0.95]}, "generator_cpu"),
        ({"cpu_cores": []}, "generator_cpu"),
        ({"clock_drift": 0.01}, "clock"),
        ({"in_flight_counts": []}, "little"),
    ],
)
def test_facts_beyond_the_limit_or_missing_are_invalid(
    change: dict[str, object], check: str
) -> None:
    """A fact that is missing fails like one that is bad."""
    stamps, facts = honest()

    assert statuses(stamps, replace(facts, **change)) == {check: Validity.INVALID}  # type: ignore[arg-type]


def test_reply_before_its_request_is_a_broken_clock() -> None:
    """A done stamp before its sent stamp is counted, never dropped."""
    stamps, facts = honest()
    done_ns = stamps.done_ns.copy()
    done_ns[3] = stamps.sent_ns[3] - 1

    assert statuses(replace(stamps, done_ns=done_ns), facts) == {"clock": Validity.INVALID}


def test_stolen_time_is_a_warning() -> None:
    """A hypervisor that took a tenth of the machine warns; both sides suffered it."""
    stamps, facts = honest()

    assert statuses(stamps, replace(facts, steal_share=0.1)) == {"steal": Validity.WARN}


def test_neighbours_are_a_warning_that_names_them() -> None:
    """Another process that computed all the time warns, by name; a few per cent of one do not."""
    stamps, facts = honest()
    busy = Neighbours(cores=0.98, processor_count=2, busiest=(("stress", 0.97), ("sshd", 0.01)))

    assert statuses(stamps, replace(facts, neighbours=busy)) == {"neighbours": Validity.WARN}
    section = judge_validity(
        stamps,
        WINDOW,
        count_operations(stamps.outcome),
        replace(facts, neighbours=busy),
        LIMITS,
    )
    check = next(check for check in section.checks if check.id == "neighbours")
    assert check.sentence == (
        "processes that are not the run's used 0.98 of its 2 processors "
        "(busiest: stress 0.97, sshd 0.01)"
    )


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (0.5, {}),
        (0.95, {"observer_cpu": Validity.WARN}),
        (math.nan, {"observer_cpu": Validity.WARN}),
    ],
)
def test_an_observer_that_is_full_is_a_warning(cores: float, expected: dict[str, Validity]) -> None:
    """What it sees late is its own doing, and nothing else would say so."""
    stamps, facts = honest()

    assert statuses(stamps, replace(facts, observer_cpu_cores=cores)) == expected


@pytest.mark.parametrize("unknown", ["steal_share", "neighbours"])
def test_a_machine_that_does_not_tell_is_a_warning(unknown: str) -> None:
    """Not known is not undisturbed."""
    stamps, facts = honest()

    assert len(statuses(stamps, replace(facts, **{unknown: None}))) == 1


def test_empty_run_is_invalid() -> None:
    """No operations at all is INVALID, never a pass."""
    stamps, facts = honest()
    empty = Stamps(
        **{
            name: getattr(stamps, name)[:0]
            for name in ("intended_ns", "eligible_ns", "sent_ns", "done_ns", "visible_ns")
        },
        outcome=stamps.outcome[:0],
    )

    assert {"rate", "lateness", "conservation"} <= set(statuses(empty, facts))
