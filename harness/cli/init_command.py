"""`acctbench init`: a scenario, a target and a policy to begin with, in a user's own repository."""

import shlex
from importlib import resources
from pathlib import Path

import click

from harness.cli.console import people, print_result
from harness.errors import UsageError

FILES = ("scenario.toml", "target.toml", "policy.toml")


@click.command(
    epilog="""\b
Examples:
  acctbench init
  acctbench init tests/performance --force
"""
)
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("acctbench")
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def init(folder: Path, force: bool) -> None:
    """
    Write a scenario, a target and a policy to begin with.

    They go into FOLDER (default: acctbench), every key explained, and run as they are, against the
    reference service. Prints their paths. Nothing that is there is replaced without --force.
    """
    there = [str(folder / name) for name in FILES if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            f"init: {', '.join(there)}: there already; write another folder, or --force to replace"
        )
    templates = resources.files("harness.cli") / "files"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            with (folder / name).open("wb" if force else "xb") as file:
                file.write((templates / name).read_bytes())
    except OSError as error:
        raise UsageError(f"init: {folder}: can't be written: {error}") from error
    print_result("\n".join(str(folder / name) for name in FILES))
    _say_what_next(*(shlex.quote(str(folder / name)) for name in FILES))


def _say_what_next(scenario: str, target: str, policy: str) -> None:
    people.print(
        "Next:\n"
        f"  acctbench plan {scenario}\n"
        "      what it would send\n"
        f"  acctbench run {scenario} --target {target} --policy {policy}\n"
        "      against the reference service\n"
        f"  then put your own service into {target}, and run it again"
    )
