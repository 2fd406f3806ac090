"""Does a profile name the guilty function, and nobody where there is none? With real runs."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import plants
from scipy import stats

from harness.model.profile import Frame, Metric, Profile
from harness.model.record import RunRecord
from harness.model.scenario_file import ScenarioOverrides
from harness.profilers.memray_profiler import MemrayProfiler
from harness.profilers.profiled_run import MakeProfiler
from harness.profilers.py_spy import PySpyOptions, PySpyProfiler
from harness.runs.profiled_passes import Pass, run_passes
from harness.runs.run import Run, RunSetup
from harness.system import load_system
from harness.targets.broker import start_broker
from harness.targets.service import start_target
from harness.targets.target_file import load_target, parse_target
from harness.workflows.scenarios import checked_scenario
from reports.profile.diff import diff_profiles
from reports.profile.growth import diff_growth

Say = Callable[..., None]
CPU_RATE_PER_S, MEMORY_RATE_PER_S = 400.0, 120.0
MEASURE_NS, WARMUP_NS = 15 * 10**9, 2 * 10**9
BASE_COUNT = 3
ROUND_COUNT = 3  # of four measurements each


class Silent:
    """Watches nothing."""

    def phase(self, name: str, detail: str) -> None:
        """Nothing."""

    def progress(self, progress: object) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to look: the profiler, the load under it, and what is compared."""

    make: MakeProfiler
    rate_per_s: float
    metric: Metric


CPU = Kind(
    make=lambda folder: PySpyProfiler(folder, PySpyOptions()),
    rate_per_s=CPU_RATE_PER_S,
    metric=Metric.CPU_NS,
)
MEMORY = Kind(make=MemrayProfiler, rate_per_s=MEMORY_RATE_PER_S, metric=Metric.SURVIVING_BYTES)


