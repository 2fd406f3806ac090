"""
The detector of `acctbench history`, replayed over public measurements of unchanged code.

    python ci/evidence/history.py --data aa_go117.csv.gz --output ci/evidence

writes history.md and history.csv. Each benchmark is a series; five repetitions of a day make a
point (their median), 115 points in all. Nothing changed, so every alert is false. They go through
`history_of`, as the runs of the command do. For power a step is put into one series at a time, at
several places and in both directions: the points from there on are multiplied, and judged by the
function that `history_of` calls. How disturbed a run is for a metric (`disturbances`) depends on
the other metrics alone, so that it is what it was without the step. Every point is judged when it
comes.

Made noise follows: what real noise could do that these benchmarks don't. Its seed is fixed: the
same data gives the same tables. Takes a quarter of a minute on one core.
"""

import argparse
import math
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from public_data import read_measurements, share_text

from harness.model.metrics import Figure
from harness.model.record import Better
from reports.history.alerts import is_told
from reports.history.disturbance import disturbances
from reports.history.events import Gathered, SettingHistory, history_of
from reports.history.runs import HistoryRun, RunSetting
from reports.statistics.change_points import Timeline, timeline

REPETITION_COUNT = 5  # in a point
POINTS_A_DAY = 5
STEP_PLACES = (40, 60, 80, 100)
STEPS = (0.02, 0.03, 0.05, 0.10)
DELAYS = (2, 3, 5, 10)  # points, that of the step included

NOISE_SEED = 20
NOISE_SERIES_COUNT = 500
NOISE_POINT_COUNT = 100
NOISE_SIGMAS = (0.01, 0.03)

HEAD = """\
# The history's detector on unchanged code, and on planted steps

Made by `python ci/evidence/history.py --data aa_go117.csv.gz` from public measurements of unchanged
code (see `ci/evidence/public_data.py`): {series} benchmarks, {points} points each. The constants of
the detector were chosen on every other benchmark (first, third ...) and on made noise; "held out"
are the others, "chosen on" those. In brackets: count, and the 95 % Wilson interval.
"""
NOTES = """
"Within 2 points" means: seen at the second point of the new level at the latest, which is the first
at which an outlier and a step differ. A return to the level before, soon after a change, is the end
of that event, and an alert only where it is for the worse; those are counted. Less is better here.
"""
EVENTS = """
`acctbench history` tells neighbours as one event; events: {events}, {rate:.2f} per 1,000 points.
The false alerts start where day 8 ends and day 9 begins. Between these two days five of the
benchmarks moved by more than 1 %, each its own way, more than between any others, and stayed there:
the machine itself is the likely cause. A rule that excused it would excuse a commit that moves a
tenth of the metrics.
"""
NOISE = """
What the same detector does on made noise that never changes its level, {series} series of {points}
points each, without other metrics to say which run was disturbed:
"""


