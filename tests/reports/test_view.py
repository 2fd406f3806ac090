"""What a run's page says, as values: no browser, no HTML."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from harness.model.metrics import family_of, figures_of
from harness.model.objectives import judge_objectives
from harness.model.quantiles import distribution
from harness.model.record import (
    CorrectnessSection,
    Latency,
    PerformanceSection,
    RunRecord,
    ValiditySection,
)
from harness.model.scenario import ObjectiveSpec
from harness.model.text import duration
from harness.model.validity import count_operations, judge_validity
from harness.model.verdict import Correctness, Performance, Validity
from harness.storage.run_folder import StoredRun
from reports.figures.run_tables import RunTables
from reports.pages.model import Page, Section, Table, Tone, VerdictView, charts_of
from reports.pages.run.page import view_run
from reports.pages.run.tables import (
    checks_table,
    invariants_table,
    kinds_table,
    lateness_table,
    outcomes_table,
    visible_table,
)
from reports.pages.run.verdict_section import verdict_group
from reports.reading.run_folder import read_run
from tests.model.test_validity import LIMITS, WINDOW, honest

OUTLINE = {
    "run": [],
    "rate": ["operations-table"],
    "latency": ["response-and-service: response, service", "response-by-kind: 5 lines"],
    "time": [
        "response-over-time: p50, p99, max",
        "rate-over-time: offered, sent, done",
        "in-flight-over-time: in flight",
    ],
    "kinds": ["kinds-table"],
    "lateness-section": ["lateness: lateness", "lateness-table"],
    "visible-section": ["visible: 7 lines", "visible-table"],
    "outcomes": ["outcomes-table"],
    "resources": [
        "cpu-cores: service, generator, observer, broker",
        "rss-bytes: service, generator, observer, broker",
        "context-switches-voluntary-per-s: service, generator, observer, broker",
        "context-switches-involuntary-per-s: service, generator, observer, broker",
        "resources-table",
    ],
    "validity": ["checks-table"],
    "correctness": ["invariants-table"],
    "performance": ["objectives-table"],
    "environment": [],
    "repeat": [],
}


@pytest.fixture(scope="module")
def tables(full_run: StoredRun) -> RunTables:
    """The full run, read."""
    return read_run(full_run)


@pytest.fixture(scope="module")
def page(tables: RunTables) -> Page:
    """The full run's page."""
    return view_run(tables)


def emptied(record: RunRecord) -> RunRecord:
    """*record* as if nothing had been measured or checked."""
    none = distribution(np.array([], np.int64))
    nothing = dict.fromkeys(record.operations.__slots__, 0)
    return replace(
        record,
        validity=ValiditySection(status=Validity.VALID, checks=()),
        correctness=CorrectnessSection(status=Correctness.PASSED, invariants=()),
        performance=PerformanceSection(status=Performance.PASSED, objectives=()),
        operations=replace(record.operations, **nothing),
        operations_by_kind={},
        outcomes=(),
        latency={
            "all": Latency(response_ns=none, service_ns=none, visible_ns=none, wait_ns=none),
        },
        lateness_ns=none,
        resources={},
        broker={},
        environment={},
    )


