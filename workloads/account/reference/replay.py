"""
A journal replayed into a fresh instance: its digest is the proof that nothing else made the state.

It changes nothing on disk and emits nothing.
"""

from workloads.account.reference.digest import state_digest
from workloads.account.reference.inputs import replay_input
from workloads.account.reference.journal import Journal
from workloads.account.reference.state import State


def replayed_state(journal: Journal) -> State:
    """The state that replaying *journal* gives; JournalError if the journal was damaged."""
    state = State()
    for kind, payload in journal.read():
        replay_input(state, kind, payload)
        state.transactions.clear()
        state.dead_letters.clear()
    return state


def replayed_digest(journal: Journal) -> bytes:
    """BLAKE2b-256 of the state that the journal's inputs make; raises what replayed_state does."""
    return state_digest(replayed_state(journal))