def profiled(kind: Kind, one: plants.Plant | None) -> Profile:
    """The profile of one start of a copy with *one* planted, or as it is; audited too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "copy.toml"
        file.write_text(plants.plant(folder / "copy", one), encoding="utf-8")
        overrides = ScenarioOverrides(
            rate_per_s=kind.rate_per_s, measure_ns=MEASURE_NS, warmup_ns=WARMUP_NS
        )
        scenario = replace(checked_scenario("spot-steady", overrides), objectives=())
        request = RunSetup(
            scenario=scenario,
            target=parse_target(file.read_text(encoding="utf-8"), file=file),
            kafka="embedded",
            runs_folder=folder / "runs",
            command="",
            profiler=kind.make,
        )
        stored = Run(request, Silent(), threading.Event()).execute()
        if stored.record.correctness.status != "PASSED":
            raise AssertionError(f"{one}: the audit says {stored.record.correctness}")
        (profile,) = [item for item in stored.profiles() if item.metric is kind.metric]
        return profile


def rank_of(one: plants.Plant, named: Sequence[Frame]) -> int:
    """From 1; 0: not named."""
    names = [(frame.module, frame.function.rsplit(".", 1)[-1]) for frame in named]
    return names.index(one.guilty) + 1 if one.guilty in names else 0


def guilty_functions(say: Say, planted: Sequence[plants.Plant], kind: Kind) -> None:
    """Where the guilty function stands among those that are named, for each plant."""
    bases = [profiled(kind, None) for _ in range(BASE_COUNT)]
    ranks = []
    for one in planted:
        named = _dearer(bases, profiled(kind, one))
        ranks.append(rank_of(one, [frame for frame, _ in named]))
        words = "; ".join(f"{frame.function} {words}" for frame, words in named[:3])
        place = f"{one.file}:{one.function}"
        say(f"  {one.where}: {place}", f"rank {ranks[-1] or 'none'}", words)
    first = sum(rank == 1 for rank in ranks) / len(ranks)
    in_three = sum(0 < rank <= 3 for rank in ranks) / len(ranks)
    say(
        f"guilty first, within three ({kind.metric})",
        f"{first:.0%}, {in_three:.0%}",
        ">= 80 %, 95 %",
    )


def equal_builds(say: Say, count: int) -> None:
    """How often anything is named on unchanged code: all pairs of *count* starts."""
    starts = [profiled(CPU, None) for _ in range(count)]
    pairs = list(combinations(starts, 2))
    named = tested = alarms = 0
    for a, b in pairs:
        found = diff_profiles([a], [b])
        named, tested = named + len(found.named), tested + len(found.tested)
        alarms += bool(found.named)
        for change in found.named:
            sys.stderr.write(f"  named on equal builds: {change}\n")
    say(f"equal builds: {len(pairs)} pairs of {count} starts", f"{alarms} name anything")
    say("  functions named, of those tested", f"{named} of {tested}", "<= 5 %")


def throughput_kept(say: Say, rate_of: Callable[[str, int], float]) -> None:
    """
    What py-spy at its defaults leaves of a saturated reference, closed loop, both ways in turn.

    *rate_of* drives the address that it is given for seconds, and says the calls a second; its
    second argument is new every time.
    """
    rates: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = start_broker("embedded", folder=folder)
        target = start_target(
            load_target("reference"),
            folder=folder,
            kafka_address=broker.address,
            topic_prefix="figures.",
            affinity=(0,),
        )
        os.sched_setaffinity(0, {1})
        profiler = PySpyProfiler(folder / "raw", PySpyOptions())
        try:
            scenario = checked_scenario("deposit-storm", ScenarioOverrides())
            load_system(scenario.system).probe.open(
                target.endpoint, scenario, seed=1, seed_by="control"
            )
            profiler.prepare(target)
            for number, is_profiled in enumerate([False, True, True, False] * ROUND_COUNT):
                if is_profiled:
                    profiler.begin_segment()
                rates[is_profiled].append(rate_of(target.endpoint.grpc_address, number))
                if is_profiled:
                    profiler.end_segment()
        finally:
            profiler.close()
            os.sched_setaffinity(0, {0, 1})
            target.stop()
            broker.stop()
    plain, profiled = (float(np.median(rates[is_profiled])) for is_profiled in (False, True))
    say("saturated reference, calls a second", f"{plain:,.0f}")
    say("  under py-spy, blocking, 100 samples/s", f"{profiled:,.0f}")
    say("throughput that py-spy leaves", f"{profiled / plain:.0%}", ">= 85 %")


def plain_pass_unchanged(say: Say, count: int) -> None:
    """Response of the plain pass of `profile` to that of `run`, interleaved, each *count* times."""
    quantiles = (0.5, 0.99)
    found: dict[bool, list[list[int]]] = {False: [], True: []}
    for number in range(2 * count):
        is_profiled = number % 4 in {1, 2}
        response_ns = _plain_record(is_profiled=is_profiled).latency["all"].response_ns
        values = [response_ns.at(q) for q in quantiles]
        found[is_profiled].append([value for value in values if value is not None])
    runs, passes = (np.log(np.array(found[is_profiled])) for is_profiled in (False, True))
    for place, q in enumerate(quantiles):
        test = stats.ttest_ind(passes[:, place], runs[:, place], equal_var=False)
        low, high = np.exp(test.confidence_interval(0.95))
        ratio = float(np.exp(passes[:, place].mean() - runs[:, place].mean()))
        value = f"{ratio:.3f} ({low:.3f} to {high:.3f})"
        say(f"plain pass to run, response p{q * 100:g}", value, "1 is in the interval")


def _plain_record(*, is_profiled: bool) -> RunRecord:
    overrides = ScenarioOverrides(
        rate_per_s=CPU_RATE_PER_S, measure_ns=MEASURE_NS, warmup_ns=WARMUP_NS
    )
    with tempfile.TemporaryDirectory() as name:
        request = RunSetup(
            scenario=checked_scenario("spot-steady", overrides),
            target=load_target("reference"),
            kafka="embedded",
            runs_folder=Path(name),
            command="",
        )
        if not is_profiled:
            return Run(request, Silent(), threading.Event()).execute().record
        spy = Pass(name="cpu", profiler=CPU.make, slowdown_ratio=1.0)
        done = run_passes(request, [spy], Silent(), threading.Event(), lambda _run: None)
        return done.plain.record


def _dearer(bases: Sequence[Profile], candidate: Profile) -> list[tuple[Frame, str]]:
    if candidate.metric is Metric.CPU_NS:
        named = diff_profiles(bases, [candidate]).named
        return [(c.function, f"{c.change / 1e3:+.0f} us") for c in named if c.change > 0]
    grown = diff_growth(bases, [candidate]).named
    return [(c.function, f"{c.change:+.0f} B") for c in grown if c.change > 0]
