"""
Real gates, one at a time: unchanged code, quiet and beside a busy neighbour, and a planted 5 %.

    python ci/evidence/gates.py calibrate --runs /tmp/gates        how long a loop 5 % is, 5 minutes
    python ci/evidence/gates.py quiet --count 12 --runs /tmp/gates          at most an hour
    python ci/evidence/gates.py busy --count 8 --runs /tmp/gates            at most 40 minutes
    python ci/evidence/gates.py planted --count 10 --runs /tmp/gates        at most 50 minutes
    python ci/evidence/gates.py table                              seconds; writes gates.md

Run them when nothing else computes. Each gate is `acctbench gate` as a pipeline calls it, with a
budget of 5 minutes; what it said is appended to gates.jsonl as soon as it ends, so that a part that
was interrupted goes on where it stopped: --count is how many there shall be. Runs are thrown away
after each gate unless --keep is given; what is kept of them are the figures of every process start.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from plants import Plant, plant

from harness.model.metrics import Figure
from harness.model.record import Better, RunRecord
from harness.model.record_json import record_from_json
from reports.compare.comparison import rules_of
from reports.compare.policy import Design
from reports.compare.verdicts import Change
from reports.figures.run_evidence import RunEvidence
from reports.gate.looks import GatheredPairs, Questions, Sequential, plan_looks

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
GATES, CALIBRATION, TABLE = HERE / "gates.jsonl", HERE / "gates-plant.json", HERE / "gates.md"
RECORD = HERE / "gates-record.json"
QUIET, BUSY, PLANTED, CALIBRATE = "quiet", "busy", "planted", "calibrate"
CPU_OF_BOTH_TURNS = "both turns"  # rows without it are older, see table()
BUDGET = "5min"
PLANTED_SHARE = 0.05
FIRST_LOOP_COUNT = 3_000  # about 10 %; the effect is linear in it
COST = "target.cpu_ns_per_operation"
KEPT = (COST, "all.response_ns.p50", "all.response_ns.p99", "target.rss_bytes_max")
RESAMPLED = (COST, "all.response_ns.p50", "target.rss_bytes_max")
OLDER = ", older"
SHOWN = (QUIET, BUSY, PLANTED, *(f"{part}{OLDER}" for part in (QUIET, BUSY, PLANTED)))
RESAMPLE_COUNT, SEED = 1_000, 20_260_101
NEIGHBOUR = "while True: sum(range(10_000))"


def main() -> None:
    """One part."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("part", choices=[CALIBRATE, QUIET, BUSY, PLANTED, "table"])
    parser.add_argument("--count", type=int, default=1, help="gates that there shall be")
    parser.add_argument("--runs", type=Path, help="folder of the runs, on a disk with room")
    parser.add_argument("--keep", action="store_true", help="keep the runs")
    given = parser.parse_args()
    if given.part == "table":
        TABLE.write_text(table(), encoding="utf-8")
        sys.stdout.write(TABLE.read_text(encoding="utf-8"))
        return
    if given.runs is None:
        parser.error("--runs: a folder is needed")
    if given.part == CALIBRATE:
        calibrate(given.runs)
        return
    while len(of_part(rows(), given.part)) < given.count:
        with neighbour(given.part == BUSY):
            row = one_gate(given.part, given.runs, keep=given.keep)
        with GATES.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
        say(row)


def rows() -> list[dict[str, Any]]:
    """The gates so far."""
    if not GATES.exists():
        return []
    return [json.loads(line) for line in GATES.read_text(encoding="utf-8").splitlines()]


