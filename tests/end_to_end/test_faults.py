"""
What a user sees when something breaks: a clear message, an exit code, nothing left running.

The real command and the real broker; services that misbehave are tiny programs. The command runs
in this process unless it is to be interrupted or something of it is to be killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.targets.process import guardian
from tests.commands import acctbench

ENDED_WITHIN_S = 60
SCENARIO = """
name = "faulty"
title = "Something breaks"
system = "workloads.null:SYSTEM"
[arrivals]
kind = "constant"
rate = "100/s"
[phases]
warmup = "200ms"
measure = "{measure}"
drain = "2s"
[load]
timeout = "2s"
[limits]
lateness_p99 = "50ms"
generator_cpu = "95%"
"""
TARGET = """
name = "doomed"
[launch]
command = ["{{python}}", "-c", '''{program}''', "{{grpc_port}}"]
[ready]
line = "ready "
timeout = "60s"
"""
DIES_AT_START = "import sys; print('no such asset table'); sys.exit(3)"
DIES_MID_RUN = (
    "import subprocess, sys, threading, time, os; "
    "threading.Timer(1.5, lambda: (print('out of luck', flush=True), os._exit(7))).start(); "
    "from harness.targets import null_service; sys.argv = ['null', '--port', '0']; "
    "null_service.main()"
)


class Folder:
    """A scenario, a target file and a runs folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"

    def command(self, *, program: str = "", measure: str = "3s", kafka: str = "") -> list[str]:
        """The arguments of a run against *program* (none: the null service)."""
        scenario = self.path / "faulty.toml"
        scenario.write_text(SCENARIO.format(measure=measure), encoding="utf-8")
        target = "null"
        if program:
            target = str(self.path / "target.toml")
            Path(target).write_text(TARGET.format(program=program), encoding="utf-8")
        command = ["run", str(scenario), "--target", target, "--runs", str(self.runs)]
        return [*command, "--kafka", kafka] if kafka else command

    def incomplete(self) -> Path:
        """The one run folder, which must be marked as incomplete."""
        (folder,) = self.runs.iterdir()
        assert folder.name.endswith(".incomplete")
        return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A fresh folder."""
    return Folder(tmp_path)


@pytest.fixture(autouse=True)
def nothing_left_running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """After each test no process of it runs on; they are known by a mark in their environment."""
    guardian()  # this process's own, which stays and must not have the mark
    monkeypatch.setenv("ACCTBENCH_TEST_MARK", str(tmp_path))
    yield
    monkeypatch.delenv("ACCTBENCH_TEST_MARK")
    deadline_s = time.monotonic() + 60
    while left := _marked(str(tmp_path)):
        assert time.monotonic() < deadline_s, f"still running: {left}"
        time.sleep(0.1)


def _marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "environ", "cmdline", "status"]):
        is_marked = (process.info["environ"] or {}).get("ACCTBENCH_TEST_MARK") == mark
        if is_marked and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def started(command: list[str]) -> subprocess.Popen[str]:
    """A command of its own, once its load goes."""
    program = [sys.executable, "-m", "harness.cli.main", *command]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("warm-up"):
            return process
    raise AssertionError("the load never started")


def test_service_that_dies_at_start_is_quoted(folder: Folder) -> None:
    """Exit 6, at once, with the service's own last words."""
    done = acctbench(*folder.command(program=DIES_AT_START))

    assert done.returncode == 6
    assert "exited 3" in done.stderr
    assert "no such asset table" in done.stderr
    assert json.loads((folder.incomplete() / "failure.json").read_text())["error"] == "TargetError"


def test_service_that_dies_mid_run_is_quoted(folder: Folder) -> None:
    """Exit 6 with how it ended and its log, the folder kept as incomplete."""
    done = acctbench(*folder.command(program=DIES_MID_RUN, measure="8s"))

    assert done.returncode == 6
    assert "exited 7" in done.stderr
    assert "out of luck" in done.stderr
    assert (folder.incomplete() / "target.log").read_text().endswith("out of luck\n")


