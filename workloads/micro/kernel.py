"""
What a kernel of the micro suite is: one hot function, its prepared input, and what it must return.

A kernel is deterministic: fixed inputs, no clock, no chance, no address in any decision. It is
defined once, and both timed (timing.py) and counted (instructions.py). What a round changes is
prepared anew for the next, so every round does the same work.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


def _leave_as_is() -> None:
    """Most kernels hold nothing that has to be given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round(Generic[Result]):
    """
    One round, ready to go.

    Attributes:
        work: What is measured; called once.
        fault: What is wrong with what `work` returned, "" if nothing is; never measured.
        close: Gives back files and the like; called once, at the end.
    """

    work: Callable[[], Result]
    fault: Callable[[Result], str]
    close: Callable[[], None] = _leave_as_is

    def run_checked(self) -> str:
        """Do the work and close; what is wrong with the result."""
        try:
            return self.fault(self.work())
        finally:
            self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """
    A named hot function.

    Attributes:
        name: Whose it is, a dot, what it does.
        title: What one operation of it is, for a reader.
        operation_count: Operations in one round: a power of two, so that an instruction count
            divided by it is exact.
        prepare: Makes a round; its cost is not measured.
    """

    name: str
    title: str
    operation_count: int
    prepare: Callable[[], Round[Any]]

    def __post_init__(self) -> None:
        assert self.operation_count.bit_count() == 1, self.name


def chosen(names: Iterable[str], pattern: str) -> tuple[str, ...]:
    """The *names* that hold *pattern*, or fit it as a shell pattern; all for an empty one."""
    return tuple(name for name in names if pattern in name or fnmatchcase(name, pattern))


def unequal(what: str, actual: object, expected: object) -> str:
    """What is wrong where *actual* should be *expected*; "" where it is."""
    return "" if actual == expected else f"{what} is {actual!r:.200}, not {expected!r:.200}"


def fault_if(is_wrong: object, text: str) -> str:
    """*text* if *is_wrong*, else ""."""
    return text if is_wrong else ""


def first_fault(faults: Iterable[str]) -> str:
    """The first of *faults* that is one; "" if none is."""
    return next((fault for fault in faults if fault), "")
