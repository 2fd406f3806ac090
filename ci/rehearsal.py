"""
A run without a service: what a real one leaves behind, at sizes that a machine can't drive live.

Real are the plan, the bytes of every message, the reference's state machine, its ledger events and
balance updates, and the files that load processes and observer write. Made up are the stamps: each
operation is sent as soon as it is due and answered in the order of the plan. It serves to measure
and test what comes after the load, record, audit and report; it measures no service.
"""

import gc
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns, create_columns
from harness.engine.event_log import EventLogWriter
from harness.engine.plan_digest import plan_digest
from harness.engine.shard_file import Exceptions, Resolved, write_plan, write_shard
from harness.model.operation import Outcome
from harness.model.scenario import Scenario
from harness.model.window import Window
from harness.system import Payloads, ShardPlan
from workloads.account.audit.target_state import (
    AccountsDump,
    BalanceDump,
    OrderDump,
    TargetState,
    TotalsDump,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_data, seeds
from workloads.account.reference import inputs, machine
from workloads.account.reference.executions import consume
from workloads.account.reference.ledger import Ledger
from workloads.account.reference.state import State
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.terms.workload import parse_workload
from workloads.account.wire.identity import source_name
from workloads.account.wire.kinds import EXECUTIONS_TOPIC, Kind
from workloads.account.wire.requests import encode_plan, seal_execution

START_NS = 1_000_000_000_000  # of the warm-up, on a made-up clock
_GROUP_COUNT = 128  # operations between two commits, which are seen at once
_TICK_NS = 10_000_000
# Lateness, service time and the broker's share of `visible`, as quiet runs have them.
_LATENESS_NS_MIN, _LATENESS_NS_MEAN = 20_000, 30_000
_SERVICE_NS_MEDIAN, _SERVICE_SIGMA, _SERVICE_NS_MAX = 450_000, 0.4, 9_000_000
_VISIBLE_NS_MIN, _VISIBLE_NS_MEAN = 5_000_000, 2_000_000

_CALLS: dict[Kind, tuple[Any, Callable[[Any], inputs.Call]]] = {
    Kind.RESERVE: (contract.ReserveRequest, inputs.reserve_call),
    Kind.AMEND: (contract.AmendRequest, inputs.amend_call),
    Kind.RELEASE: (contract.ReleaseRequest, inputs.release_call),
    Kind.TRANSFER: (contract.TransferRequest, inputs.transfer_call),
    Kind.INTERNAL_TRANSFER: (contract.InternalTransferRequest, inputs.internal_transfer_call),
    Kind.CREATE_ACCOUNT: (contract.CreateAccountRequest, inputs.create_account_call),
}
_REPLY_COLUMNS = ("journal_seq", "account_seq", "locked_minor", "available_minor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """
    What a rehearsal left, besides its files.

    Attributes:
        plan_paths, shard_paths: A load process each.
        events_path, updates_path: Logs of acct.ledger.v1 and acct.balances.v1.
        opening, closing: What the service said of itself; the closing state without its updates.
    """

    scenario: Scenario
    run_tag: int
    window: Window
    schedule_digest: str
    plan_paths: tuple[Path, ...]
    shard_paths: tuple[Path, ...]
    events_path: Path
    updates_path: Path
    opening: TargetState
    closing: TargetState
    produced_count: int
    operation_count: int


def rehearse(scenario: Scenario, folder: Path, *, run_tag: int) -> Rehearsed:
    """Apply the whole plan of *scenario*, in order of time, and leave its files in *folder*."""
    shard_count = scenario.load.worker_count
    shards = [
        _Shard(scenario, folder, shard=shard, shard_count=shard_count, run_tag=run_tag)
        for shard in range(shard_count)
    ]
    events_path, updates_path = folder / "events.log", folder / "updates.log"
    with EventLogWriter(events_path) as events, EventLogWriter(updates_path) as updates:
        service = _Service(scenario, events, updates)
        opening = state_of(service.state)
        gc.collect()
        gc.freeze()  # what is there stays there: looking through it again costs minutes
        _serve(shards, service)
        gc.unfreeze()
    for shard in shards:
        shard.write()
    measure_ns = START_NS + scenario.warmup_ns
    return Rehearsed(
        scenario=scenario,
        run_tag=run_tag,
        window=Window(start_ns=measure_ns, end_ns=measure_ns + scenario.measure_ns),
        schedule_digest="".join(plan_digest(shard.plan).hex() for shard in shards),
        plan_paths=tuple(shard.plan_path for shard in shards),
        shard_paths=tuple(shard.path for shard in shards),
        events_path=events_path,
        updates_path=updates_path,
        opening=opening,
        closing=state_of(service.state, opening_journal_seq=opening.journal_seq),
        produced_count=sum(len(shard.sequences) for shard in shards),
        operation_count=sum(len(shard.plan) for shard in shards),
    )


def state_of(state: State, *, opening_journal_seq: int | None = None) -> TargetState:
    """The state as ControlService would tell it."""
    balances = {
        (account.account_id, asset_id): BalanceDump._make((*balance, sum(balance)))
        for account in state.accounts.values()
        for asset_id, balance in account.balances.items()
    }
    return TargetState(
        capabilities={"contract_version": "accounts.v1"},
        journal_seq=state.journal_seq,
        sources={key: source.last_seq for key, source in state.sources.items()},
        dead_letter_count=state.dead_letter_count,
        accounts=AccountsDump(
            account_seq={account.account_id: account.seq for account in state.accounts.values()},
            balances=balances,
            open_orders={
                order.order_id: OrderDump(
                    order.order_id,
                    order.account_id,
                    order.asset_id,
                    order.leaves_lots,
                    order.locked_minor,
                )
                for order in state.orders.values()
            },
        ),
        totals={asset_id: _totals(state, asset_id) for asset_id in state.assets},
        opening_journal_seq=opening_journal_seq,
    )


def _totals(state: State, asset_id: int) -> TotalsDump:
    users_minor = 0
    system_minor = {}
    for account in state.accounts.values():
        balance = account.balances.get(asset_id)
        if balance is None:
            continue
        if account.account_id < FIRST_ACCOUNT_ID:
            system_minor[account.account_id] = sum(balance)
        else:
            users_minor += sum(balance)
    return TotalsDump(users_minor=users_minor, system_minor=system_minor)


class _Service:
    """The reference's state machine with its two topics as files."""

    def __init__(self, scenario: Scenario, events: EventLogWriter, updates: EventLogWriter) -> None:
        workload = parse_workload(scenario.workload)
        self.state = State()
        inputs.load_reference_data(self.state, reference_data(workload))
        for item in seeds(workload, seed=scenario.seed):
            fault = machine.seed(self.state, *item)
            assert not fault, fault
        self.state.transactions.clear()
        self._events, self._updates = events, updates
        self._repeats_requests = workload.mix.duplicate > 0

    def commit(self, seen_ns: int) -> None:
        """Tell what happened since the last commit."""
        ledger = Ledger(EXECUTIONS_TOPIC)  # a new one each time: it keeps what it is given
        state = self.state
        transactions = state.transactions
        self._events.append(seen_ns, [ledger.append(item, seen_ns) for item in transactions])
        self._updates.append(
            seen_ns,
            [update for item in transactions for _, _, update in ledger.updates(item, seen_ns)],
        )
        state.transactions.clear()
        if not self._repeats_requests:
            state.outcomes.newer.clear()  # kept for repetitions alone, and larger than all else

    def call(self, kind: Kind, payload: bytes) -> tuple[int, ...]:
        """One request: (code, journal_seq, account_seq, asset_id, locked, available, replayed)."""
        message, call_of = _CALLS[kind]
        return machine.apply(self.state, *call_of(message.FromString(payload)))


class _Shard:
    """One load process's plan, and what becomes of its operations."""

    def __init__(
        self, scenario: Scenario, folder: Path, *, shard: int, shard_count: int, run_tag: int
    ) -> None:
        self.plan: ShardPlan = make_plan(
            scenario, seed=scenario.seed, shard=shard, shard_count=shard_count
        )
        self.payloads: Payloads = encode_plan(scenario, self.plan, run_tag=run_tag)
        self.plan_path = folder / f"plan-{shard}"
        self.path = folder / f"shard-{shard}"
        write_plan(self.plan_path, self.plan, self.payloads)
        count = len(self.plan)
        self.source = source_name(run_tag, shard)
        self.outcome = bytearray(count)
        self.code = array("i", bytes(4 * count))
        self.replayed = bytearray(count)
        self.reply = {name: array("q", bytes(8 * count)) for name in _REPLY_COLUMNS}
        self.sequences: dict[int, int] = {}
        self._last_sequence: dict[int, int] = {}
        self._seed = scenario.seed
        self._operations: Iterator[int] = iter(range(count))

    def take(self, count: int, service: _Service) -> None:
        """Serve the next *count* operations of this shard."""
        for index in islice(self._operations, count):
            self._take(index, service)

    def _take(self, index: int, service: _Service) -> None:
        plan, outcome = self.plan, self.outcome
        for need in (plan.needs_a[index], plan.needs_b[index]):
            if need >= 0 and outcome[need] != Outcome.ACKNOWLEDGED:
                outcome[index] = Outcome.CANCELLED
                return
        start = self.payloads.start
        payload = self.payloads.blob[start[index] : start[index + 1]]
        kind = Kind(plan.kind[index])
        if kind is Kind.FILL:
            stream = int(plan.stream[index])
            sequence = self._last_sequence[stream] = self._last_sequence.get(stream, 0) + 1
            self.sequences[index] = sequence
            value = seal_execution(memoryview(payload), sequence, START_NS)
            consume(service.state, 0, service.state.next_offsets.get(0, 0), self.source, value)
            outcome[index] = Outcome.ACKNOWLEDGED
            return
        code, journal_seq, account_seq, _, locked, available, replayed = service.call(
            kind, bytes(payload)
        )
        outcome[index] = Outcome.REJECTED if code else Outcome.ACKNOWLEDGED
        self.code[index], self.replayed[index] = code, replayed
        said = (journal_seq, account_seq, locked, available)
        for name, value_said in zip(_REPLY_COLUMNS, said, strict=True):
            self.reply[name][index] = value_said

    def write(self) -> None:
        """The shard's file, with stamps that follow the plan."""
        plan, count = self.plan, len(self.plan)
        columns = Columns(create_columns(count))
        self._stamp(columns)
        samples = _ticks(columns)
        write_shard(
            self.path,
            plan=plan,
            columns=columns,
            exceptions=Exceptions(sequences=self.sequences),
            resolved=Resolved.nothing(count),
            decoded={
                **{name: np.frombuffer(values, np.int64) for name, values in self.reply.items()},
                "t_ingress_ns": columns.sent_ns,
                "t_commit_ns": columns.done_ns,
                "replayed": np.frombuffer(self.replayed, np.bool_),
            },
            samples=samples,
        )

    def _stamp(self, columns: Columns) -> None:
        plan, count = self.plan, len(self.plan)
        chance = np.random.default_rng([self._seed, plan.shard])
        columns.intended_ns[:] = START_NS + plan.intended_offset_ns
        columns.outcome[:] = np.frombuffer(self.outcome, np.uint8)
        columns.code[:] = np.frombuffer(self.code, np.int32)
        late_ns = _LATENESS_NS_MIN + chance.exponential(_LATENESS_NS_MEAN, count)
        service_ns = _SERVICE_NS_MEDIAN * chance.lognormal(0.0, _SERVICE_SIGMA, count)
        seen_ns = _VISIBLE_NS_MIN + chance.exponential(_VISIBLE_NS_MEAN, count)
        columns.sent_ns[:] = columns.intended_ns + late_ns.astype(np.int64)
        columns.done_ns[:] = columns.sent_ns + np.minimum(service_ns, _SERVICE_NS_MAX).astype(
            np.int64
        )
        columns.visible_ns[:] = columns.done_ns + seen_ns.astype(np.int64)
        columns.visible_ns[columns.outcome != Outcome.ACKNOWLEDGED] = 0
        for stamps in (columns.sent_ns, columns.done_ns):
            stamps[columns.outcome == Outcome.CANCELLED] = 0


def _serve(shards: Sequence[_Shard], service: _Service) -> None:
    """All operations of all shards in order of their intended times."""
    offset_ns = np.concatenate([shard.plan.intended_offset_ns for shard in shards])
    owner = np.repeat(np.arange(len(shards)), [len(shard.plan) for shard in shards])
    turns = owner[np.argsort(offset_ns, kind="stable")]
    offset_ns.sort()
    for first in range(0, len(turns), _GROUP_COUNT):
        group = turns[first : first + _GROUP_COUNT]
        # Runs of one shard's operations: with one load process, the whole group.
        edges = np.flatnonzero(np.diff(group, prepend=-1))
        for shard, count in zip(
            group[edges].tolist(), np.diff(edges, append=len(group)).tolist(), strict=True
        ):
            shards[shard].take(count, service)
        service.commit(START_NS + int(offset_ns[first]) + _VISIBLE_NS_MIN)


def _ticks(columns: Columns) -> "array[int]":
    """(time_ns, in flight, processor time_ns) every 10 ms, the processor a fifth busy."""
    sent_ns = np.sort(columns.sent_ns[columns.sent_ns > 0])
    done_ns = np.sort(columns.done_ns[columns.done_ns > 0])
    end_ns = int(done_ns[-1]) if len(done_ns) else START_NS
    at_ns = np.arange(START_NS, end_ns + _TICK_NS, _TICK_NS)
    in_flight = np.searchsorted(sent_ns, at_ns, "right") - np.searchsorted(done_ns, at_ns, "right")
    rows: NDArray[np.int64] = np.stack([at_ns, in_flight, (at_ns - START_NS) // 5], axis=1)
    return array("q", rows.astype(np.int64).tobytes())
