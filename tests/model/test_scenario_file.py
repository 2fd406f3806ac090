"""Scenario files: what is read, and that every fault is told at once with its remedy."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest

from harness.errors import ScenarioError, UsageError
from harness.model.arrivals import PoissonArrivals, StepArrivals
from harness.model.scenario import LoadTransport, Scenario, StepAction
from harness.model.scenario_file import (
    ScenarioOverrides,
    list_scenarios,
    load_scenario,
    merged,
)
from harness.system import load_system

MINIMAL = """
name = "minimal"
title = "As little as possible"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "500/s"
[phases]
warmup = "1s"
measure = "10s"
"""
PACKAGED = resources.files("workloads.scenarios")


def write(folder: Path, text: str) -> str:
    """A scenario file."""
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def check_packaged(scenario: Scenario) -> Sequence[tuple[str, str, str]]:
    """The check that the command line passes."""
    return load_system(scenario.system).planner.check_workload(scenario)


def test_defaults(tmp_path: Path) -> None:
    """What is not written has the documented default."""
    scenario = load_scenario(write(tmp_path, MINIMAL))

    assert scenario.arrivals == PoissonArrivals(rate_per_s=500.0)
    assert (scenario.warmup_ns, scenario.measure_ns) == (10**9, 10**10)
    assert (scenario.load.driver, scenario.load.in_flight_count_max) == ("wire", 20_000)
    assert scenario.limits.lateness_p99_ns == 1_000_000
    assert scenario.seed == 42


def test_overrides_win(tmp_path: Path) -> None:
    """The command line changes values, and the digest with them; the seed is not part of it."""
    path = write(tmp_path, MINIMAL)
    plain = load_scenario(path)
    changed = load_scenario(
        path,
        overrides=ScenarioOverrides(
            rate_per_s=2_000.0, measure_ns=10**9, worker_count=2, driver="grpcio", realtime=False
        ),
    )
    seeded = load_scenario(path, overrides=ScenarioOverrides(seed=7))

    assert changed.arrivals == PoissonArrivals(rate_per_s=2_000.0)
    assert (changed.measure_ns, changed.load.worker_count) == (10**9, 2)
    assert (changed.load.driver, changed.load.realtime) == ("grpcio", False)
    assert changed.digest != plain.digest
    assert (seeded.seed, seeded.digest) == (7, plain.digest)


def test_streams(tmp_path: Path) -> None:
    """Unary by default; streams by the file or the command line, and bad values are told."""
    plain = load_scenario(write(tmp_path, MINIMAL))
    streamed = load_scenario(
        write(tmp_path, MINIMAL + '[load]\ntransport = "stream"\nstreams = 3\nstream_window = 9\n')
    )
    asked = load_scenario(
        write(tmp_path, MINIMAL), overrides=ScenarioOverrides(transport=LoadTransport.STREAM)
    )

    assert (plain.load.transport, plain.load.stream_count) == (LoadTransport.UNARY, 8)
    assert plain.load.stream_window_count == 256
    assert streamed.load.transport is asked.load.transport is LoadTransport.STREAM
    assert (streamed.load.stream_count, streamed.load.stream_window_count) == (3, 9)
    assert asked.digest != plain.digest
    with pytest.raises(ScenarioError) as told:
        load_scenario(
            write(tmp_path, MINIMAL + '[load]\ntransport = "udp"\nstreams = 0\nstream_window = 0\n')
        )
    keys = [fault.key for fault in told.value.faults]
    assert keys == ["load.transport", "load.streams", "load.stream_window"]


def test_the_digest_is_of_the_meaning(tmp_path: Path) -> None:
    """Other words for the same scenario have the same digest."""
    plain = load_scenario(write(tmp_path, MINIMAL)).digest
    same = MINIMAL.replace('"500/s"', '"0.5k/s"').replace("As little", "Just as little")

    assert load_scenario(write(tmp_path, same)).digest == plain


FAULTY = [
    ("rate = 500", 'rate = "500/s"', "arrivals.rate", '"500/s"'),
    ('rate = "fast"', 'rate = "500/s"', "arrivals.rate", "is not a rate"),
    ('kind = "posson"', 'kind = "poisson"', "arrivals.kind", "'poisson'"),
    ('rat = "5/s"', 'rate = "500/s"', "arrivals.rat", 'did you mean "rate"?'),
    ('measure = "0s"', 'measure = "10s"', "phases.measure", "is nothing"),
    ('mesure = "10s"', 'measure = "10s"', "phases.mesure", 'did you mean "measure"?'),
    ('name = "Bad Name"', 'name = "minimal"', "name", "must match"),
    ('system = "nowhere"', 'system = "workloads.account:SYSTEM"', "system", "must match"),
]


@pytest.mark.parametrize(("bad", "good", "key", "remedy"), FAULTY)
def test_a_fault_names_key_and_remedy(
    tmp_path: Path, bad: str, good: str, key: str, remedy: str
) -> None:
    """One bad line gives a fault with its dotted key and what to write instead."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, MINIMAL.replace(good, bad)))

    matching = [fault for fault in caught.value.faults if fault.key == key]
    assert matching, caught.value
    assert remedy in str(matching[0])


