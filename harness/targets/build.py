"""
Build steps of a target: run before every start of a run, their output kept in the run folder.

Nothing is cached here. make, go and cargo know what has changed since the last build; a cache of
ours would know it worse, and one wrong guess measures a program that nobody wrote.
"""

import sys
import time
from pathlib import Path

from harness.errors import TargetError
from harness.model.units import NANOS_PER_SECOND
from harness.targets.placeholders import fill
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.target_file import LaunchSpec

LOG_NAME = "build.log"
_WORK_FOLDER = "workdir"


def work_folder(folder: Path) -> Path:
    """The target's own folder in the run folder *folder*, made if it is not there."""
    workdir = (folder / _WORK_FOLDER).resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    return workdir


def place_values(how: LaunchSpec, workdir: Path) -> dict[str, str]:
    """The placeholders that are known before anything runs."""
    return {"python": sys.executable, "here": str(how.here), "workdir": str(workdir)}


def build_target(how: LaunchSpec, *, folder: Path) -> float:
    """
    Do every step in turn, in the folder that the target will run in; the time in seconds.

    A TargetError has the end of the output of the step that failed.
    """
    workdir = work_folder(folder)
    values = place_values(how, workdir)
    log = folder / LOG_NAME
    started_s = time.monotonic()
    for step in how.build_steps:
        shown = " ".join(step)
        with log.open("a", encoding="utf-8") as header:
            header.write(f"$ {shown}\n")
        command = Command(
            name=f"build step {shown}",
            argv=tuple(fill(part, values) for part in step),
            environment=how.environment,
            cwd=how.cwd or workdir,
            log=log,
        )
        try:
            ChildProcess(command).run_to_end(how.build_timeout_ns / NANOS_PER_SECOND)
        except ChildFailedError as error:
            raise TargetError(str(error)) from error
    return time.monotonic() - started_s
