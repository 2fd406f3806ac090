"""
The generator's roofline: how many calls a second of its CPU a driver can make at all.

A closed loop against an empty grpc.aio method, what a Python service costs at least. Rates of a run
belong well under this figure; `acctbench doctor` shows it.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from harness.drivers.by_name import GRPC_DRIVERS
from harness.drivers.closed_loop import ClosedLoopResult, DriverFactory, closed_loop
from harness.drivers.grpc import ReplyHandler
from harness.model.units import NANOS_PER_SECOND
from harness.targets.service import start_target
from harness.targets.target_file import load_target

# Not the framed null service: its replies come a hundred in one read, which flatters tenfold.
_TARGET = "empty"
_METHOD = "/null.Null/Call"
_MESSAGE_BYTES = 100  # about a reservation
_IN_FLIGHT_COUNT = 100
_TIMEOUT_NS = 5 * NANOS_PER_SECOND


def measure_roofline(
    *, duration_s: float, target_cores: Sequence[int] = ()
) -> Mapping[str, ClosedLoopResult]:
    """
    What each driver did against the same null service, in turn, for *duration_s* each.

    Measured in this process: the CPU it uses meanwhile counts. Raises TargetError, TransportError.
    """
    with tempfile.TemporaryDirectory(prefix="acctbench-") as folder:
        service = start_target(
            load_target(_TARGET),
            folder=Path(folder),
            kafka_address="",
            topic_prefix="",
            affinity=tuple(target_cores),
        )
        try:
            address = service.endpoint.grpc_address
            return {name: _measure(name, address, duration_s) for name in GRPC_DRIVERS}
        finally:
            service.stop()


def _measure(driver: str, address: str, duration_s: float) -> ClosedLoopResult:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            closed_loop(
                _factory(driver, address),
                method=0,
                messages=[os.urandom(_MESSAGE_BYTES)],
                in_flight_count=_IN_FLIGHT_COUNT,
                duration_s=duration_s,
            )
        )


def _factory(driver: str, address: str) -> DriverFactory:
    def make(*, on_reply: ReplyHandler) -> Any:
        return GRPC_DRIVERS[driver](
            address=address, methods=[_METHOD], on_reply=on_reply, timeout_ns=_TIMEOUT_NS
        )

    return make