def of_part(found: Sequence[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    """Those of a part of the table; what is older is a part of its own."""
    older = part.removesuffix(OLDER)
    return [row for row in found if row["part"] == older and ("cpu_of" in row) is (older == part)]


def calibrate(runs: Path) -> None:
    """Find the loop that costs PLANTED_SHARE, and keep it."""
    row = one_gate(CALIBRATE, runs, keep=False, loop_count=FIRST_LOOP_COUNT)
    ratio = float(np.exp(np.median(log_ratios(row, COST))))
    loop_count = round(FIRST_LOOP_COUNT * PLANTED_SHARE / (ratio - 1.0))
    document = {"loop_count": loop_count, "of": FIRST_LOOP_COUNT, "ratio": ratio}
    CALIBRATION.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{FIRST_LOOP_COUNT} turns cost {ratio - 1:.1%}; planted: {loop_count}\n")


@contextmanager
def neighbour(is_there: bool) -> Iterator[None]:
    """A process that computes all the time, at the same priority as everything else."""
    if not is_there:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def one_gate(part: str, runs: Path, *, keep: bool, loop_count: int | None = None) -> dict[str, Any]:
    """One gate, and what it said."""
    folder = runs / f"{part}-{time.time_ns()}"
    folder.mkdir(parents=True)
    sides = ("--base", "HEAD", "--candidate", "HEAD")
    if part in {PLANTED, CALIBRATE}:
        sides = planted_sides(folder, loop_count)
    began_s = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "harness.cli.main", "gate", *sides),
            *("--budget", BUDGET, "--seed", str(len(rows()))),
            *("--runs", str(folder / "runs")),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    row = {
        "part": part,
        "cpu_of": CPU_OF_BOTH_TURNS,
        "exit_code": done.returncode,
        "took_s": time.monotonic() - began_s,
    }
    found = sorted((folder / "runs").glob("gate-*/compare.json"))
    if found:
        row |= said(found[-1].parent)
    if not keep:
        shutil.rmtree(folder)
    return row


def planted_sides(folder: Path, loop_count: int | None) -> tuple[str, ...]:
    """Target files of a plain copy and of a slowed one."""
    if loop_count is None:
        loop_count = json.loads(CALIBRATION.read_text(encoding="utf-8"))["loop_count"]
    slow = Plant(
        where="every journalled operation",
        file="commitment.py",
        function="journal",
        lines=("_sum = 0", f"for _n in range({loop_count}): _sum += _n"),
    )
    options: list[str] = []
    for side, one in (("base", None), ("candidate", slow)):
        file = folder / f"{side}.toml"
        file.write_text(plant(folder / f"{side}-copy", one), encoding="utf-8")
        options += [f"--{side}-target", str(file)]
    return tuple(options)


def said(folder: Path) -> dict[str, Any]:
    """What is kept of a gate's folder."""
    document = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    gate = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["gate"]
    if not RECORD.exists():
        first = next(folder.glob("pairs/*/base/record.json"))
        document_of_run = json.loads(first.read_text(encoding="utf-8"))
        document_of_run["command"] = "acctbench gate"  # without this machine's folders
        RECORD.write_text(json.dumps(document_of_run, indent=2) + "\n", encoding="utf-8")
    return {
        "status": document["status"],
        "sentence": document["sentence"],
        "worse": gate["confirmed"],
        "unconfirmed": gate["unconfirmed"],
        "looks": gate["looks"],
        "spent_s": gate["spent_s"],
        "pair_s": gate["pair_s"],
        "spoilt": [pair["spoilt"] for pair in gate["pairs"] if pair["spoilt"]],
        "mde_share": {
            metric["name"]: metric["estimate"]["mde_share"]
            for metric in document["metrics"]
            if metric["estimate"] and metric["name"] in KEPT
        },
        "figures": {
            side: [
                {name: run["figures"].get(name) for name in KEPT} for run in document["runs"][side]
            ]
            for side in ("baseline", "candidate")
        },
    }


def log_ratios(row: dict[str, Any], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Candidate over baseline of every pair, as logarithms."""
    sides = [[run[name] for run in row["figures"][s]] for s in ("baseline", "candidate")]
    return np.log(np.array(sides[1], np.float64) / np.array(sides[0], np.float64))


def say(row: dict[str, Any]) -> None:
    """One line."""
    sys.stdout.write(
        f"{row['part']}: exit {row['exit_code']} {row.get('status', '')} after "
        f"{row['took_s']:.0f} s; {row.get('sentence', '')}\n"
    )
    sys.stdout.flush()


def table() -> str:
    """gates.md."""
    found = rows()
    lines = [
        "# Real gates",
        "",
        "Made by `ci/evidence/gates.py`, which says how; raw figures in `gates.jsonl`. Budget: 5",
        "minutes a gate. Red is exit code 1, INVALID 4, open 3.",
        "",
        "Gates that are called older counted what a service used in its own turns alone; work that",
        "it put off into the other's (8 % of the reference's) was nobody's. Now it is its own.",
        "",
        "| gates | number | green | red | open | INVALID | other | named | minutes, median |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for part in SHOWN:
        own = of_part(found, part)
        if own:
            lines.append(gates_line(part, own))
    lines += ["", *spread_lines(found), "", *resampled_lines(found)]
    return "\n".join(lines) + "\n"


def gates_line(part: str, own: Sequence[dict[str, Any]]) -> str:
    """One kind of gate."""
    codes = Counter(row["exit_code"] for row in own)
    named = sum(COST in row.get("worse", ()) for row in own)
    other = len(own) - sum(codes[code] for code in (0, 1, 3, 4))
    minutes = statistics.median(row["took_s"] for row in own) / 60
    return (
        f"| {part} | {len(own)} | {codes[0]} | {codes[1]} | {codes[3]} | {codes[4]} | {other} "
        f"| {named if part.startswith(PLANTED) else '-'} | {minutes:.1f} |"
    )


def spread_lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """How much a pair's ratio varies, and what a gate could have seen."""
    lines = [
        "| gates | metric | pairs | median ratio | a pair varies by | could be seen, median |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for part in SHOWN:
        own = [row for row in of_part(found, part) if "figures" in row]
        for name in KEPT if own else ():
            logs = np.concatenate([log_ratios(row, name) for row in own])
            logs = logs[np.isfinite(logs)]
            seen = [row["mde_share"][name] for row in own if name in row["mde_share"]]
            shown = f"{statistics.median(seen):.1%}" if seen else "-"
            lines.append(
                f"| {part} | {name} | {len(logs)} | {np.exp(np.median(logs)):.4f} "
                f"| {np.std(logs, ddof=1):.2%} | {shown} |"
            )
    return lines


def resampled_lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """Gates of pairs drawn with replacement from those that were measured; p99 is left out."""
    if not RECORD.exists():
        return []
    record = record_from_json(json.loads(RECORD.read_text(encoding="utf-8")))
    lines = [
        f"Resampled: {RESAMPLE_COUNT:,} gates a row, of pairs drawn with replacement from the",
        "measured ones, as many as the median gate could afford; without p99, whose samples are",
        "not kept. It shows what the rules do with this noise, not with any that was not measured.",
        "",
        "| pairs of | gates | red | green | open |",
        "|---|---:|---:|---:|---:|",
    ]
    for part in SHOWN:
        own = [row for row in of_part(found, part) if "figures" in row]
        if own:
            statuses = resampled(own, record)
            red, green = statuses[Change.REGRESSED], statuses[Change.UNCHANGED]
            green += statuses[Change.IMPROVED]
            lines.append(
                f"| {part} | {RESAMPLE_COUNT:,} | {red} | {green} "
                f"| {statuses[Change.INCONCLUSIVE]} |"
            )
    return lines


def resampled(own: Sequence[dict[str, Any]], record: RunRecord) -> Counter[Change]:
    """The statuses of gates of drawn pairs."""
    pool = [
        pair
        for row in own
        for pair in zip(row["figures"]["baseline"], row["figures"]["candidate"], strict=True)
    ]
    count = int(statistics.median(300.0 / row["pair_s"] for row in own))
    chance = np.random.default_rng(SEED)
    statuses: Counter[Change] = Counter()
    for _ in range(RESAMPLE_COUNT):
        drawn = [pool[place] for place in chance.integers(0, len(pool), count)]
        statuses[resampled_gate(drawn, record)] += 1
    return statuses


def resampled_gate(
    drawn: Sequence[tuple[dict[str, Any], dict[str, Any]]], record: RunRecord
) -> Change:
    """What the gate's own looks say of these pairs."""
    baseline, candidate = (
        tuple(evidence(record, f"{side}-{number}", pair[side]) for number, pair in enumerate(drawn))
        for side in (0, 1)
    )
    rules = replace(rules_of(None, Design.PAIRED), patterns=RESAMPLED)
    looks = Sequential(
        Questions(baseline_name="a", candidate_name="b", rules=rules, settled=(COST,)),
        plan_looks(len(drawn)),
    )
    while looks.outcome is None:
        count = min(looks.wanted_count, len(drawn))
        looks.look(
            GatheredPairs(baseline=baseline[:count], candidate=candidate[:count]),
            is_last=count < looks.wanted_count,
        )
    return looks.outcome.dossier.comparison.status


def evidence(record: RunRecord, name: str, figures: dict[str, float]) -> RunEvidence:
    """A run that has these figures alone."""
    return RunEvidence(
        record=replace(record, run_id=name),
        figures=tuple(
            Figure(name=key, unit="ns", better=Better.LESS, value=figures[key]) for key in RESAMPLED
        ),
        samples={},
    )


if __name__ == "__main__":
    main()
