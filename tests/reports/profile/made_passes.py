"""A made-up service's profiles, as deep and wide as real ones, and runs that hold them."""

import gzip
import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from harness.model.profile import (
    Frame,
    Metric,
    Profile,
    ProfileSegment,
    StackTable,
    profile_to_json,
)
from harness.model.record import ProfileEntry
from harness.storage.run_folder import StoredRun, load_run, pass_folder, write_record
from tests.reports.synthetic import Shape, write_synthetic_run

SECOND_NS = 10**9
ADDRESSES = {
    "reserve": "/accounts.v1.AccountService/Reserve",
    "transfer": "/accounts.v1.AccountService/ApplyTransfer",
    "fill": "me.executions.v1",
    "release": "/accounts.v1.AccountService/Release",
}
COUNTS = {"reserve": 400, "transfer": 80, "fill": 100, "release": 20}


def at(function: str, module: str) -> Frame:
    """A function, in the package that its module says."""
    package = module.partition(".")[0]
    return Frame(function=function, module=module, package=package)


LOOP = (at("main", "shop.__main__"), at("Runner.run", "asyncio.runners"))
WRITE = at("Journal.write", "shop.journal")
SEEN = {
    (*LOOP,): 300,
    (*LOOP, at("Service.reserve", "shop.service"), at("Machine.apply", "shop.machine")): 200,
    (*LOOP, at("Service.reserve", "shop.service"), at("encode", "grpc.codec")): 40,
    (*LOOP, at("Service.apply_transfer", "shop.service"), at("Machine.apply", "shop.machine")): 60,
    (*LOOP, at("consume_executions", "shop.consumer"), at("Machine.fill", "shop.machine")): 100,
    (*LOOP, at("Sender.send", "aiokafka.sender"), at("write", "asyncio.streams")): 100,
    (Frame(function="Thread.run", module="threading", package="python"), WRITE): 150,
    (Frame(function="<no Python frame: thread lifeguard>", module="", package="native"),): 30,
    (Frame(function="<no Python frame: thread timer>", module="", package="native"),): 20,
}
"""Milliseconds of a segment: 1,000 in all, one sample each, but for threads without a frame."""


def made_profile(
    metric: Metric = Metric.CPU_NS, *, segment_count: int = 4, scale: int = 1_000_000
) -> Profile:
    """The stacks of SEEN in every segment, *scale* for each weight; of memory start-up too."""
    table = StackTable()
    weights = {table.number(stack): weight * scale for stack, weight in SEEN.items()}
    is_cpu = metric is Metric.CPU_NS
    samples = {number: weight // scale for number, weight in weights.items()}
    for number, stack in enumerate(table.stacks):
        if not table.frames[stack[0]].module:
            del samples[number]
    inside = tuple(
        ProfileSegment(
            start_ns=index * SECOND_NS,
            end_ns=(index + 1) * SECOND_NS,
            operation_counts=COUNTS if index % 2 else {k: 2 * v for k, v in COUNTS.items()},
            cpu_ns=sum(weights.values()) if is_cpu else 0,
            sample_count=sum(samples.values()) if is_cpu else 0,
            weights=weights,
            samples=samples if is_cpu else {},
            by_allocator={} if is_cpu else {"malloc": 7, "pymalloc_malloc": 1_000 * scale - 7},
        )
        for index in range(segment_count)
    )
    before = ProfileSegment(
        start_ns=-3 * SECOND_NS,
        end_ns=-SECOND_NS,
        operation_counts={},
        cpu_ns=0,
        sample_count=0,
        weights={table.number((at("<module>", "shop.imports"),)): 5_000_000},
    )
    return Profile(
        metric=metric,
        profiler={
            "name": "py-spy" if is_cpu else "memray",
            "version": "1.2.3",
            "settings": "100/s",
        },
        frames=table.frames,
        stacks=table.stacks,
        segments=inside if is_cpu else (before, *inside),
    )


def large_profile(metric: Metric, *, stack_count: int, seed: int = 5) -> Profile:
    """Random stacks of 4,000 functions, 40 deep, whose weights fall like those of real ones."""
    chance = np.random.default_rng(seed)
    table = StackTable()
    weights: dict[int, int] = {}
    paths: list[tuple[Frame, ...]] = [LOOP]
    for weight in (1e9 / np.arange(1, stack_count + 1) ** 0.7).astype(int).tolist():
        base = paths[int(chance.integers(len(paths)))]
        name = int(chance.zipf(1.4)) % 4_000
        stack = (*base[:40], at(f"Handler{name % 90}.function_{name}", f"shop.part_{name % 40}"))
        paths.append(stack)
        weights[table.number(stack)] = weight
    segment = ProfileSegment(
        start_ns=0,
        end_ns=SECOND_NS,
        operation_counts=COUNTS,
        cpu_ns=sum(weights.values()),
        sample_count=stack_count,
        weights=weights,
        samples=dict.fromkeys(weights, 1),
    )
    return Profile(
        metric=metric,
        profiler={"name": "made"},
        frames=table.frames,
        stacks=table.stacks,
        segments=(segment,),
    )


def store_profiles(
    run: StoredRun, instrumentation: str, profiles: tuple[Profile, ...]
) -> StoredRun:
    """*run* as one that *profiles* were taken in."""
    (run.folder / "profile").mkdir()
    entries = []
    for profile in profiles:
        data = gzip.compress(json.dumps(profile_to_json(profile)).encode(), mtime=0)
        name = f"profile/{profile.metric}.profile.json.gz"
        (run.folder / name).write_bytes(data)
        entries.append(
            ProfileEntry(
                file=name,
                metric=profile.metric,
                profiler=dict(profile.profiler),
                segment_count=len(profile.segments),
                blake2b=blake2b(data, digest_size=16).hexdigest(),
            )
        )
    record = replace(
        run.record,
        instrumentation=instrumentation,
        profiles=tuple(entries),
        load={**run.record.load, "addresses": ADDRESSES},
    )
    write_record(run.folder, record)
    return load_run(run.folder)


MEMORY = (
    Metric.HIGH_WATER_BYTES,
    Metric.SURVIVING_BYTES,
    Metric.ALLOCATED_BYTES,
    Metric.ALLOCATED_COUNT,
)


def write_profiled_run(
    folder: Path,
    *,
    cpu: tuple[Profile, ...] | None = None,
    memory: tuple[Profile, ...] | None = None,
) -> StoredRun:
    """A plain run of five seconds with a twin under each profiler."""
    shape = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)
    run = write_synthetic_run(folder, shape)
    passes = {
        "cpu": (made_profile(),) if cpu is None else cpu,
        "memory": tuple(made_profile(metric, scale=1_000) for metric in MEMORY)
        if memory is None
        else memory,
    }
    for name, profiles in passes.items():
        store_profiles(write_synthetic_run(pass_folder(folder, name), shape), name, profiles)
    return run
