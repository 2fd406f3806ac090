"""
Draws every page and document of the stored artefacts again, by the command line alone.

    .venv/bin/python tests/golden/render.py OUT

OUT, which must not be there yet, then holds what the commands wrote, a folder a step, and
`said.json`: exit code, stdout and stderr of each. It works with any version of the program, the one
of its Python: only `redraw_gate` looks inside it, since no command draws the page of a stored gate.
All commands run in one process, since a process for each would mostly load libraries.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Self
from unittest import mock

STORED = Path(__file__).parent / "stored"
GATE = "gate"  # the step that is no command of its own
SIDE_COUNT = 5  # runs of each side of a comparison
SETTLED = {  # whoever draws, on whatever terminal
    "ACCTBENCH_BY": "ada",
    "COLUMNS": "160",
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "TZ": "UTC",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one command."""

    code: int
    out: str
    err: str


def commands(stored: Path) -> dict[str, list[str]]:
    """The command of every step; paths are relative to a copy of *stored*."""
    before, between, after = sides(stored)
    (failed,) = _names(stored, "failed/*-first-*")
    (killed,) = _names(stored, "failed/*.incomplete")
    profiled = _names(stored, "profiled/*")
    timed, counted = _names(stored, "kernels/timed/*"), _names(stored, "kernels/counted/*")
    (pair,) = _names(stored, "gates/*/pairs/1")
    shown = {
        "plain": before[0],
        "slower": after[0],
        "profiled": profiled[0],
        "failed": failed,
        "killed": killed,
    }
    change = ["--policy", "change.toml"]
    compared = {
        "slower": [*_each("--baseline", before), *_each("--candidate", after), *change],
        "baseline": [*_each("--baseline", ["main"]), *_each("--candidate", between)],
        "single": [before[0], after[0], "--policy", "acctbench/policy.toml"],
        "failed": [before[0], failed],
        "unlike": [before[0], f"{profiled[0]}/passes/cpu"],
        "counted": counted,
        "timed": [f"{run}/pytest-benchmark-*.json" for run in timed],
        "samples": ["samples-before.json", "samples-after.json"],
    }
    return {
        "init": ["init", "init"],
        "plan": ["plan", "acctbench/scenario.toml", "--profile", "smoke", "--json"],
        **{
            f"list-{place.replace('/', '-')}": ["list", "runs", "--json", "--runs", place]
            for place in ("series", "kernels/timed", "kernels/counted")
        },
        "baseline-list": ["baseline", "list", "--json", "--runs", "series"],
        "baseline-show": ["baseline", "show", "main", "--json", "--runs", "series"],
        "verify": ["verify", "release-1.4", "--json"],
        "signoff": [
            *("signoff", "--release", "1.4", "--policy", "release.toml", "--runs", "series"),
            *_each("--collect", _names(stored, "release-1.4/runs/*")),
            *("--output", "signoff/release-1.4"),
        ],
        **{
            f"report-{name}": ["report", run, "--output", f"report-{name}/report.html"]
            for name, run in shown.items()
        },
        **{
            f"compare-{name}": [
                *("compare", *words, "--runs", "series", "--output", f"compare-{name}"),
                *("--junit", f"compare-{name}/junit.xml"),
                *("--markdown", f"compare-{name}/summary.md"),
            ]
            for name, words in compared.items()
        },
        "history": ["history", "show", "series", "--output", "history/history.html"],
        "history-open": [
            *("history", "show", "not-accepted", "--metric", "*"),
            *("--output", "history-open/history.html"),
        ],
        "history-export": ["history", "export", "history-export/figures.parquet", "series"],
        "profile": [
            *("profile", "--against", profiled[0], "--run", profiled[1]),
            *("--output", "profile/differences.html"),
        ],
        "profile-memory": [
            *("profile", "--against", f"{pair}/base", "--run", f"{pair}/candidate"),
            *("--output", "profile-memory/differences.html"),
        ],
        GATE: [
            *("gate", "--base-target", "acctbench/target.toml"),
            *("--candidate-target", "planted.toml", "--policy", "quick.toml", "--runs", "gates"),
            *("--junit", "gate/junit.xml", "--markdown", "gate/summary.md"),
        ],
    }


def sides(stored: Path) -> tuple[list[str], list[str], list[str]]:
    """Runs of the series that are good: the first, those after them, and the newest."""
    good = [
        name
        for name in _names(stored, "series/*-first-*")
        if json.loads((stored / name / "verdict.json").read_text("utf-8"))["exit_code"] == 0
    ]
    return good[:SIDE_COUNT], good[SIDE_COUNT : 2 * SIDE_COUNT], good[-SIDE_COUNT:]


