"""What pytest-benchmark stores of the machine: nothing that names it."""

from typing import Any


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Records are shared: the name of the host stays here."""
    machine_info["node"] = ""
