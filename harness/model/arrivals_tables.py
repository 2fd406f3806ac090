"""
The [arrivals] table of a scenario file, one model a kind; the format is in scenario_file.py.

`to_arrivals` of each gives the model's value. A recording's bytes come from a function that the
caller passes: nothing here reads a file.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.model.arrivals import (
    Arrivals,
    ConstantArrivals,
    DiurnalArrivals,
    HawkesArrivals,
    PoissonArrivals,
    Process,
    RampArrivals,
    RateStep,
    RecordedArrivals,
    StepArrivals,
)
from harness.model.arrivals_recorded import parse_recording
from harness.model.table_values import (
    PositiveDurationNs,
    PositiveRatePerS,
    RatePerS,
    ShareValue,
    TomlTable,
    duration_or_share,
)
from harness.model.text import share
from harness.model.units import parse_speed

ReadRecording = Callable[[str], tuple[str, bytes]]
"""The path of a recording, as the scenario names it, to where it is and its bytes."""

_HOURS_A_DAY = 24

Hour = Annotated[float, Field(ge=0, lt=_HOURS_A_DAY)]


def _below_all(part: float) -> float:
    if part >= 1:
        raise ValueError(f"{share(part)} would stop all arrivals once a day; write less than 100 %")
    return part


class SteadyArrivalsTable(TomlTable):
    kind: Literal["constant", "poisson"]
    rate: PositiveRatePerS

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        del measure_ns, read
        if self.kind == "constant":
            return ConstantArrivals(rate_per_s=self.rate)
        return PoissonArrivals(rate_per_s=self.rate)


class RampArrivalsTable(TomlTable):
    kind: Literal["ramp"]
    process: Literal["constant", "poisson"] = "poisson"
    from_: RatePerS = Field(alias="from")
    to: RatePerS

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if self.from_ + self.to <= 0:
            raise ValueError('from and to are both 0; write e.g. to = "500/s"')
        return self

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        del measure_ns, read
        return RampArrivals(process=Process(self.process), from_per_s=self.from_, to_per_s=self.to)


class RateStepTable(TomlTable):
    """One step of arrivals; *at* is ns (int) or a share of the measured phase (float)."""

    at: Annotated[int | float, BeforeValidator(duration_or_share)]
    rate: RatePerS

    def at_ns(self, measure_ns: int) -> int:
        return self.at if isinstance(self.at, int) else round(self.at * measure_ns)


class StepArrivalsTable(TomlTable):
    kind: Literal["steps"]
    process: Literal["constant", "poisson"] = "poisson"
    steps: Annotated[list[RateStepTable], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [step.at for step in self.steps]
        if len({type(at) for at in times[1:]}) > 1:
            raise ValueError('times are of two kinds; write all as "10s" or all as "30%"')
        if times[0] != 0 or times != sorted(set(times)):
            raise ValueError('times are out of order; the first at is "0s" and each is later')
        if not any(step.rate > 0 for step in self.steps):
            raise ValueError('every rate is 0; write e.g. rate = "500/s"')
        return self

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        del read
        by_time = {step.at_ns(measure_ns): step.rate for step in self.steps}
        steps = tuple(RateStep(at_ns=at, rate_per_s=by_time[at]) for at in sorted(by_time))
        return StepArrivals(process=Process(self.process), steps=steps)


class DiurnalArrivalsTable(TomlTable):
    kind: Literal["diurnal"]
    process: Literal["constant", "poisson"] = "poisson"
    mean: PositiveRatePerS
    amplitude: Annotated[ShareValue, AfterValidator(_below_all)] = 0.53
    peak_hour: Hour = 16.5
    start_hour: Hour = 0.0
    day: PositiveDurationNs | None = None  # None: the measured phase is a day

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        del read
        return DiurnalArrivals(
            process=Process(self.process),
            mean_per_s=self.mean,
            amplitude_share=self.amplitude,
            peak_share=self.peak_hour / _HOURS_A_DAY,
            start_share=self.start_hour / _HOURS_A_DAY,
            day_ns=self.day or measure_ns,
        )


class HawkesArrivalsTable(TomlTable):
    kind: Literal["hawkes"]
    rate: PositiveRatePerS
    branching: Annotated[float, Field(ge=0, le=0.99)]
    decay: PositiveRatePerS

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        del measure_ns, read
        return HawkesArrivals(
            rate_per_s=self.rate, branching_ratio=self.branching, decay_per_s=self.decay
        )


class RecordedArrivalsTable(TomlTable):
    kind: Literal["recorded"]
    file: Annotated[str, Field(min_length=1)]
    unit: Literal["ns", "us", "ms", "s"]
    column: str = ""
    speed: Annotated[float, BeforeValidator(parse_speed)] = 1.0

    def to_arrivals(self, measure_ns: int, read: ReadRecording) -> Arrivals:
        """Raises ScenarioError if the recording can't be read, or has faults."""
        del measure_ns
        path, content = read(self.file)
        offset_ns = parse_recording(path, content, unit=self.unit, column=self.column)
        return RecordedArrivals(
            file=path,
            file_digest=blake2b(content, digest_size=16).hexdigest(),
            speed_ratio=self.speed,
            offsets=offset_ns.tobytes(),
        )


ArrivalsTable = Annotated[
    SteadyArrivalsTable
    | RampArrivalsTable
    | StepArrivalsTable
    | DiurnalArrivalsTable
    | HawkesArrivalsTable
    | RecordedArrivalsTable,
    Field(discriminator="kind"),
]
