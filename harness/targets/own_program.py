"""
Whether a target's command runs a program of its own revision, and not one that both sides share.

Two sides that run one installed program are equal for ever, whatever was changed: a gate that is
always green. So it is the program that must lie in the revision's folder, or be built from it: an
argument that does, such as a folder for data, says nothing. What can't be told is rejected; a
script in the repository that starts the rest is always understood.
"""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from harness.targets.placeholders import fill
from harness.targets.target_file import LaunchSpec

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_PYTHON_OPTIONS_WITH_VALUE = ("-X", "-W")
_JAVA_OPTIONS_OF_PROGRAM = ("-jar", "-cp", "-classpath", "--class-path")
_SHELLS = ("bash", "dash", "ksh", "sh", "zsh")
_RUNTIMES = (*_SHELLS, "bun", "deno", "dotnet", "go", "lua", "node", "perl", "php", "ruby")
_WRAPPERS = ("env", "nice", "numactl", "setsid", "stdbuf", "taskset", "timeout")
_WRAPPERS_OWN_WORD = re.compile(r"-.*|[A-Za-z_]\w*=.*|[\d.,:-]+[smhd]?|0x[\da-f]+")
_WORKDIR = Path("/the/run's/own/folder")  # stands for it: nothing is built yet
_INTERPRETER = "python"  # {python}: the harness's own
REMEDY = (
    "write the program with {here}, or with {workdir} where [build] makes it, or name a script of "
    "the repository that starts it"
)


def fault_of_program(how: LaunchSpec, root: Path, missing: Sequence[Path] = ()) -> str:
    """
    Why *how* runs no program of the revision at *root*; empty if it does.

    *missing*: its submodules that are not checked out.
    """
    return _Command(how, root, missing).fault()


class _Command:
    """One command, with the folders its words may mean."""

    def __init__(self, how: LaunchSpec, root: Path, missing: Sequence[Path]) -> None:
        self._how, self._root, self._missing = how, root.resolve(), missing

    def fault(self) -> str:
        """Why its program is no program of the revision; empty if it is one."""
        return self._fault_of([self._filled(word) for word in self._how.command])

    def _fault_of(self, words: Sequence[str]) -> str:
        if not words:
            return "no program is named"
        program, rest = words[0], words[1:]
        name = Path(program).name
        if os.sep in program and self._is_own(program):
            return ""
        if program == _INTERPRETER or _PYTHON.fullmatch(name):
            return self._fault_of_python(rest)
        if name == "java":
            return self._fault_of_java(rest)
        if name in _WRAPPERS:
            own = next((n for n, w in enumerate(rest) if not _WRAPPERS_OWN_WORD.fullmatch(w)), None)
            return self._fault_of([] if own is None else rest[own:])
        if name not in _RUNTIMES:
            return self._why_not(program)
        script = next((word for word in rest if self._is_script(word)), "")
        if script and self._is_own(script):
            return ""
        return self._why_not(script) if script else f"what {name} runs is found outside of it"

    def _fault_of_python(self, rest: Sequence[str]) -> str:
        words = iter(rest)
        for word in words:
            if word in _PYTHON_OPTIONS_WITH_VALUE:
                next(words, "")
            elif word == "-m":
                module = next(words, "")
                is_found = any(self._has_module(folder, module) for folder in self._python_path())
                return "" if is_found else f"the Python module {module} is found outside of it"
            elif word == "-c":
                return "the program is a text on the command line"
            elif not word.startswith("-"):
                return "" if self._is_own(word) else self._why_not(word)
        return "Python is given no program"

    def _fault_of_java(self, rest: Sequence[str]) -> str:
        for option, value in pairwise(rest):
            if option in _JAVA_OPTIONS_OF_PROGRAM:
                first = value.split(os.pathsep)[0]
                return "" if self._is_own(first) else self._why_not(first)
        return "java is given no -jar and no -cp"

    def _is_script(self, word: str) -> bool:
        """Whether a runtime's *word* can be what it runs: neither an option nor a subcommand."""
        return not word.startswith("-") and (os.sep in word or self._at(word).exists())

    def _python_path(self) -> Iterator[Path]:
        environment = self._how.environment
        if self._how.cwd is not None and not environment.get("PYTHONSAFEPATH"):
            yield self._how.cwd
        for entry in self._filled(environment.get("PYTHONPATH", "")).split(os.pathsep):
            if entry:
                yield self._at(entry)

    def _has_module(self, folder: Path, module: str) -> bool:
        if folder.is_relative_to(_WORKDIR):
            return bool(self._how.build_steps)
        top = module.partition(".")[0]
        return any(self._is_inside(folder / name) for name in (top, f"{top}.py"))

    def _is_own(self, word: str) -> bool:
        """Whether *word* is the path of a program in the revision, or of one built from it."""
        path = self._at(word)
        if path.is_relative_to(_WORKDIR):
            return bool(self._how.build_steps) and path != _WORKDIR
        if self._how.build_steps:
            return path.resolve().is_relative_to(self._root)  # it may be built into it
        return self._is_inside(path)

    def _why_not(self, word: str) -> str:
        """Of a program that is not the revision's own."""
        path = self._at(word)
        if os.sep not in word or path.exists() or not path.resolve().is_relative_to(self._root):
            return f"{word} is found outside of it"
        for module in self._missing:
            if path.resolve().is_relative_to(module.resolve()):
                name = module.relative_to(self._root)
                return f"{word} is in the submodule {name}, which is not checked out"
        return f"{word} is not in this revision: git does not have it, and no [build] makes it"

    def _is_inside(self, path: Path) -> bool:
        return path.exists() and path.resolve().is_relative_to(self._root)

    def _at(self, word: str) -> Path:
        return (self._how.cwd or _WORKDIR) / word

    def _filled(self, text: str) -> str:
        return fill(
            text,
            {"here": str(self._how.here), "workdir": str(_WORKDIR), "python": _INTERPRETER},
        )
