"""
Where text goes: results to stdout, words for people to stderr.

stdout of every command is one thing a script can use, a path or JSON. Text from a service, a file
or an exception is printed as it is: markup in it means nothing.
"""

import json
import sys
from typing import Any

import click
from rich.console import Console, RenderableType

people = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
"""For people."""
_WIDTH_PIPED = 160  # a pipe has no width; tables should not be broken for it


def print_renderable(renderable: RenderableType) -> None:
    """Print a table or a line as the result of a command."""
    width = None if sys.stdout.isatty() else _WIDTH_PIPED
    Console(markup=False, highlight=False, emoji=False, width=width).print(renderable)


def print_result(text: str) -> None:
    """Print the result of a command."""
    click.echo(text)


def print_json(document: Any) -> None:
    """Print the result of a command as JSON, keys sorted."""
    click.echo(json.dumps(document, indent=2, sort_keys=True, default=str))
