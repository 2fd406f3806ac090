"""From the request of a sign-off to its bundle: policy, scenarios, runs and baselines looked up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import Fault, HarnessError, PolicyError, UsageError
from harness.machine.environment import now_utc, read_environment
from harness.model.policy_file import load_policy
from harness.model.release_file import ReleasePolicy, parse_release_policy, read_release_policy
from harness.model.scenario_file import ScenarioOverrides
from harness.model.toml_file import read_text
from harness.storage.baselines import load_baseline
from harness.storage.run_folder import find_run
from harness.targets.target_file import load_target
from harness.workflows.release_runs import ReleaseRuns
from harness.workflows.requests import Result, SignOffRequest, Stopper, Tell, tell_nobody
from harness.workflows.scenarios import checked_scenario, objective_faults
from reports.bundle.gather import Found, chosen_runs
from reports.bundle.write import BaselineRuns, Bundle, BundleRequest, write_bundle
from reports.release.candidates import Circumstances, Expected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model.scenario import Scenario

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def sign_off(
    request: SignOffRequest, tell: Tell = tell_nobody, stopper: Stopper | None = None
) -> Result[Bundle]:
    """
    Collect or make the runs, judge them, write the bundle.

    Raises:
        UsageError: the request names what there is not, or there is a bundle already.
        PolicyError: the policy has faults; all of them are listed.
        RecordError: a run is damaged, or the bundle can't be written.
    """
    if not _NAME.fullmatch(request.release):
        raise UsageError(
            f'--release: "{request.release}" can\'t name a folder; write letters, digits and'
            ' ". _ + -"'
        )
    folder = request.output or Path(f"release-{request.release}")
    if folder.exists() and not request.is_forced:
        raise UsageError(f"{folder}: there already; write another --output, or --force to replace")
    bundle = write_bundle(
        _asked(request, tell, stopper or Stopper()), folder, is_forced=request.is_forced
    )
    return Result(
        verdict=str(bundle.sign_off.word),
        exit_code=bundle.sign_off.exit_code,
        folder=bundle.folder,
        page=bundle.page,
        figures={},
        details=bundle,
    )


def program() -> dict[str, str]:
    """What judges: another version may judge, or draw, otherwise."""
    this = read_environment()
    return {"name": "acctbench", "version": this.harness_version, "digest": this.harness_digest}


def _asked(request: SignOffRequest, tell: Tell, stopper: Stopper) -> BundleRequest:
    text = read_release_policy(request.policy)
    policy = parse_release_policy(text, file=str(request.policy))
    scenarios = _scenarios(policy, request.policy.parent)
    if request.target:
        target = load_target(request.target)
        series = ReleaseRuns(policy, scenarios, target, request, tell, stopper)
        given = series.execute()
    else:
        given = [find_run(name, request.runs_folder) for name in request.collected]
    circumstances = Circumstances(
        release=request.release,
        judged_at=now_utc(),
        expected={
            key: Expected(scenario=item.name, digest=item.digest, objectives=item.objectives)
            for key, item in scenarios.items()
        },
        build=request.build,
    )
    found: tuple[Found, ...] = ()
    if given or not request.runs_all:  # older runs must not stand in for those made now
        found = chosen_runs(policy, given, request.runs_folder, circumstances)
    return BundleRequest(
        policy=policy,
        policy_text=text,
        rules_text=_rules_text(policy, request.policy.parent),
        circumstances=circumstances,
        found=found,
        baselines=_baselines(policy, request.runs_folder),
        program=program(),
    )


def _rules_text(policy: ReleasePolicy, folder: Path) -> str:
    """
    The text of the policy of comparisons, checked.

    Raises:
        UsageError: it can't be read, or has faults.
    """
    if not policy.comparison:
        return ""
    path = folder / policy.comparison
    load_policy(path)
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:  # changed since
        raise UsageError(f"policy: {path}: can't be read: {error}") from error


def _scenarios(policy: ReleasePolicy, folder: Path) -> dict[str, Scenario]:
    """
    The scenario of each demand, as it is now, by the demand's key.

    Raises:
        PolicyError: some can't be used; all of them are listed.
    """
    scenarios: dict[str, Scenario] = {}
    faults: list[Fault] = []

    def add(key: str, value: str, remedy: str) -> None:
        faults.append(Fault(file=policy.file, key=key, value=value, remedy=remedy))

    for demand in policy.demands:
        if demand.is_micro:
            continue
        name = demand.scenario
        if name.endswith(".toml") or "/" in name:
            name = str(folder / name)
        try:
            scenario = checked_scenario(name, ScenarioOverrides(profile=demand.profile or None))
        except UsageError as error:
            add(demand.key, "its scenario can't be used", str(error))
            continue
        scenarios[demand.key] = scenario
        for _, value, remedy in objective_faults(scenario, demand.objectives):
            add(f"{demand.key}.objectives", value, remedy)
    if faults:
        raise PolicyError(tuple(faults))
    return scenarios


def _baselines(policy: ReleasePolicy, runs_folder: Path) -> Mapping[str, BaselineRuns]:
    """What the names of baselines mean now; one that means nothing proves nothing, and says why."""
    found = {}
    for demand in policy.demands:
        if demand.baseline:
            try:
                folders = load_baseline(demand.baseline, runs_folder)
                found[demand.key] = BaselineRuns(name=demand.baseline, folders=folders)
            except HarnessError as error:
                found[demand.key] = BaselineRuns(name=demand.baseline, fault=str(error))
    return found
