"""
The tables of a scenario file as pydantic models.

Only harness.model.scenario_file uses it; the format is described there. Text with units becomes
numbers here, so that nothing behind this module ever sees "250ms".
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from harness.model.arrivals import (
    Arrivals,
    ConstantArrivals,
    PoissonArrivals,
    Process,
    RampArrivals,
    RateStep,
    StepArrivals,
)
from harness.model.operation import Outcome
from harness.model.scenario import (
    Limits,
    LoadSpec,
    LoadTransport,
    ObjectiveSpec,
    Scenario,
    Step,
    StepAction,
)
from harness.model.units import (
    NANOS_PER_SECOND,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_size_bytes,
)

_LATENCY = re.compile(
    r"[a-z_]+\.(response_ns|service_ns|visible_ns|wait_ns)\.(p50|p90|p99|p999|p9999|mean|min|max)"
)
_RATE = re.compile(r"rate\.(achieved|sent)_per_s")
_ENDINGS = "|".join(item.name.lower() for item in Outcome if item > Outcome.IN_FLIGHT)
_SHARE = re.compile(rf"operations\.({_ENDINGS})_share|rate\.achieved_share")
_CORES = re.compile(r"(target|broker)\.cpu_cores_(mean|max)")
_BYTES = re.compile(r"(target|broker)\.rss_bytes_max")


def _positive_duration_ns(value: Any) -> int:
    duration_ns = parse_duration_ns(value)
    if duration_ns <= 0:
        raise ValueError('must be longer than nothing; write e.g. "20s"')
    return duration_ns


def _positive_rate_per_s(value: Any) -> float:
    rate_per_s = parse_rate_per_s(value)
    if rate_per_s <= 0:
        raise ValueError('must be above 0; write e.g. "500/s"')
    return rate_per_s


def _duration_or_share(value: Any) -> int | float:
    """Nanoseconds (int), or a share of the measured phase (float)."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return parse_share(value)
    return parse_duration_ns(value)


DurationNs = Annotated[int, BeforeValidator(parse_duration_ns)]
PositiveDurationNs = Annotated[int, BeforeValidator(_positive_duration_ns)]
RatePerS = Annotated[float, BeforeValidator(parse_rate_per_s)]
PositiveRatePerS = Annotated[float, BeforeValidator(_positive_rate_per_s)]
ShareValue = Annotated[float, BeforeValidator(parse_share)]
Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True
    )


class SteadyArrivalsTable(_Table):
    """[arrivals] of kind constant or poisson."""

    kind: Literal["constant", "poisson"]
    rate: PositiveRatePerS

    def to_arrivals(self, measure_ns: int) -> Arrivals:
        """As the model's value."""
        del measure_ns
        if self.kind == "constant":
            return ConstantArrivals(rate_per_s=self.rate)
        return PoissonArrivals(rate_per_s=self.rate)


class RampArrivalsTable(_Table):
    """[arrivals] of kind ramp."""

    kind: Literal["ramp"]
    process: Literal["constant", "poisson"] = "poisson"
    from_: RatePerS = Field(alias="from")
    to: RatePerS

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if self.from_ + self.to <= 0:
            raise ValueError('from and to are both 0; write e.g. to = "500/s"')
        return self

    def to_arrivals(self, measure_ns: int) -> Arrivals:
        """As the model's value."""
        del measure_ns
        return RampArrivals(process=Process(self.process), from_per_s=self.from_, to_per_s=self.to)


class RateStepTable(_Table):
    """One step of arrivals; *at* is ns (int) or a share of the measured phase (float)."""

    at: Annotated[int | float, BeforeValidator(_duration_or_share)]
    rate: RatePerS

    def at_ns(self, measure_ns: int) -> int:
        """From the start of the measured phase."""
        return self.at if isinstance(self.at, int) else round(self.at * measure_ns)


class StepArrivalsTable(_Table):
    """[arrivals] of kind steps."""

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

    def to_arrivals(self, measure_ns: int) -> Arrivals:
        """As the model's value."""
        by_time = {step.at_ns(measure_ns): step.rate for step in self.steps}
        steps = tuple(RateStep(at_ns=at, rate_per_s=by_time[at]) for at in sorted(by_time))
        return StepArrivals(process=Process(self.process), steps=steps)


class PhasesTable(_Table):
    """[phases]."""

    warmup: DurationNs = 5 * NANOS_PER_SECOND
    measure: PositiveDurationNs
    drain: DurationNs = 10 * NANOS_PER_SECOND


class LoadTable(_Table):
    """[load]."""

    driver: Literal["wire", "grpcio"] = "wire"
    workers: Count = 1
    connections: Count = 1
    in_flight_max: Count = 20_000
    timeout: PositiveDurationNs = 10 * NANOS_PER_SECOND
    spin: DurationNs = 0
    realtime: bool = True
    transport: Literal["unary", "stream"] = "unary"
    streams: Count = 8
    stream_window: Count = 256

    def to_spec(self) -> LoadSpec:
        """As the model's value."""
        return LoadSpec(
            driver=self.driver,
            worker_count=self.workers,
            connection_count=self.connections,
            in_flight_count_max=self.in_flight_max,
            timeout_ns=self.timeout,
            spin_ns=self.spin,
            realtime=self.realtime,
            transport=LoadTransport(self.transport),
            stream_count=self.streams,
            stream_window_count=self.stream_window,
        )


