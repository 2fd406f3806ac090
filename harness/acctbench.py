"""`import acctbench`: what can be asked from Python, and the entry of the program."""

from harness.cli.main import main as main  # noqa: PLC0414 - a re-export
from harness.workflows import __all__ as __all__  # noqa: PLC0414
from harness.workflows import __getattr__ as __getattr__  # noqa: PLC0414 - names come when used
