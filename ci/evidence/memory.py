"""
Real gates on the bytes of an operation: unchanged code, and a planted 5 % more.

    python ci/evidence/memory.py quiet --count 20 --runs /tmp/gates        at most 3 hours
    python ci/evidence/memory.py planted --count 10 --runs /tmp/gates      at most 2 hours
    python ci/evidence/memory.py table                           seconds; writes memory.md

Run them when nothing else computes. What each gate said of the bytes is appended to memory.jsonl as
soon as it ends: --count is how many there shall be. What is planted are 5 % of what the quiet gates
measured, so they come first.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from plants import Plant, plant

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
GATES, TABLE = HERE / "memory.jsonl", HERE / "memory.md"
QUIET, PLANTED = "quiet", "planted"
BYTES = "profile.allocated_bytes_per_operation"
PLANTED_SHARE = 0.05
POLICY = f"""
name = "bytes"
metrics = ["target.rss_bytes_max", "{BYTES}"]
[gate]
budget = "5min"
settled = ["{BYTES}"]
"""


def main() -> None:
    """One part."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("part", choices=[QUIET, PLANTED, "table"])
    parser.add_argument("--count", type=int, default=1, help="gates that there shall be")
    parser.add_argument("--runs", type=Path, help="folder of the runs, on a disk with room")
    given = parser.parse_args()
    if given.part == "table":
        TABLE.write_text(table(), encoding="utf-8")
        sys.stdout.write(TABLE.read_text(encoding="utf-8"))
        return
    if given.runs is None:
        parser.error("--runs: a folder is needed")
    while len(rows(given.part)) < given.count:
        row = one_gate(given.part, given.runs)
        with GATES.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


def rows(part: str) -> list[dict[str, Any]]:
    """The gates of *part* so far."""
    lines = GATES.read_text(encoding="utf-8").splitlines() if GATES.exists() else []
    return [row for row in map(json.loads, lines) if row["part"] == part]


def one_gate(part: str, runs: Path) -> dict[str, Any]:
    """One gate, and what it said of the bytes."""
    folder = runs / f"memory-{part}-{time.time_ns()}"
    folder.mkdir(parents=True)
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    more = None if part == QUIET else planted()
    options: list[str] = []
    for side, one in (("base", None), ("candidate", more)):
        file = folder / f"{side}.toml"
        file.write_text(plant(folder / f"{side}-copy", one), encoding="utf-8")
        options += [f"--{side}-target", str(file)]
    began_s = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "harness.cli.main", "gate", *options, "--quiet"),
            *("--policy", str(folder / "policy.toml"), "--runs", str(folder / "runs")),
            *("--seed", str(len(rows(part)))),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    row: dict[str, Any] = {
        "part": part,
        "exit_code": done.returncode,
        "took_s": time.monotonic() - began_s,
    }
    for path in (folder / "runs").glob("gate-*/compare.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        row |= {"sentence": document["sentence"]} | {
            key: metric[key]
            for metric in document["metrics"]
            if metric["name"] == BYTES
            for key in ("status", "baseline", "candidate", "estimate")
        }
    shutil.rmtree(folder)
    return row


def planted() -> Plant:
    """So many bytes more in every journalled operation."""
    own = [row["baseline"]["value"] for row in rows(QUIET) if row.get("baseline")]
    count = round(PLANTED_SHARE * statistics.median(own))
    return Plant(
        where="every journalled operation",
        file="commitment.py",
        function="journal",
        lines=(f"_more = bytes({count})",),
    )


def table() -> str:
    """memory.md."""
    lines = [
        "# Gates on the bytes of an operation",
        "",
        "Made by `ci/evidence/memory.py`, which says how; raw figures in `memory.jsonl`. Called",
        "changed: REGRESSED or IMPROVED. Seen: the smallest worsening found 4 times in 5; medians.",
        "",
        "| gates | number | exit codes | bytes called | pairs | pair varies by | seen | minutes |",
        "|---|---:|---|---|---:|---:|---:|---:|",
    ]
    for part in (QUIET, PLANTED):
        own = [row for row in rows(part) if row.get("estimate")]
        if not own:
            continue
        logs = [
            np.log(np.array(row["candidate"]["runs"]) / np.array(row["baseline"]["runs"]))
            for row in own
        ]
        scatter = statistics.median(float(np.std(each, ddof=1)) for each in logs)
        seen = statistics.median(row["estimate"]["mde_share"] for row in own)
        lines.append(
            f"| {part} | {len(rows(part))} | {counts(rows(part), 'exit_code')} "
            f"| {counts(own, 'status')} | {sum(map(len, logs))} | {scatter:.2%} | {seen:.1%} "
            f"| {statistics.median(row['took_s'] for row in own) / 60:.1f} |"
        )
    return "\n".join(lines) + "\n"


def counts(own: list[dict[str, Any]], key: str) -> str:
    """How often each value of *key* is there."""
    found = Counter(str(row.get(key)) for row in own)
    return ", ".join(f"{value} {number}" for value, number in sorted(found.items()))


if __name__ == "__main__":
    main()
