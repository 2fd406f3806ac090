"""Who does something that others rely on, and why: the options of every command that signs."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model.baseline import Signature

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def by_option(command: _Command) -> _Command:
    """Add --by."""
    option = click.option(
        "--by",
        "who",
        envvar="ACCTBENCH_BY",
        show_envvar=True,
        help="Who does this. [default: the user of this machine]",
    )
    return option(command)


def why_option(*, is_required: bool = False) -> Callable[[_Command], _Command]:
    """Add --why."""
    if is_required:
        return click.option("--why", required=True, help="The reason, which is kept with it.")
    return click.option("--why", default="", help="The reason, which is kept with it.")


def signed(who: str | None, why: str) -> Signature:
    """
    The signature of now.

    Raises:
        UsageError: nobody can be named.
    """
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
