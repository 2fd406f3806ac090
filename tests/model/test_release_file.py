"""Release policies: what they demand, and every fault of one at once."""

from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.model.record import PLAIN
from harness.model.release_file import parse_release_policy, read_release_policy

WHOLE = """
name = "core"
target = "mine"
max_age = "2d"
comparison = "policy.toml"
[audit]
required = ["I1"]
[[objectives]]
metric = "all.response_ns.p99"
at_most = "20ms"
[[objectives]]
metric = "rate.achieved_share"
at_least = "99%"
[[runs]]
scenario = "spot-steady"
profile = "signoff"
count = 5
broker = "apache"
laws = ["I19"]
profiles = ["cpu"]
baseline = "last"
objectives = [{ metric = "all.response_ns.p99", at_most = "5ms" }]
[[runs]]
scenario = "ours/burst.toml"
[[micro]]
kind = "instructions"
baseline = "kernels"
[[waivers]]
metric = "burst:*"
owner = "Ada"
reason = "new"
until = 2027-01-01
"""
HEAD = 'name = "core"\n[[runs]]\nscenario = "spot-steady"\n'


def test_a_policy_demands_runs_by_key() -> None:
    """Of two demands on one metric the run's own counts; a count of instructions is not plain."""
    policy = parse_release_policy(WHOLE, file="release.toml")
    steady, burst, kernels = policy.demands

    assert [item.key for item in policy.demands] == [
        "spot-steady@signoff",
        "burst",
        "micro@instructions",
    ]
    assert (policy.target, policy.max_age_ns, policy.laws) == ("mine", 2 * 86_400 * 10**9, ("I1",))
    assert {spec.metric: spec.limit for spec in steady.objectives} == {
        "all.response_ns.p99": 5e6,
        "rate.achieved_share": 0.99,
    }
    assert {spec.limit for spec in burst.objectives} == {20e6, 0.99}
    assert (steady.instrumentation, steady.run_count, steady.broker) == (PLAIN, 5, "apache")
    assert (kernels.is_micro, kernels.instrumentation) == (True, "callgrind")
    assert kernels.objectives == ()
    assert policy.waivers[0].owner == "Ada"


def test_the_same_policy_in_other_words_has_the_same_digest() -> None:
    """Comments and order are no matter; a demand is."""
    policy = parse_release_policy(HEAD, file="a")

    assert parse_release_policy(f"# said\n{HEAD}", file="b").digest == policy.digest
    assert parse_release_policy(f"{HEAD}count = 2\n", file="a").digest != policy.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["name: missing", "runs: missing"]),
        ('name = "core"\nruns = []\n', ["write at least one"]),
        (
            'name = "Core 1"\nrelease = 1\nruns = 3\n',
            ["must match", "release: unknown key", "runs"],
        ),
        (f"{HEAD}count = 0\n", ["runs[0].count: 0: must be at least 1"]),
        (f'{HEAD}laws = ["one"]\n', ["runs[0].laws[0]"]),
        (f'{HEAD}profiles = ["gpu"]\n', ["write one of 'cpu' or 'memory'"]),
        (f'{HEAD}broker = "rabbit"\n', ["write one of"]),
        (f"{HEAD}profil = 1\n", ['did you mean "profile"?']),
        (f'{HEAD}[[runs]]\nscenario = "spot-steady"\n', ["runs[1]: spot-steady is demanded"]),
        (f'{HEAD}baseline = "x"\n', ["runs[0].count: 1", "write 5 or more"]),
        (f'{HEAD}[[micro]]\nkind = "slow"\n', ["micro[0].kind"]),
        (
            f'{HEAD}[[waivers]]\nmetric = "x"\n',
            ["owner: missing", "reason: missing", "until: miss"],
        ),
        (f'{HEAD}[[objectives]]\nmetric = "x"\nat_most = "1ms"\n', ['metric "x" is not known']),
        ('max_age = "two weeks"\nname = "a"\n', ["is not a duration", "runs: missing"]),
        ("name = \n", ["TOML", "line 1"]),
    ],
)
def test_all_faults_are_listed(text: str, said: list[str]) -> None:
    """Each with its key, its value, and what to write."""
    with pytest.raises(PolicyError) as refused:
        parse_release_policy(text, file="release.toml")

    for part in said:
        assert part in str(refused.value)


def test_a_file_that_cannot_be_read_says_what_to_write(tmp_path: Path) -> None:
    """A missing one, and one that is no text."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "bytes.toml"):
        with pytest.raises(UsageError, match="acctbench init"):
            read_release_policy(tmp_path / name)