def main() -> None:
    """Read the arguments, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    series = points(arguments.data)
    quiet = _replayed(series, read_measurements(arguments.data).benchmarks)
    rows = pd.DataFrame([*_quiet_rows(quiet), *_step_rows(series)])
    rows.to_csv(arguments.output / "history.csv", index=False, lineterminator="\n")
    parts = {"all": rows, "held out": rows[rows["held_out"]], "chosen on": rows[~rows["held_out"]]}
    text = HEAD.format(series=len(series), points=series.shape[1])
    text += _quiet_table(parts) + _alert_table(quiet) + _event_text(quiet)
    text += _step_table(parts) + NOTES + _noise_table()
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


def _replayed(series: NDArray[np.float64], names: Sequence[str]) -> SettingHistory:
    """As the command sees it: each point a run, each benchmark a metric of all runs."""
    setting = RunSetting(facts=(), family=("", "", "", "", "", "", ""))
    runs = [
        HistoryRun(
            run_id=str(index),
            place="",
            started_at=datetime(2022, 1, 1, tzinfo=UTC) + timedelta(hours=index),
            setting=setting,
            git_sha="",
            is_dirty=False,
            unfit=(),
            verdicts={},
            facts={},
            figures={
                name: Figure(name=name, unit="ns", better=Better.LESS, value=value)
                for name, value in zip(names, values, strict=True)
                if math.isfinite(value)
            },
            works={},
        )
        for index, values in enumerate(series.T.tolist())
    ]
    (found,) = history_of(Gathered(runs=tuple(runs)), ("*",)).settings
    return found


def _quiet_rows(quiet: SettingHistory) -> Iterator[dict[str, object]]:
    for place, one in enumerate(sorted(quiet.series, key=lambda series: series.metric)):
        yield {
            "benchmark": place,
            "held_out": place % 2 == 1,
            "step": 0.0,
            "at": -1,
            "alerts": len(one.alerts),
            "points": one.point_count,
            "delay": -1,
        }


def _step_rows(series: NDArray[np.float64]) -> Iterator[dict[str, object]]:
    disturbed = disturbances(series.tolist())
    for place, values in enumerate(series):
        for step in (sign * size for size in STEPS for sign in (1.0, -1.0)):
            for at in STEP_PLACES:
                changed = values.copy()
                changed[at:] *= 1.0 + step if step > 0 else 1.0 / (1.0 - step)
                found = timeline(changed.tolist(), disturbed[place])
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
                    "alerts": _alert_count(found),
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


def _alert_table(quiet: SettingHistory) -> str:
    """Every false alert, so that a reader sees whether they have one cause."""
    lines = ["", "| false alert | from point | seen at | ratio |", "|---|---|---|---|"]
    for alert in (alert for event in quiet.events for alert in event.alerts):
        start = alert.shift.start_index
        place = f"{start} (day {start // POINTS_A_DAY}) | {alert.shift.seen_index}"
        lines.append(f"| {alert.metric} | {place} | {alert.shift.ratio:.3f} |")
    return "\n".join(lines) + "\n"


def _event_text(quiet: SettingHistory) -> str:
    point_count = sum(one.point_count for one in quiet.series)
    return EVENTS.format(events=len(quiet.events), rate=1_000 * len(quiet.events) / point_count)


def _alert_count(found: Timeline) -> int:
    """As the command tells them, gains that were lost included."""
    return sum(is_told(shift, Better.LESS) for shift in found.shifts)


def _noise_table() -> str:
    chance = np.random.default_rng(NOISE_SEED)
    size = NOISE_SERIES_COUNT, NOISE_POINT_COUNT
    normal, innovations = chance.normal(size=(2, *size))
    carried = innovations.copy()
    for index in range(1, NOISE_POINT_COUNT):
        fresh = math.sqrt(0.75) * innovations[:, index]
        carried[:, index] = 0.5 * carried[:, index - 1] + fresh
    kinds = {
        "normal": normal,
        "half of it carried over to the next point": carried,
        "heavy tails (t, 4 degrees of freedom)": chance.standard_t(4.0, size) / math.sqrt(2.0),
    }
    text = NOISE.format(series=NOISE_SERIES_COUNT, points=NOISE_POINT_COUNT)
    lines = ["", "| noise | sigma | alerts per 1,000 points | series with an alert |"]
    lines.append("|---|---|---|---|")
    for name, shape in kinds.items():
        for sigma in NOISE_SIGMAS:
            even = [1.0] * NOISE_POINT_COUNT
            counts = [_alert_count(timeline(v, even)) for v in np.exp(sigma * shape).tolist()]
            rate = 1_000 * sum(counts) / shape.size
            flagged = share_text(sum(count > 0 for count in counts), len(counts))
            lines.append(f"| {name} | {sigma:.0%} | {rate:.2f} | {flagged} |")
    return text + "\n".join(lines) + "\n"


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