def _names(stored: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(stored).as_posix() for path in stored.glob(pattern))


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def render(out: Path) -> None:
    """Do every step in a copy of what is stored, and put what comes of it into *out*."""
    with tempfile.TemporaryDirectory() as temporary, mock.patch.dict(os.environ, SETTLED):
        folder = Path(temporary) / "golden"
        shutil.copytree(STORED, folder)
        accepted = shutil.ignore_patterns("accepted")
        shutil.copytree(folder / "series", folder / "not-accepted", ignore=accepted)
        said = {}
        for name, words in commands(STORED).items():
            (folder / name).mkdir()
            with chdir(folder):
                said[name] = acctbench(words, redraw_gate if name == GATE else exit_code_of)
        settle(folder, said, out)


def exit_code_of(words: list[str]) -> int:
    """The exit code of the command line *words*."""
    from harness.cli import main  # noqa: PLC0415

    return main.exit_code_of(words)


def acctbench(words: list[str], run: Callable[[list[str]], int]) -> Said:
    """What comes of the command line *words*."""
    with (
        mock.patch.object(sys, "argv", ["acctbench", *words]),
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        code = run(words)
    return Said(int(code), out.getvalue(), err.getvalue())


def redraw_gate(words: list[str]) -> int:
    """
    Have the gate that lies whole in the gates' folder judged and drawn again into `gate/`.

    The only function here that knows the program's inside. It does the command line *words* in this
    process, and what would play a pair, or run it under memray, gives the stored ones. The time
    that was spent is that of the pairs.
    """
    from harness.runs.pair_series import Gatherer, Played  # noqa: PLC0415
    from harness.storage.run_folder import load_run  # noqa: PLC0415
    from harness.workflows import gate_trial  # noqa: PLC0415

    (stored,) = (path.parent for path in Path("gates").glob("*/pairs"))
    verdict = json.loads((stored / "verdict.json").read_text("utf-8"))
    shutil.copytree(stored, "gate/stored")

    class StoredPairs:
        """In the place of what plays pairs."""

        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def play(self, number: int) -> Played:
            """The stored pair *number*."""
            facts = verdict["gate"]["pairs"][number - 1]
            pair = Path("gate/stored/pairs", str(number))
            return Played(
                number=number,
                first=facts["first"],
                runs={side: load_run(pair / side) for side in verdict["gate"]["sides"]},
                spoilt=tuple(facts["spoilt"]),
                length_s=facts["length_s"],
            )

    spent_s = property(lambda gatherer: sum(item.length_s for item in gatherer.played))
    with ExitStack() as stack:
        for place, name, other in (
            (gate_trial, "PairPlayer", StoredPairs),
            (gate_trial._Gate, "_with_counts", lambda _gate, _setups, _pairs, outcome: outcome),
            (Gatherer, "spent_s", spent_s),
        ):
            stack.enter_context(mock.patch.object(place, name, other))
        code = exit_code_of(words)
    drawn = max(Path("gates").iterdir())
    for path in drawn.glob("*.*"):
        path.rename(Path("gate", path.name))
    return code


def settle(folder: Path, said: Mapping[str, Said], out: Path) -> None:
    """Put what was drawn in *folder* into *out*, without what is only of this moment."""
    bundle = folder / "signoff" / "release-1.4"
    inputs = json.loads((bundle / "inputs.json").read_text("utf-8"))
    moment = {
        inputs["circumstances"]["judged_at"]: "JUDGED-AT",
        inputs["program"]["digest"]: _digest_of_maker(folder),
        json.loads((bundle / "manifest.json").read_text("utf-8"))["sha256"]: "SHA256",
        json.loads((folder / GATE / "verdict.json").read_text("utf-8"))["gate"]["gate_id"]: "GATE",
    }

    def settled(text: str) -> str:
        for word, other in moment.items():
            text = text.replace(word, other)
        return text

    for name in said:
        shutil.copytree(folder / name, out / name, ignore=_left)
    for path in filter(Path.is_file, out.rglob("*")):
        if path.suffix != ".parquet":
            path.write_text(settled(path.read_text("utf-8")), "utf-8")
    document = json.dumps({name: asdict(item) for name, item in said.items()}, indent=1)
    (out / "said.json").write_text(settled(document) + "\n", "utf-8")


def _digest_of_maker(folder: Path) -> str:
    """Of the program that made what is stored: it stands for the one that draws."""
    record = next((folder / "series").glob("*/record.json"))
    document: dict[str, Any] = json.loads(record.read_text("utf-8"))
    return str(document["environment"]["harness_digest"])


def _left(folder: str, names: list[str]) -> set[str]:
    """Copies of what is stored, and the manifest of a bundle: `verify` says if that is right."""
    del folder
    return {"stored", "runs", "baselines", "manifest.json"} & set(names)


if __name__ == "__main__":
    render(Path(sys.argv[1]))
