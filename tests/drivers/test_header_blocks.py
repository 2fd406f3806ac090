"""Header blocks alone: what is sent is plain HPACK, what is remembered never changes an answer."""

from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from harness.drivers.header_blocks import (
    ReplyHeadersDecoder,
    encode_request_block,
    encode_timeout,
)

FIELDS = st.lists(
    st.sampled_from(
        [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "0"),
            ("grpc-status", "9"),
            ("grpc-message", "a"),
            ("grpc-message", "b"),
            ("x-long", "y" * 1_500),
            ("x", "1"),
            ("x", "2"),
        ]
    ),
    min_size=1,
    max_size=5,
)


@given(blocks=st.lists(st.tuples(FIELDS, st.booleans()), max_size=30), data=st.data())
def test_memory_changes_no_answer(
    blocks: list[tuple[list[tuple[str, str]], bool]], data: st.DataObject
) -> None:
    """Over any sequence of blocks, with evictions and resizes, each says what it was made of."""
    encoder, decoder = Encoder(), ReplyHeadersDecoder()
    for fields, is_huffman in blocks:
        if data.draw(st.booleans()):
            encoder.header_table_size = data.draw(st.sampled_from([0, 100, 4_096]))
        headers = decoder.decode(encoder.encode(fields, huffman=is_huffman))

        said = dict(fields)
        assert headers.http_status == (200 if ":status" in said else None)
        assert headers.is_grpc == ("content-type" in said)
        status = said.get("grpc-status")
        assert headers.grpc_status == (None if status is None else int(status))
        assert headers.grpc_message == said.get("grpc-message", "")


def test_only_blocks_that_change_no_table_are_remembered() -> None:
    """An insertion or a resize is decoded each time, and forgets what was remembered."""
    decoder = ReplyHeadersDecoder()
    indexed, inserting, resizing = b"\x88", b"\x40\x01x\x01y", b"\x3f\x45\x88"
    decoder.decode(indexed)
    assert set(decoder.remembered) == {indexed}
    decoder.decode(inserting)
    assert not decoder.remembered
    decoder.decode(indexed)
    decoder.decode(resizing)
    assert not decoder.remembered


def test_memory_is_bounded() -> None:
    """A peer that never repeats a block fills no memory."""
    decoder = ReplyHeadersDecoder()
    for number in range(5_000):
        decoder.decode(b"\x00\x01x\x04%04d" % number)
    decoder.decode(b"\x00\x01x\x7f\xe9\x07" + b"z" * 1_128)
    assert len(decoder.remembered) <= 512
    assert max(map(len, decoder.remembered)) <= 256


def test_request_block_leaves_the_peers_table_alone() -> None:
    """Decoding a request inserts nothing, so one block serves every call in any order."""
    block = encode_request_block(
        path="/a.B/" + "C" * 300,
        authority="localhost:1",
        is_tls=True,
        timeout_ns=1,
        metadata=[("key", "v" * 200)],
    )
    decoder = Decoder()
    fields = dict(decoder.decode(block))
    assert fields[":path"] == "/a.B/" + "C" * 300
    assert fields[":scheme"] == "https"
    assert fields["key"] == "v" * 200
    assert len(decoder.header_table.dynamic_entries) == 0


@given(timeout_ns=st.integers(min_value=1, max_value=10**19))
def test_timeout_is_never_shorter(timeout_ns: int) -> None:
    """grpc-timeout has at most eight digits, is no shorter than asked and hardly longer."""
    text = encode_timeout(timeout_ns).decode()
    unit_ns = {"n": 1, "u": 10**3, "m": 10**6, "S": 10**9}[text[-1]]
    spelt_ns = int(text[:-1]) * unit_ns
    assert len(text) <= 9
    assert timeout_ns <= spelt_ns or text == "99999999S"
    assert spelt_ns <= timeout_ns + max(1, timeout_ns // 10_000)
