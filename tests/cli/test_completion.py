"""Completion: what Tab offers, asked of the program, and of real shells that are here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from harness.cli import completions
from harness.cli.main import COMMANDS, acctbench, exit_code_of
from harness.storage.run_folder import INCOMPLETE_SUFFIX
from tests.cli.shells import Shell

RUNS = ("20261122-100000-spot-steady-0001", "20261122-110000-spot-steady-0002")
HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "grpc", "aiokafka", "jinja2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: two complete runs, one that is not, a scenario file, and the program."""
    for name in RUNS:
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "record.json").write_text("{}", encoding="utf-8")
    (tmp_path / "runs" / f"20261122-120000-x-0003{INCOMPLETE_SUFFIX}").mkdir()
    (tmp_path / "mine.toml").write_text(
        '[profiles.tiny]\n[profiles."two words"]\n', encoding="utf-8"
    )
    program = tmp_path / "bin" / "acctbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m harness.cli.main "$@"\n')
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Of a shell that finds the program, and nothing of whoever runs the test."""
    kept = {key: os.environ[key] for key in ("PYTHONPATH", "LD_LIBRARY_PATH") if key in os.environ}
    return {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "dumb",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **kept,
    }


def offered(words: Sequence[str], incomplete: str = "") -> list[str]:
    """What Tab offers after *words*; "<files>" stands for the shell's own paths."""
    complete = ShellComplete(acctbench, {}, "acctbench", "_ACCTBENCH_COMPLETE")
    items = complete.get_completions(list(words), incomplete)
    return [item.value if item.type == "plain" else f"<{item.type}s>" for item in items]


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "", list(COMMANDS)),
        ([], "co", ["compare", "completion"]),
        (["run"], "spot", ["<files>", "spot-steady"]),
        (["run"], "--prof", ["--profile", "--profiler"]),
        (["run", "spot-steady", "--profile"], "s", ["smoke", "signoff", "soak"]),
        (["run", "null-poisson", "--profile"], "", ["smoke", "gate", "signoff", "soak"]),
        (["run", "--profile"], "g", ["gate"]),
        (["plan", "mine.toml", "--profile"], "t", ["tiny", "two words"]),
        (["run", "no-such-file.toml", "--profile"], "", []),
        (["run", "--target"], "ref", ["<files>", "reference"]),
        (["run", "--kafka"], "e", ["embedded"]),
        (["run", "--driver"], "", ["wire", "grpcio"]),
        (["list"], "s", ["scenarios"]),
        (["report"], "", ["<files>", "latest", *reversed(RUNS)]),
        (["compare", "latest"], "20261122-10", ["<files>", RUNS[0]]),
        (["report", "--runs", "nowhere"], "", ["<files>"]),
        (["report", "--runs"], "", ["<dirs>"]),
        (["completion"], "z", ["zsh"]),
    ],
)
def test_tab_offers(
    words: list[str],
    incomplete: str,
    expected: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commands, options and every kind of name, of what is there at that moment."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ACCTBENCH_RUNS", raising=False)

    assert offered(words, incomplete) == expected


def test_every_option_with_names_completes() -> None:
    """No option or argument that takes a name of ours was left without its completion."""
    named = {"scenario", "profile", "target", "kafka", "run", "a", "b"}
    context = click.Context(acctbench)
    commands = [acctbench.get_command(context, name) for name in COMMANDS]
    without = [
        f"{command.name} {parameter.name}"
        for command in commands
        if command is not None
        for parameter in command.params
        if parameter.name in named and parameter._custom_shell_complete is None
    ]

    assert without == []


def test_runs_that_are_not_whole_are_known_by_the_same_suffix() -> None:
    """Completion can't afford to import the store; their words must agree."""
    assert completions._INCOMPLETE == INCOMPLETE_SUFFIX


