"""
What can be asked of acctbench from Python; python.md beside this file shows it.

`import acctbench` gives the same names. Each job takes a frozen request, tells what happens through
a callback and returns a frozen Result. It raises errors of harness.errors, prints nothing, reads no
command line and handles no signal. A name is imported, with all it needs, when it is first used.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "harness.workflows.requests": (
        *("RunRequest", "ProfileRequest", "CompareRequest", "GateRequest", "SignOffRequest"),
        *("AcceptRequest", "Result", "Phase", "Note", "Stopper"),
    ),
    "harness.model.scenario_file": ("ScenarioOverrides",),
    "harness.profilers.py_spy": ("PySpyOptions",),
    "harness.errors": ("HarnessError",),
    "harness.workflows.measured_runs": ("run", "profile"),
    "harness.workflows.comparison": ("compare",),
    "harness.workflows.gate_trial": ("gate",),
    "harness.workflows.signoff": ("sign_off",),
    "harness.workflows.history": ("accept",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = [*_HOMES]  # noqa: PLE0604 - names, from the one table


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
