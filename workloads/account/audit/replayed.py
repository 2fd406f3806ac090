"""
I20: the journal alone makes the state.

A state that has anything in it which the journal has not would be another one after a restart, or
on the machine that takes over.
"""

from harness.model.journal_replay import Replay
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import TargetState


def check_replay(closing: TargetState, replay: Replay | None) -> Tally:
    """Compare digests; *replay* is None where the target file has no way to replay a journal."""
    tally = Tally("I20")
    tally.lacks(closing.unrest)
    if not closing.digest:
        tally.lacks("the target told no digest")
    if replay is None:
        tally.lacks("the target file has no [replay] command")
    elif replay.failure:
        tally.lacks(replay.failure)
    elif closing.digest and not closing.unrest:
        tally.check(
            replay.digest == closing.digest.lower(),
            f"the journal makes the state {replay.digest}, at rest it was {closing.digest}",
        )
    return tally
