"""`acctbench init`: scenario, target and policies to begin with, in a user's own repository."""

import shlex
from importlib import resources
from pathlib import Path

import click

from harness.cli.console import people, print_result
from harness.errors import UsageError

FILES = ("scenario.toml", "target.toml", "policy.toml", "release.toml")
DEFAULT_FOLDER = "acctbench"
PIPELINES = {  # template of a host, and where that host looks for it
    "github": ("github.yml", ".github/workflows/acctbench.yml"),
    "gitlab": ("gitlab.yml", ".gitlab/acctbench.yml"),
    "jenkins": ("Jenkinsfile", "acctbench.Jenkinsfile"),
}


@click.command(
    epilog="""\b
Examples:
  acctbench init
  acctbench init tests/performance --pipeline github --force
"""
)
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(DEFAULT_FOLDER)
)
@click.option(
    "--pipeline",
    "hosts",
    type=click.Choice(list(PIPELINES)),
    multiple=True,
    help="Also a pipeline: gate, nightly history, sign-off; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def init(folder: Path, hosts: tuple[str, ...], force: bool) -> None:
    """
    Write a scenario, a target, a policy and a release policy to begin with.

    They go into FOLDER (default: acctbench), every key explained, and run as they are, against the
    reference service. A pipeline goes where its host looks for it, below the folder you are in.
    Prints their paths. Nothing that is there is replaced without --force.
    """
    texts = {folder / name: _template(name) for name in FILES}
    for host in dict.fromkeys(hosts):
        name, place = PIPELINES[host]
        texts[Path(place)] = _for_folder(_template(f"pipelines/{name}"), folder)
    there = [str(path) for path in texts if path.exists()]
    if there and not force:
        raise UsageError(
            f"init: {', '.join(there)}: there already; write another folder, or --force to replace"
        )
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb" if force else "xb") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"init: {path}: can't be written: {error}") from error
    print_result("\n".join(map(str, texts)))
    _say_what_next(*(shlex.quote(str(folder / name)) for name in FILES))


def _template(name: str) -> bytes:
    return (resources.files("harness.cli") / "files" / name).read_bytes()


def _for_folder(pipeline: bytes, folder: Path) -> bytes:
    """*pipeline* with the FOLDER that its commands name."""
    old, new = DEFAULT_FOLDER.encode(), folder.as_posix().encode()
    for assigned in (b"FOLDER: %s", b"FOLDER = '%s'"):
        pipeline = pipeline.replace(assigned % old + b"\n", assigned % new + b"\n")
    return pipeline


def _say_what_next(scenario: str, target: str, policy: str, release: str) -> None:
    people.print(
        "Next:\n"
        f"  acctbench plan {scenario}\n"
        "      what it would send\n"
        f"  acctbench run {scenario} --target {target} --policy {policy}\n"
        "      against the reference service\n"
        f"  acctbench signoff --release 0.1 --policy {release}\n"
        "      the verdict on a release, from the runs there are\n"
        f"  then put your own service into {target}, and run it again"
    )
