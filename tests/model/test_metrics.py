"""The catalogue of metrics: each is read from a record, may be demanded, and is defined once."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from harness.model import metrics
from harness.model.metrics import CATALOGUE, MetricFamily
from harness.model.profile import Frame, Metric, Profile, ProfileSegment
from harness.model.quantiles import distribution
from harness.model.record import Operations
from harness.model.scenario_tables import ObjectiveTable
from reports.figures.rest import profile_figures
from tests.model.made import kernel, record

ROOT = Path(__file__).parents[2]
LIMITS = {  # of each unit a limit is kept in: how it is written, and what it is
    "ns": ("2ms", 2e6),
    "per second": ("2k/s", 2e3),
    "share": ("5%", 0.05),
    "cores": ("80%", 0.8),
    "bytes": ("2MiB", 2**21),
    "bytes per second": ("2KiB", 2**11),
    "allocations": ("12.5", 12.5),
    "instructions": ("12_500", 12_500),
}
ANYONES_WORDS = {"encode", "ns", "instructions", "mean", "min", "max"}
OTHERS = {"operations.parquet", "kernel."}  # a file; a difference between two runs
FIRST_WORD = re.compile(r"(kernel|profile|operations|rate)\\?\.")


def profile(metric: Metric) -> Profile:
    """Two operations, and one that was warm-up."""
    return Profile(
        metric=metric,
        profiler={},
        frames=(Frame(function="f", module="m", package="m"),),
        stacks=((0,),),
        segments=tuple(
            ProfileSegment(
                start_ns=start_ns,
                end_ns=start_ns + 1,
                operation_counts={"reserve": 2},
                cpu_ns=1,
                sample_count=0,
                weights={0: 10},
            )
            for start_ns in (-1, 0)
        ),
    )


FIGURES = {
    figure.name: figure
    for figure in (
        *metrics.figures_of(record()),
        *profile_figures([profile(metric) for metric in Metric]),
    )
}


def names_of(family: MetricFamily) -> list[str]:
    """The figures of a made record that are of *family*."""
    return [name for name in FIGURES if re.fullmatch(family.pattern, name)]


@pytest.mark.parametrize("family", CATALOGUE, ids=lambda family: family.pattern)
def test_metric_is_read_and_demanded(family: MetricFamily) -> None:
    """A record has it in its unit; where a limit may be set it is read in that unit too."""
    names = names_of(family)
    text, limit = LIMITS[family.measure.limit_unit]

    assert names
    for name in names:
        assert (FIGURES[name].unit, FIGURES[name].better) == (family.measure.unit, family.better)
        if family.is_demandable:
            assert ObjectiveTable(metric=name, at_most=text).to_spec().limit == pytest.approx(limit)
        else:
            with pytest.raises(ValueError, match="is not known"):
                ObjectiveTable(metric=name, at_most=text)


def test_every_figure_is_of_one_metric() -> None:
    """No figure is outside the catalogue, and no two of its patterns fit one name."""
    found = {
        name: [item.pattern for item in CATALOGUE if re.fullmatch(item.pattern, name)]
        for name in FIGURES
    }

    assert {name: fits for name, fits in found.items() if len(fits) != 1} == {}


def test_made_values_are_read_right() -> None:
    """Of each way of reading one figure, with the value that the record holds."""
    wanted = {
        "reserve.wait_ns.p90": 9e8,
        "all.response_ns.max": 1e9,
        "generator.lateness_ns.p50": 5e8,
        "rate.achieved_share": 1.0,
        "operations.acknowledged_share": 1.0,
        "operations.rejected_share": 0.0,
        "target.cpu_ns_per_operation": 1e6,
        "broker.rss_slope_bytes_per_s": 1024.0,
        "observer.cpu_cores_max": 0.9,
        "kernel.encode.ns": 2.0,
        "profile.allocated_count_per_operation": 5.0,
    }

    assert {name: FIGURES[name].value for name in wanted} == wanted


def test_suite_has_the_figures_of_its_kernels_alone() -> None:
    """Without operations there is no rate, and a kernel without a start has no figure."""
    suite = record(
        operations=Operations(**dict.fromkeys((field.name for field in fields(Operations)), 0)),
        latency={},
        lateness_ns=distribution(np.zeros(0, np.int64)),
        resources={},
        kernels=(kernel("a", "ns"), replace(kernel("b", "ns"), processes=())),
    )

    assert [figure.name for figure in metrics.figures_of(suite)] == ["kernel.a.ns"]


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Strings of a module that no blank parts, besides docstrings; of f-strings the pieces."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and not re.search(r"\s", node.value):
            yield node.lineno, node.value


def test_no_module_has_a_pattern_of_metrics_of_its_own() -> None:
    """Elsewhere a metric is named in full and is in the catalogue: no piece or pattern of one."""
    parts = {part for name in FIGURES for part in name.split(".")[1:]} - ANYONES_WORDS
    places = []
    for package in ("harness", "workloads", "reports"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == ROOT / "harness/model/metrics.py":
                continue
            for line, word in words_of(path):
                pieces = [piece for piece in re.split(r"[^A-Za-z0-9_]+", word) if piece]
                is_of_metrics = FIRST_WORD.match(word) or ("." in word and parts & set(pieces))
                if is_of_metrics and word not in OTHERS and not metrics.family_of(word):
                    places.append(f"{path.relative_to(ROOT)}:{line}: {word}")

    assert "\n".join(places) == ""
