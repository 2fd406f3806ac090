"""A made record that has every figure there is."""

from dataclasses import replace
from typing import Any

import numpy as np

from harness.model.quantiles import distribution
from harness.model.record import (
    PLAIN,
    SCHEMA_VERSION,
    Better,
    CorrectnessSection,
    KernelSamples,
    Latency,
    Operations,
    PerformanceSection,
    ProcessResources,
    Rate,
    RunRecord,
    ValiditySection,
)
from harness.model.verdict import Correctness, Performance, Validity

SAMPLES = distribution(np.arange(1, 100_001, dtype=np.int64) * 10_000)
LATENCY = Latency(response_ns=SAMPLES, service_ns=SAMPLES, visible_ns=SAMPLES, wait_ns=SAMPLES)
USED = ProcessResources(
    pid=1,
    cpu_cores_mean=0.5,
    cpu_cores_max=0.9,
    rss_bytes_max=1 << 20,
    context_switches_voluntary_per_s=None,
    context_switches_involuntary_per_s=None,
    rss_slope_bytes_per_s=1024.0,
)


def operations(**counts: int) -> Operations:
    """A thousand, all acknowledged but for *counts*."""
    outcomes = ("dropped", "rejected", "failed", "timed_out", "cancelled", "stranded")
    others = {name: counts.get(name, 0) for name in outcomes}
    return Operations(
        scheduled=1_000, admitted=1_000, acknowledged=1_000 - sum(others.values()), **others
    )


def kernel(name: str, unit: str) -> KernelSamples:
    """Of two process starts."""
    return KernelSamples(
        name=name,
        title=name,
        unit=unit,
        better=Better.LESS,
        digest="d",
        operation_count=1_024,
        processes=((1.0, 3.0, 2.0), (2.0,)),
    )


def record(**changes: Any) -> RunRecord:
    """The record, with *changes*."""
    made = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id="made",
        complete=True,
        created_at="2026-11-22T23:15:00Z",
        command="acctbench run",
        exit_code=0,
        incomplete_reason="",
        scenario={},
        schedule_digest="",
        seed=1,
        phases={},
        target={},
        broker={},
        load={},
        instrumentation=PLAIN,
        environment={},
        validity=ValiditySection(status=Validity.VALID, checks=()),
        correctness=CorrectnessSection(status=Correctness.PASSED, invariants=()),
        performance=PerformanceSection(status=Performance.PASSED, objectives=()),
        operations=operations(),
        operations_by_kind={},
        outcomes=(),
        rate=Rate(offered_per_s=500.0, sent_per_s=500.0, achieved_per_s=500.0),
        latency={"all": LATENCY, "reserve": LATENCY},
        lateness_ns=SAMPLES,
        resources=dict.fromkeys(("target", "broker", "generator", "observer", "subscriber"), USED),
        kernels=(kernel("encode", "ns"), kernel("encode", "instructions")),
    )
    return replace(made, **changes)
