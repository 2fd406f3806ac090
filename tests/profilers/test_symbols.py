"""Symbols of any language tell whose code they are, or stay a bare name."""

import pytest

from harness.model.profile import Frame
from harness.profilers.symbols import symbol_frame


@pytest.mark.parametrize(
    ("text", "function", "module", "package"),
    [
        ("main.(*Server).Reserve", "(*Server).Reserve", "main", "main"),
        (
            "github.com/shop/core/ledger.(*Book).Append",
            "(*Book).Append",
            "github.com/shop/core/ledger",
            "github.com/shop/core",
        ),
        ("runtime.mallocgc", "mallocgc", "runtime", "native"),
        ("encoding/json.Marshal", "Marshal", "encoding/json", "native"),
        ("core_ledger::book::append", "append", "core_ledger::book", "core_ledger"),
        ("std::vector<int>::push_back(int)", "vector<int>::push_back(int)", "std", "native"),
        ("com/shop/Ledger.append_[j]", "append", "com/shop/Ledger", "com/shop"),
        ("py::append:/app/core/ledger.py", "append", "ledger", "ledger"),
        ("Journal.write (core/journal.py:60)", "Journal.write", "core.journal", "core"),
        ("[libc.so.6]", "<libc.so.6>", "libc.so.6", "native"),
        ("entry_SYSCALL_64_[k]", "entry_SYSCALL_64", "kernel", "native"),
        ("_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault", "native", "native"),
    ],
)
def test_whose_code_it_is(text: str, function: str, module: str, package: str) -> None:
    """Module where the language writes one; libraries are charged to who calls them."""
    assert symbol_frame(text) == Frame(function=function, module=module, package=package)


@pytest.mark.parametrize("text", ["[unknown]", "::", ".", "a.b.", "(", "[", "x" * 5_000, "é;"])
def test_no_symbol_is_too_strange(text: str) -> None:
    """Whatever a profiler wrote is some frame, of bounded length."""
    frame = symbol_frame(text)

    assert 0 < len(frame.function) <= 300
