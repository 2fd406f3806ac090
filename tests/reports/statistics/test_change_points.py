"""The detector: what it finds and how soon, what leaves it silent, and that the command uses it."""

import math
import random
from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest

from reports.history.disturbance import disturbances
from reports.history.events import Gathered, history_of
from reports.statistics.change_points import ShiftKind, Timeline, timeline
from tests.reports.history.made import CPU, P50, history, nights, run, stepped

NAMES = tuple(f"kernel.{number:02d}.cpu_ns" for number in range(30))
HIT = 30  # the run that a disturbance hits


def noise(seed: int, count: int = 100, *, sigma: float = 0.01, carried: float = 0.0) -> list[float]:
    """Around 1, normal; each point inherits *carried* of the distance of the one before it."""
    chance = random.Random(seed)
    logs = [chance.gauss(0.0, sigma)]
    for _ in range(count - 1):
        fresh = chance.gauss(0.0, sigma * math.sqrt(1.0 - carried**2))
        logs.append(carried * logs[-1] + fresh)
    return [math.exp(value) for value in logs]


def changed(values: Sequence[float], ratio: float, start: int, end: int = 10**6) -> list[float]:
    """*values*, those from *start* to before *end* times *ratio*."""
    return [v * ratio if start <= i < end else v for i, v in enumerate(values)]


def alone(values: Sequence[float]) -> Timeline:
    """Without other metrics."""
    return timeline(values, [1.0] * len(values))


def disturbed_night() -> list[list[float]]:
    """Thirty steady metrics; in one run each is off by 10 %, up or down."""
    chance = random.Random(3)
    ratios = [chance.choice((0.9, 1.1)) for _ in NAMES]
    return [changed(noise(seed, 40), r, HIT, HIT + 1) for seed, r in enumerate(ratios)]


@pytest.mark.parametrize("ratio", [1.05, 1 / 1.05])
def test_a_step_of_five_per_cent_is_seen_at_its_second_point(ratio: float) -> None:
    """With 1 % of noise, in at least 92 of 100 series, and from where it starts."""
    shifts = [alone(changed(noise(seed), ratio, 60)).alerts for seed in range(100)]
    found = [s for s in shifts if [(one.start_index, one.seen_index) for one in s] == [(60, 61)]]

    assert len(found) >= 92


@pytest.mark.parametrize("ratio", [0.7, 0.9, 1.1, 3.0])
def test_an_outlier_is_silent(ratio: float) -> None:
    """However far, and again later; unless by chance a neighbour is far on that side as well."""
    series = [changed(noise(seed), ratio, 50, 51) for seed in range(100)]
    quiet = changed(changed(noise(1, sigma=0.005), ratio, 50, 51), ratio, 60, 61)

    assert sum(alone(values).shifts != () for values in series) <= 5
    assert alone(quiet).shifts == ()


def test_a_step_and_its_end_are_one_event() -> None:
    """One alert, and a return that is none."""
    found = alone(changed(noise(1), 1.08, 50, 60))

    assert [(s.kind, s.start_index) for s in found.shifts] == [
        (ShiftKind.CHANGE, 50),
        (ShiftKind.RETURN, 60),
    ]


@pytest.mark.parametrize(
    ("sigma", "carried", "flagged_max"), [(0.01, 0.0, 2), (0.03, 0.0, 8), (0.03, 0.5, 20)]
)
def test_noise_flags_few_series(sigma: float, carried: float, flagged_max: int) -> None:
    """Of 200 series of 100 points, normal or carried over from point to point."""
    flagged = [alone(noise(s, sigma=sigma, carried=carried)).alerts != () for s in range(200)]

    assert sum(flagged) <= flagged_max


def test_a_drift_is_seen_before_it_is_large() -> None:
    """0.2 % a point in 1 % of noise: by 5 % in most series, and not told again and again."""
    found = [
        alone([v * 1.002 ** max(0, i - 40) for i, v in enumerate(noise(seed))]).alerts
        for seed in range(40)
    ]
    seen = [alerts[0].seen_index - 40 for alerts in found if alerts]

    assert sum(count <= 25 for count in seen) >= 30
    assert max(len(alerts) for alerts in found) <= 3


