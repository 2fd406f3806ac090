"""
How fast the foreign account core can be driven: a ladder of rates, each a whole audited run.

The core is in Go and fast, so on two cores it is the generator's turn to be looked at: what it
costs stands beside every rate.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.model.record import RunRecord
from harness.model.units import NANOS_PER_SECOND
from harness.model.verdict import Correctness, ExitCode, Performance, Validity

Say = Callable[..., None]
RunOnce = Callable[..., RunRecord]

TARGET = Path(__file__).parents[1] / "tests" / "foreign" / "foreign.toml"
WANTED_PER_S = 10_000
LADDER_PER_S = (2_000, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000)
STEP_S, HOLD_S = 5, 20


def climb(run: RunOnce, say: Say) -> None:
    """Up the ladder until a step is not green; then the highest rate that is green for longer."""
    if shutil.which("go") is None:
        say("foreign core", "not measured", "Go is not installed")
        return
    green = []
    for rate_per_s in LADDER_PER_S:
        if _measure(run, say, rate_per_s, STEP_S).exit_code != ExitCode.OK:
            break
        green.append(rate_per_s)
    held_per_s = 0
    while green and not held_per_s:
        rate_per_s = green.pop()
        if _hold(run, say, rate_per_s):
            held_per_s = rate_per_s
    if held_per_s > WANTED_PER_S:
        _hold(run, say, WANTED_PER_S)
    say("foreign core: highest rate held, green", f"{held_per_s:,}/s", f">= {WANTED_PER_S:,}/s")


def _hold(run: RunOnce, say: Say, rate_per_s: int) -> bool:
    """Whether it stays green for longer; with latencies."""
    record = _measure(run, say, rate_per_s, HOLD_S)
    for kind in ("reserve", "fill"):
        latency = record.latency[kind]
        response_ns, visible_ns = latency.response_ns, latency.visible_ns
        say(
            f"  {kind}: response p50 / p99, visible p50 / p99",
            f"{_ms(response_ns.at(0.5))} / {_ms(response_ns.at(0.99))}",
            f"{_ms(visible_ns.at(0.5))} / {_ms(visible_ns.at(0.99))}",
        )
    return record.exit_code == ExitCode.OK


def _measure(run: RunOnce, say: Say, rate_per_s: int, duration_s: int) -> RunRecord:
    record = run(
        "spot-steady",
        str(TARGET),
        rate_per_s=float(rate_per_s),
        warmup_ns=2 * NANOS_PER_SECOND,
        measure_ns=duration_s * NANOS_PER_SECOND,
    )
    cores = {name: item.cpu_cores_mean or 0.0 for name, item in record.resources.items()}
    lateness = record.lateness_ns
    say(
        f"foreign core, {rate_per_s:,}/s for {duration_s} s",
        f"{record.rate.achieved_per_s:,.0f}/s answered",
        f"{record.validity.status}, {record.correctness.status}, {record.performance.status}",
    )
    say(
        "  generator, target, observer, broker: share of a core",
        ", ".join(f"{cores[n]:.0%}" for n in ("generator", "target", "observer", "broker")),
        f"{record.load['sent_per_cpu_second']:,.0f} calls per generator CPU-second; "
        f"lateness p99 {_ms(lateness.at(0.99))}",
    )
    if record.exit_code != ExitCode.OK:
        say("  why not green", "", "; ".join(_why(record)))
    return record


def _why(record: RunRecord) -> Iterator[str]:
    """Everything that keeps a run from exit code 0."""
    for check in record.validity.checks:
        if check.status is Validity.INVALID:
            yield check.sentence
    for law in record.correctness.invariants:
        if law.status is not Correctness.PASSED:
            yield f"{law.id}: {law.sentence}"
    for objective in record.performance.objectives:
        if objective.status is not Performance.PASSED:
            yield objective.sentence


def _ms(value_ns: int | None) -> str:
    return "n too small" if value_ns is None else f"{value_ns / 1e6:.3g} ms"
