"""What a page says of a run's profiles, as values."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from harness.model.profile import MISSING, Metric
from harness.model.text import Unit
from harness.storage.run_folder import StoredRun, load_run, pass_folder, write_record
from reports.pages.model import Page, Section, Table, Tone, flames_of
from reports.pages.profile.cost_tables import costs_of, functions_table
from reports.pages.profile.sections import profile_sections
from reports.pages.run.leak import leak_sentence, slope_of
from reports.pages.run.page import view_run
from reports.reading.run_folder import read_profiled_run
from reports.writing import render_run_report
from tests.reports.profile.made_passes import (
    made_profile,
    store_profiles,
    write_profiled_run,
)
from tests.reports.profile.made_profiles import survivor_profile
from tests.reports.synthetic import Shape, write_synthetic_run


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """A plain run with both twins."""
    return write_profiled_run(tmp_path_factory.mktemp("runs") / "profiled")


@pytest.fixture(scope="module")
def page(profiled: StoredRun) -> Page:
    """Its page."""
    return view_run(read_profiled_run(profiled))


@pytest.fixture
def copied(profiled: StoredRun, tmp_path: Path) -> StoredRun:
    """A copy that a test may damage."""
    shutil.copytree(profiled.folder, tmp_path / "copy")
    return load_run(tmp_path / "copy")


def section(page: Page, name: str) -> Section:
    """A section by its id."""
    return next(part for part in page.sections if part.id == name)


def rows(page: Page, section_id: str, table_id: str) -> list[list[str]]:
    """The texts of a table."""
    return _texts(next(t for t in section(page, section_id).tables if t.id == table_id))


def _texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


class TestPasses:
    """The head of the profiles' part."""

    def test_each_pass_says_what_it_saw(self, page: Page) -> None:
        """Profiler, segments, samples, operations, CPU by the kernel, audit, replay."""
        found = rows(page, "profiles", "passes-table")

        assert found[0][:6] == ["cpu", "py-spy 1.2.3", "4", "3,800", "3,600", "4.00 s"]
        assert found[0][6:] == ["PASSED", "not checked"]
        assert found[1][:5] == ["memory", "memray 1.2.3", "4", "\u2013", "3,600"]

    def test_each_twin_says_what_it_disturbed(self, page: Page) -> None:
        """Against the plain run of the same plan."""
        found = rows(page, "profiles", "disturbance-table")

        assert [row[0] for row in found] == ["cpu", "memory"]
        assert found[0][1:5] == ["1.00 times"] * 4
        assert found[0][5] == "no"

    def test_a_plain_run_has_no_such_part(self, small_run: StoredRun) -> None:
        """Nothing was profiled, nothing is said."""
        assert profile_sections(read_profiled_run(small_run)) == ()

    def test_a_run_profiled_itself_shows_its_own_and_claims_no_twin(self, tmp_path: Path) -> None:
        """How far it was disturbed nobody knows."""
        run = write_synthetic_run(tmp_path / "own", Shape(measure_s=3, warmup_s=1, freeze_ns=0))
        own = view_run(read_profiled_run(store_profiles(run, "cpu", (made_profile(),))))

        assert [table.id for table in section(own, "profiles").tables] == ["passes-table"]
        assert "without an unprofiled run" in section(own, "profiles").lead
        assert section(own, "cpu-profile").flames[0].own

    def test_a_missing_profile_is_said_with_its_reason(self, copied: StoredRun) -> None:
        """The pass stays in the table, red, and nothing is drawn for it."""
        twin = load_run(pass_folder(copied.folder, "cpu"))
        note = f"{MISSING} (cpu) is missing or not whole: py-spy: permission denied."
        write_record(twin.folder, replace(twin.record, profiles=(), notes=(note,)))

        bare = view_run(read_profiled_run(copied))

        assert rows(bare, "profiles", "passes-table")[0][1] == "no profile"
        assert section(bare, "profiles").remarks == (f"cpu: {note}",)
        assert "cpu-profile" not in {part.id for part in bare.sections}

    def test_a_damaged_profile_is_said(self, copied: StoredRun) -> None:
        """Half a file shows nothing, and says so; the other pass is whole."""
        entry = load_run(pass_folder(copied.folder, "cpu")).record.profiles[0]
        path = pass_folder(copied.folder, "cpu") / entry.file
        path.write_bytes(path.read_bytes()[:100])

        bare = view_run(read_profiled_run(copied))

        assert "damaged or gone" in section(bare, "profiles").remarks[0]
        assert section(bare, "memory-profile").flames[0].own

    def test_an_unfinished_or_damaged_pass_is_a_notice(self, copied: StoredRun) -> None:
        """The page does not look as if it had never been asked for."""
        pass_folder(copied.folder, "memory").rename(pass_folder(copied.folder, "memory.incomplete"))
        (pass_folder(copied.folder, "cpu") / "record.json").write_text("{", encoding="utf-8")

        notices = [notice.text for notice in view_run(read_profiled_run(copied)).notices]

        assert notices == [
            "The profiled pass cpu can't be read: it shows nothing.",
            "A profiled pass, memory.incomplete, was not finished: it shows nothing.",
        ]


