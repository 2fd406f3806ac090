"""
A release policy (TOML): the evidence that a release must bring before somebody signs it.

    name = "account-core"                   required; lower-case letters, digits, hyphens
    target = "mine"                         name of the target in the runs; without it: any, but one
    max_age = "14d"                         older runs are not evidence
    comparison = "policy.toml"              a policy file, for the rules of comparisons alone; its
                                            objectives and waivers count for nothing here
    [audit]
    required = ["I1", "I7"]                 invariants that some run must have proved; else those
                                            that each run's scenario requires
    [[runs]]                                one table each; at least one
    scenario = "spot-steady"                a name, or a path from this file
    profile = "signoff"                     without it: the scenario as it is written
    count = 1                               process starts
    broker = "apache"                       kind of broker; without it: any
    laws = ["I19"]                          that each of these runs must have proved
    profiles = ["cpu", "memory"]            that each, or a profiled run of it, must have
    baseline = "release-steady"             a named baseline that they must not be worse than
    objectives = [{ metric = "...", at_most = "20ms" }]
    [[micro]]                               runs of `acctbench micro`
    kind = "instructions"                   or "timed"
    count = 1
    baseline = "release-kernels"
    [[objectives]]                          of every run of [[runs]], as in a policy file
    [[waivers]]                             see harness.model.waivers; metric names a finding, as in
                                            "spot-steady@signoff:reserve.response_ns.p99"
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from harness.errors import Fault, PolicyError, UsageError
from harness.model.file_faults import plain_faults
from harness.model.record import PLAIN
from harness.model.scenario import ObjectiveSpec
from harness.model.scenario_tables import ObjectiveTable
from harness.model.table_values import Count, PositiveDurationNs, TomlTable
from harness.model.toml_file import parse_toml, read_text
from harness.model.waivers import Waiver, WaiverTable

MICRO = "micro"  # what stands for a scenario in runs of the kernels
INSTRUCTIONS = "instructions"
_COUNTED = "callgrind"  # instrumentation of runs that count
_RUN_COUNT_COMPARED = 5  # a comparison of timings tells nothing from fewer process starts
_MAX_AGE_NS = 14 * 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDemand:
    """
    Runs that a release must bring.

    Attributes:
        key: Its name everywhere: "spot-steady@signoff", "micro@instructions".
        scenario: Name or path, as written; MICRO for runs of the kernels.
        profile: Of the scenario, "" for none; for MICRO the kind.
        instrumentation: Of the record.
        run_count: How many at least.
        broker: Kind of broker, "" for any.
        laws: That each run must have proved.
        profiles: Kinds of profile that must be there: "cpu", "memory".
        baseline: Name of a stored baseline, "" for no comparison.
        objectives: Demanded of each run, those of the whole policy included.
    """

    key: str
    scenario: str
    profile: str
    instrumentation: str
    run_count: int
    broker: str
    laws: tuple[str, ...]
    profiles: tuple[str, ...]
    baseline: str
    objectives: tuple[ObjectiveSpec, ...]

    @property
    def is_micro(self) -> bool:
        return self.scenario == MICRO


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    name: str
    file: str
    target: str  # "" for any
    max_age_ns: int
    comparison: str  # path of a policy file, from this one; "" for the program's rules
    laws: tuple[str, ...]
    demands: tuple[RunDemand, ...]
    waivers: tuple[Waiver, ...]
    digest: str  # BLAKE2b of the parsed file
    document: Mapping[str, Any]  # the parsed file, for the bundle


_Law = Annotated[str, StringConstraints(pattern=r"^[A-Z]\d+$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
_Text = Annotated[str, StringConstraints(min_length=1)]


class _AuditTable(TomlTable):
    required: list[_Law] = Field(default_factory=list)


class _RunTable(TomlTable):
    scenario: _Text
    profile: _Text | None = None
    count: Count = 1
    broker: Literal["embedded", "apache", "address"] | None = None
    laws: list[_Law] = Field(default_factory=list)
    profiles: list[Literal["cpu", "memory"]] = Field(default_factory=list)
    baseline: _Text | None = None
    objectives: list[ObjectiveTable] = Field(default_factory=list)


class _MicroTable(TomlTable):
    kind: Literal["timed", "instructions"]
    count: Count = 1
    baseline: _Text | None = None


class _ReleaseTable(TomlTable):
    name: _Name
    target: _Text | None = None
    max_age: PositiveDurationNs = _MAX_AGE_NS
    comparison: _Text | None = None
    audit: _AuditTable = _AuditTable()
    runs: Annotated[list[_RunTable], Field(min_length=1)]
    micro: list[_MicroTable] = Field(default_factory=list)
    objectives: list[ObjectiveTable] = Field(default_factory=list)
    waivers: list[WaiverTable] = Field(default_factory=list)


def read_release_policy(path: Path) -> str:
    """The text of a release policy's file; UsageError if it can't be read."""
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"release policy: {path}: can't be read ({error}); write the path of a release policy; "
            "`acctbench init` writes one to begin with"
        ) from error


def parse_release_policy(text: str, *, file: str) -> ReleasePolicy:
    """The release policy that *text* is; PolicyError with all its faults."""
    document = parse_toml(text, file=file, error=PolicyError)
    try:
        table = _ReleaseTable.model_validate(document)
    except ValidationError as error:
        faults = plain_faults(error, _ReleaseTable)
        raise PolicyError(tuple(Fault(file=file, **f._asdict()) for f in faults)) from error
    found = tuple(Fault(file=file, key=k, value=v, remedy=r) for k, v, r in _cross_faults(table))
    if found:
        raise PolicyError(found)
    record = json.loads(json.dumps(document, sort_keys=True, default=str))
    return ReleasePolicy(
        name=table.name,
        file=file,
        target=table.target or "",
        max_age_ns=table.max_age,
        comparison=table.comparison or "",
        laws=tuple(table.audit.required),
        demands=_demands(table),
        waivers=tuple(item.to_waiver() for item in table.waivers),
        digest=blake2b(json.dumps(record).encode(), digest_size=16).hexdigest(),
        document=record,
    )


def _demands(table: _ReleaseTable) -> tuple[RunDemand, ...]:
    common = tuple(item.to_spec() for item in table.objectives)
    runs = [
        RunDemand(
            key=_key(item),
            scenario=item.scenario,
            profile=item.profile or "",
            instrumentation=PLAIN,
            run_count=item.count,
            broker=item.broker or "",
            laws=tuple(item.laws),
            profiles=tuple(item.profiles),
            baseline=item.baseline or "",
            objectives=_merged(common, tuple(one.to_spec() for one in item.objectives)),
        )
        for item in table.runs
    ]
    kernels = [
        RunDemand(
            key=f"{MICRO}@{item.kind}",
            scenario=MICRO,
            profile=item.kind,
            instrumentation=_COUNTED if item.kind == INSTRUCTIONS else PLAIN,
            run_count=item.count,
            broker="",
            laws=(),
            profiles=(),
            baseline=item.baseline or "",
            objectives=(),
        )
        for item in table.micro
    ]
    return (*runs, *kernels)


def _merged(
    common: tuple[ObjectiveSpec, ...], own: tuple[ObjectiveSpec, ...]
) -> tuple[ObjectiveSpec, ...]:
    """Of two demands on one metric the run's own counts."""
    stated = {spec.metric for spec in own}
    return (*(spec for spec in common if spec.metric not in stated), *own)


def _key(item: _RunTable) -> str:
    name = Path(item.scenario).stem if item.scenario.endswith(".toml") else item.scenario
    return f"{name}@{item.profile}" if item.profile else name


def _cross_faults(table: _ReleaseTable) -> Iterator[tuple[str, str, str]]:
    """What each table may say, and all of them together may not."""
    places: dict[str, str] = {}
    named = [(f"runs[{place}]", _key(item)) for place, item in enumerate(table.runs)]
    named += [(f"micro[{place}]", f"{MICRO}@{item.kind}") for place, item in enumerate(table.micro)]
    for place, key in named:
        if key in places:
            yield place, f"{key} is demanded in {places[key]} already", "write it once, with count"
        places.setdefault(key, place)
    for index, item in enumerate(table.runs):
        if item.baseline and item.count < _RUN_COUNT_COMPARED:
            yield (
                f"runs[{index}].count",
                f"{item.count}, and a comparison with {item.baseline} is demanded",
                f"write {_RUN_COUNT_COMPARED} or more: fewer process starts tell nothing apart",
            )
