"""Records on a topic that are none of the contract's messages: the run ends, and says where."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from harness.model.record import Invariant
from harness.storage.run_folder import load_run
from tests.end_to_end.attached import staging
from tests.end_to_end.test_attached import REFERENCE

BAD_RECORDS = {
    "no message": b"\xff\xff\xff",
    "no value": None,
    "cut short": b"\x0a\x12\x0a\x10" + bytes(7),
    "a cause cut short": b"\x0a\x02\x12\x00" + bytes(4),
}
LEDGER_INVARIANTS = {"I1", "I4", "I7", "I8"}


@contextmanager
def spoiling(kafka: str, topic: str, value: bytes | None) -> Iterator[None]:
    """Put *value* on *topic* again and again, while a run goes."""
    is_done = threading.Event()

    async def spoil() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=1)
        await producer.start()
        try:
            while not is_done.is_set():
                await producer.send_and_wait(topic, value, key=b"1")
                await asyncio.sleep(0.3)
        finally:
            await producer.stop()

    thread = threading.Thread(target=lambda: asyncio.run(spoil()))
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join(timeout=30)


def invariants_of_a_run(folder: Path, topic: str, value: bytes | None) -> dict[str, Invariant]:
    """What a run says whose *topic* has a record that is none, beside its own."""
    with staging(folder, *REFERENCE) as at:
        at.check_green()  # makes the topics
        with spoiling(at.kafka, topic, value):
            done = at.command()
        assert done.stdout, done.stderr
        record = load_run(Path(done.stdout.strip()).parent).record
    assert record.operations.acknowledged > 100
    return {item.id: item for item in record.correctness.invariants}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_on_the_ledger_topic(name: str, tmp_path: Path) -> None:
    """What it makes undecidable is UNKNOWN, with partition, offset and first bytes of it."""
    value = BAD_RECORDS[name]
    found = invariants_of_a_run(tmp_path, "staging.acct.ledger.v1", value)
    undecided = {item for item, law in found.items() if law.status == "UNKNOWN"}
    sentence = found["I1"].sentence

    assert undecided >= LEDGER_INVARIANTS
    assert "FAILED" not in {law.status for law in found.values()}
    assert "the record at partition 0, offset " in sentence
    assert (f"begins {value[:16].hex(' ')}" if value else "it has no value") in sentence


def test_a_bad_record_on_the_balances_topic(tmp_path: Path) -> None:
    """The ledger is judged all the same."""
    found = invariants_of_a_run(tmp_path, "staging.acct.balances.v1", b"\xff\xff\xff")
    unknown = {item: law.sentence for item, law in found.items() if law.status == "UNKNOWN"}

    assert found["I1"].status == "PASSED"
    assert any("partition 0, offset" in sentence for sentence in unknown.values()), unknown
    assert "FAILED" not in {law.status for law in found.values()}
