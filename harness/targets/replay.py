"""
The replay of a target's journal: its own program, once more, on what the run left in its folder.

A service that lost nothing and made nothing up comes to the same state by its journal alone. What
it must print is one line, the digest; whatever else it says is kept in the run folder.
"""

import re
from pathlib import Path

from harness.model.journal_replay import Replay
from harness.model.units import NANOS_PER_SECOND
from harness.targets.build import place_values, work_folder
from harness.targets.placeholders import fill
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.target_file import AttachSpec, TargetSpec

LOG_NAME = "replay.log"
_DIGEST = re.compile(r"[0-9a-fA-F]{16,}")


def replay_journal(spec: TargetSpec, *, folder: Path) -> Replay | None:
    """
    Run the replay command of a target that was stopped; None where its file has none.

    A replay that fails is told, not raised: the rest of the audit must have its say.
    """
    how = spec.how
    if isinstance(how, AttachSpec) or not how.replay_command:
        return None
    workdir = work_folder(folder)
    values = place_values(how, workdir)
    log = folder / LOG_NAME
    command = Command(
        name="replay",
        argv=tuple(fill(part, values) for part in how.replay_command),
        environment={name: fill(text, values) for name, text in how.environment.items()},
        cwd=how.cwd or workdir,
        log=log,
    )
    try:
        ChildProcess(command).run_to_end(how.replay_timeout_ns / NANOS_PER_SECOND)
    except ChildFailedError as error:
        return Replay(failure=str(error))
    printed = log.read_text(encoding="utf-8", errors="replace").splitlines()
    digests = [line for line in printed if _DIGEST.fullmatch(line)]
    if not digests:
        return Replay(failure=f"replay printed no line that is a digest in hexadecimal, see {log}")
    return Replay(digest=digests[-1].lower())
