"""Seeding, waiting and dumping, against the reference service and against one without control."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness.errors import TargetError, UsageError
from harness.model.scenario import Scenario
from harness.system import Endpoint, load_system
from harness.targets.topics import create_topics
from tests.brokers import KINDS, linked_broker
from tests.workloads.plan.test_plan import scenario
from workloads.account.audit.target_state import TargetState
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub
from workloads.account.plan.seeds import seeds
from workloads.account.terms.workload import parse_workload

ROOT = Path(__file__).parents[3]
SYSTEM = load_system("workloads.account:SYSTEM")
PROBE = SYSTEM.probe
FIRST_ID = 1_000


@pytest.fixture(scope="module")
def few() -> Scenario:
    """A scenario with twenty accounts."""
    workload = {
        "accounts": {"kind": "uniform", "count": 20},
        "mix": {"transfer": "100%"},
        "instruments": 3,
        "seed_minor": 1_000,
    }
    return replace(scenario(), workload=workload)


@pytest.fixture(scope="module", params=KINDS)
def broker_address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A broker of each kind."""
    if request.param == "apache":
        yield request.getfixturevalue("shared_apache").address
        return
    with linked_broker(request.param, tmp_path_factory.mktemp("broker")) as broker:
        yield broker.address


@pytest.fixture
def prefix(broker_address: str, tmp_path: Path) -> str:
    """The prefix of topics that belong to one test."""
    name = f"{tmp_path.name}."
    create_topics(broker_address, {name + topic: 1 for topic in SYSTEM.topics})
    return name


@pytest.fixture
def endpoint(broker_address: str, prefix: str, tmp_path: Path) -> Iterator[Endpoint]:
    """The reference service."""
    arguments = ("--grpc-port", "0", "--workdir", str(tmp_path))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "workloads.account.reference", *arguments),
            *("--kafka", broker_address, "--topic-prefix", prefix),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        ready = process.stdout.readline()
        port = json.loads(ready.removeprefix("ready "))["grpc_port"]
        yield Endpoint(
            grpc_address=f"127.0.0.1:{port}", kafka_address=broker_address, topic_prefix=prefix
        )
        process.stdin.close()  # a parent that is gone: the service stops
        process.terminate()


def opened(endpoint: Endpoint, few: Scenario) -> TargetState:
    """The opening state."""
    state = PROBE.open(endpoint, few, seed=1, seed_by="control")
    assert isinstance(state, TargetState)
    return state


def test_a_target_is_seeded_and_followed(endpoint: Endpoint, few: Scenario) -> None:
    """What is seeded is in the opening dump; what happens after is counted and read to its end."""
    opening = opened(endpoint, few)
    expected = {
        (item.account_id, item.asset_id): item.amount_minor
        for item in seeds(parse_workload(few.workload), seed=1)
    }
    assert opening.accounts is not None
    held = {
        key: dump.available_minor
        for key, dump in opening.accounts.balances.items()
        if key[0] >= FIRST_ID
    }
    with grpc.insecure_channel(endpoint.grpc_address) as channel:
        stub: Any = AccountServiceStub(channel)  # type: ignore[no-untyped-call]
        for index in range(30):
            reply = stub.ApplyTransfer(
                contract.TransferRequest(
                    meta=contract.Meta(request_id=index.to_bytes(16, "big")),
                    account_id=FIRST_ID + index % 3,
                    asset_id=1,
                    amount_minor=5,
                    phase="PENDING" if index == 29 else "SINGLE",
                ),
                timeout=60,
            )
            assert reply.ack.code == contract.OK
    closing = PROBE.close(endpoint, few, opening=opening, produced_count=0, timeout_s=60.0)

    assert held == expected
    assert PROBE.capabilities(opening)["contract_version"] == "accounts.v1"
    assert PROBE.event_count(closing) == 30
    assert closing.absent == ()
    assert closing.updates.update_count - closing.updates.repeated_count == 30
    assert (closing.updates.gap_count, closing.updates.mismatch_count) == (0, 0)
    assert closing.digest != opening.digest
    assert opening.accounts.pending == frozenset()
    assert closing.accounts.pending == {(29).to_bytes(16, "big")}
    assert closing.accounts.balances[FIRST_ID, 1].available_minor == 1_000 + 50


