"""Instructions are counted exactly, and show a change that no timing shows."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import EngineError, InstallError
from workloads.micro.instructions import count_instructions
from workloads.micro.processes import ROOT

KERNEL = "reference.fees"
PLANTED_AT = "    if order.instrument.charges_per_lot:\n        fee_basis_ppm_minor = "
PLANTED = "    _ = order.leaves_lots + qty_lots\n    _ = qty_lots + order.leaves_lots\n"
needs_valgrind = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="valgrind is not installed: apt-get install valgrind"
)


def planted_copy(folder: Path, planted: str) -> Path:
    """A copy of the project whose leg_effect begins with *planted*."""
    for package in ("harness", "workloads"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    path = folder / "workloads" / "account" / "reference" / "orders.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(PLANTED_AT) == 1
    path.write_text(text.replace(PLANTED_AT, planted + PLANTED_AT), encoding="utf-8")
    return folder


@needs_valgrind
def test_a_planted_change_is_counted(tmp_path: Path) -> None:
    """The same code has the same count twice; some 2 % more in one function is seen."""
    before = planted_copy(tmp_path / "a", "")
    after = planted_copy(tmp_path / "b", PLANTED)
    with ThreadPoolExecutor(2) as threads:  # counts don't mind company
        countings = threads.map(
            lambda root: count_instructions([KERNEL], root=root), (before, before, after)
        )
        counts = [counting.counts[KERNEL] for counting in countings]

    assert counts[0] == counts[1]
    assert 1.015 < counts[2] / counts[0] < 1.025


@needs_valgrind
def test_a_wrong_result_is_no_count(tmp_path: Path) -> None:
    """A kernel that returns something wrong ends the run, and says what."""
    wrong = planted_copy(tmp_path, "    notional_minor += 10**6\n")

    with pytest.raises(EngineError, match=f"{KERNEL}: the fees is"):
        count_instructions([KERNEL], root=wrong)


def test_without_valgrind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without valgrind the message says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InstallError, match="apt-get install valgrind"):
        count_instructions([KERNEL])
