"""From the options of `acctbench gate` to both sides, and a scenario that fits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import DEFAULT_SCENARIO, checked_scenario
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model.gate_policy import GateSpec
    from harness.model.policy_file import Policy
    from harness.model.scenario import Scenario
    from harness.targets.revisions import Revision
    from harness.targets.target_file import TargetSpec

BASE, CANDIDATE = "base", "candidate"
_DEFAULT_PROFILE = "pair"  # few accounts: seeding them twice a pair must not take the budget


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSides:
    """
    What is held against what.

    Attributes:
        names: By side, for the reader.
        targets: By side; without a base where that is stored runs.
        facts: By side, for verdict.json.
        baseline: Folders of the stored runs; empty: both sides are alive.
    """

    names: Mapping[str, str]
    targets: Mapping[str, TargetSpec]
    facts: Mapping[str, Mapping[str, Any]]
    baseline: tuple[Path, ...] = ()


@contextmanager
def gate_sides(
    *,
    runs_folder: Path,
    base: str | None,
    candidate: str,
    target: str,
    base_target: str | None,
    candidate_target: str | None,
    baseline: str | None,
) -> Iterator[GateSides]:
    """
    Both sides as the options name them; worktrees are there while this lasts.

    Raises:
        UsageError, click.UsageError: they name too little, too much, or what there is not.
    """
    _check_named_once(base, base_target, baseline)
    if candidate_target and candidate != "HEAD":
        raise click.UsageError("--candidate and --candidate-target name two; leave one out")
    stored = _baseline(baseline, runs_folder) if baseline else ()
    revisions = {BASE: base} if base else {}
    revisions |= {} if candidate_target else {CANDIDATE: candidate}
    files = {BASE: base_target, CANDIDATE: candidate_target}
    with _checked_out(revisions, target) as found:
        names = {side: revision.title for side, revision in found.items()}
        targets = {side: revision.target for side, revision in found.items()}
        facts: dict[str, dict[str, Any]] = {
            side: {"revision": item.asked, "commit": item.commit, "is_dirty": item.is_dirty}
            for side, item in found.items()
        }
        for side, file in files.items():
            if file:
                names[side], targets[side] = file, _launched(file)
                facts[side] = {"target": file}
        if baseline:
            names[BASE] = f"baseline {baseline}"
            facts[BASE] = {"baseline": baseline, "runs": [path.name for path in stored]}
        yield GateSides(names=names, targets=targets, facts=facts, baseline=stored)


def gate_scenario(
    policy_file: Path | None,
    policy: Policy | None,
    spec: GateSpec,
    *,
    name: str | None,
    seed: int | None,
    is_paired: bool,
) -> Scenario:
    """
    The scenario of a gate: without demands of its own on every run; of pairs, in whole rounds.

    Raises:
        UsageError: there is none of that name, or it disturbs the target.
        ScenarioError: it has faults; all of them are listed.
    """
    from harness.model.objectives import unknown_kinds
    from harness.model.scenario_file import ScenarioOverrides
    from harness.system import kind_names

    chosen = name or spec.scenario or DEFAULT_SCENARIO
    is_default = not name and not spec.scenario and is_paired
    warmup_ns, measure_ns = spec.pair_phases_ns if is_paired else (spec.warmup_ns, spec.measure_ns)
    if not name and policy_file and chosen.endswith(".toml"):
        chosen = str(policy_file.parent / chosen)
    scenario = checked_scenario(
        chosen,
        ScenarioOverrides(
            profile=spec.profile or (_DEFAULT_PROFILE if is_default else None),
            rate_per_s=spec.rate_per_s,
            warmup_ns=warmup_ns,
            measure_ns=measure_ns,
            seed=seed,
        ),
    )
    if scenario.steps:
        raise UsageError(
            f"{scenario.file}: [[steps]]: a gate measures an undisturbed target; use a scenario or "
            "a profile without steps"
        )
    unknown = unknown_kinds(policy.objectives if policy else (), kind_names(scenario))
    if unknown:
        raise UsageError("; ".join(f"{policy_file}: {': '.join(fault)}" for fault in unknown))
    return replace(scenario, objectives=())


def _check_named_once(base: str | None, base_target: str | None, baseline: str | None) -> None:
    given = [name for name in (base, base_target, baseline) if name]
    if len(given) != 1:
        raise click.UsageError(
            f"{'no' if not given else 'more than one'} base is named: write one of --base REF, "
            "--base-target FILE and --baseline NAME"
        )


def _baseline(name: str, runs_folder: Path) -> tuple[Path, ...]:
    from harness.storage.baselines import load_baseline

    return load_baseline(name, runs_folder)


@contextmanager
def _checked_out(revisions: Mapping[str, str], target: str) -> Iterator[dict[str, Revision]]:
    from harness.targets.revisions import Repository, checked_out

    if not revisions:
        yield {}
        return
    with checked_out(Repository(Path.cwd()), list(revisions.values()), target) as found:
        yield dict(zip(revisions, found, strict=True))


def _launched(file: str) -> TargetSpec:
    from harness.targets.target_file import AttachSpec, load_target

    spec = load_target(file)
    if isinstance(spec.how, AttachSpec):
        raise UsageError(
            f"target: {file}: it runs already, and a gate starts each side anew for every pair; "
            "use a target file with [launch]"
        )
    return spec