ADDED = [
    ("[load]\nworkers = 0", "load.workers", "at least 1"),
    ('[load]\nworkers = "2"', "load.workers", "whole number"),
    ('[load]\ndriver = "h2load"', "load.driver", "'wire' or 'grpcio'"),
    ("[load]\nworker = 2", "load.worker", 'did you mean "workers"?'),
    ('[[objectives]]\nmetric = "fast"\nat_most = "1ms"', "objectives[0]", "is not known"),
    ('[[objectives]]\nmetric = "reserve.response_ns.p99"', "objectives[0]", "at_most"),
    (
        '[[objectives]]\nmetric = "reserve.response_ns.p99"\nat_most = "5/s"',
        "objectives[0]",
        "is not a duration",
    ),
    ('[[steps]]\nat = "1s"\naction = "reboot"', "steps[0].action", "'freeze-target'"),
    ('[[steps]]\nat = "1s"\naction = "freeze-target"', "steps[0]", "needs a duration"),
    (
        '[[steps]]\nat = "9s"\naction = "freeze-target"\nduration = "2s"',
        "steps[0].at",
        "must end within 10s",
    ),
    (
        '[load]\nin_flight_max = 9\n[[steps]]\nat="1s"\naction="freeze-target"\nduration="1s"',
        "load.in_flight_max",
        "raise the bound",
    ),
    ('[audit]\nrequired = ["1"]', "audit.required[0]", "must match"),
]


@pytest.mark.parametrize(("addition", "key", "remedy"), ADDED)
def test_an_addition_names_key_and_remedy(
    tmp_path: Path, addition: str, key: str, remedy: str
) -> None:
    """So does each kind of bad table."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, f"{MINIMAL}{addition}\n"))

    matching = [fault for fault in caught.value.faults if fault.key == key]
    assert matching, caught.value
    assert remedy in str(matching[0])


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Faults of tables, of their relations and of the workload are one list."""
    text = MINIMAL.replace('"500/s"', '"fast"') + (
        '[load]\ndriver = "x"\n[[steps]]\nat = "1h"\naction = "kill-restart-target"\n'
        "[workload]\ninstrument = 3\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, text), check_workload=check_packaged)

    keys = {fault.key for fault in caught.value.faults}
    assert {
        "arrivals.rate",
        "load.driver",
        "steps[0].at",
        "workload.instrument",
        "workload.mix",
        "workload.accounts",
    } <= keys


def test_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    """A syntax error is a fault like any other."""
    with pytest.raises(ScenarioError, match=r"scenario\.toml.*line 3"):
        load_scenario(write(tmp_path, 'name = "x"\ntitle = "y"\nsystem = oops\n'))


def test_unknown_name_offers_the_nearest() -> None:
    """A typo of a packaged name is answered with the name."""
    with pytest.raises(UsageError, match="spot-steady"):
        load_scenario("spot-stedy", folder=PACKAGED)


def test_missing_file_and_profile(tmp_path: Path) -> None:
    """A path that is not there, and a profile that is not in the file, say so."""
    with pytest.raises(UsageError, match="can't be read"):
        load_scenario(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="its profiles: none"):
        load_scenario(write(tmp_path, MINIMAL), overrides=ScenarioOverrides(profile="gate"))


def test_profiles_merge_table_by_table() -> None:
    """A table is merged, everything else replaced; another kind replaces the table."""
    base = {"a": {"kind": "x", "x": 1}, "b": {"c": 1, "d": [1, 2]}, "e": 1}
    changes = {"a": {"kind": "y", "y": 2}, "b": {"d": [3]}}

    assert merged(base, changes) == {"a": {"kind": "y", "y": 2}, "b": {"c": 1, "d": [3]}, "e": 1}


def test_steps_are_read(tmp_path: Path) -> None:
    """A planned kill is a step of the scenario."""
    text = f'{MINIMAL}[[steps]]\nat = "3s"\naction = "kill-restart-target"\n'
    (step,) = load_scenario(write(tmp_path, text)).steps

    assert (step.at_ns, step.action, step.duration_ns) == (3 * 10**9, StepAction.KILL_RESTART, 0)


LISTED = [(item.name, profile) for item in list_scenarios(PACKAGED) for profile in item.profiles]


@pytest.mark.parametrize(("name", "profile"), LISTED)
def test_packaged_scenarios_have_no_fault(name: str, profile: str) -> None:
    """Every scenario of this project can be used in every one of its profiles."""
    scenario = load_scenario(
        name,
        folder=PACKAGED,
        overrides=ScenarioOverrides(profile=profile),
        check_workload=check_packaged,
    )

    assert (scenario.name, scenario.profile) == (name, profile)


def test_rate_steps_may_be_shares_of_the_phase() -> None:
    """The storm begins at 30 % of the measured phase, however long that is."""
    whole = load_scenario("deposit-storm", folder=PACKAGED)
    short = load_scenario(
        "deposit-storm", folder=PACKAGED, overrides=ScenarioOverrides(measure_ns=10**9)
    )

    assert isinstance(whole.arrivals, StepArrivals)
    assert isinstance(short.arrivals, StepArrivals)
    assert whole.arrivals.steps[1].at_ns == 9 * 10**9
    assert short.arrivals.steps[1].at_ns == 3 * 10**8
