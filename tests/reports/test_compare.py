"""Two runs side by side."""

from dataclasses import replace

import numpy as np
import pytest

from harness.model.quantiles import distribution
from harness.store import StoredRun
from reports import compare_rows
from reports.compare.fitness import differences
from reports.compare.page import NO_CLAIM, view_comparison
from reports.load import read_run
from reports.view.model import Page, Tone, charts_of


@pytest.fixture(scope="module")
def page(full_run: StoredRun, small_run: StoredRun) -> Page:
    """The page of the full and the small run."""
    return view_comparison(read_run(full_run), read_run(small_run))


class TestRows:
    """One metric, two values, a ratio."""

    def test_a_row_holds_what_the_records_say(
        self, full_run: StoredRun, small_run: StoredRun
    ) -> None:
        """B / A, from the records alone."""
        rows = {row.metric: row for row in compare_rows(full_run.record, small_run.record)}
        row = rows["reserve.response_ns.p50"]
        a = full_run.record.latency["reserve"].response_ns.at(0.5)
        b = small_run.record.latency["reserve"].response_ns.at(0.5)
        assert a is not None
        assert b is not None

        assert (row.a, row.b) == (a, b)
        assert row.ratio == pytest.approx(b / a)
        assert row.more_is_better is False

    def test_names_are_unique(self, full_run: StoredRun) -> None:
        """A metric can be found by its name."""
        names = [row.metric for row in compare_rows(full_run.record, full_run.record)]

        assert len(set(names)) == len(names)

    def test_a_run_against_itself_has_the_ratio_one(self, full_run: StoredRun) -> None:
        """Wherever there is a ratio at all."""
        rows = compare_rows(full_run.record, full_run.record)

        assert {row.ratio for row in rows} <= {1.0, None}
        assert {row.ratio_text for row in rows if row.a == 0} <= {"\N{EN DASH}"}

    def test_a_withheld_percentile_is_no_number(
        self, full_run: StoredRun, small_run: StoredRun
    ) -> None:
        """600 operations carry no p99.9; the row says why and has no ratio."""
        rows = {row.metric: row for row in compare_rows(full_run.record, small_run.record)}
        row = rows["all.response_ns.p99.9"]

        assert row.b is None
        assert row.b_text == "n too small"
        assert row.ratio is None

    def test_what_one_run_lacks_is_no_data(self, full_run: StoredRun) -> None:
        """A kind that only A has keeps its row."""
        record = full_run.record
        latency = {kind: part for kind, part in record.latency.items() if kind != "fill"}
        none = distribution(np.array([], np.int64))
        other = replace(record, latency=latency, lateness_ns=none)

        rows = {row.metric: row for row in compare_rows(record, other)}

        assert rows["fill.response_ns.p50"].b_text == "no data"
        assert rows["generator.lateness_ns.p50"].b_text == "no data"


class TestDifferences:
    """What stands in the way of comparing."""

    def test_equal_runs_differ_in_nothing(self, full_run: StoredRun) -> None:
        """Nothing is made up."""
        assert differences(full_run.record, full_run.record) == ()

    def test_what_was_measured_is_no_difference(self, full_run: StoredRun) -> None:
        """The floor of the broker and the load of the machine never come out the same twice."""
        record = full_run.record
        other = replace(
            record,
            broker={**record.broker, "floor_ns": {"p50": 1}},
            load={**record.load, "driver_stats": [{"sent_count": 1}]},
        )

        assert differences(record, other) == ()

    def test_what_was_asked_and_the_machine_are_obstacles(self, full_run: StoredRun) -> None:
        """Another seed or kernel puts a ratio in doubt; another build is the point of comparing."""
        record = full_run.record
        other = replace(
            record,
            seed=99,
            environment={**record.environment, "kernel": "6.2.0"},
            target={**record.target, "build": "c0ffee"},
        )

        found = {item.name: item.is_obstacle for item in differences(record, other)}

        assert found == {"seed": True, "environment.kernel": True, "target.build": False}


class TestComparisonPage:
    """Both runs on one page."""

    def test_it_has_both_sets_of_verdicts_and_claims_nothing(self, page: Page) -> None:
        """Six verdicts, and a sentence that no significance is claimed."""
        assert [len(group.verdicts) for group in page.verdict_groups] == [3, 3]
        assert [group.run_name[0] for group in page.verdict_groups] == ["A", "B"]
        assert page.notices[0].text == NO_CLAIM

    def test_it_warns_where_the_runs_were_asked_different_things(self, page: Page) -> None:
        """Seed and schedule are named before any ratio."""
        assert page.notices[1].tone is Tone.WARNING
        assert "schedule digest, seed" in page.notices[1].text
        assert page.sections[0].id == "differences"

    def test_each_chart_has_a_line_of_each_run_that_has_it(self, page: Page) -> None:
        """A is drawn whole and B dashed, in colours of their own; ids are unique."""
        charts = charts_of(page)
        lines = {(line.name, line.colour, line.dashed) for one in charts for line in one.series}

        assert lines == {("A", "run-a", False), ("B", "run-b", True)}
        assert len({chart.id for chart in charts}) == len(charts)
        p99 = next(chart for chart in charts if chart.title == "Response over time: p99")
        assert [line.name for line in p99.series] == ["A"]  # B is too thin for a p99 a second

    def test_every_row_is_on_the_page(
        self, page: Page, full_run: StoredRun, small_run: StoredRun
    ) -> None:
        """No metric of the terminal's table is missing in the file."""
        cells = {
            entry.text
            for section in page.sections
            for table in section.tables
            for row in table.rows
            for entry in row
        }

        for row in compare_rows(full_run.record, small_run.record):
            assert {row.subject, row.a_text, row.b_text, row.ratio_text} <= cells
