"""
The tables of a scenario file as pydantic models.

Only harness.model.scenario_file uses it; the format is described there. Text with units becomes
numbers here, so that nothing behind this module ever sees "250ms".
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from harness.model.arrivals_tables import ArrivalsTable, ReadRecording
from harness.model.metrics import demandable
from harness.model.scenario import (
    Limits,
    LoadSpec,
    LoadTransport,
    ObjectiveSpec,
    Scenario,
    Step,
    StepAction,
)
from harness.model.table_values import (
    Count,
    DurationNs,
    PositiveDurationNs,
    ShareValue,
    TomlTable,
)
from harness.model.units import NANOS_PER_SECOND


class PhasesTable(TomlTable):
    warmup: DurationNs = 5 * NANOS_PER_SECOND
    measure: PositiveDurationNs
    drain: DurationNs = 10 * NANOS_PER_SECOND


class LoadTable(TomlTable):
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


class LimitsTable(TomlTable):
    lateness_p99: PositiveDurationNs = 1_000_000
    rate_error: ShareValue = 0.01
    generator_cpu: ShareValue = 0.8


class ObjectiveTable(TomlTable):
    """The metric says how its limit is read."""

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
        """In nanoseconds, operations a second, or a share; ValueError for an unreadable limit."""
        text = self.at_most if self.at_most is not None else self.at_least
        limit = float(demandable(self.metric).measure.parse(text))
        return ObjectiveSpec(metric=self.metric, limit=limit, at_most=self.at_most is not None)


class StepTable(TomlTable):
    at: DurationNs
    action: Literal["kill-restart-target", "freeze-target", "kill-restart-broker", "freeze-broker"]
    duration: DurationNs = 0

    @model_validator(mode="after")
    def _freeze_lasts(self) -> Self:
        if not StepAction(self.action).is_kill and self.duration == 0:
            raise ValueError('a freeze needs a duration; write e.g. duration = "1s"')
        return self


class AuditTable(TomlTable):
    required: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[A-Z]\d+$")]] | None,
        BeforeValidator(lambda value: None if value == "all" else value),
    ] = None


class ScenarioTable(TomlTable):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Annotated[str, StringConstraints(min_length=1)]
    system: Annotated[str, StringConstraints(pattern=r"^[\w.]+:\w+$")]
    requires: list[str] = Field(default_factory=list)
    citations: list[str] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    arrivals: ArrivalsTable
    phases: PhasesTable
    load: LoadTable = LoadTable()
    limits: LimitsTable = LimitsTable()
    objectives: list[ObjectiveTable] = Field(default_factory=list)
    steps: list[StepTable] = Field(default_factory=list)
    workload: dict[str, Any] = Field(default_factory=dict)
    audit: AuditTable = AuditTable()

    def to_scenario(
        self, *, file: str, profile: str, measure_ns: int | None, read: ReadRecording
    ) -> Scenario:
        """Without digest and document; *measure_ns* replaces the file's."""
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
            arrivals=self.arrivals.to_arrivals(measure_ns, read),
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
            required_invariants=_tuple(self.audit.required),
            digest="",
            document={},
        )


def _tuple(required: list[str] | None) -> tuple[str, ...] | None:
    return None if required is None else tuple(required)


# Stand in for a part that has faults, so that the other parts are still checked together.
_STAND_INS: Mapping[str, Any] = {
    "name": "unnamed",
    "title": "untitled",
    "system": "no_system:NONE",
    "arrivals": {"kind": "constant", "rate": "1/s"},
    "phases": {"measure": "1h"},
}


def without_arrivals(table: ScenarioTable) -> ScenarioTable:
    """*table* with the stand-in for arrivals that can't be read."""
    stand_in = ScenarioTable.model_validate({**_STAND_INS, "system": table.system}).arrivals
    return table.model_copy(update={"arrivals": stand_in})


def parts_that_parse(document: Mapping[str, Any], error: ValidationError) -> ScenarioTable | None:
    """The file with stand-ins for what has faults; None if nothing sensible is left to check."""
    faulty = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
    if "system" in faulty:
        return None
    rest = {key: value for key, value in document.items() if key not in faulty}
    rest |= {key: value for key, value in _STAND_INS.items() if key in faulty}
    return ScenarioTable.model_validate(rest)
