"""The observer's log: what was appended comes back, whatever the size of frames and chunks."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine import event_log
from harness.engine.event_log import EventLogWriter, Values, read_chunks

FRAMES = st.lists(
    st.tuples(st.integers(0, 2**62), st.lists(st.binary(max_size=40), max_size=5)), max_size=12
)


def write(path: Path, frames: list[tuple[int, list[bytes]]]) -> None:
    """A log of these frames."""
    with EventLogWriter(path) as log:
        for seen_ns, values in frames:
            log.append(seen_ns, values)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(frames=FRAMES, chunk_bytes=st.integers(1, 200))
def test_what_was_seen_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[tuple[int, list[bytes]]],
    chunk_bytes: int,
) -> None:
    """Empty frames, empty values, and frames larger than what is read at a time included."""
    path = tmp_path_factory.mktemp("log") / "events.log"
    write(path, frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_log, "_CHUNK_BYTES", chunk_bytes)
        chunks = list(read_chunks(path))

    expected = [(seen_ns, value) for seen_ns, values in frames for value in values]
    found = [
        (int(chunk.seen_ns[index]), chunk.values.value(index))
        for chunk in chunks
        for index in range(len(chunk.values))
    ]
    assert expected == found


def test_reading_begins_anew_where_a_chunk_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The offset of a chunk is enough to find what was in it."""
    path = tmp_path / "events.log"
    write(path, [(number, [b"%d" % number] * 3) for number in range(50)])
    monkeypatch.setattr(event_log, "_CHUNK_BYTES", 100)
    last = list(read_chunks(path))[-1]
    again = next(read_chunks(path, offset_bytes=last.offset_bytes))

    assert again.values.value(0) == last.values.value(0)
    with path.open("rb") as file:
        file.seek(last.offset_bytes + int(last.values.start[1]))
        assert file.read(int(last.values.length[1])) == last.values.value(1)


@pytest.mark.parametrize("cut_bytes", [1, 4, 20])
def test_a_torn_log_says_so_after_what_is_whole(tmp_path: Path, cut_bytes: int) -> None:
    """Nothing that was written whole is lost, and the tear is not mistaken for the end."""
    path = tmp_path / "events.log"
    write(path, [(1, [b"whole"]), (2, [b"torn apart"])])
    path.write_bytes(path.read_bytes()[:-cut_bytes])
    chunks = read_chunks(path)

    assert next(chunks).values.value(0) == b"whole"
    with pytest.raises(ValueError, match="ends inside a record"):
        next(chunks)


def test_values_joined_are_the_messages() -> None:
    """A reader of columns takes messages from anywhere, a log or not."""
    messages = [b"a", b"", b"ccc"]
    values = Values.joined(messages)

    assert [values.value(index) for index in range(len(values))] == messages