class LimitsTable(_Table):
    """[limits]."""

    lateness_p99: PositiveDurationNs = 1_000_000
    rate_error: ShareValue = 0.01
    generator_cpu: ShareValue = 0.8


class ObjectiveTable(_Table):
    """[[objectives]]; the metric says how its limit is read."""

    metric: str
    at_most: str | None = None
    at_least: str | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("needs one of at_most and at_least; write the one that is meant")
        self.to_spec()
        return self

    def to_spec(self) -> ObjectiveSpec:
        """
        As the model's value: nanoseconds, operations a second, or a share.

        Raises:
            ValueError: the metric, or the limit in its unit, can't be read.
        """
        text = self.at_most if self.at_most is not None else self.at_least
        if _LATENCY.fullmatch(self.metric):
            limit = float(parse_duration_ns(text))
        elif _RATE.fullmatch(self.metric):
            limit = parse_rate_per_s(text)
        elif _SHARE.fullmatch(self.metric):
            limit = parse_share(text)
        elif _CORES.fullmatch(self.metric):
            limit = parse_share(text)  # "80%" of a core
        elif _BYTES.fullmatch(self.metric):
            limit = float(parse_size_bytes(text))
        else:
            raise ValueError(
                f'metric "{self.metric}" is not known; write e.g. "reserve.response_ns.p99", '
                '"rate.achieved_per_s" or "operations.rejected_share"'
            )
        return ObjectiveSpec(metric=self.metric, limit=limit, at_most=self.at_most is not None)


class StepTable(_Table):
    """[[steps]]."""

    at: DurationNs
    action: Literal["kill-restart-target", "freeze-target"]
    duration: DurationNs = 0

    @model_validator(mode="after")
    def _freeze_lasts(self) -> Self:
        if StepAction(self.action) is StepAction.FREEZE and self.duration == 0:
            raise ValueError('a freeze needs a duration; write e.g. duration = "1s"')
        return self


class AuditTable(_Table):
    """[audit]."""

    required: list[Annotated[str, StringConstraints(pattern=r"^I\d+$")]] = []


class ScenarioTable(_Table):
    """The whole file, profiles already merged."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Annotated[str, StringConstraints(min_length=1)]
    system: Annotated[str, StringConstraints(pattern=r"^[\w.]+:\w+$")]
    requires: list[str] = []
    citations: list[str] = []
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    arrivals: Annotated[
        SteadyArrivalsTable | RampArrivalsTable | StepArrivalsTable, Field(discriminator="kind")
    ]
    phases: PhasesTable
    load: LoadTable = LoadTable()
    limits: LimitsTable = LimitsTable()
    objectives: list[ObjectiveTable] = []
    steps: list[StepTable] = []
    workload: dict[str, Any] = {}
    audit: AuditTable = AuditTable()

    def to_scenario(self, *, file: str, profile: str, measure_ns: int | None) -> Scenario:
        """As the model's value, without digest and document; *measure_ns* replaces the file's."""
        limits = self.limits
        measure_ns = measure_ns or self.phases.measure
        return Scenario(
            name=self.name,
            title=self.title,
            file=file,
            profile=profile,
            system=self.system,
            requires=tuple(self.requires),
            citations=tuple(self.citations),
            seed=self.seed,
            arrivals=self.arrivals.to_arrivals(measure_ns),
            warmup_ns=self.phases.warmup,
            measure_ns=measure_ns,
            drain_ns=self.phases.drain,
            load=self.load.to_spec(),
            limits=Limits(
                lateness_p99_ns=limits.lateness_p99,
                rate_error=limits.rate_error,
                generator_cpu=limits.generator_cpu,
            ),
            objectives=tuple(item.to_spec() for item in self.objectives),
            steps=tuple(
                Step(at_ns=item.at, action=StepAction(item.action), duration_ns=item.duration)
                for item in self.steps
            ),
            workload=self.workload,
            required_invariants=tuple(self.audit.required),
            digest="",
            document={},
        )


# Stand in for a part that has faults, so that the other parts are still checked together.
_STAND_INS: Mapping[str, Any] = {
    "name": "unnamed",
    "title": "untitled",
    "system": "no_system:NONE",
    "arrivals": {"kind": "constant", "rate": "1/s"},
    "phases": {"measure": "1h"},
}


def parts_that_parse(document: Mapping[str, Any], error: ValidationError) -> ScenarioTable | None:
    """The file with stand-ins for what has faults; None if nothing sensible is left to check."""
    faulty = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
    if "system" in faulty:
        return None
    rest = {key: value for key, value in document.items() if key not in faulty}
    rest |= {key: value for key, value in _STAND_INS.items() if key in faulty}
    return ScenarioTable.model_validate(rest)
