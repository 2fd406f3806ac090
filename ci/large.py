"""
A large run recorded, audited and reported: time and memory of what comes after the load.

    large.py make FOLDER COUNT      a rehearsed run of about COUNT operations (spot-steady)
    large.py judge FOLDER           record, audit and report it, as a run does; a JSON line a stage
    large.py lose-a-cent FOLDER     take one unit out of a posting in the middle of the ledger

`ci/figures large` does the first two in processes of their own and watches the second one.
"""

import json
import pickle
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rehearsal import Rehearsed, rehearse

from harness.engine.event_log import read_chunks
from harness.engine.machine_watch import MachineFacts
from harness.engine.placement import place
from harness.engine.replan import PlansAgain
from harness.engine.results import read_shards
from harness.engine.supervisor import Driven, LoadFacts
from harness.machine.environment import read_environment
from harness.model.record import RunRecord
from harness.model.scenario_file import ScenarioOverrides
from harness.model.units import NANOS_PER_SECOND
from harness.model.validity import Neighbours
from harness.runs import recording
from harness.runs.facts import RunFacts
from harness.storage.run_folder import write_record
from harness.system import AuditEvidence, load_system
from harness.targets.resources import ResourceSampler
from harness.workflows.scenarios import checked_scenario
from reports.writing import write_run_report
from workloads.account.audit.updates import UpdatesFold
from workloads.account.contract import accounts_pb2 as contract

RATE_PER_S = 20_000.0
WARMUP_NS = NANOS_PER_SECOND
RUN_TAG = 0x0123456789ABCDEF
_REHEARSED = "rehearsed.pickle"
_LOOK_S = 0.02


def make(folder: Path, operation_count: int) -> Rehearsed:
    """A rehearsed run in *folder*."""
    span_ns = int(operation_count / RATE_PER_S * NANOS_PER_SECOND)
    scenario = checked_scenario(
        "spot-steady",
        ScenarioOverrides(
            rate_per_s=RATE_PER_S,
            warmup_ns=WARMUP_NS,
            measure_ns=max(NANOS_PER_SECOND, span_ns - WARMUP_NS),
        ),
    )
    rehearsed = rehearse(scenario, folder, run_tag=RUN_TAG)
    (folder / _REHEARSED).write_bytes(pickle.dumps(rehearsed))
    return rehearsed


def judge(folder: Path, on_stage: Callable[[str], Any]) -> dict[str, Any]:
    """The way of a run from the end of its load to its report; the verdicts, and what was read."""
    rehearsed: Rehearsed = pickle.loads((folder / _REHEARSED).read_bytes())  # noqa: S301 - ours
    record = _recorded(rehearsed, folder, on_stage)
    on_stage("report")
    page = write_run_report(folder)
    on_stage("end")
    return {
        "operations": rehearsed.operation_count,
        "validity": record.validity.status,
        "correctness": record.correctness.status,
        "invariants": {
            item.id: [item.status, item.sentence] for item in record.correctness.invariants
        },
        "report_bytes": page.stat().st_size,
    }


def _recorded(rehearsed: Rehearsed, folder: Path, on_stage: Callable[[str], Any]) -> RunRecord:
    system, scenario = load_system(rehearsed.scenario.system), rehearsed.scenario
    count = rehearsed.operation_count
    with PlansAgain(scenario, operation_count=count, folder=folder) as again:
        on_stage("read")
        results = read_shards(
            rehearsed.shard_paths, rehearsed.plan_paths, system.planner.kinds_of(scenario)
        )
        on_stage("audit: updates")
        updates = UpdatesFold(rehearsed.opening.accounts)
        for chunk in read_chunks(rehearsed.updates_path):
            updates.take(chunk.values)
        on_stage("audit and record")
        evidence = AuditEvidence(
            scenario=scenario,
            run_tag=rehearsed.run_tag,
            seed=scenario.seed,
            operations=results.table,
            events_path=rehearsed.events_path,
            opening=rehearsed.opening,
            closing=replace(rehearsed.closing, updates=updates.result()),
            restarts_ns=(),
            produced_count=rehearsed.produced_count,
            plans=again.plans,
        )
        facts = _facts(rehearsed, LoadFacts(
            results=results,
            subscriber_report={},
            shard_reports=tuple(_shard_report() for _ in rehearsed.shard_paths),
            observer_report={},
            produced_count=rehearsed.produced_count,
            resolved_count=0,
        ))  # fmt: skip
        record = recording.record_run(folder, facts, lambda: system.auditor.audit(evidence))
    write_record(folder, record)
    return record


