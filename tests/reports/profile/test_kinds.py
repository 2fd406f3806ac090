"""Which kind of operation a stack works for."""

import pytest

from harness.model.profile import Frame
from reports.profile.kinds import is_named_after, kind_costs
from tests.reports.profile.made_passes import ADDRESSES, COUNTS, at, made_profile


@pytest.mark.parametrize(
    ("frame", "address", "kinds"),
    [
        (at("Service.reserve", "shop.service"), "/accounts.v1.AccountService/Reserve", ["reserve"]),
        (at("apply_transfer", "shop.service"), "/a.v1.S/ApplyTransfer", ["transfer", "pend"]),
        (at("Service.ApplyTransfer", "shop"), "/a.v1.S/ApplyTransfer", ["transfer"]),
        (at("Service.amend", "shop.service"), "/a.v1.S/AmendReservation", ["amend"]),
        (at("consume_executions", "shop.kafka"), "me.executions.v1", ["fill"]),
        (at("ExecutionsConsumer.on_executions", "shop"), "me.executions.v1", ["fill"]),
        (at("on_fill", "shop.kafka"), "on_fill", ["on_fill"]),
    ],
)
def test_a_function_named_after_a_kind(frame: Frame, address: str, kinds: list[str]) -> None:
    """After the kind, its method or its topic, whatever the case and the underscores."""
    assert is_named_after(frame, address, kinds)


@pytest.mark.parametrize(
    ("frame", "address", "kinds"),
    [
        (at("reserve_call", "shop.service"), "/accounts.v1.AccountService/Reserve", ["reserve"]),
        (at("release", "asyncio.locks"), "/accounts.v1.AccountService/Release", ["release"]),
        (at("send", "aiokafka.executions"), "me.executions.v1", ["fill"]),
        (at("me_v1", "shop.kafka"), "me.executions.v1", ["fill"]),
        (Frame(function="<release>", module="", package=""), "/a.v1.S/Release", ["release"]),
    ],
)
def test_a_function_that_only_looks_like_it(frame: Frame, address: str, kinds: list[str]) -> None:
    """A longer name, a library's function, a word too short to mean anything, a label."""
    assert not is_named_after(frame, address, kinds)


def test_costs_add_up_and_the_rest_is_said() -> None:
    """Every nanosecond is of one kind or of none; a kind that no stack shows has no function."""
    profile = made_profile()

    found, unattributed = kind_costs([profile], ADDRESSES)
    costs = {one.kinds: one for one in found}

    assert sum(one.cost for one in found) + unattributed == 4 * 1_000 * 1_000_000
    assert unattributed == 4 * 600 * 1_000_000
    assert costs["reserve",].cost == 4 * 240 * 1_000_000
    assert costs["reserve",].operation_count == 6 * COUNTS["reserve"]
    assert costs["reserve",].hottest == at("Machine.apply", "shop.machine")
    assert costs["reserve",].hottest_cost == 4 * 200 * 1_000_000
    assert costs["fill",].functions == (at("consume_executions", "shop.consumer"),)
    assert costs["release",].functions == ()
    assert costs["release",].cost == 0


def test_kinds_of_one_method_are_one_row() -> None:
    """A stack can't tell which of two kinds that share a method it works for."""
    addresses = ADDRESSES | {"release": ADDRESSES["transfer"]}

    found, _ = kind_costs([made_profile()], addresses)

    shared = next(one for one in found if one.kinds == ("release", "transfer"))
    assert shared.operation_count == 6 * (COUNTS["release"] + COUNTS["transfer"])


def test_a_record_that_does_not_say_where_kinds_are_sent() -> None:
    """Names of kinds alone are looked for."""
    found, _ = kind_costs([made_profile()], {})

    assert {one.kinds for one in found if one.functions} == {("reserve",), ("fill",)}
