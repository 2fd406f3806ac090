"""Who does something that others rely on, and why: the options of every command that signs."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.model.baseline import Signature


by_option = click.option(
    "--by",
    "who",
    envvar="ACCTBENCH_BY",
    show_envvar=True,
    help="Who does this. [default: the user of this machine]",
)


_REASON = "The reason, which is kept with it."
why_option = click.option("--why", default="", help=_REASON)
needed_why_option = click.option("--why", required=True, help=_REASON)


def signed(who: str | None, why: str) -> Signature:
    """The signature of now; a UsageError if nobody can be named."""
    from harness.errors import UsageError
    from harness.machine.environment import now_utc
    from harness.model.baseline import Signature

    try:
        name = (who if who is not None else getpass.getuser()).strip()
    except (OSError, KeyError, ImportError):  # no such user in a container's list
        name = ""
    if not name:
        raise UsageError("--by: this machine doesn't know who you are; write e.g. --by ada")
    return Signature(who=name, at=now_utc(), why=why.strip())
