"""What a run is held to whatever it was run under, and what counts as its profile."""

from dataclasses import replace

import pytest

from harness.model.profile import MISSING
from harness.model.record import RunRecord
from reports.release.candidates import Evidence, Expected
from reports.release.contradictions import contradictions
from reports.release.judge import judge_release
from reports.release.verdicts import ReleaseState, SignOff, Word
from tests.reports.release.made import (
    CIRCUMSTANCES,
    KEY,
    LIMIT,
    POLICY,
    REFUSED,
    fit,
    good_record,
    judged,
    p99,
    policy,
    specs,
)

FAILED = "operations.failed_share"


def run_under(record: RunRecord, *demands: dict[str, str]) -> RunRecord:
    """*record* as `run --policy` would have it, with *demands* in that policy."""
    parameters = {**record.scenario["parameters"], "policy": {"objectives": list(demands)}}
    stated = {item["metric"] for item in demands}
    own = [item for item in parameters["objectives"] if item["metric"] not in stated]
    record = replace(record, scenario={**record.scenario, "parameters": parameters})
    return judged(record, specs(*own, *demands))


def signed(record: RunRecord, *own: dict[str, str], text: str = POLICY) -> SignOff:
    """The verdict on one run of a scenario that demands *own*."""
    wanted = Expected(
        scenario="spot-steady",
        digest=CIRCUMSTANCES.expected[KEY].digest,
        objectives=specs(*own),
    )
    circumstances = replace(CIRCUMSTANCES, expected={KEY: wanted})
    return judge_release(policy(text), [Evidence(name="one", record=record)], circumstances, {})


def told(found: SignOff, metric: str) -> tuple[ReleaseState, str]:
    """What became of one metric, and the sentence."""
    (finding,) = [item for item in found.findings if item.name == f"{KEY}:{metric}"]
    return finding.state, finding.sentence


def test_a_policy_of_the_run_does_not_loosen_its_scenario() -> None:
    """The scenario demands 1 ns, the run was held to 250 ms and met that: NO-GO, and why."""
    record = run_under(fit(good_record(), at_most="1ns"), p99(LIMIT))
    found = signed(record, p99("1ns"), REFUSED)
    state, said = told(found, "all.response_ns.p99")

    assert contradictions(record) == ()
    assert record.exit_code == 0
    assert (found.word, state) == (Word.NO_GO, ReleaseState.MISSED)
    assert said.endswith("demanded: at most 1.00 ns; the run's own policy asked for less.")


def test_nor_what_is_demanded_of_every_run() -> None:
    """A run that failed 1 % of its operations, under a policy that allows half of them."""
    scheduled = good_record().operations.scheduled
    operations = replace(good_record().operations, failed=scheduled // 100)
    loose = {"metric": FAILED, "at_most": "50%"}
    record = run_under(replace(good_record(), operations=operations), loose)

    assert record.exit_code == 0
    assert told(signed(record, p99(LIMIT), REFUSED), FAILED)[0] is ReleaseState.MISSED
    assert told(signed(record, p99(LIMIT), REFUSED, loose), FAILED)[0] is ReleaseState.MET


def test_a_policy_of_the_run_may_ask_for_more() -> None:
    """What it asks beyond the scenario is missed like anything else, or met without a word."""
    missed = signed(run_under(good_record(), p99("1ns")), p99(LIMIT), REFUSED)
    met = signed(run_under(good_record(), p99("200ms")), p99(LIMIT), REFUSED)

    assert told(missed, "all.response_ns.p99")[0] is ReleaseState.MISSED
    assert met.word is Word.GO
    assert "policy" not in told(met, "all.response_ns.p99")[1]


def test_the_release_policy_counts_against_both() -> None:
    """It is what the release is signed by."""
    record = run_under(fit(good_record(), at_most="1ns"), p99("2ns"))
    text = f'{POLICY}objectives = [{{ metric = "all.response_ns.p99", at_most = "{LIMIT}" }}]\n'

    assert signed(record, p99("1ns"), REFUSED).word is Word.NO_GO
    assert signed(record, p99("1ns"), REFUSED, text=text).word is Word.GO


@pytest.mark.parametrize(
    ("note", "damaged", "said"),
    [
        (f"{MISSING} (cpu) is missing or not whole: py-spy died.", (), "not whole: py-spy died)"),
        ("", ("cpu",), "damaged or gone"),
    ],
)
def test_a_profile_that_is_not_whole_is_none(
    note: str, damaged: tuple[str, ...], said: str
) -> None:
    """The twin says so itself, or its files are not those that it wrote."""
    twin = replace(
        good_record(),
        instrumentation="cpu",
        profiles=(object(),),  # type: ignore[arg-type]
        notes=(note,),
    )
    one = Evidence(name="one", record=good_record(), twins={"cpu": twin}, damaged_profiles=damaged)
    text = f'{POLICY}profiles = ["cpu"]\n'
    found = judge_release(policy(text), [one], CIRCUMSTANCES, {})

    assert told(found, "profile-cpu")[0] is ReleaseState.NOT_PROVEN
    assert said in told(found, "profile-cpu")[1]
