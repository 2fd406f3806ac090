"""
Where text goes: results to stdout, words for people to stderr.

stdout of every command is one thing a script can use, a path or JSON. Text from a service, a file
or an exception goes through `printable`: markup and escape sequences in it mean nothing.
"""

import json
import shlex
import sys
from typing import Any

import click
from rich.console import Console, RenderableType

people = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
"""For people."""
_WIDTH_PIPED = 160  # a pipe has no width; tables should not be broken for it


def printable(text: str) -> str:
    """
    *text* with its control characters spelt out.

    What a service or a broker says ends on a terminal, which would obey its escape sequences.
    """
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1]
        for letter in text
    )


def print_renderable(renderable: RenderableType) -> None:
    width = None if sys.stdout.isatty() else _WIDTH_PIPED
    Console(markup=False, highlight=False, emoji=False, width=width).print(renderable)


def print_for_people(renderable: RenderableType) -> None:
    """Print a table for people, on stderr; a pipe is as wide as in print_renderable."""
    width = None if people.is_terminal else _WIDTH_PIPED
    Console(stderr=True, markup=False, highlight=False, emoji=False, width=width).print(renderable)


def print_result(text: str) -> None:
    click.echo(text)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, sort_keys=True, default=str))


def command_line() -> str:
    """What was typed: it repeats the command, and stands in the records of what it measures."""
    return shlex.join(["acctbench", *sys.argv[1:]])
