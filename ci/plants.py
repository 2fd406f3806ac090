"""
Slower and leaking copies of the reference: one function of each, known by name, and nothing else.

A plant is a few lines put at the beginning of one function. The lines are found by the function's
name, so a function that the service no longer has fails loudly.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the copies are made as for the tests

from tests.acceptance.mutants import make_copy, target_text

REFERENCE = "workloads.account.reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """
    Lines at the beginning of *function* in *file* of the reference.

    Attributes:
        where: What kind of place it is, for the table.
        lines: Python; `_n` names are free.
    """

    where: str
    file: str
    function: str
    lines: tuple[str, ...]

    @property
    def guilty(self) -> tuple[str, str]:
        """Module and function, as a profile names them."""
        return f"{REFERENCE}.{self.file.removesuffix('.py')}", self.function


def _loop(count: int) -> tuple[str, ...]:
    return ("_sum = 0", f"for _n in range({count}): _sum += _n")


SLOWDOWNS = (
    Plant(where="hot path", file="machine.py", function="_reserve", lines=_loop(4_000)),
    Plant(where="hot path", file="ledger.py", function="append", lines=_loop(2_500)),
    Plant(where="hot path, small", file="machine.py", function="_release", lines=_loop(5_000)),
    Plant(where="coroutine", file="service.py", function="reserve", lines=_loop(4_000)),
    Plant(where="coroutine", file="commitment.py", function="durable", lines=_loop(3_000)),
    Plant(
        where="C call",
        file="inputs.py",
        function="reserve_call",
        lines=("import hashlib", "hashlib.sha256(bytes(200_000)).digest()"),
    ),
    Plant(
        where="C call, other thread",
        file="journal.py",
        function="write",
        lines=("import zlib", "zlib.compress(bytes(range(256)) * 150)"),
    ),
    Plant(
        where="serialisation",
        file="replies.py",
        function="reserve_reply",
        lines=(
            "_ack = contract.Ack(t_commit_ns=1, t_ingress_ns=1)",
            "for _n in range(250): _ack.SerializeToString()",
        ),
    ),
    Plant(
        where="library called",
        file="ledger.py",
        function="updates",
        lines=(
            "import json",
            "json.dumps([{'n': _n, 'm': str(_n)} for _n in range(90)], indent=1)",
        ),
    ),
    Plant(where="Kafka, sending", file="emission.py", function="put", lines=_loop(1_500)),
    Plant(where="Kafka, receiving", file="executions.py", function="consume", lines=_loop(40_000)),
    Plant(where="off the hot path", file="fills.py", function="_fill", lines=_loop(20_000)),
    Plant(where="off the hot path", file="transfers.py", function="transfer", lines=_loop(40_000)),
)

_KEPT_BYTES = 400


def _leak(file: str, function: str, where: str) -> Plant:
    # On the function's own module, since a copy of it has a list of its own.
    line = f"globals().setdefault('_kept', []).append(bytes({_KEPT_BYTES}))"
    return Plant(where=where, file=file, function=function, lines=(line,))


LEAKS = (
    _leak("machine.py", "_reserve", "hot path"),
    _leak("service.py", "release", "coroutine"),
    _leak("replies.py", "reserve_reply", "serialisation"),
    _leak("ledger.py", "append", "hot path"),
    _leak("emission.py", "put", "Kafka, sending"),
    _leak("commitment.py", "journal", "before the disk"),
)


def plant(folder: Path, one: Plant | None) -> str:
    """A copy of the reference below *folder*, with *one* planted or as it is; its target file."""
    copy = make_copy(folder)
    if one is not None:
        path = copy / Path(*REFERENCE.split(".")) / one.file
        path.write_text(_planted(path.read_text(encoding="utf-8"), one), encoding="utf-8")
    return target_text(copy)


def _planted(text: str, one: Plant) -> str:
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == one.function
    ]
    if len(found) != 1:
        raise LookupError(f"{one.file}: {one.function} found {len(found)} times, must be once")
    body = found[0].body
    is_documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    first = body[1] if is_documented else body[0]
    lines = text.splitlines(keepends=True)
    indent = " " * first.col_offset
    lines[first.lineno - 1 : first.lineno - 1] = [f"{indent}{line}\n" for line in one.lines]
    return "".join(lines)
