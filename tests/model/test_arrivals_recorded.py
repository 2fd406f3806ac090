"""Recorded arrivals: three forms of one file, and every fault of it with its line."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ScenarioError
from harness.model.arrivals import RecordedArrivals, offsets_ns
from harness.model.arrivals_recorded import parse_recording
from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides, load_scenario

SCENARIO = """
name = "replay"
title = "As it was"
system = "workloads.null:SYSTEM"
[arrivals]
kind = "recorded"
file = "{file}"
unit = "ms"
{rest}
[phases]
warmup = "1s"
measure = "2s"
"""
EVERY_10_MS = [10.0 * number for number in range(300)]


def parquet(**columns: pa.Array) -> bytes:
    """A Parquet file in memory."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def replay(
    folder: Path, content: bytes, *, name: str = "a.txt", rest: str = "", **changes: float
) -> Scenario:
    """A scenario that plays *content*."""
    (folder / name).write_bytes(content)
    path = folder / "replay.toml"
    path.write_text(SCENARIO.format(file=name, rest=rest), encoding="utf-8")
    return load_scenario(str(path), overrides=ScenarioOverrides(**changes))


TEXT = "\n".join(["# since the start, in ms", "", *map(str, EVERY_10_MS)]).encode()


def test_three_forms_say_the_same() -> None:
    """Text, CSV by column and Parquet by column give the same offsets."""
    rows = "\r\n".join(["kind,at", *(f"buy,{value}" for value in EVERY_10_MS)])
    tables = parquet(kind=pa.array(["buy"] * 300), at=pa.array(EVERY_10_MS))
    whole = parquet(at=pa.array([round(value) for value in EVERY_10_MS]))
    found = [
        parse_recording("a.txt", TEXT, unit="ms", column=""),
        parse_recording("a.csv", rows.encode("utf-8-sig"), unit="ms", column="at"),
        parse_recording("a.parquet", tables, unit="ms", column="at"),
        parse_recording("a.parquet", whole, unit="ms", column=""),
    ]

    for offsets in found:
        assert offsets.dtype == np.int64
        assert offsets.tolist() == [10_000_000 * number for number in range(300)]


@pytest.mark.parametrize(
    ("unit", "factor"), [("ns", 1), ("us", 1_000), ("ms", 10**6), ("s", 10**9)]
)
def test_units(unit: str, factor: int) -> None:
    """An offset is in the unit that is stated."""
    assert parse_recording("a", b"0\n1.0\n2\n", unit=unit, column="").tolist() == [
        0,
        factor,
        2 * factor,
    ]


FAULTY = [
    ("a.txt", b"1\nsoon\n3\nnan\n", ["line 2", "line 4"], "write a number"),
    ("a.txt", b"# x\n1\n\n-2\n", ["line 4"], "from 0"),
    ("a.txt", b"5\n4\n6\n5\n", ["line 2", "line 4"], "offsets ascend"),
    ("a.txt", b"1\nx\n3\n2\n", ["line 2", "line 4"], "offsets ascend"),
    ("a.txt", b"# nothing\n", ["the file"], "at least one"),
    ("a.txt", b"1\n\xff\n", ["line 2"], "UTF-8"),
    ("a.txt", b"1700000000000\n", ["line 1"], "not dates"),
    ("a.csv", b"at,kind\n1,a\n,b\n2\nx,c\n", ["line 3", "line 5"], "write a number"),
    ("a.csv", b"", ["the file"], "at least one"),
    ("a.parquet", parquet(at=pa.array([1.0, None, 3.0])), ["row 2"], "write a number"),
    ("a.parquet", parquet(at=pa.array(["1"])), ["the file"], "as numbers"),
    ("a.parquet", b"PAR1", ["the file"], "one column of offsets"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "keys", "remedy"), FAULTY)
