"""`acctbench signoff`: the verdict on a release, in a bundle that can be checked and signed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_brokers, complete_runs, complete_targets
from harness.cli.console import command_line, people, print_json, print_result, printable
from harness.cli.options import asked, runs_option

if TYPE_CHECKING:
    from reports.bundle.write import Bundle

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
    help="Use only these runs (repeatable). [default: all of the newest build]",
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
@click.option("--force", "is_forced", is_flag=True, help="Replace a bundle that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--quiet", is_flag=True, help="Suppress progress output.")
@runs_option
def signoff(
    *,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """
    Give the verdict on a release: GO, NO-GO or NOT PROVEN, with every reason.

    Looks at stored runs, or with --run does them first. Every run of the build counts, good or bad.
    Writes a bundle with the verdict, what it rests on, and a page to print and sign; prints its
    folder. Exit code 0: GO; 1: NO-GO, 5 where money was lost; 3: NOT PROVEN.
    """
    from harness.cli.watching import watched
    from harness.workflows.requests import SignOffRequest
    from harness.workflows.signoff import sign_off

    request = asked(SignOffRequest, command=command_line(), **options)
    with watched(quiet) if request.runs_all else nullcontext(()) as watch:
        result = sign_off(request, *watch)
    bundle = result.details
    _tell(bundle)
    if as_json:
        from reports.release.verdicts import sign_off_to_json

        document = sign_off_to_json(bundle.sign_off)
        print_json({"bundle": str(bundle.folder), "sha256": bundle.sha256, **document})
    else:
        print_result(str(bundle.folder))
    return result.exit_code


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
