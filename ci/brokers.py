"""
The same plan with each broker: are both green, do their ledgers fold to the same balances.

    brokers.py FOLDER [--profile smoke] [--rate 500/s] [--duration 20s]

spot-steady against the reference; the runs are kept in FOLDER, with every event of their ledgers.

A line of JSON a run, and one that compares them. Two runs of one plan meet the service in another
order, so their ledgers differ in the order of transactions. The balances must not: what an
operation moves is fixed by the plan, as long as every operation ended alike in both runs. That is
looked at first, operation by operation; where it does not hold, equal balances would prove nothing.
"""

import argparse
import json
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from harness.engine.event_log import read_chunks
from harness.engine.progress import Progress
from harness.model.record import RunRecord
from harness.model.scenario_file import ScenarioOverrides
from harness.model.units import parse_duration_ns, parse_rate_per_s
from harness.runs.run import Run, RunSetup
from harness.storage.run_folder import StoredRun
from harness.targets.target_file import load_target
from harness.workflows.scenarios import checked_scenario
from workloads.account.contract import accounts_pb2 as contract

KINDS = ("embedded", "apache")
_NOT_RESOLVED = -1

Place = tuple[int, int, int]  # account, asset, bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRun:
    """What is stated of one run. Times in nanoseconds; None: too few samples."""

    kafka: str
    run: str
    exit_code: int
    validity: str
    correctness: str
    performance: str
    schedule_digest: str
    operation_count: int
    refused_count: int
    visible_p50_ns: int | None
    visible_p99_ns: int | None
    floor_p50_ns: int | None
    floor_p99_ns: int | None
    broker_cpu_cores: float | None
    transaction_count: int

    @property
    def is_green(self) -> bool:
        """All three verdicts."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs of one plan, by their operations and their ledgers."""

    is_same_plan: bool
    operation_count: int
    ended_otherwise_count: int  # operations
    balance_count: int
    differing_balance_count: int
    first: str  # of what differs

    @property
    def is_same(self) -> bool:
        """Whether it is shown that both ledgers say the same."""
        return (
            self.is_same_plan
            and self.operation_count > 0
            and self.balance_count > 0
            and not self.ended_otherwise_count
            and not self.differing_balance_count
        )


class _Silent:
    """Watches nothing."""

    def phase(self, name: str, detail: str) -> None:
        """Nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""


def run_with(kafka: str, runs_folder: Path, changes: ScenarioOverrides) -> StoredRun:
    """spot-steady against the reference with this broker; every event is kept."""
    request = RunSetup(
        scenario=checked_scenario("spot-steady", changes),
        target=load_target("reference"),
        kafka=kafka,
        runs_folder=runs_folder,
        command="",
        keeps_evidence=True,
    )
    return Run(request, _Silent(), threading.Event()).execute()


def fold(events_path: Path) -> tuple[Counter[Place], int]:
    """The balances that a ledger makes, 0 left out, and how many transactions it has."""
    balances: Counter[Place] = Counter()
    seen: set[int] = set()
    for chunk in read_chunks(events_path):
        messages = chunk.values  # noqa: PD011 -- no pandas
        for index in range(len(messages)):
            transaction = contract.JournalTxn.FromString(messages.value(index))
            if transaction.journal_seq in seen:
                continue  # emitted again, which is legal
            seen.add(transaction.journal_seq)
            for posting in transaction.postings:
                place = (posting.account_id, posting.asset_id, posting.bucket)
                balances[place] += posting.delta_minor
    return Counter({place: amount for place, amount in balances.items() if amount}), len(seen)


def described(kafka: str, stored: StoredRun) -> BrokerRun:
    """What is stated of a run."""
    record: RunRecord = stored.record
    visible, floor = record.latency["all"].visible_ns, record.broker["floor_ns"]
    return BrokerRun(
        kafka=kafka,
        run=str(stored.folder),
        exit_code=record.exit_code,
        validity=str(record.validity.status),
        correctness=str(record.correctness.status),
        performance=str(record.performance.status),
        schedule_digest=record.schedule_digest,
        operation_count=record.operations.scheduled,
        refused_count=record.operations.rejected,
        visible_p50_ns=visible.at(0.5),
        visible_p99_ns=visible.at(0.99),
        floor_p50_ns=floor["p50"],
        floor_p99_ns=floor["p99"],
        broker_cpu_cores=record.resources["broker"].cpu_cores_mean,
        transaction_count=fold(stored.folder / "events.log")[1],
    )


def compared(one: StoredRun, other: StoredRun) -> Comparison:
    """Operation by operation, then balance by balance."""
    ends = [_ends(run) for run in (one, other)]
    names = ends[0].index.union(ends[1].index)
    both = [item.reindex(names, fill_value="was not planned") for item in ends]
    differs = both[0] != both[1]
    balances = [fold(run.folder / "events.log")[0] for run in (one, other)]
    places = sorted(balances[0].keys() | balances[1].keys())
    wrong = [place for place in places if balances[0][place] != balances[1][place]]
    first = ""
    if differs.any():
        name = names[differs][0]
        first = f"operation {name}: {both[0][name]}, {both[1][name]}"
    elif wrong:
        first = f"(account, asset, bucket) {wrong[0]}: {[item[wrong[0]] for item in balances]}"
    return Comparison(
        is_same_plan=one.record.schedule_digest == other.record.schedule_digest,
        operation_count=len(names),
        ended_otherwise_count=int(differs.sum()),
        balance_count=len({place[:2] for place in places}),
        differing_balance_count=len(wrong),
        first=first,
    )


def _ends(run: StoredRun) -> "pd.Series[str]":
    """How each operation ended, by shard and index; the answer of its repetition if it had one."""
    table = pd.read_parquet(
        run.folder / "operations.parquet",
        columns=["shard", "index", "outcome", "code", "resolved_outcome", "resolved_code"],
    )
    own = table["outcome"].astype(str) + " " + table["code"].astype(str)
    # A repetition that was answered says what became of the operation: 0 is applied.
    is_applied = table["resolved_code"] == 0
    resolved = pd.Series("acknowledged 0", index=table.index).where(
        is_applied, "rejected " + table["resolved_code"].astype(str)
    )
    ends = own.where(table["resolved_outcome"] == _NOT_RESOLVED, resolved)
    return ends.set_axis(pd.MultiIndex.from_frame(table[["shard", "index"]]))


def both(runs_folder: Path, changes: ScenarioOverrides) -> tuple[tuple[BrokerRun, ...], Comparison]:
    """One run with each broker, and how they compare."""
    stored = [run_with(kafka, runs_folder, changes) for kafka in KINDS]
    return (
        tuple(described(kafka, run) for kafka, run in zip(KINDS, stored, strict=True)),
        compared(*stored),
    )


def main() -> int:
    """0 where both are green and their ledgers say the same."""
    parser = argparse.ArgumentParser(description="The same plan with each broker.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", default=None)
    parser.add_argument("--rate", type=parse_rate_per_s, default=None)
    parser.add_argument("--duration", type=parse_duration_ns, default=None)
    arguments = parser.parse_args()
    changes = ScenarioOverrides(
        profile=arguments.profile, rate_per_s=arguments.rate, measure_ns=arguments.duration
    )
    runs, comparison = both(arguments.folder, changes)
    for item in runs:
        sys.stdout.write(f"{json.dumps(asdict(item))}\n")
    sys.stdout.write(f"{json.dumps({**asdict(comparison), 'is_same': comparison.is_same})}\n")
    return 0 if comparison.is_same and all(item.is_green for item in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
