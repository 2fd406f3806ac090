"""`acctbench signoff`: the verdict on a release, in a bundle that can be checked and signed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_brokers, complete_runs, complete_targets
from harness.cli.console import people, print_json, print_result, printable
from harness.cli.options import checked_scenario, runs_option
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.model.release_file import ReleasePolicy
    from harness.model.scenario import Scenario
    from reports.bundle.write import BaselineRuns, Bundle, BundleRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_TONES = {"GO": "bold green", "NO-GO": "bold red", "NOT PROVEN": "bold yellow"}
_REASON_COUNT_MAX = 20


@click.command(
    epilog="""\b
Examples:
  acctbench signoff --release 1.4 --policy acctbench/release.toml
  acctbench signoff --release 1.4-rc1 --policy acctbench/release.toml --output rc1
"""
)
@click.option("--release", required=True, help="Name of the release, e.g. 1.4.")
@click.option(
    "--policy",
    required=True,
    type=click.Path(path_type=Path),
    help="What the release must show; acctbench init writes one to begin with.",
)
@click.option(
    "--collect",
    "collected",
    multiple=True,
    metavar="RUN",
    shell_complete=complete_runs,
    help="This run, and no other; may be repeated. [default: all of the newest build]",
)
@click.option("--run", "runs_all", is_flag=True, help="Do every demanded run first; takes hours.")
@click.option("--target", shell_complete=complete_targets, help="With --run: what to run against.")
@click.option(
    "--kafka",
    shell_complete=complete_brokers,
    help="With --run: the broker, instead of the policy's.",
)
@click.option("--build", default="", help='Only runs of this build: "mine 4f2a".')
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the bundle. [default: release-NAME]",
)
@click.option("--force", is_flag=True, help="Replace a bundle that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--quiet", is_flag=True, help="No live view of the runs.")
@runs_option
def signoff(
    *,
    release: str,
    policy: Path,
    collected: tuple[str, ...],
    runs_folder: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """
    Give the verdict on a release: GO, NO-GO or NOT PROVEN, with every reason.

    Looks at stored runs, or with --run does them first. Every run of the build counts, good or bad.
    Writes a bundle with the verdict, what it rests on, and a page to print and sign; prints its
    folder. Exit code 0: GO; 1: NO-GO, 5 where money was lost; 3: NOT PROVEN.
    """
    from reports.bundle.write import write_bundle

    if not _NAME.fullmatch(release):
        raise UsageError(
            f'--release: "{release}" can\'t name a folder; write letters, digits and ". _ + -"'
        )
    _check_together(collected, options)
    folder = options["output"] or Path(f"release-{release}")
    if folder.exists() and not options["force"]:
        raise UsageError(f"{folder}: there already; write another --output, or --force to replace")
    request = _request(release, policy, collected, runs_folder, options)
    bundle = write_bundle(request, folder, is_forced=options["force"])
    _tell(bundle)
    if as_json:
        from reports.release.verdicts import sign_off_to_json

        document = sign_off_to_json(bundle.sign_off)
        print_json({"bundle": str(bundle.folder), "sha256": bundle.sha256, **document})
    else:
        print_result(str(bundle.folder))
    return bundle.sign_off.exit_code


def _check_together(collected: Sequence[str], options: Mapping[str, Any]) -> None:
    if options["runs_all"] and (collected or options["build"]):
        raise click.UsageError("--run collects what it runs: leave out --collect and --build")
    if options["runs_all"] and not options["target"]:
        raise click.UsageError("--run needs --target: what to run against")
    for name in ("target", "kafka"):
        if options[name] and not options["runs_all"]:
            raise click.UsageError(f"--{name} is for --run: stored runs say it themselves")


def _request(
    release: str,
    path: Path,
    collected: Sequence[str],
    runs_folder: Path,
    options: Mapping[str, Any],
) -> BundleRequest:
    from harness.machine.environment import now_utc
    from harness.model.release_file import parse_release_policy, read_release_policy
    from harness.storage.run_folder import find_run
    from reports.bundle.gather import chosen_runs
    from reports.bundle.write import BundleRequest
    from reports.release.candidates import Circumstances, Expected

    text = read_release_policy(path)
    policy = parse_release_policy(text, file=str(path))
    scenarios = _scenarios(policy, path.parent)
    given = [find_run(name, runs_folder) for name in collected]
    if options["runs_all"]:
        given = _run_all(policy, scenarios, runs_folder, options)
    circumstances = Circumstances(
        release=release,
        judged_at=now_utc(),
        expected={
            key: Expected(scenario=item.name, digest=item.digest, objectives=item.objectives)
            for key, item in scenarios.items()
        },
        build=options["build"],
    )
    is_barren = options["runs_all"] and not given  # older runs must not stand in for these
    found = () if is_barren else chosen_runs(policy, given, runs_folder, circumstances)
    return BundleRequest(
        policy=policy,
        policy_text=text,
        rules_text=_rules_text(policy, path.parent),
        circumstances=circumstances,
        found=found,
        baselines=_baselines(policy, runs_folder),
        program=program(),
    )


def _rules_text(policy: ReleasePolicy, folder: Path) -> str:
    """
    The text of the policy of comparisons, checked.

    Raises:
        UsageError: it can't be read, or has faults.
    """
    from harness.model.policy_file import load_policy
    from harness.model.toml_file import read_text

    if not policy.comparison:
        return ""
    path = folder / policy.comparison
    load_policy(path)
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:  # changed since
        raise UsageError(f"policy: {path}: can't be read: {error}") from error


def _run_all(
    policy: ReleasePolicy,
    scenarios: Mapping[str, Scenario],
    runs_folder: Path,
    options: Mapping[str, Any],
) -> list[Path]:
    from harness.targets.target_file import load_target
    from harness.workflows.release_runs import ReleaseRuns

    return ReleaseRuns(
        policy=policy,
        scenarios=scenarios,
        target=load_target(options["target"]),
        kafka=options["kafka"],
        runs_folder=runs_folder,
        is_quiet=options["quiet"],
    ).execute()


def _scenarios(policy: ReleasePolicy, folder: Path) -> dict[str, Scenario]:
    """
    The scenario of each demand, as it is now, by the demand's key.

    Raises:
        PolicyError: some can't be used; all of them are listed.
    """
    from harness.errors import Fault, PolicyError
    from harness.model.objectives import unknown_kinds
    from harness.model.scenario_file import ScenarioOverrides
    from harness.system import kind_names

    scenarios, faults = {}, []

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
        for _, value, remedy in unknown_kinds(demand.objectives, kind_names(scenario)):
            add(f"{demand.key}.objectives", value, remedy)
    if faults:
        raise PolicyError(tuple(faults))
    return scenarios


def _baselines(policy: ReleasePolicy, runs_folder: Path) -> dict[str, BaselineRuns]:
    """What the names of baselines mean now; one that means nothing proves nothing, and says why."""
    from harness.storage.baselines import load_baseline
    from reports.bundle.write import BaselineRuns

    found = {}
    for demand in policy.demands:
        if demand.baseline:
            try:
                folders = load_baseline(demand.baseline, runs_folder)
                found[demand.key] = BaselineRuns(name=demand.baseline, folders=folders)
            except HarnessError as error:
                found[demand.key] = BaselineRuns(name=demand.baseline, fault=str(error))
    return found


def program() -> dict[str, str]:
    """What judges: another version may judge, or draw, otherwise."""
    from harness.machine.environment import read_environment

    this = read_environment()
    return {"name": "acctbench", "version": this.harness_version, "digest": this.harness_digest}


def _tell(bundle: Bundle) -> None:
    """The verdict and what stands in the way, for people."""
    sign_off = bundle.sign_off
    still_open = [finding for finding in sign_off.findings if finding.is_open]
    people.print(f"{sign_off.word}", style=_TONES[sign_off.word], end="  ")
    people.print(printable(sign_off.sentence))
    for finding in still_open[:_REASON_COUNT_MAX]:
        people.print(printable(f"  {finding.name}  {finding.state}: {finding.sentence}"))
    if len(still_open) > _REASON_COUNT_MAX:
        people.print(f"  and {len(still_open) - _REASON_COUNT_MAX} more, see {bundle.page}")
    for finding in sign_off.findings:
        if finding.waived_by:
            people.print(printable(f"  {finding.name}  waived by {finding.waived_by}"))
    for waiver in sign_off.waivers:
        if waiver.state == "expired":
            people.print(printable(f"  waiver of {waiver.metric} by {waiver.owner}: expired"))
    for note in sign_off.notes:
        people.print(printable(f"  {note}"))
    people.print(f"  bundle {bundle.sha256}")