class TestPage:
    """The whole."""

    def test_a_run_recorded_now_has_one_word_for_microseconds(self, tables: RunTables) -> None:
        """Sentences of checks and objectives say µs, as the page's own numbers do."""
        stamps, facts = honest()
        families = {figure.name: family_of(figure.name) for figure in figures_of(tables.record)}
        specs = [
            ObjectiveSpec(metric=name, limit=850_000.0, at_most=True)
            for name, family in families.items()
            if family is not None and family.is_demandable
        ]
        record = replace(
            tables.record,
            validity=judge_validity(
                stamps, WINDOW, count_operations(stamps.outcome), facts, LIMITS
            ),
            performance=judge_objectives(specs, tables.record),
        )
        judged = (*record.validity.checks, *record.performance.objectives)
        page = asdict(view_run(replace(tables, record=record)))
        texts = [item.sentence for item in judged] + [json.dumps(page, ensure_ascii=False)]

        assert all(item.sentence in texts[-1] for item in record.validity.checks)
        assert sum(" µs" in text for text in texts) > len(specs) / 2
        assert [text for text in texts if re.search(r"\d ?us\b", text)] == []

    def test_its_parts_stand_in_the_order_of_a_readers_questions(self, page: Page) -> None:
        """Verdicts, then what it was, how fast, what it cost, and what proves it."""
        outline = {section.id: _contents(section) for section in page.sections}

        assert outline == OUTLINE
        assert list(outline) == list(OUTLINE)

    def test_it_is_plain_json(self, page: Page) -> None:
        """No NaN, no numpy number: what is shown can be stored and compared."""
        document = json.loads(json.dumps(asdict(page), allow_nan=False))

        assert [section["id"] for section in document["sections"]] == list(OUTLINE)

    def test_a_run_without_data_shows_no_number_and_nothing_green(self, tables: RunTables) -> None:
        """Empty tables and an empty record read as no data everywhere."""
        empty = view_run(
            RunTables(
                record=emptied(tables.record),
                operations=tables.operations.iloc[:0],
                samples=tables.samples.iloc[:0],
                faults=(),
            )
        )

        assert charts_of(empty) == ()
        assert [verdict.word for verdict in empty.verdict_groups[0].verdicts] == ["NO DATA"] * 3
        assert empty.verdict_groups[0].tone is Tone.UNKNOWN
        headlines = next(part for part in empty.sections if part.id == "rate").headlines
        assert {fact.cell.text for fact in headlines} == {"no data"}

    def test_a_missing_table_is_said_and_not_fatal(self, small_run: StoredRun) -> None:
        """A run folder without its tables still has verdicts, and says why no chart is there."""
        orphan = replace(small_run, folder=small_run.folder / "nowhere")

        bare = view_run(read_run(orphan))

        assert charts_of(bare) == ()
        assert [notice.text.split(" ")[0] for notice in bare.notices] == [
            "operations.parquet",
            "samples.parquet",
        ]

    def test_an_incomplete_or_profiled_run_says_so_first(self, tables: RunTables) -> None:
        """Neither can be mistaken for a plain, whole run."""
        record = replace(
            tables.record,
            complete=False,
            incomplete_reason="stopped by Ctrl-C",
            instrumentation="py-spy",
        )

        told = view_run(replace(tables, record=record))

        assert [notice.tone for notice in told.notices] == [Tone.BAD, Tone.WARNING]
        assert "stopped by Ctrl-C" in told.notices[0].text
        assert told.verdict_groups[0].verdicts[2].tone is Tone.UNKNOWN


class TestVerdicts:
    """The three cards."""

    def test_each_has_its_own_sentence(self, tables: RunTables) -> None:
        """PASSED means money in one and objectives in the other."""
        sentences = [verdict.sentence for verdict in _verdicts(tables.record)]

        assert sentences[0].startswith("The generator kept its schedule")
        assert sentences[1].endswith("no money was lost or created.")
        assert sentences[2] == "At least one objective was missed."

    def test_performance_means_nothing_when_the_audit_failed(self, tables: RunTables) -> None:
        """Fast and wrong is no result."""
        invariants = tables.record.correctness.invariants
        broken = replace(
            invariants[0],
            status=Correctness.FAILED,
            violation_count=1_234,
            first="USDT: 100.00 seeded, 99.98 found",
        )
        section = CorrectnessSection(
            status=Correctness.FAILED, invariants=(*invariants[1:], broken)
        )
        record = replace(tables.record, correctness=section)

        _, correctness, performance = _verdicts(record)

        assert correctness.tone is Tone.BAD
        assert correctness.reasons == (
            (
                "I1 Money is conserved: Every asset sums to what was seeded."
                " 1,234 violations; the first: USDT: 100.00 seeded, 99.98 found"
            ),
        )
        assert performance.tone is Tone.UNKNOWN
        assert performance.word == "NO VERDICT"
        assert performance.sentence == "It would mean nothing: the audit failed."
        assert invariants_table(record).rows[0][0].text == "I1"

    def test_an_invariant_that_checked_nothing_is_no_data(self, tables: RunTables) -> None:
        """No facts, no proof, whatever its status says."""
        section = tables.record.correctness
        idle = tuple(replace(item, checked_count=0) for item in section.invariants)
        record = replace(tables.record, correctness=replace(section, invariants=idle))

        assert _verdicts(record)[1].word == "NO DATA"
        assert {row[3].text for row in invariants_table(record).rows} == {"no data"}

    def test_what_failed_stands_first(self, tables: RunTables) -> None:
        """In the cards and in the tables."""
        checks = tables.record.validity.checks
        late = replace(checks[-1], status=Validity.INVALID, sentence="12 stamps go back")
        section = ValiditySection(status=Validity.INVALID, checks=(*checks[:-1], late))
        record = replace(tables.record, validity=section)

        assert _verdicts(record)[0].reasons == ("The clock is sane: 12 stamps go back.",)
        assert checks_table(record).rows[0][0].text == "clock"


