"""
What a policy file says of a gate: the table [gate], every key optional.

    [gate]
    budget = "5min"                  for all pairs; builds before the first don't count; as much
                                     again for pairs under memray, where they are asked for
    scenario = "spot-steady"         a name, or a file beside the policy
    profile = "smoke"                a size of it
    rate = "500/s"                   highest rate
    warmup = "2s"                    of a side, in a pair; rounded up to whole rounds
    measure = "4s"                   likewise
    window = "100ms"                 a turn of one side
    guard = "25ms"                   silence after each turn
    settled = ["target.cpu_ns_per_operation"]   must be shown to be no worse, or the gate is
                                     inconclusive; what else the policy's metrics name is watched:
                                     red if it is worse, not asked to be proved the same
    inconclusive = "fail"            or "pass": exit 0 all the same, and said so
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from harness.model.table_values import PositiveDurationNs, PositiveRatePerS, TomlTable
from harness.model.turns import WINDOWS_A_ROUND_COUNT
from harness.model.units import NANOS_PER_SECOND, format_duration

# Short, for what varies is mostly the start of a process: many pairs beat long ones.
PAIR_WARMUP_NS, PAIR_MEASURE_NS = 2 * NANOS_PER_SECOND, 4 * NANOS_PER_SECOND
# What the machine does to one side it must do to the other soon after. Of the same code on both
# sides, on two shared cores whose speed wanders by a tenth within seconds, CPU per operation of a
# pair varied by 2.9 to 5.8 % with windows of 1 s, 2.0 to 2.9 % of 250 ms and 1.6 % of 100 ms.
WINDOW_NS, GUARD_NS = 100_000_000, 25_000_000
DEFAULT_SETTLED = (
    "target.cpu_ns_per_operation",
    "rate.achieved_per_s",
    "operations.failed_share",
    "operations.timed_out_share",
    "operations.dropped_share",
    "operations.rejected_share",
)
DEFAULT_WATCHED = ("all.response_ns.p50", "all.response_ns.p99", "target.rss_bytes_max")

_Pattern = Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """
    How a gate measures and when it is content.

    Attributes:
        budget_ns: For all pairs.
        scenario, profile: Empty: the command's default, and none.
        rate_per_s: None: the scenario's.
        warmup_ns, measure_ns: Planned time of each side of a pair; None: PAIR_WARMUP_NS and
            PAIR_MEASURE_NS, or the scenario's own where the base is stored runs.
        settled: Patterns of metrics.
        inconclusive_passes: Exit 0 where nothing is shown to be worse, and nothing settled.
    """

    budget_ns: int = 300 * NANOS_PER_SECOND
    scenario: str = ""
    profile: str = ""
    rate_per_s: float | None = None
    warmup_ns: int | None = None
    measure_ns: int | None = None
    window_ns: int = WINDOW_NS
    guard_ns: int = GUARD_NS
    settled: tuple[str, ...] = DEFAULT_SETTLED
    inconclusive_passes: bool = False

    @property
    def pair_phases_ns(self) -> tuple[int, int]:
        """Warm-up and measured phase of each side of a pair, rounded up to whole rounds."""
        round_ns = WINDOWS_A_ROUND_COUNT * self.window_ns
        warmup_ns = PAIR_WARMUP_NS if self.warmup_ns is None else self.warmup_ns
        measure_ns = PAIR_MEASURE_NS if self.measure_ns is None else self.measure_ns
        return -(-warmup_ns // round_ns) * round_ns, -(-measure_ns // round_ns) * round_ns


class GateTable(TomlTable):
    budget: PositiveDurationNs = 300 * NANOS_PER_SECOND
    scenario: str = ""
    profile: str = ""
    rate: PositiveRatePerS | None = None
    warmup: PositiveDurationNs | None = None
    measure: PositiveDurationNs | None = None
    window: PositiveDurationNs = WINDOW_NS
    guard: PositiveDurationNs = GUARD_NS
    settled: Annotated[list[_Pattern], Field(min_length=1)] | None = None
    inconclusive: Literal["fail", "pass"] = "fail"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.guard >= self.window:
            raise ValueError(
                f"guard is {format_duration(self.guard)} and window "
                f"{format_duration(self.window)}: nothing would be measured most of the time; "
                'write a guard of a small part of the window, e.g. "25ms"'
            )
        measure_ns = self.measure or PAIR_MEASURE_NS
        if measure_ns < WINDOWS_A_ROUND_COUNT * self.window:
            raise ValueError(
                f"measure is {format_duration(measure_ns)}, and a round takes two windows of "
                f"{format_duration(self.window)} of each side; write a longer measure"
            )
        load_ns = 2 * ((self.warmup or PAIR_WARMUP_NS) + measure_ns)
        if self.budget <= load_ns:
            raise ValueError(
                f"budget is {format_duration(self.budget)}, and one pair takes more than "
                f"{format_duration(load_ns)}; write a larger budget"
            )
        return self

    def to_spec(self) -> GateSpec:
        return GateSpec(
            budget_ns=self.budget,
            scenario=self.scenario,
            profile=self.profile,
            rate_per_s=self.rate,
            warmup_ns=self.warmup,
            measure_ns=self.measure,
            window_ns=self.window,
            guard_ns=self.guard,
            settled=tuple(self.settled or DEFAULT_SETTLED),
            inconclusive_passes=self.inconclusive == "pass",
        )
