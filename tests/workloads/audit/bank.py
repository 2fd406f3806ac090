"""
A bank in miniature: runs a plan as an honest service would, and leaves all evidence behind.

Its arithmetic is its own, from the contract, so that it can contradict the audit. A *tamper*
function may change, drop or double each transaction before it is posted: the balances follow what
is posted, as they would in a service with that fault.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.engine.event_log import EventLogWriter
from harness.model.operation import Outcome
from harness.model.scenario import Scenario
from harness.system import AuditEvidence, ShardPlan
from workloads.account.audit.target_state import (
    AccountsDump,
    BalanceDump,
    OrderDump,
    TargetState,
    TotalsDump,
)
from workloads.account.audit.updates import UpdatesFold
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_data, seeds
from workloads.account.terms.workload import parse_workload
from workloads.account.wire.identity import REQUEST_ID, id_base, source_name
from workloads.account.wire.kinds import KIND_SPECS, RECORDS, Kind

RUN_TAG = 0x5EED_0000_00C0_FFEE
FIRST_ID = 1_000
AVAILABLE, LOCKED, ISOLATED, SET_ASIDE = range(4)
FEES, EXTERNAL = 1, 4
BUY = 1
FIRST_TXN_SEQ = 501  # of the run; the seeds took those before

Txn = contract.JournalTxn
Tamper = Callable[[Kind, Txn], Iterable[Txn]]


def honest(kind: Kind, txn: Txn) -> Iterable[Txn]:
    """No tampering."""
    return (txn,)


@dataclass
class Lock:
    """An open order."""

    account_id: int
    market: contract.Instrument
    is_buy: bool
    limit: int
    lots: int
    basis: int = 0
    charged: int = 0

    @property
    def asset(self) -> int:
        """What it locks."""
        return self.market.quote_asset_id if self.is_buy else self.market.base_asset_id

    @property
    def minor(self) -> int:
        """How much."""
        if not self.is_buy:
            return self.lots * self.market.base_per_lot_minor
        notional = self.limit * self.lots * self.market.quote_per_tick_lot_minor
        if self.market.fee_kind == contract.FEE_PER_LOT:
            return notional + self.lots * self.market.taker_fee_per_lot_minor
        return notional + ceil_ppm(self.basis + notional * 1_000) - self.charged

    def fill(self, price: int, lots: int, *, is_maker: bool) -> tuple[int, int, int]:
        """Take *lots* of it: (freed, notional, fee)."""
        before, market = self.minor, self.market
        notional = price * lots * market.quote_per_tick_lot_minor
        if market.fee_kind == contract.FEE_PER_LOT:
            rates = market.taker_fee_per_lot_minor, market.maker_fee_per_lot_minor
            fee = lots * rates[is_maker]
        else:
            self.basis += notional * (400 if is_maker else 1_000)
            fee = ceil_ppm(self.basis) - self.charged
            self.charged += fee
        self.lots -= lots
        return before - self.minor, notional, fee


def ceil_ppm(value: int) -> int:
    """A millionth, rounded up."""
    return (value + 999_999) // 1_000_000


def phase_moves(
    kind: Kind, account_id: int, asset: int, amount: int
) -> list[tuple[int, int, int, int]]:
    """What a phase of a two-phase transfer moves."""
    match kind, amount < 0:
        case Kind.PEND, True:
            return [(account_id, asset, 0, amount), (account_id, asset, SET_ASIDE, -amount)]
        case Kind.VOID, True:
            return [(account_id, asset, SET_ASIDE, amount), (account_id, asset, 0, -amount)]
        case Kind.POST, _:
            bucket = SET_ASIDE if amount < 0 else AVAILABLE
            return [(account_id, asset, bucket, amount), (EXTERNAL, asset, 0, -amount)]
        case _:
            return []  # a deposit that is not posted


@dataclass
class Run:
    """What a run left behind; tests spoil it before it is judged."""

    scenario: Scenario
    table: pd.DataFrame
    events: list[bytes]
    updates: list[bytes]
    opening: TargetState
    closing: TargetState
    restarts_ns: tuple[int, ...] = ()
    is_attached: bool = False

    def evidence(self, folder: Path) -> AuditEvidence:
        """As the harness hands it to the audit."""
        path = folder / "events.log"
        with EventLogWriter(path) as log:
            log.append(1, self.events)
        fold = UpdatesFold(self.opening.accounts)
        fold.fold(self.updates)
        closing = self.closing
        if closing.accounts is not None:
            closing = replace(closing, updates=fold.result())
        return AuditEvidence(
            scenario=self.scenario,
            run_tag=RUN_TAG,
            seed=self.scenario.seed,
            operations=self.table,
            events_path=path,
            opening=self.opening,
            closing=closing,
            restarts_ns=self.restarts_ns,
            produced_count=int((self.table["sequence"] > 0).sum()),
            is_attached=self.is_attached,
        )


@dataclass
class Bank:
    """The service; of *mixed_up* it has one field of every instrument from another one."""

    tamper: Tamper = honest
    mixed_up: str = ""
    markets: dict[int, contract.Instrument] = field(default_factory=dict)
    balances: dict[tuple[int, int], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0])
    )
    account_seq: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    orders: dict[int, Lock] = field(default_factory=dict)
    pending: set[bytes] = field(default_factory=set)
    sources: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    events: list[bytes] = field(default_factory=list)
    updates: list[bytes] = field(default_factory=list)
    seq: int = FIRST_TXN_SEQ - 1

    def seed(self, scenario: Scenario) -> None:
        """Instruments and starting balances."""
        workload = parse_workload(scenario.workload)
        listed = reference_data(workload).instruments
        for own, other in zip(listed, [*listed[1:], listed[0]], strict=True):
            market = self.markets[own.instrument_id] = contract.Instrument()
            market.CopyFrom(own)
            if self.mixed_up:
                setattr(market, self.mixed_up, getattr(other, self.mixed_up))
        for item in seeds(workload, seed=scenario.seed):
            self.balances[item.account_id, item.asset_id][AVAILABLE] += item.amount_minor
            self.balances[EXTERNAL, item.asset_id][AVAILABLE] -= item.amount_minor
            self.account_seq[item.account_id] += 1

    def apply(self, plan: ShardPlan, index: int) -> tuple[int, bool]:
        """One operation: (domain code, replayed)."""
        kind, column = Kind(plan.kind[index]), plan.columns
        if int(column["duplicate_of"][index]) >= 0:
            changed = "is_changed" in column and bool(column["is_changed"][index])
            return (int(contract.IDEMPOTENCY_MISMATCH), False) if changed else (0, True)
        account_id = FIRST_ID + int(column["account"][index])
        peer_id = FIRST_ID + int(column["peer_account"][index])
        amount, asset = int(column["amount_minor"][index]), int(column["asset"][index])
        identity = REQUEST_ID.pack(RUN_TAG, plan.shard, index)
        cause = contract.Cause(request_id=identity)
        order_id = id_base(RUN_TAG, plan.shard) | int(column["order"][index])
        match kind:
            case Kind.CREATE_ACCOUNT:
                self._post(kind, cause, [], (account_id,))
            case Kind.TRANSFER:
                moves = [(account_id, asset, AVAILABLE, amount), (EXTERNAL, asset, 0, -amount)]
                self._post(kind, cause, moves, (account_id,))
            case Kind.INTERNAL_TRANSFER:
                moves = [(account_id, asset, AVAILABLE, -amount), (peer_id, asset, 0, amount)]
                self._post(kind, cause, moves, (account_id, peer_id))
            case Kind.RESERVE:
                return self._reserve(plan, index, cause), False
            case Kind.AMEND:
                self._amend(plan, index, order_id, cause)
            case Kind.RELEASE:
                lock = self.orders[order_id]
                if self._move_lock(kind, cause, order_id, -lock.minor):
                    del self.orders[order_id]
            case Kind.FILL | Kind.LATE_FILL:
                self._fill(plan, index)
            case Kind.ORDER_EVENT:
                lock = self.orders[order_id]
                if self._move_lock(kind, self._execution(plan, index), order_id, -lock.minor):
                    del self.orders[order_id]
            case Kind.PEND | Kind.POST | Kind.VOID:
                self._post(kind, cause, phase_moves(kind, account_id, asset, amount), (account_id,))
                first = index if kind is Kind.PEND else int(column["pending"][index])
                self.pending ^= {REQUEST_ID.pack(RUN_TAG, plan.shard, first)}
        return 0, False

    def _execution(self, plan: ShardPlan, index: int) -> contract.Cause:
        """A record's place in its source, and its name."""
        instrument = int(plan.columns["instrument"][index])
        source = source_name(RUN_TAG, plan.shard), instrument
        self.sources[source] += 1
        return contract.Cause(
            kafka=contract.KafkaRef(
                topic="me.executions.v1",
                source_seq=self.sources[source],
                src=source[0],
                instrument_id=instrument,
                match_id=id_base(RUN_TAG, plan.shard) | index,
            )
        )

    def _reserve(self, plan: ShardPlan, index: int, cause: contract.Cause) -> int:
        column = plan.columns
        lock = Lock(
            account_id=FIRST_ID + int(column["account"][index]),
            market=self.markets[int(column["instrument"][index])],
            is_buy=int(column["side"][index]) == BUY,
            limit=int(column["price_ticks"][index]),
            lots=int(column["qty_lots"][index]),
        )
        if lock.minor > self.balances[lock.account_id, lock.asset][AVAILABLE]:
            return int(contract.INSUFFICIENT_AVAILABLE)
        order_id = id_base(RUN_TAG, plan.shard) | index
        self.orders[order_id] = lock
        self._move_lock(Kind.RESERVE, cause, order_id, lock.minor)
        return 0

    def _amend(self, plan: ShardPlan, index: int, order_id: int, cause: contract.Cause) -> None:
        lock = self.orders[order_id]
        before = lock.minor
        lock.limit = int(plan.columns["price_ticks"][index]) or lock.limit
        lock.lots = int(plan.columns["qty_lots"][index]) or lock.lots
        self._move_lock(Kind.AMEND, cause, order_id, lock.minor - before)

    def _move_lock(self, kind: Kind, cause: contract.Cause, order_id: int, delta: int) -> bool:
        lock = self.orders[order_id]
        moves = [
            (lock.account_id, lock.asset, AVAILABLE, -delta),
            (lock.account_id, lock.asset, LOCKED, delta),
        ]
        return self._post(kind, cause, moves, (lock.account_id,), order_id)

    def _fill(self, plan: ShardPlan, index: int) -> None:
        column, base = plan.columns, id_base(RUN_TAG, plan.shard)
        price, lots = int(column["price_ticks"][index]), int(column["qty_lots"][index])
        market = self.markets[int(column["instrument"][index])]
        base_id, quote_id = market.base_asset_id, market.quote_asset_id
        cause = self._execution(plan, index)
        postings: list[tuple[int, int, int, int, int]] = []
        fees, changed, touched = 0, {}, []
        for name in ("order", "peer_order"):
            order_id = base | int(column[name][index])
            lock = replace(self.orders[order_id])
            freed, notional, fee = lock.fill(price, lots, is_maker=name == "peer_order")
            who = lock.account_id
            postings.append((who, lock.asset, LOCKED, -freed, order_id))
            if lock.is_buy:
                postings.append((who, quote_id, AVAILABLE, freed - notional - fee, 0))
                postings.append((who, base_id, AVAILABLE, lots * market.base_per_lot_minor, 0))
            else:
                postings.append((who, quote_id, AVAILABLE, notional - fee, 0))
            fees += fee
            changed[order_id] = lock
            touched.append(who)
        postings.append((FEES, quote_id, AVAILABLE, fees, 0))
        if self._post_lines(Kind.FILL, cause, postings, tuple(touched)):
            for order_id, lock in changed.items():
                if lock.lots:
                    self.orders[order_id] = lock
                else:
                    del self.orders[order_id]

    def _post(
        self,
        kind: Kind,
        cause: contract.Cause,
        moves: list[tuple[int, int, int, int]],
        touched: tuple[int, ...],
        order_id: int = 0,
    ) -> bool:
        return self._post_lines(kind, cause, [(*move, order_id) for move in moves], touched)

    def _post_lines(
        self,
        kind: Kind,
        cause: contract.Cause,
        lines: list[tuple[int, int, int, int, int]],
        touched: tuple[int, ...],
    ) -> bool:
        txn = Txn(cause=cause, kind=contract.TXN_TRANSFER)
        for account_id, asset, bucket, delta, order_id in lines:
            if delta:
                txn.postings.add(
                    account_id=account_id,
                    asset_id=asset,
                    bucket=bucket,
                    delta_minor=delta,
                    order_id=order_id,
                )
        is_posted = False
        for kept in self.tamper(kind, txn):
            self._book(kept, touched)
            is_posted = True
        return is_posted

    def _book(self, txn: Txn, touched: tuple[int, ...]) -> None:
        self.seq += 1
        posted = Txn()
        posted.CopyFrom(txn)
        posted.journal_seq = self.seq
        self.events.append(posted.SerializeToString())
        for line in posted.postings:
            self.balances[line.account_id, line.asset_id][line.bucket] += line.delta_minor
        for account_id in dict.fromkeys(touched):
            self.account_seq[account_id] += 1
            update = contract.AccountUpdate(
                account_id=account_id, account_seq=self.account_seq[account_id]
            )
            for asset in sorted(
                {p.asset_id for p in posted.postings if p.account_id == account_id}
            ):
                parts = self.balances[account_id, asset]
                update.balances.add(
                    asset_id=asset,
                    available_minor=parts[AVAILABLE],
                    locked_orders_minor=parts[LOCKED],
                    locked_isolated_minor=parts[ISOLATED],
                    locked_withdrawal_minor=parts[SET_ASIDE],
                    total_minor=sum(parts),
                )
            self.updates.append(update.SerializeToString())

    def dump(self) -> TargetState:
        """What ControlService would tell."""
        balances = {key: BalanceDump(*parts, sum(parts)) for key, parts in self.balances.items()}
        users: dict[int, int] = defaultdict(int)
        system: dict[int, dict[int, int]] = defaultdict(dict)
        for (account_id, asset), dump in balances.items():
            if account_id >= FIRST_ID:
                users[asset] += dump.total_minor
            else:
                system[asset][account_id] = dump.total_minor
        return TargetState(
            capabilities={"contract_version": "accounts.v1"},
            journal_seq=self.seq,
            sources=dict(self.sources),
            dead_letter_count=0,
            accounts=AccountsDump(
                account_seq=dict(self.account_seq),
                balances=balances,
                open_orders={
                    order_id: OrderDump(
                        order_id, lock.account_id, lock.asset, lock.lots, lock.minor
                    )
                    for order_id, lock in self.orders.items()
                },
                pending=frozenset(self.pending),
            ),
            totals={
                asset: TotalsDump(
                    users_minor=users[asset],
                    system_minor=system[asset],
                )
                for asset in {*users, *system}
            },
        )  # fmt: skip


