"""
The harness's own claims about time, against what must come out.

Real processes and real sockets; each test names the lie that it would catch.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from harness.drivers.closed_loop import closed_loop
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.model.record import RunRecord
from harness.model.verdict import Performance, Validity
from harness.storage.run_folder import StoredRun
from tests.acceptance.conftest import RunOnce, null_scenario, null_target
from tests.timing import TimeJudged

FREEZE_S, MEASURE_S, RATE_PER_S = 0.8, 4.0, 1_000


def response_ms(run: StoredRun) -> np.ndarray:
    """Response of every measured operation, milliseconds."""
    table = run.operations()
    measured = table[table["measured"]]
    return ((measured["done_ns"] - measured["intended_ns"]).to_numpy(float)) / 1e6


def expected_quantile_s(q: float) -> float:
    """
    Of response when a service that is otherwise idle is frozen for FREEZE_S in MEASURE_S.

    T - (1 - rho) (1 - q) D; the null service's utilisation rho at this rate is below 2 %.
    """
    return FREEZE_S - (1 - q) * MEASURE_S


def assert_conserved(record: RunRecord) -> None:
    """Every operation is accounted for."""
    counts = record.operations
    unsent = counts.dropped + counts.cancelled + counts.stranded
    assert counts.scheduled == counts.admitted + unsent
    ended = counts.acknowledged + counts.rejected + counts.failed + counts.timed_out
    assert counts.admitted == ended


@pytest.mark.alone
def test_freeze_shows_in_the_tail_and_leaves_the_run_valid(
    run_once: RunOnce, time_judged: TimeJudged
) -> None:
    """A service stopped for T s shows T - (1 - q) D at quantile q, in a valid run."""
    step = f'[[steps]]\nat = "1s"\naction = "freeze-target"\nduration = "{FREEZE_S}s"\n'
    run = run_once(
        null_scenario(
            f'kind = "constant"\nrate = "{RATE_PER_S}/s"', measure=f"{MEASURE_S}s", rest=step
        ),
        null_target("constant:0us"),
    )

    assert_conserved(run.record)
    with time_judged():
        for q in (0.95, 0.99):
            found_s = np.quantile(response_ms(run), q) / 1e3
            assert found_s == pytest.approx(expected_quantile_s(q), rel=0.05)
        assert run.record.validity.status is not Validity.INVALID


def test_closed_loop_would_hide_the_freeze() -> None:
    """The same freeze under a closed loop does not show at p99: the lie caught above."""
    service = subprocess.Popen(
        [sys.executable, "-m", "harness.targets.null_service", "--port", "0", "--engine", "wire"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert service.stdout is not None
    port = json.loads(service.stdout.readline().removeprefix(b"ready "))["grpc_port"]

    def freeze() -> None:
        time.sleep(0.5)
        os.kill(service.pid, signal.SIGSTOP)
        time.sleep(FREEZE_S)
        os.kill(service.pid, signal.SIGCONT)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    try:
        result = asyncio.run(
            closed_loop(
                lambda *, on_reply: GrpcWireDriver(
                    address=f"127.0.0.1:{port}",
                    methods=["/null.v1.NullService/Call"],
                    on_reply=on_reply,
                    timeout_ns=10_000_000_000,
                ),
                method=0,
                messages=[bytes(64)],
                in_flight_count=8,
                duration_s=2.0,
            )
        )
    finally:
        freezer.join()
        service.kill()
        service.communicate()

    assert result.service_ns_p99 / 1e9 < 0.5 * expected_quantile_s(0.99)


@pytest.mark.alone
def test_queue_is_the_one_of_theory(run_once: RunOnce, time_judged: TimeJudged) -> None:
    """Poisson arrivals at a server of constant service time wait as Pollaczek and Khinchine say."""
    service_s, rate_per_s = 0.004, 150.0
    utilisation = rate_per_s * service_s
    expected_ms = 1e3 * service_s * (1 + utilisation / (2 * (1 - utilisation)))
    run = run_once(
        null_scenario(f'kind = "poisson"\nrate = "{rate_per_s}/s"', measure="6s"),
        null_target("serial:4ms"),
    )

    found_ms = response_ms(run)
    batches = found_ms[: len(found_ms) // 20 * 20].reshape(20, -1).mean(axis=1)
    standard_error_ms = batches.std(ddof=1) / 20**0.5
    transport_ms = 1.5  # loopback, at most
    with time_judged():
        assert found_ms.mean() > expected_ms - 4 * standard_error_ms
        assert found_ms.mean() < expected_ms + 4 * standard_error_ms + transport_ms
        assert run.record.validity.status is not Validity.INVALID


@pytest.mark.alone
def test_known_delays_come_back_as_themselves(run_once: RunOnce, time_judged: TimeJudged) -> None:
    """A service that is slow in one call of ten shows just that at the quantiles on either side."""
    run = run_once(
        null_scenario('kind = "poisson"\nrate = "400/s"', measure="3s"),
        null_target("bimodal:5ms:60ms:0.1"),
    )

    found_ms = response_ms(run)
    with time_judged():
        assert np.quantile(found_ms, 0.5) == pytest.approx(5, abs=2)
        assert np.quantile(found_ms, 0.8) == pytest.approx(5, abs=4)
        assert np.quantile(found_ms, 0.97) == pytest.approx(60, abs=6)
        assert np.mean(found_ms > 30) == pytest.approx(0.1, abs=0.03)


def test_unreachable_rate_is_a_failure_of_performance_never_a_flat_line(run_once: RunOnce) -> None:
    """Twice what a service can do: response grows, drops are counted, and the run stays valid."""
    scenario = null_scenario(
        'kind = "constant"\nrate = "1000/s"', measure="4s", in_flight_max=600
    ).replace('lateness_p99 = "20ms"', 'lateness_p99 = "5s"')
    run = run_once(scenario, null_target("serial:2ms"))

    table = run.operations()
    answered = table[table["measured"] & table["done_ns"].notna()]
    response = (answered["done_ns"] - answered["intended_ns"]).to_numpy(float)
    early, late = response[: len(response) // 4], response[-len(response) // 4 :]
    assert np.median(late) > 1.5 * np.median(early)
    assert run.record.operations.dropped > 500
    assert run.record.performance.status is Performance.FAILED
    assert run.record.validity.status is not Validity.INVALID
    assert run.record.exit_code == 1
    assert_conserved(run.record)


def test_late_generator_makes_the_run_invalid(run_once: RunOnce) -> None:
    """
    A rate beyond the generator itself is INVALID: the queue is not the service's.

    Nothing is dropped: behind a service that a busy machine slows down, drops would spare it work.
    """
    scenario = null_scenario(
        'kind = "constant"\nrate = "60000/s"', measure="700ms", in_flight_max=200_000
    )
    run = run_once(
        scenario.replace('lateness_p99 = "20ms"', 'lateness_p99 = "1ms"'),
        null_target("constant:0us"),
    )

    failed = {check.id for check in run.record.validity.checks if check.status == "INVALID"}
    assert run.record.validity.status is Validity.INVALID
    assert failed & {"lateness", "generator_cpu", "rate"}
    assert run.record.exit_code == 4
    assert_conserved(run.record)


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_both_drivers_and_two_workers_do_the_same_plan(run_once: RunOnce, driver: str) -> None:
    """Whatever the driver and however many workers: the same operations, all answered."""
    run = run_once(
        null_scenario(
            'kind = "poisson"\nrate = "300/s"', measure="1500ms", driver=driver, workers=2
        ),
        null_target("constant:0us"),
    )

    table = run.operations()
    assert set(table["outcome"]) == {"acknowledged"}
    assert sorted(set(table["shard"])) == [0, 1]
    assert run.record.correctness.status == "PASSED"
