"""
The detector of `acctbench history`, replayed over public measurements of unchanged code.

    python ci/evidence/history.py --data aa_go117.csv.gz --output ci/evidence

writes history.md and history.csv. Each benchmark is a series; five repetitions of a day make a
point (their median), 115 points in all. Nothing changed, so every alert is false. For power a step
is put into the same series, at several places and in both directions: the points from there on are
multiplied. Every point is judged when it comes, by the function that the command itself calls
(`reports.history.series` hands its values to `reports.history.detector.timeline`). No chance is
involved: the same data gives the same tables. Takes half a minute on one core.
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from public_data import read_measurements, share_text

from reports.history.detector import timeline

REPETITION_COUNT = 5  # in a point
POINTS_A_DAY = 5
STEP_PLACES = (40, 60, 80, 100)
STEPS = (0.02, 0.03, 0.05, 0.10)
DELAYS = (2, 3, 5, 10)  # points, that of the step included

HEAD = """\
# The history's detector on unchanged code, and on planted steps

Made by `python ci/evidence/history.py --data aa_go117.csv.gz` from public measurements of unchanged
code (see `ci/evidence/public_data.py`): {series} benchmarks, {points} points each. The constants of
the detector were chosen on every other benchmark (first, third ...); "held out" are the others,
"chosen on" those. In brackets: count, and the 95 % Wilson interval.
"""
NOTES = """
"Within 2 points" means: seen at the second point of the new level at the latest, which is the first
at which an outlier and a step differ. A return to the level before, soon after a change, is the end
of that event and no alert.

Three of the false alerts start where day 8 ends and day 9 begins, the fourth three points later.
Between these two days five of the benchmarks moved by more than 1 %, more than between any others:
the machine itself is the likely cause. `acctbench history` tells neighbours as one event; here they
count as four.
"""


def main() -> None:
    """Read the arguments, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    series = points(arguments.data)
    rows = pd.DataFrame([*_quiet_rows(series), *_step_rows(series)])
    rows.to_csv(arguments.output / "history.csv", index=False, lineterminator="\n")
    parts = {"all": rows, "held out": rows[rows["held_out"]], "chosen on": rows[~rows["held_out"]]}
    text = HEAD.format(series=len(series), points=series.shape[1])
    names = read_measurements(arguments.data).benchmarks
    text += _quiet_table(parts) + _alert_table(series, names) + _step_table(parts) + NOTES
    (arguments.output / "history.md").write_text(text, encoding="utf-8")


def points(path: Path) -> NDArray[np.float64]:
    """One row a benchmark: the medians of five repetitions, in the order of days."""
    ns = read_measurements(path).ns
    day_count, benchmark_count, _ = ns.shape
    parts = ns.reshape(day_count, benchmark_count, -1, REPETITION_COUNT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # four points are missing, and stay so
        medians = np.nanmedian(parts, axis=3)
    return np.asarray(medians.transpose(1, 0, 2).reshape(benchmark_count, -1))


def _quiet_rows(series: NDArray[np.float64]) -> Iterator[dict[str, object]]:
    for place, values in enumerate(series):
        found = timeline(values.tolist())
        yield {
            "benchmark": place,
            "held_out": place % 2 == 1,
            "step": 0.0,
            "at": -1,
            "alerts": len(found.alerts),
            "points": int(np.isfinite(values).sum()),
            "delay": -1,
        }


def _step_rows(series: NDArray[np.float64]) -> Iterator[dict[str, object]]:
    for place, values in enumerate(series):
        for step in (sign * size for size in STEPS for sign in (1.0, -1.0)):
            for at in STEP_PLACES:
                changed = values.copy()
                changed[at:] *= 1.0 + step if step > 0 else 1.0 / (1.0 - step)
                found = timeline(changed.tolist())
                seen = [
                    shift.seen_index - at + 1
                    for shift in found.alerts
                    if shift.seen_index >= at and abs(shift.start_index - at) <= DELAYS[1]
                ]
                yield {
                    "benchmark": place,
                    "held_out": place % 2 == 1,
                    "step": step,
                    "at": at,
                    "alerts": len(found.alerts),
                    "points": len(values),
                    "delay": min(seen, default=0),
                }


def _quiet_table(parts: dict[str, pd.DataFrame]) -> str:
    lines = ["", "| unchanged | alerts per 1,000 points | series with an alert |", "|---|---|---|"]
    for name, rows in parts.items():
        quiet = rows[rows["step"] == 0.0]
        alert_count, point_count = int(quiet["alerts"].sum()), int(quiet["points"].sum())
        flagged = share_text(int((quiet["alerts"] > 0).sum()), len(quiet))
        per_thousand = 1_000 * alert_count / point_count
        lines.append(f"| {name} | {per_thousand:.2f} ({alert_count}/{point_count}) | {flagged} |")
    return "\n".join(lines) + "\n"


def _alert_table(series: NDArray[np.float64], names: Sequence[str]) -> str:
    """Every false alert, so that a reader sees whether they have one cause."""
    lines = ["", "| false alert | from point | seen at | ratio |", "|---|---|---|---|"]
    for name, values in zip(names, series, strict=True):
        for alert in timeline(values.tolist()).alerts:
            place = f"{alert.start_index} (day {alert.start_index // POINTS_A_DAY})"
            lines.append(f"| {name} | {place} | {alert.seen_index} | {alert.ratio:.3f} |")
    return "\n".join(lines) + "\n"


def _step_table(parts: dict[str, pd.DataFrame]) -> str:
    heads = " | ".join(f"within {delay}" for delay in DELAYS)
    lines = ["", f"| step | part | {heads} |", "|---|---|" + "---|" * len(DELAYS)]
    for size in STEPS:
        for name, rows in parts.items():
            stepped = rows[rows["step"].abs() == size]
            cells = " | ".join(_found(stepped["delay"].tolist(), delay) for delay in DELAYS)
            lines.append(f"| {size:.0%} | {name} | {cells} |")
    return "\n".join(lines) + "\n"


def _found(delays: Sequence[int], delay_max: int) -> str:
    return share_text(sum(0 < delay <= delay_max for delay in delays), len(delays))


if __name__ == "__main__":
    main()
