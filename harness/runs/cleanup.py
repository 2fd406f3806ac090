"""Clean up a run folder: redact secrets in logs; delete raw evidence if the audit passed."""

import shutil
from pathlib import Path

from harness.engine.supervisor import EVENTS_LOG, SUBSCRIPTIONS_LOG
from harness.model.secrets import Secrets


def strike_logs(folder: Path, secrets: Secrets) -> None:
    """A target that writes what it was sent must not make the run folder a secret."""
    for log in folder.glob("*.log") if secrets else ():
        if log.name in {EVENTS_LOG, SUBSCRIPTIONS_LOG}:
            continue  # what was read from a topic
        data = log.read_bytes()
        redacted = secrets.strike_bytes(data)
        if redacted != data:
            log.write_bytes(redacted)


def remove_raw_evidence(folder: Path) -> None:
    """What only a failed audit needs: the state of target and broker, every event."""
    for state in ("workdir", "kafka"):
        shutil.rmtree(folder / state, ignore_errors=True)
    for evidence in (EVENTS_LOG, SUBSCRIPTIONS_LOG):
        (folder / evidence).unlink(missing_ok=True)
    for log in folder.glob("*.log"):
        if log.stat().st_size == 0:
            log.unlink()