@pytest.mark.parametrize(
    "asked",
    [
        "main.exit_code_of(['--help'])",
        "main.exit_code_of(['run', '--help'])",
        "completed(['run', 'spot-steady', '--profile'])",
        "completed(['run', '--target', 'null'])",
        "completed(['report'])",
    ],
)
def test_help_and_tab_load_nothing_heavy(asked: str) -> None:
    """Help and completion answer at once: no library of data or network is imported for them."""
    program = (
        "import json, sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from harness.cli import main\n"
        "def completed(words):\n"
        "    ShellComplete(main.acctbench, {}, 'acctbench', '').get_completions(words, '')\n"
        f"{asked}\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script on stdout names the program and the variable by which it is asked."""
    assert exit_code_of(["completion", shell]) == 0
    printed = capsys.readouterr().out

    assert "_ACCTBENCH_COMPLETE" in printed
    assert "acctbench" in printed


def test_install_line_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Help says how to install it in each shell."""
    assert exit_code_of(["completion", "--help"]) == 0
    text = capsys.readouterr().out

    assert """bash  echo 'eval "$(acctbench completion bash)"' >> ~/.bashrc""" in text
    assert """zsh   echo 'eval "$(acctbench completion zsh)"' >> ~/.zshrc""" in text
    assert "fish  acctbench completion fish > ~/.config/fish/completions/acctbench.fish" in text


Open = Callable[[str], Shell]


@pytest.fixture
def open_shell(folder: Path, environment: dict[str, str]) -> Iterator[Open]:
    """Open a shell as its user would, after the install line; skips if it is not here."""
    opened: list[Shell] = []

    def open_it(name: str, *argv: str) -> Shell:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        shell = Shell(name, *argv, cwd=folder, environment=environment)
        opened.append(shell)
        return shell

    yield open_it
    for shell in opened:
        shell.__exit__()


SHELLS = {
    "bash": (
        ("--norc", "--noprofile", "-i"),
        "bind 'set show-all-if-ambiguous on'; eval \"$(acctbench completion bash)\"",
    ),
    "zsh": (
        ("-f", "-i"),
        'autoload -Uz compinit; compinit -u -D; eval "$(acctbench completion zsh)"',
    ),
}


@pytest.mark.parametrize(
    ("typed", "until"),
    [
        ("acctbench comple\t", "completion "),
        ("acctbench run hot\t", "hot-account-zipf "),
        ("acctbench run mi\t", "mine.toml "),
        ("acctbench run --profile si\t", "signoff "),
        ("acctbench run --target ref\t", "reference "),
        ("acctbench report 20261122-10\t", f"{RUNS[0]} "),
        ("acctbench run --real\t", "--realtime "),
        ("acctbench run spot-steady --profile \t", "smoke.*gate.*signoff.*soak"),
    ],
)
@pytest.mark.parametrize("name", SHELLS)
def test_real_shell_completes(name: str, typed: str, until: str, open_shell: Open) -> None:
    """Keys typed into the shell, with Tab, become the whole word on its line."""
    argv, install = SHELLS[name]
    shell = open_shell(name, *argv)
    shell.type(f"PS1='> '; {install}; echo in''stalled\n", until="\ninstalled")

    assert shell.type(typed, until=until)


def test_real_fish_completes(folder: Path, environment: dict[str, str]) -> None:
    """Fish offers the same, with the titles of the scenarios."""
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    installed = folder / ".config" / "fish" / "completions" / "acctbench.fish"
    installed.parent.mkdir(parents=True)

    def ask(program: str) -> str:
        command = [fish, "-c", program]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        ).stdout

    ask(f"acctbench completion fish > {installed}")

    assert "spot-steady\tWhat an exchange does" in ask("complete -C 'acctbench run spot'")
    assert "signoff" in ask("complete -C 'acctbench run spot-steady --profile si'")
    assert "mine.toml" in ask("complete -C 'acctbench run mi'")
    assert RUNS[0] in ask("complete -C 'acctbench report 20261122-10'")