def _facts(rehearsed: Rehearsed, load: LoadFacts) -> RunFacts:
    """What a run knows of itself besides its operations: nothing of it was measured here."""
    window = rehearsed.window
    return RunFacts(
        run_id="rehearsed",
        created_at=datetime.now(UTC),
        command="ci/figures large",
        scenario=rehearsed.scenario,
        system=load_system(rehearsed.scenario.system),
        schedule_digest=rehearsed.schedule_digest,
        target={"name": "rehearsal", "kind": "rehearsed"},
        broker={"kind": "none", "floor_ns": {}},
        placement=place((0, 1), len(rehearsed.shard_paths)),
        environment=read_environment(),
        load=load,
        driven=Driven(
            window=window,
            start_ns=window.start_ns - rehearsed.scenario.warmup_ns,
            disturbances=(),
            machine=MachineFacts(
                drift=0.0, steal_share=0.0, neighbours=Neighbours(cores=0.0, processor_count=1)
            ),
        ),
        sampler=ResourceSampler(),
    )


def _shard_report() -> dict[str, Any]:
    return {
        "details": [],
        "driver": {},
        "invisible_count": 0,
        "scheduling": "rehearsed",
        "affinity": [],
        "rss_bytes": 0,
    }


def lose_a_cent(folder: Path) -> None:
    """One unit less in the first posting of the transaction in the middle of the ledger."""
    rehearsed: Rehearsed = pickle.loads((folder / _REHEARSED).read_bytes())  # noqa: S301 - ours
    path = rehearsed.events_path
    middle = path.stat().st_size // 2
    for chunk in read_chunks(path):
        if chunk.offset_bytes + len(chunk.values.data) < middle:
            continue
        for index in range(len(chunk.values)):
            at, value = (
                chunk.offset_bytes + int(chunk.values.start[index]),
                chunk.values.value(index),
            )
            transaction = contract.JournalTxn.FromString(value)
            if at < middle or not transaction.postings:
                continue
            transaction.postings[0].delta_minor -= 1
            changed = transaction.SerializeToString()
            if len(changed) == len(value):
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(changed)
                return
    raise AssertionError("no transaction in the second half can lose a cent in place")


@dataclass(slots=True)
class Stage:
    """What one stage took: CPU of the process and its children, their memory together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes_max: int = 0


@dataclass(slots=True)
class Watched:
    """A process and its children while it goes from stage to stage."""

    pid: int
    stages: dict[str, Stage] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    _name: str = "start"
    _started_s: float = field(default_factory=time.monotonic)
    _cpu_s: float = 0.0

    def enter(self, name: str) -> None:
        """The stage before has ended."""
        now_s, cpu_s = time.monotonic(), self._family_cpu_s()
        stage = self._stage()
        stage.wall_s, stage.cpu_s = now_s - self._started_s, cpu_s - self._cpu_s
        self._name, self._started_s, self._cpu_s = name, now_s, cpu_s

    def look(self) -> None:
        """Count what the process and its children hold now to the stage."""
        stage = self._stage()
        rss_bytes = sum(_rss_bytes(pid) for pid in _family(self.pid))
        stage.rss_bytes_max = max(rss_bytes, stage.rss_bytes_max)

    def _stage(self) -> Stage:
        return self.stages.setdefault(self._name, Stage())

    def _family_cpu_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        alive = [psutil.Process(pid).cpu_times() for pid in _family(self.pid)[1:]]
        ended_s: float = times.children_user + times.children_system
        own_s: float = times.user + times.system
        return own_s + ended_s + sum(item.user + item.system for item in alive)


def _family(pid: int) -> list[int]:
    """The process and its descendants; asking for all processes of the machine would cost more."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += _family(int(child))
    return found


def _rss_bytes(pid: int) -> int:
    with suppress(OSError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    return 0


def watch(folder: Path) -> Watched:
    """Judge the run of *folder* in a process of its own."""
    with _program("judge", str(folder)) as process:
        watched = Watched(pid=process.pid)
        finished = threading.Event()

        def look() -> None:
            while not finished.wait(_LOOK_S):
                watched.look()

        looking = threading.Thread(target=look)
        looking.start()
        try:
            assert process.stdout is not None, "started with a pipe"
            for line in process.stdout:
                said = json.loads(line)
                if "stage" in said:
                    watched.enter(said["stage"])
                else:
                    watched.result = said
        finally:
            finished.set()
            looking.join()
    return watched


def make_apart(folder: Path, operation_count: int) -> None:
    """Rehearse in a process of its own, whose memory goes with it."""
    with _program("make", str(folder), str(operation_count)):
        pass


@contextmanager
def _program(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
    if process.returncode:
        raise SystemExit(process.returncode)


def _say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> int:
    """One of the three, as the module says."""
    match sys.argv[1:]:
        case ["make", folder, count]:
            make(Path(folder), int(count))
        case ["judge", folder]:
            _say(**judge(Path(folder), lambda stage: _say(stage=stage)))
        case ["lose-a-cent", folder]:
            lose_a_cent(Path(folder))
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