@pytest.mark.parametrize(("kafka", "program"), [("embedded", "tansu"), ("apache", "java")])
def test_broker_that_dies_mid_run_is_named(
    kafka: str, program: str, folder: Folder, request: pytest.FixtureRequest
) -> None:
    """Exit 6 and the broker is named, not the service."""
    if kafka == "apache":
        request.getfixturevalue("apache_installed")
    command = folder.command(measure="8s", kafka=kafka)
    process = started(command)
    (broker,) = [
        child for child in psutil.Process(process.pid).children(True) if program in child.name()
    ]

    broker.kill()
    _, words = process.communicate(timeout=ENDED_WITHIN_S)

    assert process.returncode == 6
    assert "killed by signal 9" in words
    assert {"embedded": "embedded broker", "apache": "Apache Kafka"}[kafka] in words
    folder.incomplete()


def test_broker_that_is_not_installed_is_named(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 6 with the command that installs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = acctbench(*folder.command(kafka="apache"))

    assert done.returncode == 6
    assert "run: acctbench kafka install" in done.stderr


def test_broker_that_can_not_do_what_is_planned_is_refused(folder: Folder) -> None:
    """Exit 2, the step named, nothing started and no folder made."""
    command = folder.command()
    with (folder.path / "faulty.toml").open("a", encoding="utf-8") as scenario:
        scenario.write('[[steps]]\nat = "1s"\naction = "kill-restart-broker"\n')

    done = acctbench(*command)

    assert done.returncode == 2
    assert "steps[0].action: kill-restart-broker" in done.stderr
    assert "--kafka apache" in done.stderr
    assert not folder.runs.exists()


def test_broker_that_is_not_there_is_named(folder: Folder) -> None:
    """Exit 6 with the address that nobody answers at."""
    done = acctbench(*folder.command(kafka="127.0.0.1:1"))

    assert done.returncode == 6
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_is_kept_as_incomplete(folder: Folder, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM stop the load in order: exit 4, never a baseline."""
    process = started(folder.command(measure="20s"))
    time.sleep(0.5)

    process.send_signal(number)
    _, words = process.communicate(timeout=ENDED_WITHIN_S)

    assert process.returncode == 4
    assert "stopped" in words
    folder.incomplete()


def test_killed_load_process_is_no_result(folder: Folder) -> None:
    """A load process that dies makes the run invalid (4), not the service guilty."""
    process = started(folder.command(measure="8s"))
    (load,) = [
        child
        for child in psutil.Process(process.pid).children(True)
        if "harness.engine.load_process" in child.cmdline()
    ]

    os.kill(load.pid, signal.SIGKILL)
    _, words = process.communicate(timeout=ENDED_WITHIN_S)

    assert process.returncode == 4
    assert "load_process" in words
    folder.incomplete()


def test_topic_that_no_system_has_is_refused(folder: Folder) -> None:
    """Exit 2 with the key of the target file, before anything starts."""
    command = folder.command(program=DIES_AT_START)
    target = folder.path / "target.toml"
    target.write_text(target.read_text() + '[contract]\nabsent_topics = ["acct.legder.v1"]\n')

    done = acctbench(*command)

    assert done.returncode == 2
    assert "target.toml: contract.absent_topics: 'acct.legder.v1': write" in done.stderr
    assert not folder.runs.exists()


def test_full_disk_is_said_so(folder: Folder) -> None:
    """A run folder that can't be written to any more: exit 4, a sentence, no traceback."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    folder.runs.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder.runs)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not permit mounts")
    try:
        done = acctbench(*folder.command(measure="1s"))
    finally:
        subprocess.run(["umount", "-l", str(folder.runs)], check=True)

    assert done.returncode == 4, done.stderr
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_scenario_names_the_nearest() -> None:
    """Exit 2 and what was probably meant."""
    done = acctbench("run", "spot-stedy")

    assert done.returncode == 2
    assert "spot-steady" in done.stderr


def test_every_fault_of_a_scenario_is_listed_at_once(folder: Folder) -> None:
    """Exit 2, each fault with its key, nothing started."""
    command = folder.command()
    text = (folder.path / "faulty.toml").read_text()
    broken = text.replace('"100/s"', '"fast"').replace('"2s"', '"soon"') + "\n[lood]\nx = 1\n"
    (folder.path / "faulty.toml").write_text(broken)

    done = acctbench(*command)

    assert done.returncode == 2
    assert all(
        key in done.stderr for key in ("arrivals.rate", "phases.drain", "load.timeout", "lood")
    )
    assert not folder.runs.exists()