class TestCpu:
    """Where the CPU time goes."""

    def test_the_first_sentence_names_what_is_hot(self, page: Page) -> None:
        """The service's own functions, what they call in libraries charged to them."""
        assert section(page, "cpu-profile").lead == (
            "An operation costs 1.11 ms of CPU. Hottest of the service's own functions: 26.0 % in"
            " Machine.apply (shop.machine), 15.0 % in Journal.write (shop.journal), 10.0 % in"
            " Machine.fill (shop.machine). What stacks show of reserve spends 83.3 % in"
            " Machine.apply."
        )

    def test_functions_by_their_own_time(self, page: Page) -> None:
        """Per operation, share, samples; what no frame explains is a row of its own."""
        found = {row[0]: row[1:] for row in rows(page, "cpu-profile", "cpu-by-own")}

        assert found["Runner.run"] == ["333 µs", "30.0 %", "1,200", "889 µs", "80.0 %"]
        assert found["no Python frame"] == ["55.6 µs", "5.00 %", "0", "55.6 µs", "5.00 %"]
        assert not any(name.startswith("<no Python") for name in found)

    def test_a_cost_travels_with_its_error(self, page: Page) -> None:
        """3.182 * sqrt(4e16 / 3 / 4) / 900 ns between segments; a single one has no error."""
        table = section(page, "cpu-profile").tables[0]
        single = made_profile(segment_count=1)

        assert table.rows[0][1].detail == "± 204 µs"
        alone = functions_table(
            costs_of([single], Unit.NS), table_id="x", title="", of=lambda one: one.own_cost
        )
        assert alone.rows[0][1].detail == ""

    def test_a_profile_of_its_own_stands_beside_that_of_a_twin(self, copied: StoredRun) -> None:
        """Two profilers are two sections, whose figures and graphs are never mixed."""
        store_profiles(copied, "stacks", (made_profile(scale=500_000),))

        both = view_run(read_profiled_run(load_run(copied.folder)))

        leads = {
            part.title: part.lead.split(" of CPU")[0]
            for part in both.sections
            if part.title.startswith("CPU")
        }
        assert leads == {
            "CPU profile (stacks)": "An operation costs 556 µs",
            "CPU profile (cpu)": "An operation costs 1.11 ms",
        }
        assert len({flame.id for flame in flames_of(both)}) == 4

    def test_packages_add_up_to_the_whole(self, page: Page) -> None:
        """Shares of all packages are 100 %."""
        found = rows(page, "cpu-profile", "cpu-by-package")

        assert found[-1][:2] == ["all", "1.11 ms"]
        assert sum(float(row[2].split(" ")[0]) for row in found[:-1]) == pytest.approx(100, abs=0.1)

    def test_what_no_stack_shows_is_not_attributed(self, page: Page) -> None:
        """A kind without a stack has no figure; the rest has a row."""
        found = {row[0]: row for row in rows(page, "cpu-profile", "cpu-by-kind")}

        assert found["reserve"][2:5] == ["2,400", "400 µs", "24.0 %"]
        assert found["release"][1:5] == ["in no stack", "120", "no data", "no data"]
        assert found["not attributed"][3:5] == ["667 µs", "60.0 %"]

    def test_a_profile_without_an_operation_has_no_cost(self, tmp_path: Path) -> None:
        """Nothing was answered: no figure, no graph of it, no green."""
        silent = made_profile()
        silent = replace(
            silent,
            segments=tuple(replace(segment, operation_counts={}) for segment in silent.segments),
        )
        run = write_profiled_run(tmp_path / "silent", cpu=(silent,), memory=())

        part = section(view_run(read_profiled_run(run)), "cpu-profile")

        assert part.lead == "No operation was answered while the profile was taken."
        assert [fact.cell.text for fact in part.headlines[:2]] == ["no data"] * 2
        assert all(not table.rows for table in part.tables)


