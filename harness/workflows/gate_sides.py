"""From the request of a gate to both sides, and a scenario that fits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.model.scenario_file import ScenarioOverrides
from harness.runs.paired_run import SIDES
from harness.storage.baselines import load_baseline
from harness.targets.revisions import Repository, Revision, checked_out
from harness.targets.target_file import AttachSpec, TargetSpec, load_target
from harness.workflows.requests import GateRequest
from harness.workflows.scenarios import DEFAULT_SCENARIO, checked_scenario, objective_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.model.gate_policy import GateSpec
    from harness.model.policy_file import Policy
    from harness.model.scenario import Scenario

BASE, CANDIDATE = SIDES
_DEFAULT_PROFILE = "pair"  # few accounts: seeding them twice a pair must not take the budget


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSides:
    """
    What is compared with what.

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
def gate_sides(request: GateRequest) -> Iterator[GateSides]:
    """Both sides as the request names them; worktrees are there while this lasts."""
    stored: tuple[Path, ...] = ()
    if request.baseline:
        stored = load_baseline(request.baseline, request.runs_folder)
    refs = {BASE: request.base} if request.base else {}
    refs |= {} if request.candidate_target else {CANDIDATE: request.candidate}
    files = {BASE: request.base_target, CANDIDATE: request.candidate_target}
    with _checked_out(refs, request.target) as found:
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
        if stored:
            names[BASE] = f"baseline {request.baseline}"
            facts[BASE] = {"baseline": request.baseline, "runs": [path.name for path in stored]}
        yield GateSides(names=names, targets=targets, facts=facts, baseline=stored)


def gate_scenario(
    request: GateRequest, policy: Policy | None, spec: GateSpec, *, is_paired: bool
) -> Scenario:
    """
    The scenario of a gate: without demands of its own on every run; of pairs, in whole rounds.

    One that disturbs the target is a UsageError.
    """
    name = request.scenario
    chosen = name or spec.scenario or DEFAULT_SCENARIO
    is_default = not name and not spec.scenario and is_paired
    warmup_ns, measure_ns = spec.pair_phases_ns if is_paired else (spec.warmup_ns, spec.measure_ns)
    if not name and request.policy and chosen.endswith(".toml"):
        chosen = str(request.policy.parent / chosen)
    scenario = checked_scenario(
        chosen,
        ScenarioOverrides(
            profile=spec.profile or (_DEFAULT_PROFILE if is_default else None),
            rate_per_s=spec.rate_per_s,
            warmup_ns=warmup_ns,
            measure_ns=measure_ns,
            seed=request.seed,
        ),
    )
    if scenario.steps:
        raise UsageError(
            f"{scenario.file}: [[steps]]: a gate measures an undisturbed target; use a scenario or "
            "a profile without steps"
        )
    unknown = objective_faults(scenario, policy.objectives if policy else ())
    if unknown:
        raise UsageError("; ".join(f"{request.policy}: {': '.join(fault)}" for fault in unknown))
    return replace(scenario, objectives=())


@contextmanager
def _checked_out(refs: Mapping[str, str], target: str) -> Iterator[dict[str, Revision]]:
    if not refs:
        yield {}
        return
    with checked_out(Repository(Path.cwd()), list(refs.values()), target) as found:
        yield dict(zip(refs, found, strict=True))


def _launched(file: str) -> TargetSpec:
    spec = load_target(file)
    if isinstance(spec.how, AttachSpec):
        raise UsageError(
            f"target: {file}: it runs already, and a gate starts each side anew for every pair; "
            "use a target file with [launch]"
        )
    return spec