def test_faults_name_their_line(name: str, content: bytes, keys: list[str], remedy: str) -> None:
    """Each faulty line is listed with its number and what to write."""
    with pytest.raises(ScenarioError) as caught:
        parse_recording(name, content, unit="ms", column="")

    assert [fault.key for fault in caught.value.faults] == keys
    assert remedy in caught.value.faults[-1].remedy


def test_many_faults_are_counted() -> None:
    """Twenty are listed, the others counted."""
    with pytest.raises(ScenarioError) as caught:
        parse_recording("a.txt", b"x\n" * 50, unit="ms", column="")

    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1].value == "30 more faults"


def test_an_unknown_column_names_the_known() -> None:
    """A column that isn't there is refused with those that are."""
    with pytest.raises(ScenarioError, match="kind, at"):
        parse_recording("a.csv", b"kind, at\nbuy,1\n", unit="ms", column="when")


def test_a_scenario_plays_it(tmp_path: Path) -> None:
    """From the scenario's folder, whole in its phases; four times as fast it is over sooner."""
    plain = replay(tmp_path, TEXT)
    fast = replay(tmp_path, TEXT, rest='speed = "4x"', warmup_ns=0, measure_ns=7 * 10**8)
    assert isinstance(plain.arrivals, RecordedArrivals)
    phases = {"warmup_ns": plain.warmup_ns, "measure_ns": plain.measure_ns}

    assert offsets_ns(plain.arrivals, seed=1, **phases).tolist() == [
        10**7 * number for number in range(300)
    ]
    assert offsets_ns(fast.arrivals, seed=2, **phases).tolist() == [
        2_500_000 * number for number in range(300)
    ]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """Another file of the same bytes is the same scenario, other bytes are another."""
    plain = replay(tmp_path, TEXT)
    renamed = replay(tmp_path, TEXT, name="b.txt")
    changed = replay(tmp_path, TEXT + b"\n2990.5\n")
    faster = replay(tmp_path, TEXT, measure_ns=10**9, rest='speed = "1.5x"')

    assert isinstance(plain.arrivals, RecordedArrivals)
    assert plain.document["arrivals"]["file_digest"] == plain.arrivals.file_digest
    assert renamed.digest == plain.digest
    assert len({plain.digest, changed.digest, faster.digest}) == 3


def test_rate_sets_the_speed(tmp_path: Path) -> None:
    """The command line's rate, 200/s of a recording of 100/s, plays it twice as fast."""
    faster = replay(tmp_path, TEXT, rate_per_s=200.0, warmup_ns=0, measure_ns=14 * 10**8)

    assert isinstance(faster.arrivals, RecordedArrivals)
    assert faster.arrivals.speed_ratio == pytest.approx(2.0, rel=0.01)


BAD_SCENARIOS = [
    ("missing.txt", "", "arrivals.file", "can't be read"),
    ("a.txt", 'column = "x"\nspeed = "0x"', "arrivals.speed", "plays nothing"),
    ("a.txt", 'speed = "9x"', "arrivals.file", "last arrival"),
]


@pytest.mark.parametrize(("file", "rest", "key", "words"), BAD_SCENARIOS)
def test_a_recording_that_cannot_be_played(
    tmp_path: Path, file: str, rest: str, key: str, words: str
) -> None:
    """It is a fault of the scenario, with its key."""
    (tmp_path / "a.txt").write_bytes(TEXT)
    path = tmp_path / "replay.toml"
    path.write_text(SCENARIO.format(file=file, rest=rest), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))

    assert any(fault.key == key and words in str(fault) for fault in caught.value.faults)


def test_faults_of_both_files_are_listed_together(tmp_path: Path) -> None:
    """A recording's faults stand beside the scenario's own."""
    with pytest.raises(ScenarioError) as caught:
        replay(tmp_path, b"1\nx\n", rest='[[steps]]\nat = "9s"\naction = "kill-restart-target"')

    assert {fault.key for fault in caught.value.faults} >= {"line 2", "steps[0].at"}
