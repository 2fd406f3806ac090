"""Percentile curves and courses over time, as values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.model.metrics import ALL_KINDS
from harness.model.quantiles import needed_count
from harness.storage.run_folder import StoredRun
from reports.figures.latencies import latencies_by_kind
from reports.figures.run_tables import RunTables
from reports.figures.timelines import bins_of
from reports.pages.percentile_chart import curve
from reports.pages.run.curves import response_curves
from reports.pages.run.timeline import rate_chart, response_chart
from reports.pages.run.usage import in_flight_chart, resource_charts
from reports.reading.run_folder import read_run


@pytest.fixture(scope="module")
def tables(full_run: StoredRun) -> RunTables:
    """The full run, read."""
    return read_run(full_run)


class TestCurves:
    """Percentile curves end where the samples end."""

    @pytest.mark.parametrize("number", [20, 700, 10_000, 120_000])
    def test_a_curve_goes_as_far_as_its_count_and_no_further(self, number: int) -> None:
        """Every point is supported, and the next nine is not."""
        samples_ns = np.random.default_rng(3).integers(1, 10**9, number)

        line = curve("response", "response", samples_ns)

        assert all(number >= needed_count(share) for share in line.x)
        assert number < needed_count(1 - (1 - line.x[-1]) / 1.3)
        assert list(line.y) == sorted(line.y)  # type: ignore[type-var]

    def test_too_few_samples_draw_nothing(self) -> None:
        """Nine answers are no distribution."""
        assert curve("response", "response", np.arange(1, 10)).x == ()

    def test_headline_percentiles_lie_on_the_curve(self, tables: RunTables) -> None:
        """The chart and the table say the same."""
        chart = response_curves(latencies_by_kind(tables.operations)[ALL_KINDS])
        shown = dict(zip(chart.series[0].x, chart.series[0].y, strict=True))
        response = tables.record.latency["all"].response_ns

        assert {q: shown.get(q) for q in (0.5, 0.9, 0.99, 0.999, 0.9999)} == {
            item.q: item.value for item in response.quantiles
        }
        assert shown.keys() >= {0.5, 0.9, 0.99, 0.999}

    def test_curve_ends_where_the_unanswered_begin(self) -> None:
        """Two of a hundred without an answer: nothing is drawn beyond p98."""
        line = curve("response", "response", np.arange(1, 9_801), unanswered_count=200)

        assert 0.97 < line.x[-1] <= 0.98


class TestTimeline:
    """What happened when."""

    def test_a_freeze_is_seen_in_the_second_in_which_operations_were_due(
        self, tables: RunTables
    ) -> None:
        """Second 20 is slow although nothing was answered in it."""
        record, operations = tables.record, tables.operations
        response = {line.name: line for line in response_chart(record, operations).series}
        done = rate_chart(record, operations).series[2]
        at = response["p99"].x.index(20.5)

        assert response["p99"].y[at] > 1e9
        assert response["p50"].y[at - 5] < 1e6
        assert done.y[done.x.index(20.5)] < 100
        assert done.y[done.x.index(21.5)] > 3_000

    def test_bins_never_mix_phases(self, tables: RunTables) -> None:
        """Warm-up, measured phase and drain begin at an edge."""
        phases = {"warmup_ns": 1_500_000_000, "measure_ns": 2_300_000_000, "drain_ns": 10**9}
        record = replace(tables.record, phases=phases)
        operations = tables.operations.iloc[:0]

        edges = bins_of(record, operations).edge_ns.tolist()

        assert {-1_500_000_000, 0, 2_300_000_000} <= set(edges)
        assert edges == sorted(set(edges))

    def test_rates_are_by_the_second_whatever_a_bins_width(self, tables: RunTables) -> None:
        """A narrow bin at the end of a phase does not look slow."""
        phases = {"warmup_ns": 0, "measure_ns": 2_500_000_000, "drain_ns": 0}
        due_ns = np.arange(0, 2_500_000_000, 10_000_000)
        operations = pd.DataFrame(
            {
                "kind": "reserve",
                "measured": True,
                "intended_ns": due_ns,
                "eligible_ns": due_ns,
                "sent_ns": due_ns,
                "done_ns": due_ns,
                "visible_ns": pd.NA,
                "outcome": "acknowledged",
            }
        )

        chart = rate_chart(replace(tables.record, phases=phases), operations)

        assert set(chart.series[0].y[:3]) == {100.0}

    def test_a_thin_percentile_over_time_is_withheld_and_said(self, small_run: StoredRun) -> None:
        """200 answers a second carry no p99."""
        small = read_run(small_run)

        chart = response_chart(small.record, small.operations)

        assert [line.name for line in chart.series] == ["p50", "max"]
        assert chart.note.startswith("p99 withheld: insufficient samples")

    def test_bins_widen_until_they_carry_a_p99(self, tables: RunTables) -> None:
        """500 answers a second for 60 s: two seconds hold enough, and 30 bins show the course."""
        rate = replace(tables.record.rate, achieved_per_s=500.0)
        record = replace(tables.record, rate=rate)

        chart = response_chart(record, tables.operations)

        assert "due in each 2 seconds" in chart.explanation
        assert chart.series[0].x[3:5] == (1.0, 3.0)

    def test_thinning_a_long_line_keeps_its_peak(self, tables: RunTables) -> None:
        """A spike of one sample in ten thousand is still drawn."""
        offsets = np.arange(10_000, dtype=np.int64) * 10**8
        values = np.zeros(10_000)
        values[4_321] = 99.0
        samples = pd.DataFrame(
            {"offset_ns": offsets, "subject": "load", "metric": "in_flight", "value": values}
        )

        line = in_flight_chart(tables.record, samples).series[0]

        assert len(line.y) <= 600
        assert max(value for value in line.y if value is not None) == 99.0

    def test_a_process_that_was_not_sampled_has_no_line(self, tables: RunTables) -> None:
        """An attached service without a pid is absent, not idle."""
        samples = tables.samples[tables.samples["subject"] != "target"]

        charts = resource_charts(tables.record, samples)

        assert {line.name for chart in charts for line in chart.series} == {
            "generator",
            "observer",
            "broker",
        }
