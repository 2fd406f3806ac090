"""What is forgotten, when, and that forgetting is part of the journal."""

from pathlib import Path

import pytest

from tests.workloads.reference.bench import CONTEXT, Bench, run
from tests.workloads.reference.world import (
    ALICE,
    BOB,
    BUY,
    QUOTE,
    World,
    meta,
    order_event,
    pend,
    release,
    reserve,
    settle_pending,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import core as core_module
from workloads.account.reference.digest import state_digest
from workloads.account.reference.inputs import InputKind, replay_input
from workloads.account.reference.state import State

POST = contract.TransferRequest.POST


def lived() -> World:
    """Alice reserved (1), released (2), set money aside (3) and paid it out (4)."""
    world = World()
    world.seed((ALICE, QUOTE, 1000), (BOB, QUOTE, 1000))
    assert world.ask(reserve(ALICE, 7, BUY, 10, 1, number=1)) == contract.OK
    assert world.ask(release(ALICE, 7, number=2)) == contract.OK
    assert world.ask(pend(ALICE, QUOTE, -30, number=3)) == contract.OK
    assert world.ask(settle_pending(ALICE, POST, 3, id_number=4)) == contract.OK
    return world


def forget(world: World, times: int) -> None:
    """So many periods pass."""
    for _ in range(times):
        world.put(InputKind.FORGET, b"")


def test_within_the_horizon_all_is_remembered() -> None:
    """After one forgetting everything before it is as it was."""
    world = lived()
    forget(world, 1)
    count, outcome_count = len(world.transactions), world.state.outcome_count
    world.put(InputKind.RESERVE, reserve(ALICE, 7, BUY, 10, 1, number=1).SerializeToString())

    assert (len(world.transactions), world.state.outcome_count) == (count, outcome_count)
    assert world.ask(release(ALICE, 7)) == contract.ORDER_TERMINAL
    assert world.ask(reserve(ALICE, 7, BUY, 10, 1)) == contract.ORDER_DUPLICATE
    assert world.ask(settle_pending(ALICE, POST, 3)) == contract.PENDING_ALREADY_POSTED


def test_past_the_horizon_it_is_new() -> None:
    """After two nothing of it is left; the money is where it was."""
    world = lived()
    available = world.available(ALICE, QUOTE)
    forget(world, 2)

    assert world.state.outcome_count == 0
    assert not world.state.closed_orders
    assert not world.state.settled
    assert world.available(ALICE, QUOTE) == available
    assert world.ask(release(ALICE, 7)) == contract.ORDER_UNKNOWN
    assert world.ask(settle_pending(ALICE, POST, 3)) == contract.PENDING_UNKNOWN
    assert world.ask(reserve(ALICE, 7, BUY, 10, 1, number=1)) == contract.OK


def test_open_orders_and_money_set_aside_are_never_forgotten() -> None:
    """What still holds money is state, however old; its name can't be given to other money."""
    world = lived()
    world.ask(reserve(ALICE, 8, BUY, 10, 1))
    world.ask(pend(ALICE, QUOTE, -40, number=5))
    forget(world, 3)

    assert world.ask(reserve(BOB, 8, BUY, 10, 1)) == contract.ORDER_DUPLICATE
    assert world.ask(pend(ALICE, QUOTE, -40, number=5)) == contract.IDEMPOTENCY_MISMATCH
    assert world.ask(settle_pending(ALICE, contract.TransferRequest.VOID, 5)) == contract.OK
    world.execute(order_event(1, ALICE, 8, contract.OrderEvent.CANCELLED))
    assert world.locked(ALICE, QUOTE) == 0


@pytest.mark.parametrize("periods", [0, 1, 2])
def test_a_replay_forgets_at_the_same_place(periods: int) -> None:
    """The digest knows both generations."""
    world = lived()
    forget(world, periods)
    world.ask(reserve(BOB, 9, BUY, 1, 1))
    replayed = State()
    for kind, payload in world.inputs:
        replay_input(replayed, kind, payload)

    assert state_digest(replayed) == state_digest(world.state)


def test_the_service_forgets_in_small_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journalled, freed bit by bit while others are served, and the same after a restart."""
    monkeypatch.setattr(core_module, "FREED_AT_ONCE_COUNT", 2)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        for order_id in range(1, 12):
            await bench.reserve(order_id, number=order_id)
        at_rest = await bench.control.get_state_digest(b"", CONTEXT)
        bench.core.commitment.forget_is_due()
        assert at_rest == await bench.control.get_state_digest(b"", CONTEXT)
        await bench.reserve(12, number=12)
        remembered = await bench.reserve(1, number=1)
        bench.core.forget()
        anew = await bench.reserve(20, number=1)
        digest = await bench.control.get_state_digest(b"", CONTEXT)
        bench.core.close()
        again = Bench(tmp_path)

        assert remembered.ack.replayed
        assert (anew.ack.code, anew.ack.replayed) == (contract.OK, False)
        assert digest == await again.control.get_state_digest(b"", CONTEXT)
        assert again.core.state.outcome_count == 1
        again.core.close()

    run(scene())


def test_a_meta_is_what_is_remembered() -> None:
    """Two accounts may use one request id: its scope is the account, in both generations."""
    world = lived()
    forget(world, 1)
    request = reserve(BOB, 70, BUY, 10, 1)
    request.meta.CopyFrom(meta(1))

    assert world.ask(request) == contract.OK