def run(scenario: Scenario, tamper: Tamper = honest, *, mixed_up: str = "") -> Run:
    """The whole plan, served in order of intended time."""
    bank = Bank(tamper=tamper, mixed_up=mixed_up)
    bank.seed(scenario)
    opening = bank.dump()
    shard_count = scenario.load.worker_count
    plans = [
        make_plan(scenario, seed=scenario.seed, shard=shard, shard_count=shard_count)
        for shard in range(shard_count)
    ]
    tables = [_empty_table(plan) for plan in plans]
    schedule = sorted(
        (int(offset), plan.shard, index)
        for plan in plans
        for index, offset in enumerate(plan.intended_offset_ns.tolist())
    )
    for now_ns, shard, index in schedule:
        plan, table = plans[shard], tables[shard]
        needs = (int(plan.needs_a[index]), int(plan.needs_b[index]))
        if any(need >= 0 and table["outcome"][need] != Outcome.ACKNOWLEDGED for need in needs):
            table["outcome"][index] = Outcome.CANCELLED
            continue
        code, replayed = bank.apply(plan, index)
        table["outcome"][index] = Outcome.REJECTED if code else Outcome.ACKNOWLEDGED
        table["code"][index], table["replayed"][index] = code, replayed
        table["sent_ns"][index], table["done_ns"][index] = now_ns + 1, now_ns + 2
        table["visible_ns"][index] = now_ns + 3
        if plan.kind[index] == Kind.REPEAT:
            table["sequence"][index] = table["sequence"][plan.needs_a[index]]
        elif plan.kind[index] in RECORDS:
            source = source_name(RUN_TAG, shard), int(plan.columns["instrument"][index])
            table["sequence"][index] = bank.sources[source]
    return Run(
        scenario=scenario,
        table=pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True),
        events=bank.events,
        updates=bank.updates,
        opening=opening,
        closing=replace(bank.dump(), opening_journal_seq=opening.journal_seq),
    )


def _empty_table(plan: ShardPlan) -> dict[str, Any]:
    count = len(plan)
    names = [KIND_SPECS[kind].name for kind in plan.kind.tolist()]
    return {
        "shard": np.full(count, plan.shard, dtype=np.int16),
        "index": np.arange(count, dtype=np.int32),
        "kind": pd.Categorical(names, categories=[spec.name for spec in KIND_SPECS]),
        "outcome": np.zeros(count, dtype=np.uint8),
        "code": np.zeros(count, dtype=np.int32),
        **{
            name: np.zeros(count, dtype=np.int64)
            for name in ("sent_ns", "done_ns", "visible_ns", "sequence")
        },
        "never_sent": np.zeros(count, dtype=np.bool_),
        "resolved_outcome": np.full(count, -1, dtype=np.int8),
        "resolved_code": np.full(count, -1, dtype=np.int32),
        "resolved_replayed": np.full(count, -1, dtype=np.int8),
        "replayed": np.zeros(count, dtype=np.bool_),
        **plan.columns,
    }
