"""The real program with a real broker: executions in, events out, restarts of both."""

import asyncio
from collections.abc import Callable, Sequence

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.workloads.reference.conftest import PATIENCE_S, Broker, Program
from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    QUOTE,
    SELL,
    leg,
    match,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract

Start = Callable[..., Program]
FILL_COUNT = 30


def fill(seq: int) -> bytes:
    """One lot of Alice's bid 1 against Bob's ask 2."""
    return match(seq, 10, 1, leg(ALICE, 1, BUY, 1000), leg(BOB, 2, SELL, 500))


async def send(broker: Broker, values: Sequence[bytes]) -> None:
    """Send executions of source s in this order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.address, acks="all", enable_idempotence=False
    )
    await producer.start()
    for value in values:
        await producer.send_and_wait(
            f"{broker.prefix}me.executions.v1", value, key=b"1", headers=[("src", b"s")]
        )
    await producer.stop()


async def read(broker: Broker, topic: str, until: Callable[[list[bytes]], bool]) -> list[bytes]:
    """The values of a topic with one partition from its beginning, once they are as wanted."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.address, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    await consumer.start()
    consumer.assign([TopicPartition(f"{broker.prefix}{topic}", 0)])
    values: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while not until(values):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                values += [record.value for record in records]
    await consumer.stop()
    return values


def ledger(broker: Broker, count: int) -> list[contract.JournalTxn]:
    """The ledger topic up to transaction *count*."""

    def is_whole(values: list[bytes]) -> bool:
        seqs = {contract.JournalTxn.FromString(value).journal_seq for value in values}
        return len(seqs) >= count

    values = asyncio.run(read(broker, "acct.ledger.v1", is_whole))
    return [contract.JournalTxn.FromString(value) for value in values]


def start_crossed(start: Start, broker: Broker) -> Program:
    """A service with two crossed orders of 100 lots."""
    program = start(*broker.arguments())
    program.fund((ALICE, QUOTE, 5000), (BOB, BASE, 5000))
    for request in (
        reserve(ALICE, 1, BUY, 10, 100, fee_ppm=1000, number=1),
        reserve(BOB, 2, SELL, 10, 100, number=2),
    ):
        assert program.accounts.Reserve(request).ack.code == contract.OK
    return program


def test_executions_survive_a_kill_once_each(start: Start, broker: Broker) -> None:
    """
    Fills before, during and after kill -9 are applied once; the ledger topic has each journal_seq.

    What is emitted twice has the same txn_id; what was consumed is not consumed again.
    """
    program = start_crossed(start, broker)
    asyncio.run(send(broker, [fill(seq) for seq in range(1, 11)]))
    program.await_stats(lambda stats: stats.durable_seq == 4 + 10)
    program.kill()
    late = [fill(seq) for seq in (12, 11, 11, *range(12, FILL_COUNT + 1))]
    asyncio.run(send(broker, late))
    program = start(*broker.arguments())
    count = 4 + FILL_COUNT
    stats = program.await_stats(
        lambda stats: (
            stats.ledger_emitted_seq == stats.balances_emitted_seq == count
            and stats.consumers[0].next_offset == 10 + len(late)
        )
    )
    transactions = ledger(broker, count)
    ids = {transaction.journal_seq: transaction.txn_id for transaction in transactions}
    updates = [
        contract.AccountUpdate.FromString(value)
        for value in asyncio.run(read(broker, "acct.balances.v1", lambda v: len(v) >= 4 + 60))
    ]

    assert (stats.journal_seq, stats.duplicate_count) == (count, 2)
    assert stats.sources[0].last_seq == FILL_COUNT
    assert sorted(ids) == list(range(1, count + 1))
    assert len(set(ids.values())) == count
    for transaction in transactions:
        assert transaction.txn_id == ids[transaction.journal_seq]
    fills = [txn.cause.kafka.match_id for txn in transactions if txn.kind == contract.TXN_FILL]
    assert set(fills) == set(range(1, FILL_COUNT + 1))
    alice = {update.account_seq: update for update in updates if update.account_id == ALICE}
    assert sorted(alice) == list(range(1, 2 + FILL_COUNT + 1))
    balance = program.accounts.GetBalances(contract.BalancesRequest(account_id=ALICE)).balances
    assert list(alice[2 + FILL_COUNT].balances) == list(balance)
    program.end()


