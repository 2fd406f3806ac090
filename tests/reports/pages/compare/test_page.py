"""What a comparison leaves behind: page, compare.json, verdict.json, Markdown, JUnit."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from harness.model.record import Better
from reports.compare.comparison import Dossier, SideInput, compared_sides, dossier_to_json, rules_of
from reports.compare.verdicts import Change
from reports.figures.run_evidence import RunEvidence
from reports.figures.samples import Compared, MeasuredMetric, RunValues, Side
from reports.pages.compare.junit_markdown import comparison_junit, comparison_markdown
from reports.pages.compare.metric_table import change_text, interval_text, ratio_text, worst_first
from reports.pages.compare.page import view_comparison
from reports.pages.model import charts_of, strips_of
from reports.render.html import render_page
from reports.writing import write_comparison
from tests.reports.compare.made_runs import side_input, with_record
from tests.reports.compare.sides import metric, noisy

Runs = tuple[RunEvidence, ...]
HOSTILE = "</script><script>alert(1)</script>| [x](http://y) <img src=x> `a` @all \x1b[31m\u202e"


@pytest.fixture(scope="module")
def dossier(before: Runs, slower: Runs) -> Dossier:
    """A slower build."""
    sides = side_input("before", before), side_input("slower", slower)
    return compared_sides(*sides, rules_of(None), "acctbench compare before slower")


def elsewhere(
    a: tuple[MeasuredMetric, ...], b: tuple[MeasuredMetric, ...], name: str = "a"
) -> Dossier:
    """The comparison of metrics that were measured elsewhere."""
    return compared_sides(
        SideInput(name=name, elsewhere=Side(name=name, metrics=a)),
        SideInput(name="b", elsewhere=Side(name="b", metrics=b)),
        rules_of(None),
    )


class TestPage:
    """What a reader sees."""

    def test_the_verdict_comes_first(self, dossier: Dossier) -> None:
        """Title, sentence, and the three questions."""
        page = view_comparison(dossier)
        (group,) = page.verdict_groups

        assert page.title == "REGRESSED: slower against before"
        assert page.subtitle == dossier.comparison.sentence
        assert [verdict.word for verdict in group.verdicts] == ["VALID", "PASSED", "REGRESSED"]
        assert group.summary.startswith("Exit code 1:")

    def test_the_worst_stands_on_top(self, dossier: Dossier) -> None:
        """Red before open before green, and the most worse first."""
        statuses = [metric.status for metric in worst_first(dossier.comparison)]
        order = [Change.REGRESSED, Change.INCONCLUSIVE, Change.IMPROVED, Change.UNCHANGED]
        worse = [m.worse_ratio for m in worst_first(dossier.comparison) if m.status is statuses[0]]

        assert statuses == sorted(statuses, key=order.index)
        assert worse == sorted(worse, reverse=True)

    def test_every_run_is_a_dot(self, dossier: Dossier) -> None:
        """The strips hold the numbers of compare.json, and no others."""
        strips = {(strip.a, strip.b) for strip in strips_of(view_comparison(dossier))}

        assert strips == {(m.baseline.runs, m.candidate.runs) for m in dossier.comparison.metrics}

    def test_curves_have_a_band_of_the_runs(self, dossier: Dossier) -> None:
        """The line lies in its band, and both sides are there."""
        chart = next(c for c in charts_of(view_comparison(dossier)) if c.id == "curve-response-all")

        assert [line.name for line in chart.series] == ["baseline", "candidate"]
        for line, ribbon in zip(chart.series, chart.ribbons, strict=True):
            inside = [
                low * 0.999 <= y <= high * 1.001
                for low, y, high in zip(ribbon.low, line.y, ribbon.high, strict=True)
                if low is not None and y is not None and high is not None
            ]
            assert sum(inside) > 0.95 * len(inside)

    def test_courses_reach_from_the_least_to_the_most(self, dossier: Dossier) -> None:
        """The middle is between both."""
        chart = next(
            c for c in charts_of(view_comparison(dossier)) if c.id == "course-cpu-cores-service"
        )
        for line, ribbon in zip(chart.series, chart.ribbons, strict=True):
            for low, y, high in zip(ribbon.low, line.y, ribbon.high, strict=True):
                assert low is not None
                assert y is not None
                assert high is not None
                assert low <= y <= high

    def test_numbers_are_those_of_the_json(self, dossier: Dossier) -> None:
        """Change and interval of each row follow from compare.json alone."""
        (table,) = view_comparison(dossier).sections[0].tables
        shown = {row[1].text: (row[4].text, row[4].detail) for row in table.rows}
        document = json.loads(json.dumps(dossier_to_json(dossier)))

        for item in document["metrics"]:
            found = item["estimate"]
            kind = Compared(item["compared"])
            ends = [ratio_text(found[key], kind) for key in ("low_ratio", "high_ratio")]
            assert shown[item["name"]] == (ratio_text(found["ratio"], kind), " to ".join(ends))

    def test_one_run_a_side_is_side_by_side(self, before: Runs, slower: Runs) -> None:
        """Both values and their ratio, no interval, and every figure of the runs."""
        one = compared_sides(
            side_input("a", before[:1]), side_input("b", slower[:1]), rules_of(None)
        )
        page = view_comparison(one)
        figures = next(section for section in page.sections if section.id == "figures").tables[0]
        row = next(m for m in one.comparison.metrics if m.name == "all.response_ns.p50")

        assert change_text(row).startswith(("+1", "+2"))
        assert interval_text(row) == ""
        assert {"generator.lateness_ns.p99", "all.service_ns.p50", "broker.cpu_cores_mean"} <= {
            row[0].text for row in figures.rows
        }


class TestFiles:
    """What is written."""

    def test_the_same_input_gives_the_same_bytes(self, dossier: Dossier, tmp_path: Path) -> None:
        """Page and both JSON files."""
        for name in ("one", "two"):
            write_comparison(dossier, tmp_path / name)

        for file in ("compare.html", "compare.json", "verdict.json"):
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

    def test_the_verdict_alone(self, dossier: Dossier, tmp_path: Path) -> None:
        """For a pipeline that reads one small file."""
        write_comparison(dossier, tmp_path)
        verdict = json.loads((tmp_path / "verdict.json").read_text())

        assert (verdict["status"], verdict["exit_code"]) == ("REGRESSED", 1)
        assert verdict["metrics"]["all.response_ns.p50"] == "REGRESSED"

    def test_text_of_others_stays_text(self, before: Runs, slower: Runs) -> None:
        """Names of metrics, runs and commands can't become markup, in HTML, Markdown or XML."""
        a = tuple(with_record(run, run_id=HOSTILE + str(i)) for i, run in enumerate(before))
        b = tuple(with_record(run, command=HOSTILE) for run in slower)
        pages = [
            compared_sides(side_input(HOSTILE, a), side_input("b", b), rules_of(None), HOSTILE),
            elsewhere(
                (metric(noisy(9), name=HOSTILE),),
                (metric(noisy(9, seed=1, factor=2.0), name=HOSTILE),),
                HOSTILE,
            ),
        ]
        for page in pages:
            html = render_page(view_comparison(page))
            markdown = comparison_markdown(page.comparison)
            junit = comparison_junit(page.comparison)

            assert "<script>alert" not in html
            assert "<img" not in html
            assert "\x1b" not in html + markdown + junit
            assert not re.search(r"(?<!\\)<script|(?<!\\)\[x\]|@all", markdown)
            ET.fromstring(junit)

    def test_200_metrics_of_200_runs_take_seconds(self, tmp_path: Path) -> None:
        """Judged, drawn and written within 5 s of one core."""
        sides = [
            tuple(
                MeasuredMetric(
                    name=f"kernel.{place:03}",
                    unit="ns",
                    better=Better.LESS,
                    data=RunValues(values=tuple(np.exp(0.01 * rng.normal(size=200)).tolist())),
                )
                for place in range(200)
            )
            for rng in map(np.random.default_rng, range(2))
        ]
        start_s = time.process_time()
        page = write_comparison(elsewhere(*sides), tmp_path)

        assert time.process_time() - start_s < 5.0
        assert page.stat().st_size < 4 * 2**20


