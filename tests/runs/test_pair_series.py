"""What a gate plays: as many good pairs as were asked for, within the budget, and no more."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EngineError, TargetError
from harness.model.scenario_file import ScenarioOverrides
from harness.model.units import NANOS_PER_SECOND
from harness.profilers.memray_profiler import MemrayProfiler
from harness.runs import pair_series as gate
from harness.runs.pair_series import Gatherer, Played, memory_setups
from harness.runs.run import RunSetup
from harness.storage.run_folder import StoredRun
from harness.targets.target_file import load_target
from harness.workflows.scenarios import checked_scenario
from tests.reports.synthetic import Shape, write_synthetic_run

PAIR_S = 20.0
GOOD: tuple[str, ...] = ()
SPOILT = ("base of pair 1: Generator lateness p99: late",)


class Clock:
    """Goes on when a pair is played."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s


class ScriptedPlayer:
    """Plays pairs that end as scripted; good ones after the end of the script."""

    def __init__(self, clock: Clock, script: Sequence[tuple[str, ...]] = ()) -> None:
        self._clock, self._script = clock, script

    def play(self, number: int) -> Played:
        """A pair that takes PAIR_S."""
        self._clock.now_s += PAIR_S
        spoilt = self._script[number - 1] if number <= len(self._script) else GOOD
        return Played(number=number, first="base", runs={}, spoilt=spoilt, length_s=PAIR_S)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Gatherer]:
    """A gatherer of a budget in seconds and a script."""

    def make(budget_s: float, script: Sequence[tuple[str, ...]] = ()) -> Gatherer:
        clock = Clock()
        monkeypatch.setattr(gate, "time", clock)
        return Gatherer(ScriptedPlayer(clock, script), round(budget_s * NANOS_PER_SECOND))

    return make


def gather(gatherer: Gatherer, count: int, *, is_confirming: bool = False) -> bool:
    """With nobody who listens."""
    return gatherer.gather(count, is_confirming=is_confirming, on_pair=lambda _: None)


def test_as_many_as_asked_for(made: Callable[..., Gatherer]) -> None:
    """Good ones count."""
    gatherer = made(300)

    assert gather(gatherer, 3)
    assert [one.number for one in gatherer.pairs] == [1, 2, 3]
    assert gatherer.affordable_count == 15


def test_a_spoilt_pair_is_played_again(made: Callable[..., Gatherer]) -> None:
    """It is kept and counted, and takes its time from the budget."""
    gatherer = made(300, [GOOD, SPOILT])

    assert gather(gatherer, 2)
    assert [one.number for one in gatherer.pairs] == [1, 3]
    assert len(gatherer.played) == 3
    assert gatherer.affordable_count == 10


def test_the_budget_is_kept(made: Callable[..., Gatherer]) -> None:
    """No pair is begun that would end after it; a confirmation may take a quarter more."""
    gatherer = made(100)

    assert not gather(gatherer, 9)
    assert len(gatherer.pairs) == 5
    assert not gather(gatherer, 9, is_confirming=True)
    assert len(gatherer.pairs) == 6


def test_the_first_pair_is_always_played(made: Callable[..., Gatherer]) -> None:
    """However small the budget: how long one takes is not known before."""
    gatherer = made(1)

    assert gather(gatherer, 1)
    assert gatherer.affordable_count == 1
    assert not gather(gatherer, 2)


def test_a_machine_that_spoils_most_is_no_machine(made: Callable[..., Gatherer]) -> None:
    """Three spoilt pairs and fewer good ones: nothing can be said, and why."""
    gatherer = made(1_000, [SPOILT, GOOD, SPOILT, GOOD, SPOILT])

    with pytest.raises(EngineError, match=r"3 of 5 pairs are INVALID.*late"):
        gather(gatherer, 9)


def test_errors_keep_their_kind_and_say_whose_they_are() -> None:
    """The exit code comes from the kind."""
    error = gate._of_side("candidate", TargetError("it died"))

    assert type(error) is TargetError
    assert str(error) == "candidate: it died"


def run_that_used(folder: Path, cpu_cores: float) -> StoredRun:
    """A run of 500 operations a second whose target used so much of a core."""
    run = write_synthetic_run(folder, Shape(rate_per_s=500.0, measure_s=3, freeze_ns=0))
    record = run.record
    used = replace(record.resources["target"], cpu_cores_mean=cpu_cores)
    return replace(
        run,
        record=replace(
            record,
            resources={**record.resources, "target": used},
            rate=replace(record.rate, offered_per_s=500.0),
        ),
    )


def test_pairs_under_memray_are_sent_the_same_in_bursts(tmp_path: Path) -> None:
    """Both at once, as slowly as the dearer side needs; which operations there are stays."""
    scenario = checked_scenario("spot-steady", ScenarioOverrides())
    setup = RunSetup(
        scenario=scenario,
        target=load_target("reference"),
        kafka="embedded",
        runs_folder=tmp_path,
        command="",
    )
    runs = {
        side: run_that_used(tmp_path / side, cpu_cores)
        for side, cpu_cores in (("base", 0.1), ("candidate", 0.3))
    }
    pair = Played(number=1, first="base", runs=runs, spoilt=(), length_s=1.0)

    asked = memory_setups({"candidate": setup}, pair, MemrayProfiler)["candidate"]
    planned_ns = np.array([0, 1, 99_999_999, 100_000_000, 250_000_001])

    assert asked.runs_folder == tmp_path / "memory"
    assert asked.profiler is MemrayProfiler
    assert asked.scenario.load.burst_ns == 100_000_000  # 50 operations at 500/s
    assert asked.scenario.digest == scenario.digest
    assert (asked.scenario.driven_ns(planned_ns) / asked.scenario.load.stretch_ratio).tolist() == [
        *(0, 0, 0, 100_000_000, 200_000_000)
    ]
    assert asked.scenario.load.stretch_ratio == 2.0