def test_seeding_again_adds_only_what_is_short(endpoint: Endpoint, few: Scenario) -> None:
    """A target that ran before keeps what it has."""
    first, second = opened(endpoint, few), opened(endpoint, few)

    assert first.accounts is not None
    assert second.accounts is not None
    assert first.accounts.balances == second.accounts.balances
    assert first.journal_seq == second.journal_seq


def test_deposits_top_up_what_is_short(endpoint: Endpoint, few: Scenario) -> None:
    """Seeded by transfers again after a withdrawal: that much is paid in, once, and no more."""

    def seeded() -> TargetState:
        state = PROBE.open(endpoint, few, seed=1, seed_by="transfers")
        assert isinstance(state, TargetState)
        return state

    first = seeded()
    with grpc.insecure_channel(endpoint.grpc_address) as channel:
        stub: Any = AccountServiceStub(channel)  # type: ignore[no-untyped-call]
        for index in range(3):
            withdrawal = contract.TransferRequest(
                meta=contract.Meta(request_id=index.to_bytes(16, "big")),
                account_id=FIRST_ID,
                asset_id=1,
                amount_minor=-7,
            )
            assert stub.ApplyTransfer(withdrawal, timeout=60).ack.code == contract.OK
            again = seeded()
            assert again.accounts is not None
            assert again.accounts.balances[FIRST_ID, 1].available_minor == 1_000

    assert first.journal_seq is not None
    assert again.journal_seq == first.journal_seq + 6


def test_what_the_target_can_not_do_stops_the_run(endpoint: Endpoint, few: Scenario) -> None:
    """A scenario that requires a capability that is not declared is told so."""
    portfolio = replace(few, requires=("portfolio",))
    with pytest.raises(UsageError, match=r"can't do \"portfolio\" \(needed by requires of"):
        PROBE.open(endpoint, portfolio, seed=1, seed_by="control")


class _Deposits(grpc.GenericRpcHandler):
    """A service that takes deposits, and nothing else."""

    def __init__(self) -> None:
        self.received: list[contract.TransferRequest] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if not str(details.method).endswith("/ApplyTransfer"):
            return None

        def apply(request: contract.TransferRequest, context: Any) -> contract.TransferReply:
            self.received.append(request)
            return contract.TransferReply()

        return grpc.unary_unary_rpc_method_handler(
            apply,
            request_deserializer=contract.TransferRequest.FromString,
            response_serializer=contract.TransferReply.SerializeToString,
        )


def test_a_target_without_control_is_seeded_by_deposits(
    broker_address: str, prefix: str, few: Scenario
) -> None:
    """It is driven all the same; what it can't tell is absent, with the reason."""
    deposits = _Deposits()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((deposits,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    endpoint = Endpoint(
        grpc_address=f"127.0.0.1:{port}", kafka_address=broker_address, topic_prefix=prefix
    )
    try:
        with pytest.raises(UsageError, match="no ControlService"):
            PROBE.open(endpoint, few, seed=1, seed_by="control")
        needy = replace(few, requires=("amend",))
        with pytest.raises(UsageError, match=r"write \[contract\] features"):
            PROBE.open(endpoint, needy, seed=1, seed_by="transfers")
        able = replace(endpoint, features=("amend",))
        assert isinstance(PROBE.open(able, needy, seed=1, seed_by="transfers"), TargetState)
        deposits.received.clear()
        opening = PROBE.open(endpoint, few, seed=1, seed_by="transfers")
        closing = PROBE.close(endpoint, few, opening=opening, produced_count=0, timeout_s=1.0)
    finally:
        server.stop(None).wait()
    expected = list(seeds(parse_workload(few.workload), seed=1))

    assert sorted((r.account_id, r.asset_id, r.amount_minor) for r in deposits.received) == (
        sorted(tuple(item) for item in expected)
    )
    assert len({request.meta.request_id for request in deposits.received}) == len(expected)
    assert (opening.accounts, opening.capabilities) == (None, None)
    assert "no ControlService" in closing.absent[0]
    assert PROBE.event_count(closing) is None


def test_nobody_there(few: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that can't be reached is a TargetError with its address."""
    monkeypatch.setattr("workloads.account.probe.control_client._READY_TIMEOUT_S", 0.2)
    endpoint = Endpoint(grpc_address="127.0.0.1:1", kafka_address="", topic_prefix="")

    with pytest.raises(TargetError, match=r"127\.0\.0\.1:1"):
        PROBE.open(endpoint, few, seed=1, seed_by="control")
