"""
Every help text as one Markdown document: `python -m harness.cli.manual > harness/cli/commands.md`.

A test compares the file with the program, so that no command or option is missing from it.
"""

from collections.abc import Iterator

import click

from harness.cli.console import print_result
from harness.cli.main import acctbench

_WIDTH = 80
_HEAD = """\
# Every command and option

Made from `--help` by `python -m harness.cli.manual > harness/cli/commands.md`.
"""


def commands() -> Iterator[tuple[str, click.Context]]:
    """Every command by its full name ("acctbench run"), those of groups too, the program not."""
    yield from _below(_context(acctbench, "acctbench", None))


def manual() -> str:
    """The document: the program first, then its commands."""
    program = ("acctbench", _context(acctbench, "acctbench", None))
    sections = [
        f"## {name}\n\n```\n{context.command.get_help(context)}\n```\n"
        for name, context in (program, *commands())
    ]
    return "\n".join([_HEAD, *sections])


def _below(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        below = _context(command, name, context)
        yield below.command_path, below
        if isinstance(command, click.Group):
            yield from _below(below)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        **{**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH},
    )


if __name__ == "__main__":
    print_result(manual().rstrip("\n"))
