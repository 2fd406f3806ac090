"""The pipeline templates: they parse, and every command in them is one that works."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.cli.init_command import FILES, PIPELINES
from harness.cli.main import acctbench, exit_code_of

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "ci" / "pipelines"
JOBS = ("gate", "history", "signoff")
TIMEOUT_S = 110
# What is added, so that a template's hours are seconds here.
SHORT = {
    "run": "--rate 50/s --duration 1s --warmup 200ms --quiet",
    "gate": "--budget 1s --quiet",
}
VERDICTS = {0, 1, 3, 4}  # what a busy machine makes of a second is not the point here


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of a template: its scripts, in order, and the variables they have."""

    host: str
    name: str
    scripts: tuple[str, ...]
    variables: dict[str, str]


def github() -> Iterator[Job]:
    """The jobs for GitHub Actions."""
    document = parsed("github.yml")
    for name, job in document["jobs"].items():
        steps = [step for step in job["steps"] if "run" in step]
        variables = {
            **document["env"],
            **{k: v for s in steps for k, v in s.get("env", {}).items()},
        }
        scripts = tuple(step["run"] for step in steps)
        yield Job(host="github", name=name, scripts=scripts, variables=variables)


def gitlab() -> Iterator[Job]:
    """The jobs for GitLab CI; the lines of a script run in one shell."""
    document = parsed("gitlab.yml")
    for key, job in document.items():
        if not key.startswith("."):
            yield Job(
                host="gitlab",
                name=key.removeprefix("acctbench-"),
                scripts=("\n".join(job["script"]), *job.get("after_script", ())),
                variables=document[job["extends"]]["variables"],
            )


def jenkins() -> Iterator[Job]:
    """The stages for Jenkins."""
    text = (TEMPLATES / "Jenkinsfile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^        (\w+) = '(.*)'$", text, re.MULTILINE))
    for name, body in re.findall(r"stage\('(\w+)'\) \{(.*?)\n        \}", text, re.DOTALL):
        scripts = tuple(re.findall(r"sh '''(.*?)'''", body, re.DOTALL))
        yield Job(host="jenkins", name=name, scripts=scripts, variables=variables)


def parsed(name: str) -> dict[str, Any]:
    """A template as YAML."""
    return dict(yaml.safe_load((TEMPLATES / name).read_text(encoding="utf-8")))


ALL = [*github(), *gitlab(), *jenkins()]


def commands_of(job: Job) -> list[list[str]]:
    """The words of every acctbench command of a job."""
    text = re.sub(r"\\\n\s*", " ", "\n".join(job.scripts))
    text = re.sub(r"\$\(git [^)]*\)", "main", text)
    lines = re.findall(r"^\s*\$ACCTBENCH (.*?)(?: \|\| .*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_every_host_has_every_job() -> None:
    """Gate, history and sign-off, and nothing that is none of them."""
    assert [(job.host, job.name) for job in ALL] == [
        (host, name) for host in ("github", "gitlab", "jenkins") for name in JOBS
    ]


@pytest.mark.parametrize("job", ALL, ids=lambda job: f"{job.host}-{job.name}")
def test_every_command_is_accepted(job: Job) -> None:
    """Each is a command of acctbench with options that it has."""
    commands = commands_of(job)
    assert len(commands) == {"gate": 1, "history": 2, "signoff": 2}[job.name]
    for words in commands:
        command: click.Command | None = acctbench.get_command(click.Context(acctbench), words[0])
        rest = words[1:]
        if isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        assert command is not None, words
        command.make_context(words[0], list(rest))


def test_jenkinsfile_is_balanced() -> None:
    """Every bracket and quote is closed, and it is one declarative pipeline."""
    text = (TEMPLATES / "Jenkinsfile").read_text(encoding="utf-8")
    code = re.sub(r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"|//[^\n]*", "", text, flags=re.DOTALL)
    open_brackets: list[str] = []
    for letter in code:
        if letter in "({[":
            open_brackets.append(letter)
        elif letter in ")}]":
            assert open_brackets.pop() + letter in {"()", "{}", "[]"}

    assert open_brackets == []
    assert re.findall(r"^(\w+) \{", code, re.MULTILINE) == ["pipeline"]
    for section in ("agent", "options", "triggers", "parameters", "environment", "stages"):
        assert re.search(rf"^    {section} \{{", code, re.MULTILINE)
    assert "'" not in code
    assert '"' not in code


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml", "Jenkinsfile"])
def test_no_address_and_no_unpinned_install(name: str) -> None:
    """Nothing is fetched but what the lock pins, and no address stands in a template."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")

    assert "://" not in text
    assert "pip install" not in text
    assert ("requirements.lock" in text) is (name != "Jenkinsfile")  # which needs no cache's key


def test_no_input_of_a_person_reaches_a_shell_unquoted() -> None:
    """GitHub puts ${{ }} into a script before the shell sees it; ours go through variables."""
    assert [script for job in github() for script in job.scripts if "${{" in script] == []


def test_init_writes_them_where_their_host_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the folder that was chosen, and nothing is replaced without --force."""
    monkeypatch.chdir(tmp_path)
    options = [word for host in PIPELINES for word in ("--pipeline", host)]
    assert exit_code_of(["init", "bench", *options]) == 0
    written = capsys.readouterr().out.splitlines()
    places = [place for _, place in PIPELINES.values()]

    assert written == [*(f"bench/{name}" for name in FILES), *places]
    for place in places:
        text = Path(place).read_text(encoding="utf-8")
        assert re.search(r"FOLDER(: | = ')bench'?$", text, re.MULTILINE)
    assert exit_code_of(["init", "other", "--pipeline", "gitlab"]) == 2
    assert ".gitlab/acctbench.yml: there already" in capsys.readouterr().err
    assert not Path("other").exists()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's repository with two commits, and an acctbench that is quick."""
    folder = tmp_path_factory.mktemp("user")
    program = folder / "tools" / "acctbench.sh"
    program.parent.mkdir()
    cases = "\n".join(f'  {name}) set -- "$@" {added} ;;' for name, added in SHORT.items())
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n{cases}\nesac\nexec {sys.executable} -m harness.cli.main "$@"\n'
    )
    program.chmod(0o755)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder)]
    here = Path.cwd()
    try:
        os.chdir(folder)
        assert exit_code_of(["init"]) == 0
    finally:
        os.chdir(here)
    (folder / ".gitignore").write_text("runs/\nrelease-*\n*.html\n", encoding="utf-8")
    subprocess.run([*git[:-2], "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "two"], check=True)
    return folder


@pytest.mark.parametrize("name", ["history", "signoff"])
def test_the_jobs_run(name: str, repository: Path) -> None:
    """What a host would do, short: a measured run, its history, a sign-off and its check."""
    job = next(job for job in gitlab() if job.name == name)
    environment = {
        **os.environ,
        **job.variables,
        "ACCTBENCH": str(repository / "tools" / "acctbench.sh"),
        "PYTHONPATH": str(ROOT),
        "RELEASE": "1.4",
    }
    environment.pop("ACCTBENCH_RUNS", None)
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", job.scripts[0]],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )

    assert done.returncode in VERDICTS, done.stderr
    assert "fault of acctbench" not in done.stderr
    outcome = {"history": "history.html", "signoff": "release-1.4/signoff.html"}[name]
    assert (repository / outcome).is_file(), done.stderr