def test_it_serves_while_the_broker_is_away(start: Start, broker: Broker) -> None:
    """Writes go on without the broker; what they made is emitted in order when it is back."""
    program = start_crossed(start, broker)
    program.await_stats(lambda stats: stats.ledger_emitted_seq == 4)
    broker.cut()
    for order_id in range(3, 20):
        reply = program.accounts.Reserve(reserve(ALICE, order_id, BUY, 1, 1))
        assert reply.ack.code == contract.OK
    away = program.stats()
    broker.mend()
    program.await_stats(lambda stats: stats.balances_emitted_seq == 4 + 17)
    asyncio.run(send(broker, [fill(1)]))
    program.await_stats(lambda stats: stats.ledger_emitted_seq == 4 + 17 + 1)
    seqs = [transaction.journal_seq for transaction in ledger(broker, 4 + 17 + 1)]

    assert (away.journal_seq, away.ledger_emitted_seq) == (4 + 17, 4)
    assert list(dict.fromkeys(seqs)) == list(range(1, 4 + 17 + 1 + 1))
    program.end()


def test_a_dead_letter_carries_its_record_and_reason(start: Start, broker: Broker) -> None:
    """A match of unknown orders is in acct.dlq.v1 as it came, and the next one applies."""
    program = start_crossed(start, broker)
    unknown = match(1, 10, 1, leg(ALICE, 77, BUY), leg(BOB, 2, SELL))
    asyncio.run(send(broker, [unknown, fill(2)]))
    stats = program.await_stats(lambda stats: stats.journal_seq == 5)
    letters = asyncio.run(read(broker, "acct.dlq.v1", bool))

    assert letters == [unknown]
    assert stats.dead_letter_count == 1
    assert "dead letter 1: ORDER_UNKNOWN: order 77" in program.end()[1]


def test_unary_statuses_reach_the_client(start: Start, broker: Broker) -> None:
    """A mismatch is ALREADY_EXISTS with the code in front, over the wire."""
    program = start_crossed(start, broker)
    status, detail = grpc.StatusCode.OK, None
    try:
        program.accounts.Reserve(reserve(ALICE, 9, BUY, 1, 1, number=1))
    except grpc.RpcError as error:
        status, detail = error.code(), error.details()

    assert status is grpc.StatusCode.ALREADY_EXISTS
    assert (detail or "").startswith("4001 ")
    program.end()


def test_balances_keep_their_order_over_partitions(start: Start, broker: Broker) -> None:
    """With three partitions an account's updates are all on one, in order."""
    program = start(*broker.arguments(), "--balances-partitions=3")
    users = range(ALICE, ALICE + 12)
    program.fund(*((user, asset, 9) for asset in (BASE, QUOTE) for user in users))
    program.await_stats(lambda stats: stats.balances_emitted_seq == 24)
    by_partition = asyncio.run(read_partitions(broker, "acct.balances.v1", 24))
    seqs: dict[tuple[int, int], list[int]] = {}
    for partition, values in by_partition.items():
        for value in values:
            update = contract.AccountUpdate.FromString(value)
            seqs.setdefault((update.account_id, partition), []).append(update.account_seq)

    assert sorted(by_partition) == [0, 1, 2]
    assert sorted(user for user, _ in seqs) == list(users)
    assert list(seqs.values()) == [[1, 2]] * len(users)
    program.end()


async def read_partitions(broker: Broker, topic: str, count: int) -> dict[int, list[bytes]]:
    """The values of a topic with three partitions, *count* in all, by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.address, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    await consumer.start()
    consumer.assign([TopicPartition(f"{broker.prefix}{topic}", number) for number in range(3)])
    values: dict[int, list[bytes]] = {}
    async with asyncio.timeout(PATIENCE_S):
        while sum(map(len, values.values())) < count:
            for place, records in (await consumer.getmany(timeout_ms=100)).items():
                values.setdefault(place.partition, []).extend(record.value for record in records)
    await consumer.stop()
    return values
