"""
A bundle judged from its own files alone: used to make it, and to check it.

    release-1.4/
        signoff.html            the page that is signed
        signoff.json            reports.release.verdicts.SignOff
        comparisons/KEY.json    reports.compare.verdicts.Comparison, by key of a demand
        inputs.json             Inputs: circumstances, program, digests of every file looked at
        policy.toml             the release policy, as it was
        comparison.toml         the policy of comparisons, where the release policy names one
        runs/RUN/               record, verdict, audit, report and profiles of every run that was
                                looked at; its tables where it is compared; its profiled runs
                                below passes/
        baselines/NAME/RUN/     the runs that a baseline's name meant
        manifest.json           reports.bundle.manifest

Everything that signoff.json says follows from the rest, so nobody has to believe it. Only a run's
report.html is a copy that nobody checks: it can't be drawn again without the run's tables.

History of inputs.json: (1) first. (2) The objectives of each demand's scenario, so that a run is
held to them and not to what it was run under.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import RecordError, UsageError
from harness.model.policy_file import load_policy
from harness.model.release_file import ReleasePolicy, RunDemand, parse_release_policy
from harness.storage.run_folder import StoredRun, load_run
from reports.bundle.gather import Found, read_run_evidence
from reports.compare.comparison import Rules, SideInput, compared_sides, rules_of
from reports.compare.verdicts import Comparison, Findings, compared
from reports.reading.run_folder import read_evidence
from reports.release.candidates import Circumstances, assigned
from reports.release.judge import judge_release
from reports.release.verdicts import SignOff

SCHEMA_VERSION = 2
INPUTS_NAME = "inputs.json"
POLICY_NAME = "policy.toml"
RULES_NAME = "comparison.toml"
VERDICT_NAME = "signoff.json"
RUNS, BASELINES, COMPARISONS = "runs", "baselines", "comparisons"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file of a run that was looked at; one that is not copied stays in the runs folder."""

    size_bytes: int
    sha256: str
    is_copied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineUse:
    """What the name of a baseline meant; *fault* says why it meant nothing."""

    name: str
    runs: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """
    What was looked at, and under which circumstances.

    Attributes:
        program: Name and version of what judged.
        left_out: Runs that were left out by hand, by folder.
        baselines: By key of the demand that asks for a comparison.
        files: By place of a run in the bundle, and path in its folder.
    """

    schema_version: int
    program: Mapping[str, str]
    circumstances: Circumstances
    runs: tuple[str, ...]
    left_out: tuple[str, ...]
    baselines: Mapping[str, BaselineUse]
    files: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What follows from a bundle's files."""

    inputs: Inputs
    policy: ReleasePolicy
    sign_off: SignOff
    comparisons: Mapping[str, Comparison]


_ADAPTER: TypeAdapter[Inputs] = TypeAdapter(Inputs)


def judge_bundle(folder: Path) -> Judged:
    """
    The sign-off that follows from the files in *folder*.

    Raises:
        RecordError: a file is missing or damaged, or contradicts itself.
    """
    inputs, policy = _read_inputs(folder), _read_policy(folder)
    rules = _read_rules(folder, policy)
    evidence = tuple(
        read_run_evidence(
            Found(folder=folder / RUNS / name, is_collected=name not in inputs.left_out)
        )
        for name in inputs.runs
    )
    runs = assigned(policy, evidence, inputs.circumstances)
    comparisons = {}
    for demand in policy.demands:
        names = [run.evidence.name for run in runs if run.is_used and run.demand is demand]
        if demand.baseline and names:
            stored = [load_run(folder / RUNS / name) for name in names]
            use = inputs.baselines.get(demand.key, BaselineUse(name=demand.baseline))
            comparisons[demand.key] = _compare(folder, demand, use, stored, rules)
    return Judged(
        inputs=inputs,
        policy=policy,
        sign_off=judge_release(policy, evidence, inputs.circumstances, comparisons),
        comparisons=comparisons,
    )


def _compare(
    folder: Path, demand: RunDemand, use: BaselineUse, candidates: list[StoredRun], rules: Rules
) -> Comparison:
    if use.fault or not use.runs or use.name != demand.baseline:
        fault = use.fault or f"{use.name} has no runs, or is not {demand.baseline}"
        return compared(use.name, demand.key, (), rules.policy, Findings(faults=(fault,)))
    before = [load_run(folder / BASELINES / use.name / name) for name in use.runs]
    return compared_sides(
        SideInput(name=use.name, runs=tuple(read_evidence(run) for run in before)),
        SideInput(name=demand.key, runs=tuple(read_evidence(run) for run in candidates)),
        rules,
    ).comparison


def _read_rules(folder: Path, policy: ReleasePolicy) -> Rules:
    """
    Margins and metrics only: what is waived for a release stands in its own policy.

    One file serves every demand, so a metric that it names need not be in each.
    """
    if not policy.comparison:
        return Rules()
    try:
        rules = rules_of(load_policy(folder / RULES_NAME))
    except UsageError as error:
        raise RecordError(f"{folder / RULES_NAME}: can't be used: {error}") from error
    return replace(rules, waivers=(), objectives=(), written=())


def _read_inputs(folder: Path) -> Inputs:
    path = folder / INPUTS_NAME
    try:
        inputs = _ADAPTER.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: can't be read: {error}") from error
    if inputs.schema_version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: its format {inputs.schema_version} is newer than this program's; "
            "update acctbench"
        )
    names = (
        *inputs.runs,
        *(name for use in inputs.baselines.values() for name in (use.name, *use.runs)),
    )
    strange = [name for name in names if Path(name).name != name or name in {"", ".", ".."}]
    if strange:
        raise RecordError(f"{path}: {strange[0]!a} is no name of a run folder")
    return inputs


def _read_policy(folder: Path) -> ReleasePolicy:
    path = folder / POLICY_NAME
    try:
        return parse_release_policy(path.read_text(encoding="utf-8"), file=POLICY_NAME)
    except (OSError, UnicodeDecodeError, UsageError) as error:
        raise RecordError(f"{path}: can't be used: {error}") from error
