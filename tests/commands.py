"""The command line in the tests' own process: what it costs to import is paid once."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from harness.cli.main import exit_code_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def acctbench(*words: str) -> Done:
    """The command of *words*, done."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        code = exit_code_of(list(words))
    return Done(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())
