"""From a run folder to one HTML file: whole, safe, small, and the same every time."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.storage.run_folder import StoredRun, load_run
from reports.compare.comparison import SideInput, compared_sides, rules_of
from reports.figures.samples import Side
from reports.render.html import CONTENT_POLICY
from reports.writing import render_run_report, write_comparison, write_run_report, write_text
from tests.golden.render import STORED
from tests.reports.synthetic import Shape, write_synthetic_run

SIZE_MAX_BYTES = 2_500_000
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"\x00\u202e" + "A" * 9_000
)


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """A run whose service, scenario and machine all try to break out of the page."""
    shape = Shape(rate_per_s=500.0, measure_s=2, warmup_s=0, freeze_ns=0, detail=HOSTILE)
    run = write_synthetic_run(tmp_path_factory.mktemp("runs") / "hostile", shape)
    record = run.record
    invariant = replace(record.correctness.invariants[0], first=HOSTILE, sentence=HOSTILE)
    latency = {f"{HOSTILE}{kind}": part for kind, part in record.latency.items()}
    return replace(
        run,
        record=replace(
            record,
            run_id=HOSTILE,
            command=HOSTILE,
            notes=(HOSTILE,),
            scenario={"name": HOSTILE, HOSTILE: HOSTILE},
            environment={HOSTILE: {HOSTILE: [HOSTILE]}},
            latency=latency,
            correctness=replace(record.correctness, invariants=(invariant,)),
            outcomes=tuple(
                replace(item, kind=HOSTILE, outcome=HOSTILE, code_name=HOSTILE)
                for item in record.outcomes
            ),
        ),
    )


@pytest.mark.parametrize("suite", ["timed", "counted"])
def test_a_micro_run_has_a_report(suite: str) -> None:
    """It has kernels, and neither operations nor tables that could be missing."""
    run = load_run(min((STORED / "kernels" / suite).iterdir()))

    html = render_run_report(run)

    assert [kernel.name for kernel in run.record.kernels if kernel.name not in html] == []
    assert "Kernels" in html
    assert "operations.parquet is missing" not in html
    assert 'id="latency"' not in html


def test_text_of_a_service_can_not_become_markup(hostile_run: StoredRun) -> None:
    """Tags, quotes, controls and floods from a target stay text."""
    html = render_run_report(hostile_run)

    assert html.count("<script") == 2
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", html)
    assert "A" * 500 not in html
    assert "&lt;script&gt;alert(1)" in html


def test_chart_data_can_not_leave_its_script_block(hostile_run: StoredRun, tmp_path: Path) -> None:
    """Names of kinds travel in the JSON block; it parses, and holds no letter that HTML knows."""
    operations = hostile_run.operations()
    operations["kind"] = HOSTILE
    operations.to_parquet(tmp_path / "operations.parquet")

    html = render_run_report(replace(hostile_run, folder=tmp_path))
    block = html.split('id="charts-data">')[1].split("</script>")[0]

    assert not set("<>&") & set(block)
    names = {line["name"] for chart in json.loads(block) for line in chart["series"]}
    assert any(name.startswith("</script><script>alert(1)") for name in names)


def test_the_same_run_gives_the_same_bytes(full_run: StoredRun, tmp_path: Path) -> None:
    """No clock, no chance, no path of this machine in a page."""
    other = write_synthetic_run(tmp_path / full_run.folder.name, Shape())

    assert render_run_report(full_run) == render_run_report(other)
    assert str(full_run.folder.parent) not in render_run_report(full_run)


def test_a_minute_at_2000_a_second_fits_in_a_small_file(full_run: StoredRun) -> None:
    """120,000 operations are told in far less than 2.5 MB, because none is embedded raw."""
    assert len(full_run.operations()) > 120_000
    assert len(render_run_report(full_run).encode()) < SIZE_MAX_BYTES / 5


def test_the_page_forbids_itself_every_request(full_run: StoredRun) -> None:
    """The policy comes before anything it governs, and no address of another host is there."""
    html = render_run_report(full_run)

    assert CONTENT_POLICY.replace("'", "&#39;") in html.split("<style>")[0]
    assert "default-src 'none'" in CONTENT_POLICY
    addresses = set(re.findall(r"https?://[^\s\"'<]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name of a vocabulary, never fetched


def test_write_run_report_writes_beside_the_record(full_run: StoredRun) -> None:
    """The report lies in the run folder, whole."""
    path = write_run_report(full_run.folder)

    assert path == full_run.folder / "report.html"
    assert path.read_text(encoding="utf-8") == render_run_report(full_run)


def test_a_folder_without_a_record_has_no_report(tmp_path: Path) -> None:
    """It is an error that names the folder, not an empty page."""
    with pytest.raises(RecordError, match=r"no record\.json"):
        write_run_report(tmp_path)


def test_a_page_that_can_not_be_written_says_where(tmp_path: Path) -> None:
    """A file where a folder must be is a fault with its path in it."""
    nowhere = tmp_path / "nowhere"
    nowhere.write_text("", encoding="utf-8")
    sides = [SideInput(name=name, elsewhere=Side(name=name, metrics=())) for name in "ab"]
    with pytest.raises(RecordError, match="nowhere"):
        write_comparison(compared_sides(*sides, rules_of(None)), nowhere)
    with pytest.raises(RecordError, match="nowhere"):
        write_text(nowhere / "summary.md", "")
