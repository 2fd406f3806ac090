"""
Statistics of what a plan sends: kinds by share, accounts by skew, what is odd on purpose.

Odd is what is sent twice, late, otherwise, or in sight of an earlier write. Tolerances are the
wider of the contract's (1 point of share, 3 points of account skew) and what chance alone explains
at this number of operations. Arrays only; see describe.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals_statistics import SIGMAS, Statistic
from harness.model.scenario import Scenario
from harness.system import ShardPlan
from workloads.account.plan.accounts import make_accounts
from workloads.account.terms.workload import Workload
from workloads.account.wire.kinds import MATCHES, READS, RECORDS, Kind

_SHARE_TOLERANCE = 0.01
_SKEW_TOLERANCE = 0.03
_HOT_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFlow:
    """
    All shards' operations in order of time.

    Attributes:
        is_duplicate: Repeats a request.
        is_changed: A duplicate that asks for something else.
        is_ioc: A reserve that is matched at once.
        is_derived: There because of another operation, so neither an arrival nor in the mix.
        must_see: A read that must see a write.
        is_measured: Not warm-up.
    """

    offset_ns: NDArray[np.int64]
    kind: NDArray[np.uint8]
    account: NDArray[np.uint32]
    instrument: NDArray[np.uint16]
    is_duplicate: NDArray[np.bool_]
    is_changed: NDArray[np.bool_]
    is_ioc: NDArray[np.bool_]
    is_derived: NDArray[np.bool_]
    must_see: NDArray[np.bool_]
    is_measured: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kind)


def flow_of(scenario: Scenario, plans: Sequence[ShardPlan]) -> OperationFlow:
    """The plans of all shards, put together."""
    offsets = np.concatenate([plan.intended_offset_ns for plan in plans])
    order = np.argsort(offsets, kind="stable")

    def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        found: NDArray[Any] = np.concatenate(arrays)[order]
        return found

    def column(name: str, absent: int) -> NDArray[Any]:
        return joined([plan.columns.get(name, np.full(len(plan), absent)) for plan in plans])

    return OperationFlow(
        offset_ns=offsets[order],
        kind=joined([plan.kind for plan in plans]),
        account=column("account", 0),
        instrument=column("instrument", 0),
        is_duplicate=column("duplicate_of", -1) >= 0,
        is_changed=column("is_changed", 0).astype(np.bool_),
        is_ioc=column("is_ioc", 0).astype(np.bool_),
        is_derived=column("is_derived", 0).astype(np.bool_),
        must_see=column("write", -1) >= 0,
        is_measured=offsets[order] >= scenario.warmup_ns,
    )


def mix_statistics(flow: OperationFlow, workload: Workload) -> Iterator[Statistic]:
    """The share of each kind, and what else is asked for as a share."""
    asked = flow.is_measured & ~flow.is_derived
    first = asked & ~flow.is_duplicate
    reserves = flow.kind == Kind.RESERVE
    for name, target in workload.mix:
        if name == "duplicate":
            chosen = asked & flow.is_duplicate
        elif name == "ioc":
            chosen = first & reserves & flow.is_ioc
        elif name == "reserve":
            chosen = first & reserves & ~flow.is_ioc
        else:
            chosen = first & (flow.kind == Kind[name.upper()])
        yield from _share(f"share_{name}", chosen, asked, target)
    yield from _share(
        "changed_duplicates", flow.is_changed, flow.is_duplicate, workload.changed_duplicates
    )
    reads = np.isin(flow.kind, READS)
    yield from _share("read_your_writes", flow.must_see, reads, workload.read_your_writes)
    repeats = flow.kind == Kind.REPEAT
    originals = np.isin(flow.kind, RECORDS) & ~repeats
    yield from _share("repeated_records", repeats, originals, workload.repeated_records)
    late = flow.kind == Kind.LATE_FILL
    yield from _share("late_records", late, np.isin(flow.kind, MATCHES), workload.late_records)


def order_flow(flow: OperationFlow) -> Iterator[Statistic]:
    """How many orders are cancelled and how many traded, of all orders: no target of its own."""
    first = flow.is_measured & ~flow.is_duplicate
    order_count = int(np.count_nonzero(first & (flow.kind == Kind.RESERVE)))
    if not order_count:
        return
    releases = int(np.count_nonzero(first & (flow.kind == Kind.RELEASE)))
    fills = int(np.count_nonzero(flow.is_measured & np.isin(flow.kind, MATCHES)))
    yield Statistic(name="orders_released", value=releases / order_count)
    yield Statistic(name="fills_an_order", value=fills / order_count)


def skew_statistics(flow: OperationFlow, workload: Workload, seed: int) -> Iterator[Statistic]:
    """How much falls to the accounts meant to be the busiest; releases repeat their reserve's."""
    weights = make_accounts(workload, workload.listed, seed=seed).weights
    hot_count = max(1, int(len(weights) * _HOT_SHARE))
    hot = np.argpartition(weights, -hot_count)[-hot_count:]
    target = float(weights[hot].sum())
    kinds = [Kind.RESERVE, Kind.TRANSFER, Kind.PEND]
    chosen = np.isin(flow.kind, kinds) & ~flow.is_duplicate
    accounts = flow.account[chosen]
    accounts = accounts[accounts < len(weights)]
    if not len(accounts):
        return
    share = float(np.isin(accounts, hot).mean())
    yield Statistic(
        name="top_1_percent_accounts",
        value=share,
        target=target,
        tolerance=max(_SKEW_TOLERANCE, _by_chance(target, len(accounts))),
    )


def _share(
    name: str, chosen: NDArray[np.bool_], of: NDArray[np.bool_], target: float
) -> Iterator[Statistic]:
    """The share of *chosen* in *of*; nothing if it is neither there nor asked for."""
    count = int(np.count_nonzero(of))
    share = np.count_nonzero(chosen) / max(1, count)
    if target or share:
        tolerance = max(_SHARE_TOLERANCE, _by_chance(target, count))
        yield Statistic(name=name, value=float(share), target=target, tolerance=tolerance)


def _by_chance(share: float, count: int) -> float:
    return float(SIGMAS * (share * (1 - share) / max(1, count)) ** 0.5)
