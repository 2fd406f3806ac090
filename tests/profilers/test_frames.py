"""Frames are the same whoever wrote them, and wherever the code lay."""

import pytest

from harness.model.profile import Frame
from harness.profilers.frames import frame_of, parse_folded, python_frame


def test_a_function_is_known_by_module_and_name_not_by_line() -> None:
    """Two lines of one function are one frame."""
    first = frame_of("Journal.write (workloads/account/reference/journal.py:60)")

    assert first == frame_of("Journal.write (workloads/account/reference/journal.py:99)")
    assert first == Frame(
        function="Journal.write", module="workloads.account.reference.journal", package="workloads"
    )


@pytest.mark.parametrize(
    ("text", "module", "package"),
    [
        ("wait (threading.py:1)", "threading", "python"),
        ("run (asyncio/runners.py:86)", "asyncio.runners", "asyncio"),
        ("send (aiokafka/producer/sender.py:3)", "aiokafka.producer.sender", "aiokafka"),
        ("_call (<frozen importlib._bootstrap>:241)", "importlib._bootstrap", "python"),
        ("SHA256_Update (libcrypto.so.3)", "libcrypto.so.3", "native"),
        ("run (uvloop/loop.pyx:512)", "uvloop.loop", "uvloop"),
    ],
)
def test_packages_are_what_a_reader_folds_together(text: str, module: str, package: str) -> None:
    """The first part of the module, the standard library, or native code."""
    frame = frame_of(text)

    assert (module, package) == (frame.module, frame.package)


def test_native_code_without_a_name_is_known_by_its_library() -> None:
    """Addresses differ from run to run."""
    assert frame_of("0x7f189ce9c395 (libcrypto.so.3)") == frame_of(
        "0x7f0000000000 (libcrypto.so.3)"
    )


def test_a_library_is_the_same_from_any_environment() -> None:
    """The path up to site-packages is the machine's own."""
    one = python_frame("send", "/home/a/venv/lib/python3.11/site-packages/aiokafka/client.py")

    assert one == python_frame("send", "/opt/lib/python3.12/site-packages/aiokafka/client.py")


def test_what_is_no_folded_stack_is_refused_with_its_line() -> None:
    """A report from a damaged file would be a lie."""
    with pytest.raises(ValueError, match="line 2"):
        list(parse_folded(["a;b 3", "a;b three"]))