class TestTables:
    """Numbers equal the record's."""

    def test_a_percentile_carries_its_interval(self, tables: RunTables) -> None:
        """The figure and what it may as well be."""
        p99 = next(
            item for item in tables.record.latency["all"].response_ns.quantiles if item.q == 0.99
        )
        assert p99.value is not None
        assert p99.low is not None
        assert p99.high is not None

        shown = _row(kinds_table(tables.record), "all")[5]

        assert shown.text == duration(p99.value)
        assert shown.detail == f"{duration(p99.low)} \N{EN DASH} {duration(p99.high)}"

    def test_a_thin_percentile_is_withheld_with_what_it_needs(self, tables: RunTables) -> None:
        """5,887 transfers carry a p99 and no p99.9."""
        row = _row(kinds_table(tables.record), "transfer")

        assert row[1].text == "5,887"
        assert row[6].text == "insufficient samples (needs 6,636)"
        assert row[6].is_missing

    def test_answers_stand_beside_those_that_did_not_come(self, tables: RunTables) -> None:
        """Figures of survivors say how many did not survive, also where no percentile falls."""
        timed_out_count = tables.record.operations.timed_out
        assert timed_out_count > 0

        shown = _row(kinds_table(tables.record), "all")[1]

        assert shown.detail == f"{timed_out_count:,} were not"

    def test_every_kind_and_all_are_listed(self, tables: RunTables) -> None:
        """The sum comes last."""
        kinds = [row[0].text for row in kinds_table(tables.record).rows]

        assert kinds == ["amend", "fill", "release", "reserve", "transfer", "all"]

    def test_the_brokers_floor_stands_under_what_it_explains(self, tables: RunTables) -> None:
        """Its p50 and p99 were measured, its p90 was not."""
        row = _row(visible_table(tables.record), "broker baseline")

        assert [entry.text for entry in row[2:5]] == ["7.90 ms", "no data", "15.8 ms"]

    def test_events_that_never_came_are_shown(self, tables: RunTables) -> None:
        """Beside those that came; where a percentile falls among them it says so."""
        fill = tables.record.latency["fill"]
        unseen = distribution(np.arange(900), unanswered_count=100)
        latency = tables.record.latency | {"fill": replace(fill, visible_ns=unseen)}
        record = replace(tables.record, latency=latency)
        row = _row(visible_table(record), "fill")

        assert (row[1].text, row[1].detail) == ("900", "100 were not")
        assert row[3].text == "899 ns"
        assert row[4].text == "no event (100 had none)"

    def test_outcomes_that_are_no_answer_come_first(self, tables: RunTables) -> None:
        """Then refusals, then what went well."""
        words = [row[0].text for row in outcomes_table(tables.record).rows]

        assert words == sorted(words, key=["timed out", "rejected", "acknowledged"].index)

    def test_waiting_for_others_is_not_lateness(self, tables: RunTables) -> None:
        """The generator's line stands alone on top."""
        assert lateness_table(tables.record).rows[0][0].text == "lateness of the generator"


def _contents(section: Section) -> list[str]:
    charts = [
        f"{chart.id}: {len(chart.series)} lines"
        if len(chart.series) > 4
        else f"{chart.id}: {', '.join(line.name for line in chart.series)}"
        for chart in section.charts
    ]
    return charts + [table.id for table in section.tables]


def _verdicts(record: RunRecord) -> tuple[VerdictView, ...]:
    return verdict_group(record).verdicts


def _row(table: Table, name: str) -> tuple:
    return next(row for row in table.rows if row[0].text == name)
