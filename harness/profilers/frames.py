"""
From the text of profilers to frames: module and function, the same on every machine.

Folded stacks are "root (file:line);...;leaf (file:line) count", as py-spy, perf's stackcollapse and
pprof's converters write them. Pure.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from harness.model.profile import Frame

_FRAME = re.compile(r"(?P<function>.*?) \((?P<place>[^()]*?)(?::\d+)?\)$")
_COUNT = re.compile(r"[0-9]{1,18}")
_ADDRESS = re.compile(r"^(0x)?[0-9a-f]{6,}$|^\[unknown\]$")
_SITE = re.compile(r".*/(?:site|dist)-packages/|.*/lib/python\d\.\d+/")
_FROZEN = re.compile(r"<frozen ([\w.]+)>")


@cache
def frame_of(text: str) -> Frame:
    """
    The frame that a profiler wrote as *text*.

    "Journal.write (workloads/account/reference/journal.py:60)" is a Python function, "SHA256_Update
    (libcrypto.so.3)" a native one; native code without a name is known by its library alone.
    """
    found = _FRAME.match(text)
    if found is None:
        return Frame(function=text, module="", package="native" if text.startswith("<") else text)
    function, place = found["function"], found["place"]
    if place.endswith((".py", ".pyx")) or _FROZEN.fullmatch(place):
        return python_frame(function, place)
    name = place.rpartition("/")[2]
    if _ADDRESS.match(function):
        function = f"<{name}>"
    return Frame(function=function, module=name, package="native")


def python_frame(function: str, file: str) -> Frame:
    """The frame of a Python function in *file*: a full path, or one shortened to its package."""
    frozen = _FROZEN.fullmatch(file)
    module = frozen[1] if frozen else _module(_SITE.sub("", file))
    first = module.partition(".")[0]
    is_standard = first in sys.stdlib_module_names
    # asyncio is worth its own colour: it is the loop that most services live in.
    package = "python" if is_standard and first != "asyncio" else first
    return Frame(function=function, module=module, package=package)


def parse_folded(lines: Iterable[str], *, first_number: int = 1) -> Iterator[tuple[list[str], int]]:
    """
    The stacks of folded *lines*, each with its count, frames still as text.

    Empty lines are left out. *first_number* is that of the first line: a ValueError names the line
    that is no folded stack.
    """
    for number, line in enumerate(lines, start=first_number):
        if not line.strip():
            continue
        stack, _, count = line.rstrip().rpartition(" ")
        if not stack or not _COUNT.fullmatch(count):
            raise ValueError(f"line {number}: {line.strip()[:80]!r} is not 'frame;frame count'")
        yield stack.split(";"), int(count)


def _module(path: str) -> str:
    """Dotted; of a full path the file's own name only, since folders differ between machines."""
    if path.startswith("/"):
        path = path.rpartition("/")[2]
    stem = path.removesuffix(".pyx").removesuffix(".py").removesuffix("/__init__")
    return stem.replace("/", ".")
