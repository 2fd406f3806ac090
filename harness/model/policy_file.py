"""
A policy file (TOML): what a team demands, apart from what a scenario asks for.

    name = "merge"                          required; lower-case letters, digits, hyphens
    [[objectives]]                          of a run: metric, and at_most or at_least, as in a
    metric = "reserve.response_ns.p99"      scenario (see harness.model.scenario_file); of two
    at_most = "20ms"                        demands on one metric the policy's counts

of a comparison, all optional:

    alpha = "5%"                            how often anything may be called changed where nothing
                                            is, over all metrics; below 50%
    runs_min = 5                            runs a side below which nothing is called anything
    metrics = ["*.response_ns.p99"]         which metrics are judged, as a shell's patterns
    required = ["all.response_ns.p99"]      which of them must be there
    ignore = ["environment.kernel"]         differences of the runs that are known to do no harm
    [[margins]]                             the first that fits a metric counts
    metric = "*.p99"
    floor = "3%"                            a smaller change is never called one
    margin = "10%"                          UNCHANGED: no further apart than this
    exact = false                           true: one build, one number: one run tells
    [[waivers]]                             a regression that is accepted for a time: shown, but
    metric = "fill.response_ns.p99"         not counted; an expired one is a fault of the file
    owner = "settlement team"
    reason = "second journal until 4.2"
    until = 2027-01-31

of a gate: [gate], see harness.model.gate_policy.

A file needs objectives, or something of a comparison. The load is not the policy's: the scenario's
digest is the same with and without one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from harness.errors import Fault, PolicyError, UsageError
from harness.model.file_faults import PlainFault, plain_faults
from harness.model.gate_policy import GateSpec, GateTable
from harness.model.objectives import unknown_kinds
from harness.model.scenario import ObjectiveSpec, Scenario
from harness.model.scenario_tables import ObjectiveTable
from harness.model.table_values import ShareValue, TomlTable
from harness.model.toml_file import parse_toml, read_text
from harness.model.waivers import Waiver, WaiverTable

ALPHA_MAX = 0.5
RUN_COUNT_MIN = 2  # a side; one shows no noise


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSpec:
    """What counts as nothing for the metrics that fit *pattern*; shares."""

    pattern: str
    floor_share: float
    margin_share: float
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSpec:
    """
    What a policy says of comparisons; None and empty: as the program has it.

    Attributes:
        metrics, required, ignored: Names or patterns of them.
    """

    alpha: float | None = None
    run_count_min: int | None = None
    metrics: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    margins: tuple[MarginSpec, ...] = ()
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    name: str
    file: str
    objectives: tuple[ObjectiveSpec, ...]
    comparison: ComparisonSpec
    digest: str  # BLAKE2b of the parsed file
    document: Mapping[str, Any]  # the parsed file, for the record
    gate: GateSpec = field(default_factory=GateSpec)


_Pattern = Annotated[str, StringConstraints(min_length=1)]


class _MarginTable(TomlTable):
    metric: _Pattern
    floor: ShareValue
    margin: ShareValue
    exact: bool = False

    @model_validator(mode="after")
    def _can_tell(self) -> Self:
        if not 0.0 < self.margin < 1.0:
            raise ValueError('margin must be above 0 and below 100%; write e.g. "10%"')
        if self.floor > self.margin:
            raise ValueError(
                "floor is larger than margin, so that a change could be neither; "
                "write a floor of at most the margin"
            )
        return self

    def to_spec(self) -> MarginSpec:
        return MarginSpec(
            pattern=self.metric,
            floor_share=self.floor,
            margin_share=self.margin,
            is_exact=self.exact,
        )


class _PolicyTable(TomlTable):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    alpha: ShareValue | None = None
    runs_min: Annotated[int, Field(ge=RUN_COUNT_MIN)] | None = None
    metrics: Annotated[list[_Pattern], Field(min_length=1)] | None = None
    required: list[_Pattern] = Field(default_factory=list)
    ignore: list[_Pattern] = Field(default_factory=list)
    objectives: Annotated[list[ObjectiveTable], Field(min_length=1)] | None = None
    margins: list[_MarginTable] = Field(default_factory=list)
    waivers: list[WaiverTable] = Field(default_factory=list)
    gate: GateTable = GateTable()

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if self.model_fields_set <= {"name"}:
            raise ValueError(
                "demands nothing; write [[objectives]] for runs, or [[margins]] for comparisons"
            )
        if self.alpha is not None and not 0.0 < self.alpha < ALPHA_MAX:
            raise ValueError('alpha must be above 0 and below 50%; write e.g. "5%"')
        return self

    def to_comparison(self) -> ComparisonSpec:
        return ComparisonSpec(
            alpha=self.alpha,
            run_count_min=self.runs_min,
            metrics=tuple(self.metrics or ()),
            required=tuple(self.required),
            ignored=tuple(self.ignore),
            margins=tuple(item.to_spec() for item in self.margins),
            waivers=tuple(item.to_waiver() for item in self.waivers),
        )


def load_policy(
    path: Path, *, kinds: Sequence[str] | None = None, today: date | None = None
) -> Policy:
    """
    The policy of a file.

    Args:
        path: The file.
        kinds: Of the operations of the system that is judged; None: not known here.
        today: The day (UTC) on which waivers must hold; None: they don't matter here.

    Raises UsageError if it can't be read, PolicyError with all its faults.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"policy: {path}: can't be read ({error}); write the path of a policy file; "
            "`acctbench init` writes one to begin with"
        ) from error
    document = parse_toml(text, file=str(path), error=PolicyError)
    try:
        table = _PolicyTable.model_validate(document)
    except ValidationError as error:
        raise _policy_error(path, plain_faults(error, _PolicyTable)) from error
    objectives = tuple(item.to_spec() for item in table.objectives or ())
    comparison = table.to_comparison()
    faults = [
        *([] if kinds is None else map(PlainFault._make, unknown_kinds(objectives, kinds))),
        *([] if today is None else _expired(comparison.waivers, today)),
    ]
    if faults:
        raise _policy_error(path, faults)
    record = json.loads(json.dumps(document, sort_keys=True, default=str))
    return Policy(
        name=table.name,
        file=str(path),
        objectives=objectives,
        comparison=comparison,
        gate=table.gate.to_spec(),
        digest=blake2b(json.dumps(record).encode(), digest_size=16).hexdigest(),
        document=record,
    )


def _policy_error(path: Path, faults: Sequence[PlainFault]) -> PolicyError:
    return PolicyError(tuple(Fault(file=str(path), **fault._asdict()) for fault in faults))


def _expired(waivers: Sequence[Waiver], today: date) -> Iterator[PlainFault]:
    for place, waiver in enumerate(waivers):
        if waiver.is_expired(today):
            yield PlainFault(
                f"waivers[{place}].until",
                f"{waiver.until} is over for {waiver.metric!r} of {waiver.owner}",
                "mend what is waived and delete the waiver, or decide anew until when it holds",
            )


def with_policy(scenario: Scenario, policy: Policy) -> Scenario:
    """*scenario* with the demands of *policy* too, and the policy in its document."""
    stated = {spec.metric for spec in policy.objectives}
    kept = tuple(spec for spec in scenario.objectives if spec.metric not in stated)
    shown = {"file": policy.file, "digest": policy.digest, **policy.document}
    return replace(
        scenario,
        objectives=kept + policy.objectives,
        document={**scenario.document, "policy": shown},
    )
