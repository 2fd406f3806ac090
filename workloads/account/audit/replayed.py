"""
I20: replaying the journal gives the state.

A state that holds anything beyond the journal would differ after a restart or a failover.
"""

from harness.model.journal_replay import Replay
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import TargetState


def check_replay(closing: TargetState, replay: Replay | None) -> Tally:
    """Compare digests; *replay* is None where the target file has no way to replay a journal."""
    tally = Tally("I20")
    tally.lacks(closing.unrest)
    if not closing.digest:
        tally.lacks("the target has no digest")
    if replay is None:
        tally.lacks("the target file has no [replay] command")
    elif replay.failure:
        tally.lacks(replay.failure)
    elif closing.digest and not closing.unrest:
        tally.check(
            replay.digest == closing.digest.lower(),
            f"replaying the journal gives digest {replay.digest}, "
            f"the state at rest had {closing.digest}",
        )
    return tally
