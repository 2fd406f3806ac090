"""Build steps: done in order, their output kept, a failed one told with its last words."""

import time
from pathlib import Path

import pytest

from harness.errors import TargetError
from harness.targets.build import LOG_NAME, build_target
from harness.targets.target_file import LaunchSpec, parse_target
from tests.targets.programs import wait_for_state


def launched(folder: Path, build: str) -> LaunchSpec:
    """A target with this [build] table."""
    text = f"""
name = "built"
[build]
{build}
[launch]
command = ["{{grpc_port}}"]
environment = {{ COLOUR = "blue" }}
"""
    how = parse_target(text, file=folder / "built.toml").how
    assert isinstance(how, LaunchSpec)
    return how


def step(program: str, *arguments: str) -> str:
    """One step of Python, as TOML."""
    listed = "".join(f', "{argument}"' for argument in arguments)
    return f"""["{{python}}", "-c", '''{program}'''{listed}]"""


def test_steps_follow_each_other_in_the_work_folder(tmp_path: Path) -> None:
    """Each sees the files of those before it, the environment and the file's folder."""
    write = step("import os; open('made', 'w').write(os.environ['COLOUR']); print('wrote')")
    read = step(
        "import sys; print(open(sys.argv[1]).read(), sys.argv[2])", "{workdir}/made", "{here}"
    )

    took_s = build_target(launched(tmp_path, f"steps = [{write}, {read}]"), folder=tmp_path)

    assert took_s > 0
    assert (tmp_path / "workdir" / "made").read_text() == "blue"
    lines = (tmp_path / LOG_NAME).read_text().splitlines()
    assert [line for line in lines if not line.startswith("$ ")] == ["wrote", f"blue {tmp_path}"]
    assert len(lines) == 4


def test_failed_step_ends_the_build_with_its_last_words(tmp_path: Path) -> None:
    """What came after it isn't done; the message has the step and the end of its output."""
    fails = step("print('line 1'); raise SystemExit('does not compile')")
    never = step("open('never', 'w')")

    with pytest.raises(TargetError, match=r"(?s)build step.*exited 1.*does not compile"):
        build_target(launched(tmp_path, f"steps = [{fails}, {never}]"), folder=tmp_path)
    assert not (tmp_path / "workdir" / "never").exists()
    assert "does not compile" in (tmp_path / LOG_NAME).read_text()


def test_step_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Past its timeout it is killed, and what it started with it."""
    hangs = step(
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '60']); "
        "print('child', child.pid, flush=True); time.sleep(60)"
    )
    begin_s = time.monotonic()

    with pytest.raises(TargetError, match=r"not done within 1 s"):
        build_target(launched(tmp_path, f'steps = [{hangs}]\ntimeout = "1s"'), folder=tmp_path)

    assert time.monotonic() - begin_s < 20.0
    pid = int((tmp_path / LOG_NAME).read_text().rpartition("child ")[2])
    assert wait_for_state(pid, "") == ""


def test_step_that_asks_gets_no_answer(tmp_path: Path) -> None:
    """Its stdin is at its end: a tool that asks a question fails and doesn't wait."""
    asks = step("input('Proceed? ')")

    with pytest.raises(TargetError, match="EOFError"):
        build_target(launched(tmp_path, f"steps = [{asks}]"), folder=tmp_path)


def test_missing_program_is_named(tmp_path: Path) -> None:
    """No such program is a target error with its name."""
    with pytest.raises(TargetError, match="no-such-compiler"):
        build_target(launched(tmp_path, 'steps = [["no-such-compiler"]]'), folder=tmp_path)
