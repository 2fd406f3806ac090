"""Rules of style that a machine can check: sizes, printing, units in names, addresses, paths."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "workloads", "reports")
FUNCTION_LINE_COUNT_MAX = 70
MODULE_LINE_COUNT_MAX = 400

# A number's unit, or the word that says that it has none, ends its name or stands before a
# qualifier (_max, _mean ...).
UNITS = frozenset(
    (
        *("ns", "ms", "s", "per", "bytes", "share", "count", "cores", "cpu", "ppb", "ppm"),
        *("minor", "lots", "ticks", "scale", "e9", "index", "id", "pid", "port", "error", "ratio"),
        *("seq", "partitions", "descriptor", "drift", "average"),
    )
)
UNITLESS = frozenset(
    (
        # numbers of order and identity
        *("seed", "shard", "sequence", "code", "exit_code", "schema_version", "token", "version"),
        *(
            "operation",
            "stream",
            "origin_at",
            "seen_at",
            "run_tag",
            "kind",
            "method",
            "account",
            "order",
        ),
        # values beside a `unit` field, or quantiles of the unit that their holder's name says
        *("value", "limit", "q", "low", "high", "mean", "max", "min", "a", "b", "theta"),
        *("target", "at_most", "tolerance", "start", "end", "number"),
        # in the unit of the metric beside them, and probabilities
        *("own", "base", "own_cost", "total_cost", "charged_cost", "whole_cost"),
        *("cost", "hottest_cost"),
        *("base_cost", "candidate_cost", "own_change", "half_width", "slope", "p_value"),
        "detectable_change",
        # statistics: probabilities, degrees of freedom, logarithms, and levels of a series
        *(
            "p",
            "p_worse",
            "p_corrected",
            "alpha",
            "rank_alpha",
            "equivalence_alpha",
            "equivalence_reach",
        ),
        *("freedom", "log_value", "before_value", "after_value", "level_value"),
        *("middle", "sigma", "sum_sigma"),
    )
)
# Counts of operations by outcome: the record's class says that it counts.
COUNTING_CLASSES = frozenset(("Operations", "OutcomeCount"))

MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "_pb2" not in path.name
]


def name_of(path: Path) -> str:
    """The path of a module for messages."""
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def`, without its docstring."""
    assert function.end_lineno is not None
    docstring_line_count = 0
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        docstring_line_count = first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - docstring_line_count


def number_fields(tree: ast.Module) -> Iterator[str]:
    """Class and name of every int or float field of every dataclass, optional or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "dataclass" in map(called_name, node.decorator_list):
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    types = set(ast.unparse(statement.annotation).split(" | ")) - {"None"}
                    if types and types <= {"int", "float"}:
                        yield f"{node.name}.{statement.target.id}"


def called_name(decorator: ast.expr) -> str:
    """The bare name of a decorator."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2]


def has_unit(field: str) -> bool:
    """Whether the name of a number says what it counts."""
    holder, _, name = field.partition(".")
    parts = name.strip("_").split("_")
    return holder in COUNTING_CLASSES or name.strip("_") in UNITLESS or bool(UNITS & set(parts))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sizes(path: Path) -> None:
    """No function is longer than 70 lines, no module longer than 400."""
    long_functions = {
        function.name: line_count(function)
        for function in functions(parse(path))
        if line_count(function) > FUNCTION_LINE_COUNT_MAX
    }
    module_line_count = len(path.read_text(encoding="utf-8").splitlines())

    assert long_functions == {}
    assert module_line_count <= MODULE_LINE_COUNT_MAX


def test_only_the_command_line_prints() -> None:
    """Nothing but harness/cli calls print or click.echo."""
    printing = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "click.echo"}
    }

    assert {name for name in printing if not name.startswith("harness/cli/")} == set()


def test_numbers_have_units() -> None:
    """Every int or float field of a dataclass has its unit in its name."""
    nameless = [
        f"{name_of(path)}: {field}"
        for path in MODULES
        for field in number_fields(parse(path))
        if not has_unit(field)
    ]

    assert nameless == []


def test_no_server_listens_to_the_world() -> None:
    """Nothing binds all interfaces."""
    everywhere = re.compile(r"""["'(]0\.0\.0\.0|\[::\]|["']tcp://0""")

    assert [
        name_of(path) for path in MODULES if everywhere.search(path.read_text(encoding="utf-8"))
    ] == []


def test_no_path_of_a_machine() -> None:
    """No file names a folder of somebody's machine."""
    private = re.compile(r"/(?:home|Users|work|root)/\w+")
    files = [
        path
        for pattern in ("*.md", "*.toml", "ci/*", "harness/**/*", "workloads/**/*", "reports/**/*")
        for path in ROOT.glob(pattern)
        if path.suffix in {".py", ".md", ".toml", ".sh", ".j2", ".css", ".proto", ""}
        and path.is_file()
    ]

    assert [
        name_of(path) for path in files if private.search(path.read_text(encoding="utf-8"))
    ] == []


def test_the_checks_can_fail() -> None:
    """A long function, a nameless number and a unit inside a name are seen for what they are."""
    tree = ast.parse(
        "@dataclass(frozen=True)\nclass Wait:\n    delay: int\n    delay_ns: int | None\n"
        "    name: str\ndef long():\n    '''Two\n    lines.'''\n" + "    x = 1\n" * 80
    )

    assert [field for field in number_fields(tree) if not has_unit(field)] == ["Wait.delay"]
    assert [line_count(function) for function in functions(tree)] == [81]


NUMBERS = re.compile(r"[,+]*\.?\d*[feg%]")  # formats of numbers that round, but for a plain "g"
FORMATTING = ("harness/model/text.py", "harness/model/units.py")  # for people; for files to parse


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_numbers_become_text_in_one_place(path: Path) -> None:
    """No module rounds a number for people by itself, and none calls a microsecond "us"."""
    if name_of(path) in FORMATTING:
        return
    tree = parse(path)
    formats = [
        piece.value
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr)
        for piece in node.format_spec.values
        if isinstance(piece, ast.Constant) and piece.value != "g"
    ]
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert [spec for spec in formats if NUMBERS.fullmatch(spec)] == []
    assert [text for text in texts if re.search(r"(^|\d) us\b", text)] == []
