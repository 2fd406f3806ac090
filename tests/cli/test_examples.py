"""Every example of every help text and of every page is accepted, and done."""

import re
import shlex
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from harness.cli.main import acctbench, exit_code_of
from harness.cli.manual import commands
from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import ExitCode
from harness.targets.target_file import load_target, target_files
from harness.workflows.scenarios import checked_scenario
from tests.documents import COMMANDS, PAGES, blocks
from tests.reports.synthetic import Shape, write_synthetic_run

SMALL = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)
RUNS = ("20261122-100000-spot-steady-1f3a", "before", "after")
EXAMPLES_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the examples of a command are done: what is added to be quick, which codes are right."""

    added: str = ""
    codes: tuple[int, ...] = (0,)
    only_parsed: str = ""  # why it is not done here
    once: bool = False  # takes seconds: not again with the same scenario, target and way of working


_QUICK = "--profile smoke --rate 100/s --duration 1s --warmup 200ms"
_VERDICTS = (0, 1, 3, 4)  # what a busy machine makes of a run of one second is not the point here
WAYS = {
    "acctbench run": Way(added=_QUICK, codes=_VERDICTS, once=True),
    "acctbench profile": Way(
        only_parsed="runs a scenario two or three times; tests/end_to_end/test_profile.py does"
    ),
    "acctbench gate": Way(
        only_parsed="plays pairs for minutes; tests/end_to_end/test_gate.py does"
    ),
    "acctbench micro": Way(added="--only fees --rounds 2 --processes 1", once=True),
    "acctbench baseline promote": Way(added="--force"),  # an example before pinned it
    "acctbench baseline remove": Way(codes=(0, 2)),  # 2: an example before removed it already
    "acctbench baseline unpin": Way(codes=(0, 2)),
    "acctbench baseline pin": Way(codes=(0, 2)),
    "acctbench compare": Way(codes=(3, 4)),  # 3: a run a side can't settle anything
    # 3: too few runs here; 2: the folder is no checkout.
    "acctbench history show": Way(codes=(0, 2, 3)),
    "acctbench history accept": Way(codes=(0, 2)),  # 2: nothing got worse here
    # Nobody has measured the release: not proven, and the bundle says so.
    "acctbench signoff": Way(added="--force", codes=(3,)),
    "acctbench init": Way(added="--force"),  # the folder of the others' examples is there already
    "acctbench doctor": Way(only_parsed="done by test_commands.py"),
    "acctbench kafka install": Way(only_parsed="asks a registry; done where there is one to ask"),
}
KEPT_APART = ("scenario", "target", "kafka", "policy")
# Somebody else's service, broker or profiler; a minute under callgrind, see tests/workloads/micro;
# a target file like that of the reference; what init wrote, see tests/cli/test_init.py.
NOT_DONE = re.compile(
    r"--kafka (\S+:\d+|apache)|staging\.toml|--instructions|run .*--stacks|"
    r"run .*my-service\.toml|run acctbench/scenario\.toml"
)


def examples_of(text: str) -> list[str]:
    """The lines below "Examples:"; an empty line, or another heading, ends them."""
    _, _, below = text.partition("Examples:\n")
    return [line.strip() for line in below.split("\n\n")[0].splitlines()]


def examples() -> list[str]:
    """Every example once: of the program, of its commands, and of the pages."""
    shown = examples_of(acctbench.get_help(click.Context(acctbench, info_name="acctbench")))
    for _, context in commands():
        shown += examples_of(context.command.get_help(context))
    for block in [block for page in PAGES if page != COMMANDS for block in blocks(page)]:
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


def repeated() -> set[str]:
    """The examples that would do again, in seconds, what one before them has done."""
    seen: set[tuple[object, ...]] = set()
    found = set()
    for example in examples():
        name, context = resolve(shlex.split(example)[1:])
        what = (name, *(context.params.get(key) for key in KEPT_APART))
        if WAYS.get(name, Way()).once and what in seen:
            found.add(example)
        seen.add(what)
    return found


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
    (folder / "perf.folded").write_text("core;main.reserve 30\ncore;main.release 12\n")
    assert exit_code_of(["init", str(folder / "acctbench")]) == 0
    promotion = ["baseline", "promote", "main", "after", "--by", "ada"]
    assert exit_code_of([*promotion, "--runs", str(folder / "runs")]) == 0
    policy = ["--policy", str(folder / "acctbench" / "release.toml")]
    bundle = ["--output", str(folder / "release-1.4"), "--runs", str(folder / "runs")]
    assert exit_code_of(["signoff", "--release", "1.4", *policy, *bundle]) == ExitCode.INCONCLUSIVE
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
def test_example_works(
    example: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is accepted, and done, cheaply, unless it was or can't be done here."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ACCTBENCH_RUNS", raising=False)
    words = shlex.split(example)[1:]
    name, context = resolve(words)
    way = WAYS.get(name, Way())
    if context.params.get("scenario"):
        checked_scenario(context.params["scenario"], ScenarioOverrides())
    if context.params.get("target"):
        load_target(context.params["target"])
    if way.only_parsed or NOT_DONE.search(example) or example in repeated():
        return
    code = exit_code_of([*words, *shlex.split(way.added)])
    said = capsys.readouterr()

    assert code in way.codes, said.err
    assert "fault of acctbench" not in said.err
    assert said.out.strip() or code == 2  # then stderr has the sentence


def test_the_program_is_installed() -> None:
    """What the examples begin with is a command beside this Python."""
    assert shutil.which("acctbench", path=sysconfig.get_path("scripts"))
