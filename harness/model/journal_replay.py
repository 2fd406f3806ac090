"""What came of replaying a target's journal into a fresh instance of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """
    One replay.

    Attributes:
        digest: Of the state that the journal makes, in hexadecimal; empty if there is none.
        failure: Why there is none, as a clause.
    """

    digest: str = ""
    failure: str = ""