def test_a_disturbed_run_is_known_by_the_others() -> None:
    """It differs from the run before it and the run after from it; nothing else stands out."""
    for ratios in disturbances(disturbed_night()):
        assert [index for index, ratio in enumerate(ratios) if ratio > 1.0] == [HIT, HIT + 1]
        assert 2.0 < ratios[HIT] <= 3.0


def test_a_metric_excuses_nothing_of_its_own() -> None:
    """What one metric does changes what is said to the others, never to itself."""
    steady = [noise(seed, 40) for seed in range(5)]
    wild = [changed(steady[0], 5.0, HIT), *steady[1:]]

    assert disturbances(wild)[0] == disturbances(steady)[0]


def test_few_metrics_excuse_little() -> None:
    """One that jumps makes no disturbance for another; two make a slight one for a third."""
    columns = [changed(noise(seed, 40), 2.0, HIT) for seed in range(3)]

    assert disturbances(columns[:2]) == [[1.0] * 40] * 2
    assert max(disturbances(columns)[0]) < 1.6


def test_gaps_and_nothing_at_all_are_no_disturbance() -> None:
    """None, zero, NaN, infinity are no steps; no metric is no answer."""
    gaps: list[list[float | None]] = [list(noise(seed, 40)) for seed in range(20)]
    for column in gaps:
        column[20:24] = [None, 0.0, math.nan, math.inf]

    assert disturbances(gaps) == [[1.0] * 40] * 20
    assert disturbances([]) == []


def test_a_disturbed_run_confirms_nothing() -> None:
    """A high point and then the disturbance: a step in the eyes of this series alone."""
    columns = disturbed_night()
    columns[0] = changed(changed(noise(0, 40), 1.07, HIT - 1, HIT), 1.1, HIT, HIT + 1)

    assert alone(columns[0]).alerts != ()
    assert timeline(columns[0], disturbances(columns)[0]).alerts == ()


@pytest.mark.parametrize("sizes", [(1.06,), (1.04, 1.06, 1.12, 1.3)])
def test_a_change_of_everything_at_once_is_no_disturbance(sizes: tuple[float, ...]) -> None:
    """All metrics, alike or each by its own size: one event of all, seen at the second point."""
    rows = [
        changed(noise(seed, 40, sigma=0.006), sizes[seed % len(sizes)], HIT)
        for seed in range(len(NAMES))
    ]
    runs = [run(i, dict(zip(NAMES, v, strict=True))) for i, v in enumerate(zip(*rows, strict=True))]
    (event,) = history(runs[: HIT + 2]).settings[0].events

    assert len(event.alerts) >= 0.95 * len(NAMES)
    assert {alert.shift.start_index for alert in event.alerts} == {HIT}


def test_the_history_judges_by_the_same_code() -> None:
    """What ci/evidence replays is what the command says, whichever metrics it is asked for."""
    columns = disturbed_night()
    columns[0] = changed(columns[0], 1.08, 34)
    runs = [
        run(i, dict(zip(NAMES, values, strict=True)))
        for i, values in enumerate(zip(*columns, strict=True))
    ]
    expected = {
        name: timeline(values, ratios)
        for name, values, ratios in zip(NAMES, columns, disturbances(columns), strict=True)
    }
    for pattern in ("*", "kernel.0*"):
        (found,) = history_of(Gathered(runs=tuple(runs)), (pattern,)).settings

        assert {one.metric: one.timeline for one in found.series} == {
            name: one for name, one in expected.items() if fnmatchcase(name, pattern)
        }
    assert [alert.start_index for alert in expected[NAMES[0]].alerts] == [34]


def test_what_is_not_judged_disturbs_nobody() -> None:
    """Metrics that are mostly zero, wild where they are not, change no word about the others."""
    plain = nights(stepped(30, 10, 1.08), names=(CPU, P50))
    zeros = [f"errors.{number}" for number in range(20)]
    with_zeros = [
        run(
            index,
            {
                **{name: figure.value for name, figure in item.figures.items()},
                **dict.fromkeys(zeros, 9.0 * (index == 31)),
            },
        )
        for index, item in enumerate(plain)
    ]
    (found,), (expected,) = history(with_zeros).settings, history(plain).settings

    assert [s for s in found.series if s.metric in {CPU, P50}] == list(expected.series)
