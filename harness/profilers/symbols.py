"""
From the symbols of perf, pprof and their like to frames: whose code it is, in any language. Pure.

A folded stack made elsewhere names a function as its language does: "main.(*Server).Reserve",
"core::ledger::append", "com/shop/Ledger.append", "py::append:/app/ledger.py". What can be told from
that is the module; what can't be told stays a bare name of native code. Code of a language's own
library, of the kernel and of libraries without symbols is marked so that its cost is charged to who
called it.
"""

import re
from functools import cache

from harness.model.profile import Frame
from harness.profilers.frames import frame_of, python_frame

_LENGTH_MAX = 300  # of a name: templates of C++ run to kilobytes
_ANNOTATION = re.compile(r"_\[(?P<kind>[kwji])\]$")  # of stackcollapse: kernel, wall, jit, inlined
_PYTHON = re.compile(r"py::(?P<function>[^:]+):(?P<file>.+)$")  # perf's trampolines of Python 3.12
_LIBRARY = re.compile(r"\[(?P<name>[^\[\]]+)\]$")  # no symbol, or only the name of the file
_SCOPED = re.compile(r"(?P<module>[\w$~]+(?:::[\w$~]+)*)::(?P<function>.+)$")  # C++, Rust
_DOTTED = re.compile(r"(?P<module>(?:[\w.~%-]+/)*[\w%-]+)\.(?P<function>[\w(*<].*)$")  # Go, Java
_PLACED = re.compile(r".+ \([^()]+\)$")  # "function (file:line)", as py-spy writes

# Packages of Go's library, crates of Rust's and C++'s own: who calls them decides what they cost.
_STANDARD = frozenset(
    (
        *("runtime", "internal", "syscall", "sync", "net", "os", "io", "bufio", "bytes", "fmt"),
        *("strings", "strconv", "encoding", "crypto", "compress", "hash", "math", "sort", "time"),
        *("reflect", "context", "container", "unicode", "slices", "maps", "errors", "log"),
        *("std", "core", "alloc", "__gnu_cxx", "__cxxabiv1", "java", "javax", "jdk", "sun"),
    )
)


@cache
def symbol_frame(text: str) -> Frame:
    """The frame of the symbol *text*; a name without a module is known by itself alone."""
    annotation = _ANNOTATION.search(text)
    name = text[: annotation.start()] if annotation else text
    name = name[:_LENGTH_MAX]
    if annotation and annotation["kind"] == "k":
        return Frame(function=name, module="kernel", package="native")
    if python := _PYTHON.match(name):
        return python_frame(python["function"], python["file"])
    if _PLACED.match(name):
        return frame_of(name)
    if library := _LIBRARY.match(name):
        if library["name"] == "unknown":
            return Frame(function="<unknown>", module="", package="native")
        return Frame(function=f"<{library['name']}>", module=library["name"], package="native")
    found = _SCOPED.match(name) or _DOTTED.match(name)
    if found is None:
        return Frame(function=name, module="native", package="native")
    return Frame(
        function=found["function"], module=found["module"], package=_package(found["module"])
    )


def _package(module: str) -> str:
    """What is folded together: the crate, the namespace, the repository of a Go package."""
    first, *rest = re.split(r"/|::", module)
    if first in _STANDARD:
        return "native"
    if "." in first and rest:  # a host: the repository is what follows it
        return "/".join([first, *rest[:2]])
    return first