class TestMemory:
    """What peaks, is allocated and grows."""

    def test_its_parts(self, page: Page) -> None:
        """Two graphs, the memory of both runs over time, five tables."""
        part = section(page, "memory-profile")

        assert [flame.id for flame in part.flames] == ["high-water", "allocated"]
        assert all(flame.own for flame in part.flames)
        assert [(chart.id, len(chart.series)) for chart in part.charts] == [
            ("memory-of-plain", 1),
            ("memory-of-pass", 1),
        ]
        assert {band.name for band in part.charts[0].bands} == {"warm-up", "drain"}
        assert [table.id for table in part.tables] == [
            "growth",
            "memory-slope",
            "allocated-bytes",
            "allocated-count",
            "allocators",
        ]

    def test_allocators_are_told_apart(self, page: Page) -> None:
        """Bytes, counts and survivors of each; a profile of before has none and says so."""
        found = rows(page, "memory-profile", "allocators")

        assert [row[0] for row in found] == ["pymalloc_malloc", "malloc"]
        assert found[1][1] == "0.00778 B"

    def test_a_leak_is_named(self, tmp_path: Path) -> None:
        """By function, with its slope; the sentence stands on top."""
        leaking = survivor_profile(3, leaks={"handle_3": 200.0})
        run = write_profiled_run(tmp_path / "leaking", cpu=(), memory=(leaking,))

        part = section(view_run(read_profiled_run(run)), "memory-profile")
        table = next(table for table in part.tables if table.id == "growth")

        assert "What is never freed grows in handle_3 (service.core)" in part.lead
        assert table.rows[0][0].text == "handle_3"
        assert table.rows[0][-1].tone is Tone.BAD
        assert not part.flames[0].own
        assert part.flames[0].absence.startswith("no data")

    def test_what_goes_by_the_second_is_said(self, tmp_path: Path) -> None:
        """Of the bytes of an operation so many are allocated at rest too."""
        found = made_profile(Metric.ALLOCATED_BYTES)
        second = replace(
            found.segments[-1], start_ns=10**10, end_ns=11 * 10**9, weights={0: 90 << 10}
        )
        run = write_profiled_run(
            tmp_path / "resting", cpu=(), memory=(replace(found, rest=second),)
        )
        facts = section(view_run(read_profiled_run(run)), "memory-profile").headlines

        said = {fact.name: fact.cell.text for fact in facts}
        assert said["of it by the second, at rest too"] == "102 B"  # 4 seconds, 3,600 operations

    def test_a_short_run_can_not_tell_a_leak(self, page: Page) -> None:
        """Five samples of memory are no evidence, and the page does not look relieved."""
        lead = section(page, "resources").lead

        assert lead.startswith("Leak: too short to tell, 5 samples")
        assert [row[-1] for row in rows(page, "memory-profile", "memory-slope")] == [
            "too short to tell"
        ] * 2

    def test_a_minute_tells(self, full_run: StoredRun) -> None:
        """The made run's memory grows by 250 KB a second, at 2,000 operations in each."""
        samples = full_run.samples()

        said = leak_sentence(full_run.record, slope_of(full_run.record, samples))

        assert said.startswith("LEAK: resident memory grows by 12")
        assert " B an operation (" in said

    def test_memory_that_was_not_sampled_is_no_data(self, full_run: StoredRun) -> None:
        """An attached service without a pid has no verdict at all."""
        nothing = pd.DataFrame({"subject": [], "metric": [], "offset_ns": [], "value": []})

        assert slope_of(full_run.record, nothing) is None
        assert "no data" in leak_sentence(full_run.record, None)


class TestWhole:
    """The page as a file."""

    def test_it_is_plain_json(self, page: Page) -> None:
        """What is drawn is what is stored: no NaN, no numpy number."""
        document = json.loads(json.dumps(asdict(page), allow_nan=False))

        assert len(flames_of(page)) == 3
        assert "cpu-profile" in {part["id"] for part in document["sections"]}

    def test_the_graphs_in_the_file_are_those_of_the_view(
        self, page: Page, profiled: StoredRun
    ) -> None:
        """Every column, number for number, in a block that no function's name can end."""
        block = render_run_report(profiled).split('id="flames-data">')[1].split("</script>")[0]
        drawn = {flame["id"]: flame for flame in json.loads(block)}
        assert not set("<>&") & set(block)

        for flame in flames_of(page):
            for column in ("parents", "function_of", "own", "samples", "names", "modules"):
                assert drawn[flame.id][column] == list(getattr(flame, column))
            assert drawn[flame.id]["operation_count"] == flame.operation_count

    def test_the_same_run_gives_the_same_bytes(self, profiled: StoredRun, tmp_path: Path) -> None:
        """Written again elsewhere, it is the same page."""
        other = write_profiled_run(tmp_path / profiled.folder.name)

        assert render_run_report(profiled) == render_run_report(other)
