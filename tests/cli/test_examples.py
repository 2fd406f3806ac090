"""Every example of every help text and of the README is done, as a user would do it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from harness.cli.main import acctbench, exit_code_of
from harness.cli.manual import commands
from harness.cli.options import checked_scenario
from harness.model.scenario_file import ScenarioOverrides
from harness.targets.target_file import load_target, target_files
from tests.reports.synthetic import Shape, write_synthetic_run

ROOT = Path(__file__).parents[2]
SMALL = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)
RUNS = ("20261122-100000-spot-steady-1f3a", "before", "after")
EXAMPLES_MIN = 2
TIMEOUT_S = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the examples of a command are done: what is added to be quick, which codes are right."""

    added: str = ""
    codes: tuple[int, ...] = (0,)
    only_parsed: str = ""  # why it can't be done here


_QUICK = "--profile smoke --rate 100/s --duration 1s --warmup 200ms"
_VERDICTS = (0, 1, 3, 4)  # what a busy machine makes of a run of one second is not the point here
WAYS = {
    "acctbench run": Way(added=_QUICK, codes=_VERDICTS),
    "acctbench profile": Way(added=f"{_QUICK} --only cpu", codes=_VERDICTS),
    # 2: no valgrind here, or the run that "latest" is here has no counts.
    "acctbench gate": Way(
        only_parsed="plays pairs for minutes; tests/end_to_end/test_gate.py does"
    ),
    "acctbench micro": Way(added="--only fees --rounds 2", codes=(0, 2)),
    "acctbench baseline promote": Way(added="--force"),  # an example before pinned it
    "acctbench baseline remove": Way(codes=(0, 2)),  # 2: an example before removed it already
    "acctbench baseline unpin": Way(codes=(0, 2)),
    "acctbench baseline pin": Way(codes=(0, 2)),
    "acctbench init": Way(added="--force"),  # the folder of the others' examples is there already
    "acctbench kafka install": Way(only_parsed="asks a registry; done where there is one to ask"),
}
NEEDS_A_PEER = re.compile(r"--kafka (\S+:\d+|apache)|staging\.toml")


def examples_of(text: str) -> list[str]:
    """The lines below "Examples:"; an empty line, or another heading, ends them."""
    _, _, below = text.partition("Examples:\n")
    return [line.strip() for line in below.split("\n\n")[0].splitlines()]


def examples() -> list[str]:
    """Every example once: of the program, of its commands, and of the README."""
    shown = examples_of(acctbench.get_help(click.Context(acctbench, info_name="acctbench")))
    for _, context in commands():
        shown += examples_of(context.command.get_help(context))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE):
        shown += [line.strip() for line in block.splitlines() if line.startswith("acctbench ")]
    return list(dict.fromkeys(shown))


def resolve(words: list[str]) -> tuple[str, click.Context]:
    """The full name of the command that *words* call, and its context: they are accepted."""
    context = acctbench.make_context("acctbench", list(words))
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None, words
        context = command.make_context(name, rest, parent=context)
    return context.command_path, context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user of the examples stands: the runs and files that they name, the program."""
    folder = tmp_path_factory.mktemp("user")
    for name in RUNS:
        write_synthetic_run(folder / "runs" / name, SMALL)
    shutil.copy(target_files()["reference"], folder / "my-service.toml")
    (folder / "staging.toml").write_text(
        'name = "staging"\n[attach]\ngrpc = "127.0.0.1:50051"\n', encoding="utf-8"
    )
    assert exit_code_of(["init", str(folder / "acctbench")]) == 0
    promotion = ["baseline", "promote", "main", "after", "--by", "ada"]
    assert exit_code_of([*promotion, "--runs", str(folder / "runs")]) == 0
    program = folder / "bin" / "acctbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m harness.cli.main "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_has_two_examples(name: str) -> None:
    """Help of every command ends in two examples or more, of that command."""
    context = dict(commands())[name]
    if isinstance(context.command, click.Group):
        return
    shown = examples_of(context.command.get_help(context))

    assert len(shown) >= EXAMPLES_MIN
    assert {resolve(shlex.split(line)[1:])[0] for line in shown} == {name}


@pytest.mark.parametrize("example", examples())
def test_example_works(example: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is accepted, and done in a shell, cheaply, unless it needs somebody else's machine."""
    monkeypatch.chdir(folder)
    name, context = resolve(shlex.split(example)[1:])
    way = WAYS.get(name, Way())
    if "scenario" in context.params:
        checked_scenario(context.params["scenario"], ScenarioOverrides())
    if "target" in context.params:
        load_target(context.params["target"])
    if way.only_parsed or NEEDS_A_PEER.search(example):
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    environment.pop("ACCTBENCH_RUNS", None)
    done = subprocess.run(
        ["bash", "-c", f"{example} {way.added}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )

    assert done.returncode in way.codes, done.stderr
    assert "fault of acctbench" not in done.stderr
    assert done.stdout.strip() or done.returncode == 2  # then stderr has the sentence
