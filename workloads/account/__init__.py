"""
The account core, accounts.v1: its contract, workloads, audit, and a reference service.

SYSTEM is made on first use: who needs the contract alone doesn't load plans and audit with it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "SYSTEM":
        from workloads.account.system import SYSTEM  # noqa: PLC0415 - on first use, see above

        return SYSTEM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
