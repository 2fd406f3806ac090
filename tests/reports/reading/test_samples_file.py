"""Sides that others measured: what is read, and what is refused with every fault."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.model.record import Better
from harness.model.verdict import ExitCode
from reports.compare.comparison import compared_sides, rules_of
from reports.compare.verdicts import Change, Comparison
from reports.figures.samples import RunTails, RunValues
from reports.reading.inputs import read_sides
from reports.reading.samples_file import (
    SamplesFileError,
    facts_unlike,
    merged,
    read_measured,
    short_named,
)

METRIC: dict[str, Any] = {
    "name": "parse",
    "unit": "ns",
    "better": "less",
    "runs": [[812.0, 790.0, 800.0], [805.0, 801.0, 799.0]],
}


def document(**changes: Any) -> dict[str, Any]:
    """A file of one metric, changed."""
    return {"acctbench_samples": 1, "metrics": [{**METRIC, **changes}]}


def benchmarks(median_s: float, **machine: Any) -> dict[str, Any]:
    """What pytest-benchmark stores, as far as it matters."""
    return {
        "machine_info": {"machine": "x86_64", "cpu": {"brand_raw": "EPYC", "count": 2}, **machine},
        "benchmarks": [
            {
                "name": "test_fees",
                "fullname": "tests/test_fees.py::test_fees",
                "stats": {"median": 1.0, "data": [median_s * 0.9, median_s, median_s * 2]},
            }
        ],
        "version": "5.1.0",
    }


def test_a_run_is_the_median_of_its_samples() -> None:
    """Unit and orientation as written."""
    (metric,) = read_measured(document(better="more")).metrics

    assert (metric.name, metric.unit, metric.better) == ("parse", "ns", Better.MORE)
    assert metric.data == RunValues(values=(800.0, 801.0))


def test_a_number_is_a_run_too() -> None:
    """For tools that keep one figure a run."""
    (metric,) = read_measured(document(runs=[1, 2.5])).metrics

    assert metric.data == RunValues(values=(1.0, 2.5))


def test_a_quantile_keeps_the_samples() -> None:
    """Tails are never judged by one figure a run."""
    (metric,) = read_measured(document(quantile=0.99)).metrics

    assert isinstance(metric.data, RunTails)
    assert [run.ordered.tolist() for run in metric.data.runs] == [
        [790.0, 800.0, 812.0],
        [799.0, 801.0, 805.0],
    ]


def test_pytest_benchmark_is_one_run_a_file() -> None:
    """The median of the rounds in nanoseconds; files are runs."""
    parts = short_named([read_measured(benchmarks(seconds)) for seconds in (1e-6, 2e-6)])
    (metric,), faults = merged(parts)

    assert metric.name == "test_fees"
    assert metric.data == RunValues(values=pytest.approx((1000.0, 2000.0)))  # type: ignore[arg-type]
    assert faults == ()
    assert facts_unlike(parts) == ()


def test_names_are_decided_over_all_files() -> None:
    """A short name that means two benchmarks in one file is used in none."""
    one, two = benchmarks(1e-6), benchmarks(2e-6)
    other = {**two["benchmarks"][0], "fullname": "tests/other.py::test_fees"}
    parts = short_named([read_measured(one), read_measured({**two, "benchmarks": [other]})])

    assert [metric.name for part in parts for metric in part.metrics] == [
        "tests/test_fees.py::test_fees",
        "tests/other.py::test_fees",
    ]


@pytest.mark.parametrize("options", [{"timer": "process_time"}, {"disable_gc": True}])
def test_another_timer_is_another_thing(options: dict[str, Any], tmp_path: Path) -> None:
    """Rounds that were timed otherwise are never compared."""
    other = benchmarks(1e-6)
    other["benchmarks"][0]["options"] = options

    assert compared(tmp_path, benchmarks(1e-6), other).exit_code is ExitCode.INVALID


def test_a_name_that_is_there_twice_is_not_comparable() -> None:
    """Two rounds of one benchmark in a file are no run."""
    document = benchmarks(1e-6)
    with pytest.raises(SamplesFileError, match="twice"):
        read_measured({**document, "benchmarks": document["benchmarks"] * 2})


def test_files_of_windows_are_read(tmp_path: Path) -> None:
    """A byte order mark at the start says nothing."""
    text = "\ufeff" + json.dumps(benchmarks(1e-6))

    assert compared(tmp_path, text, text.replace("1e-06", "1.1e-06")).metrics


def test_another_machine_is_named() -> None:
    """Numbers of two machines are no comparison."""
    parts = [read_measured(benchmarks(1e-6)), read_measured(benchmarks(1e-6, machine="arm64"))]

    assert facts_unlike(parts) == ("not comparable: machine is 'x86_64' and 'arm64'",)


def test_a_file_without_the_metric_is_a_run_without_a_value() -> None:
    """It is not left out: a side that loses its worst runs looks better."""
    other = document(name="fees")
    metrics, _ = merged([read_measured(document()), read_measured(other)])
    data = {metric.name: metric.data for metric in metrics}["parse"]

    assert isinstance(data, RunValues)
    assert math.isnan(data.values[-1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "neither a file of samples"),
        ({"x": 1}, "neither a file of samples"),
        (document(better="fast"), "metrics[0].better"),
        (document(unit=""), "metrics[0].unit"),
        (document(runs=[["a"]]), "metrics[0].runs[0]"),
        (document(quantile=1.5), "metrics[0].quantile"),
        (document(colour="red"), "unknown key"),
        ({"acctbench_samples": 2, "metrics": []}, "acctbench_samples"),
        ({"acctbench_samples": 1}, "metrics: missing"),
        ({"acctbench_samples": 1, "metrics": [METRIC, METRIC]}, "is there twice"),
        ({"benchmarks": [{"name": "x"}]}, "benchmarks[0].stats: missing"),
    ],
)
def test_what_is_no_such_file_is_not_comparable(wrong: Any, said: str) -> None:
    """Each fault with its key."""
    with pytest.raises(SamplesFileError) as caught:
        read_measured(wrong)

    assert said in str(caught.value)


def compared(folder: Path, a: object, b: object) -> Comparison:
    """The comparison of two files, JSON or text."""
    for name, content in (("a", a), ("b", b)):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    sides = read_sides([str(folder / "a.json")], [str(folder / "b.json")], folder)
    return compared_sides(*sides, rules_of(None)).comparison


RUNS = [1000.0, 1001.0, 1002.0, 1000.5, 1001.5, 1003.0, 999.0, 1000.2]
SLOWER = [value * 1.05 for value in RUNS]


def test_a_slower_file_is_red(tmp_path: Path) -> None:
    """From two plain files to a verdict."""
    comparison = compared(tmp_path, document(runs=RUNS), document(runs=SLOWER))

    assert [metric.status for metric in comparison.metrics] == [Change.REGRESSED]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (document(runs=RUNS), ExitCode.INVALID),  # the same bytes
        (document(runs=[]), ExitCode.INVALID),
        (document(runs=[*RUNS, []]), ExitCode.INVALID),
        (document(runs=[*SLOWER, float("nan")]), ExitCode.INVALID),
        (document(runs=[*SLOWER, float("inf")]), ExitCode.INVALID),
        (document(runs=[*SLOWER, -5.0]), ExitCode.INVALID),
        (document(runs=SLOWER, unit="ms"), ExitCode.INVALID),
        (document(runs=SLOWER, better="more"), ExitCode.INVALID),
        (document(runs=[value * 0.03 for value in RUNS]), ExitCode.INVALID),
        (document(runs=SLOWER, name="fees"), ExitCode.INVALID),
        ({**document(runs=SLOWER), "facts": {"machine": "b"}}, ExitCode.INVALID),
        (document(runs=SLOWER[:3]), ExitCode.INCONCLUSIVE),
        ({"acctbench_samples": 1, "metrics": []}, ExitCode.INVALID),
    ],
)
def test_never_green(other: dict[str, Any], code: ExitCode, tmp_path: Path) -> None:
    """Whatever is wrong with a file has its code."""
    assert compared(tmp_path, document(runs=RUNS), other).exit_code == code


@pytest.mark.parametrize("text", ["", "{", '{"acctbench_samples": 1, "metrics": [{', "[" * 9_000])
def test_half_a_file_is_not_comparable(text: str, tmp_path: Path) -> None:
    """A truncated file is never a smaller one."""
    with pytest.raises(UsageError, match=r"b\.json"):
        compared(tmp_path, document(runs=RUNS), text)
