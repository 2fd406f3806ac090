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
_DOTTED = re.compile(r"(?P<module>(?:[\w.~%-]+/)*[\w%$-]+)\.(?P<function>[\w(*<].*)$")  # Go, Java
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


# What a runtime numbers anew at each start, and what names it by.
_OF_A_START = (
    (re.compile(r"\$\$Lambda(\$\d+)?(/(0x)?[0-9a-f]{5,}\b)?"), "$$Lambda"),  # JVM
    (re.compile(r"((?:LambdaForm\$|\$\$|Hidden)\w*)/(0x)?[0-9a-f]{5,}\b"), r"\1"),
    (re.compile(r"\b(Generated\w*Accessor)\d+"), r"\1"),
    (re.compile(r"(\$Proxy|jdk/proxy)\d+"), r"\1"),
    (re.compile(r"(\$\$\w*(?:FastClass|Enhancer)\w*\$\$)[0-9a-f]{5,}"), r"\1"),  # cglib, Spring
    (re.compile(r"\blambda_method\d+"), "lambda_method"),  # .NET
    (re.compile(r"::h[0-9a-f]{16}$"), ""),  # Rust's legacy mangling
    (re.compile(r"(\.(?:llvm|constprop|isra|part|lto_priv|cold)(\.\d+)*)+$"), ""),  # clones
    (re.compile(r"^\[([^\]]*?) tid=\d+\]$"), r"[\1]"),  # a thread, of async-profiler
    (re.compile(r"^(\[[^\]]*?[a-zA-Z])-\d+(?=[-\]])"), r"\1"),  # [pool-3-thread-7]
    (re.compile(r"^(\[[^\]]*?[a-zA-Z])-\d+(?=[-\]])"), r"\1"),
    (re.compile(r"^0x[0-9a-f]+$"), "[unknown]"),
)


@cache
def symbol_frame(text: str) -> Frame:
    """
    The frame of the symbol *text*; a name without a module is known by itself alone.

    Numbers and addresses that a runtime makes anew at each start are no part of a name: the same
    function of two starts must be one.
    """
    annotation = _ANNOTATION.search(text)
    name = text[: annotation.start()] if annotation else text
    name = name[:_LENGTH_MAX]
    for pattern, kept in _OF_A_START:
        name = pattern.sub(kept, name)
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
    if rest and rest[-1][:1].isupper():  # a class of the JVM: who made it, and what it is part of
        return "/".join([first, *rest[:-1]][:2])
    if "." in first and rest:  # a host: the repository is what follows it
        return "/".join([first, *rest[:2]])
    return first