class TestPullRequest:
    """Markdown and JUnit."""

    def test_markdown_has_what_changed(self, dossier: Dossier) -> None:
        """The sentence and a row for each metric that is not unchanged."""
        text = comparison_markdown(dossier.comparison)
        red = dossier.comparison.count_of(Change.REGRESSED)

        assert text.startswith("## 🔴 REGRESSED: slower against before\n")
        assert text.count("| 🔴 REGRESSED |") == red > 0
        assert "UNCHANGED within the margins" in text

    def test_junit_counts_what_a_pipeline_must_see(self, dossier: Dossier) -> None:
        """Regressed fails, open and invalid are errors, waived is skipped; the counts are right."""
        red, first, second, *rest = worst_first(dossier.comparison)
        comparison = replace(
            dossier.comparison,
            metrics=(
                red,
                replace(first, waiver="waived by ops"),
                replace(second, status=Change.INCONCLUSIVE),
                *rest,
            ),
        )
        suite = ET.fromstring(comparison_junit(comparison))[0]
        by_name = {case.get("name"): [child.tag for child in case] for case in suite}

        assert by_name[red.name] == ["failure"]
        assert by_name[first.name] == ["skipped"]
        assert by_name[second.name] == ["error"]
        assert by_name["inputs"] == []
        for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(count) == str(len(suite.findall(f"./testcase/{tag}")))
        assert suite.get("tests") == str(len(suite))

    def test_no_metric_is_an_error(self) -> None:
        """An empty suite would read as green."""
        comparison = elsewhere((), ()).comparison

        assert 'errors="1"' in comparison_junit(comparison)
