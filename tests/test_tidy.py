"""Rules of style that a machine can check: sizes, printing, names, purity, addresses, paths."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "workloads", "reports")
FUNCTION_LINE_COUNT_MAX = 70
MODULE_LINE_COUNT_MAX = 400

# Every subject has a judge and a page of its own, every workload a system.
SHARED_MODULES = frozenset({"__init__", "judge", "page", "verdicts", "system"})

# Modules that decide or show; what they need of files is given to them.
PURE = (
    *("harness/model", "workloads/account/terms", "workloads/account/plan"),
    *("workloads/account/audit", "reports/text.py", "reports/figures", "reports/statistics"),
    *("reports/profile", "reports/compare", "reports/gate", "reports/history/", "reports/release"),
    "reports/pages",
)
READERS = re.compile(r"harness/model/(\w+_file|arrivals_recorded)\.py")  # formats with their files
FILE_CALLS = re.compile(
    r"open|(read|write)_(text|bytes|parquet|table|csv|json)|glob|rglob|iterdir|mkdir|rmdir|unlink"
    r"|rename|exists|is_file|is_dir|stat|resolve|symlink_to|rmtree|copyfile|mkdtemp"
)

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


def file_calls(tree: ast.Module) -> list[str]:
    """What is called by the name of a function or method that looks at files."""
    called = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [name for name in called if FILE_CALLS.fullmatch(name.rpartition(".")[2])]


def public_classes(tree: ast.Module) -> list[str]:
    """The classes that another module may import."""
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def named_twice(homes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Of pairs of a name and its home the names that have several."""
    found: dict[str, list[str]] = {}
    for name, home in homes:
        found.setdefault(name, []).append(home)
    return {name: places for name, places in found.items() if len(places) > 1}


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


def test_no_module_name_twice() -> None:
    """Inside a package a module's name says which one it is, but for a few patterns."""
    homes = [
        (f"{path.relative_to(ROOT).parts[0]} {path.stem}", name_of(path))
        for path in MODULES
        if path.stem not in SHARED_MODULES
    ]

    assert named_twice(homes) == {}


def test_no_class_name_twice() -> None:
    """One name, one idea: no two public classes of the three packages share one."""
    homes = [(name, name_of(path)) for path in MODULES for name in public_classes(parse(path))]

    assert named_twice(homes) == {}


def test_what_decides_and_what_shows_touches_no_file() -> None:
    """Purity by the calls: `pathlib` needs no import that an import contract could forbid."""
    pure = [
        path
        for path in MODULES
        if name_of(path).startswith(PURE) and not READERS.fullmatch(name_of(path))
    ]
    found = {name_of(path): calls for path in pure if (calls := file_calls(parse(path)))}

    assert len(pure) > len(PURE)
    assert found == {}


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
    """A long function, a name taken twice and a call that reads a file are seen."""
    tree = ast.parse(
        "class Wait:\n    pass\nclass _Own:\n    pass\ndef long():\n    '''Two\n    lines.'''\n"
        "    path.parent.mkdir()\n    with open(path):\n        pd.read_parquet(path)\n"
        "    text.replace('a', 'b')\n" + "    x = 1\n" * 76
    )

    assert [line_count(function) for function in functions(tree)] == [81]
    assert public_classes(tree) == ["Wait"]
    assert sorted(file_calls(tree)) == ["open", "path.parent.mkdir", "pd.read_parquet"]
    assert named_twice([("Wait", "a.py"), ("Own", "a.py"), ("Wait", "b.py")]) == {
        "Wait": ["a.py", "b.py"]
    }


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
