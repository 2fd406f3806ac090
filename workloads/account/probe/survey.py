"""
The target before and after a run: seeded, waited for, and surveyed into a TargetState.

It is asked in the best way that it has: ControlService tells everything at once, GetBalances tells
the accounts of the run one by one. What it can't tell is left None, with the reason. Before a run
trouble is a TargetError; after it the audit must still speak, so trouble is absence.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import grpc
from google.protobuf.json_format import MessageToDict

from harness.errors import TargetError
from harness.model.scenario import Scenario
from harness.system import Endpoint
from workloads.account.audit.target_state import AccountsDump, TargetState
from workloads.account.audit.updates import UpdatesFold
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import account_ids
from workloads.account.plan.seeds import Seed, seeds
from workloads.account.probe.balances_topic import end_offsets, read_updates
from workloads.account.probe.capabilities import check_fit
from workloads.account.probe.control_client import Control, Deposit, Reading
from workloads.account.terms.workload import Workload, parse_workload
from workloads.account.wire.kinds import BALANCES_TOPIC, LEDGER_TOPIC

NO_CONTROL = "the target has no ControlService"

_SETTLE_TIMEOUT_S = 60.0
_POLL_S = 0.02
_STALLED_S = 3.0  # at rest and not where it should be for so long: it won't get there
_QUIET_S = 0.3  # all was answered; only a service that emits late still moves
_READING_COUNT_MAX = 3  # tries to read all accounts while nothing changes
_SYSTEM_ACCOUNT_IDS = tuple(value for value in contract.SystemAccount.values() if value)


class Unrest(NamedTuple):
    """
    What a target had left to do when the wait for it ended.

    Attributes:
        missing: As a sentence; empty when it was at rest.
        may_come: It was still at it, so nothing is lost yet.
    """

    missing: str
    may_come: bool


AT_REST = Unrest("", may_come=False)


def open_target(endpoint: Endpoint, scenario: Scenario, *, seed: int, seed_by: str) -> TargetState:
    """
    Seed the target, wait until it is at rest, and survey it.

    Raises:
        TargetError: it can't be reached, or rejects a request.
        UsageError: it can't do what the scenario needs.
    """
    workload = parse_workload(scenario.workload)
    try:
        with Control(endpoint) as control:
            control.await_ready()
            capabilities = control.capabilities()
            check_fit(capabilities, endpoint, scenario, seed_by=seed_by)
            if capabilities is not None:
                control.load_reference_data(workload)
            asked = _asked(scenario, seed)
            seeded_seq = _seed(control, workload, asked, seed=seed, seed_by=seed_by)
            # That it may not be at rest is for the end of the run to say, when it matters.
            state, _ = _survey(
                control,
                endpoint,
                capabilities,
                asked,
                timeout_s=_SETTLE_TIMEOUT_S,
                quiet_s=_QUIET_S,
            )
            if state.journal_seq is None:
                state = replace(state, journal_seq=seeded_seq)
            return replace(state, updates_from=_updates_from(endpoint))
    except grpc.RpcError as error:
        raise TargetError(
            f"target {endpoint.grpc_address}: {error.code().name}: {error.details()}"
        ) from error


def close_target(
    endpoint: Endpoint,
    scenario: Scenario,
    *,
    opening: TargetState,
    produced_count: int,
    timeout_s: float,
) -> TargetState:
    """Wait until the target is at rest, at most *timeout_s*, and survey it."""
    try:
        with Control(endpoint) as control:
            capabilities = control.capabilities() if opening.capabilities is not None else None
            state, unrest = _survey(
                control,
                endpoint,
                capabilities,
                _asked(scenario, scenario.seed),
                opening=opening,
                produced_count=produced_count,
                timeout_s=timeout_s,
                quiet_s=_STALLED_S if produced_count else _QUIET_S,
            )
            if unrest.missing:
                state = replace(state, absent=(*state.absent, unrest.missing))
            if unrest.may_come:
                state = replace(state, unrest=unrest.missing)
    except grpc.RpcError as error:
        reason = f"the target did not answer after the run ({error.code().name})"
        state = TargetState(absent=(*opening.absent, reason))
    state = _with_updates(state, endpoint, opening)
    return replace(state, opening_journal_seq=opening.journal_seq)


def _survey(
    control: Control,
    endpoint: Endpoint,
    capabilities: contract.Capabilities | None,
    asked: Sequence[int],
    *,
    timeout_s: float,
    quiet_s: float,
    opening: TargetState | None = None,
    produced_count: int = 0,
) -> tuple[TargetState, Unrest]:
    """The target once it is quiescent, and what is still pending otherwise."""
    absent: list[str] = []
    if capabilities is None:
        absent.append(NO_CONTROL)
    stats = control.stats() if capabilities is not None else None
    if stats is None:
        unrest = _await_quiet(control, asked[0], quiet_s=quiet_s, timeout_s=timeout_s)
    else:
        unrest = _await_rest(
            control,
            endpoint,
            produced_count=produced_count,
            opening=opening,
            timeout_s=timeout_s,
        )
        stats = control.stats()
    state = _told_by_control(control, capabilities, absent)
    accounts, read_seq = state.accounts, None
    if accounts is None:
        reading = _read(control, asked, absent)
        if reading is not None:
            accounts, read_seq = reading
    if stats is None:
        return replace(state, accounts=accounts, journal_seq=read_seq, absent=tuple(absent)), unrest
    return replace(
        state,
        accounts=accounts,
        journal_seq=stats.journal_seq,
        sources={(item.src, item.instrument_id): item.last_seq for item in stats.sources},
        dead_letter_count=stats.dead_letter_count,
        absent=tuple(absent),
    ), unrest


def _told_by_control(
    control: Control, capabilities: contract.Capabilities | None, absent: list[str]
) -> TargetState:
    """What ControlService tells beside its stats; *absent* gets the reasons for what it doesn't."""
    if capabilities is None:
        return TargetState()
    features = set(capabilities.features)
    totals = control.totals() if "totals" in features else None
    if totals is None:
        absent.append("the target has no totals")
    accounts = control.accounts()
    if accounts is None:
        absent.append("the target lists no accounts")
    return TargetState(
        capabilities=MessageToDict(capabilities, preserving_proto_field_name=True),
        accounts=accounts,
        totals=totals,
        digest=control.digest() if "digest" in features else "",
    )


def _read(control: Control, asked: Sequence[int], absent: list[str]) -> Reading | None:
    """The accounts of the run by GetBalances, when nothing changed between two of them."""
    reading = None
    for _ in range(_READING_COUNT_MAX):
        reading = control.read_accounts(asked)
        if reading is None:
            absent.append("the target has no GetBalances")
            return None
        if reading.accounts is not None:
            return reading
    absent.append("the accounts changed while they were read")
    return reading


def _await_rest(
    control: Control,
    endpoint: Endpoint,
    *,
    produced_count: int,
    opening: TargetState | None,
    timeout_s: float,
) -> Unrest:
    """Wait until all executions are consumed and all transactions published."""
    before = sum(opening.sources.values()) if opening is not None and opening.sources else 0
    deadline_s = time.monotonic() + timeout_s
    last: bytes = b""
    stalled_s = time.monotonic() + _STALLED_S
    while True:
        stats = control.stats()
        assert stats is not None, "it had stats a moment ago"
        consumed_count = sum(source.last_seq for source in stats.sources) - before
        emitted = min(_emitted(stats, endpoint), default=stats.journal_seq)
        if consumed_count >= produced_count and emitted >= stats.journal_seq:
            return AT_REST
        now_s, this = time.monotonic(), stats.SerializeToString(deterministic=True)
        if this != last:
            last, stalled_s = this, now_s + _STALLED_S
        if now_s > min(deadline_s, stalled_s):
            missing = (
                f"the target did not come to rest: {consumed_count} of {produced_count} "
                f"executions consumed, {emitted} of {stats.journal_seq} transactions emitted"
            )
            # What it says itself that it has yet to emit is no loss, even if it stands still; an
            # execution that a target at a standstill has not consumed is.
            return Unrest(missing, now_s <= stalled_s or emitted < stats.journal_seq)
        time.sleep(_POLL_S)


def _emitted(stats: contract.Stats, endpoint: Endpoint) -> list[int]:
    """How far each topic has come that the target writes."""
    by_topic = {
        LEDGER_TOPIC: stats.ledger_emitted_seq,
        BALANCES_TOPIC: stats.balances_emitted_seq,
    }
    return [seq for topic, seq in by_topic.items() if topic not in endpoint.absent_topics]


def _await_quiet(control: Control, account_id: int, *, quiet_s: float, timeout_s: float) -> Unrest:
    """Without stats: wait until the journal has not moved for *quiet_s*."""
    deadline_s = time.monotonic() + timeout_s
    last_seq, moved_s = -1, time.monotonic()
    while True:
        newest_seq = control.newest_seq(account_id)
        now_s = time.monotonic()
        if newest_seq is None:
            time.sleep(quiet_s)  # nothing to go by
            return AT_REST
        if newest_seq != last_seq:
            last_seq, moved_s = newest_seq, now_s
        if now_s - moved_s > quiet_s:
            return AT_REST
        if now_s > deadline_s:
            missing = f"the target did not come to rest: its journal is at {newest_seq} and moves"
            return Unrest(missing, may_come=True)
        time.sleep(_POLL_S)


def _with_updates(state: TargetState, endpoint: Endpoint, opening: TargetState) -> TargetState:
    """The same, with what was on acct.balances.v1 since the opening."""
    state = replace(
        state,
        absent=(
            *state.absent,
            *(f"by its file the target never writes {topic}" for topic in endpoint.absent_topics),
        ),
    )
    if BALANCES_TOPIC in endpoint.absent_topics:
        return state
    fold = UpdatesFold(opening.accounts)
    problem = read_updates(
        endpoint.kafka_address,
        endpoint.topic_prefix + BALANCES_TOPIC,
        start=opening.updates_from,
        fold=fold.fold,
    )
    if problem:
        return replace(state, absent=(*state.absent, problem))
    return replace(state, updates=fold.result())


def _seed(
    control: Control, workload: Workload, asked: Sequence[int], *, seed: int, seed_by: str
) -> int | None:
    """Deposit what each account lacks; the newest journal_seq of that, if known."""
    items = seeds(workload, seed=seed)
    if seed_by == "control":
        control.seed(item for item in _short(items, control.accounts()) if item.amount_minor > 0)
        return None
    reading = control.read_accounts(asked)
    held = reading.accounts if reading is not None else None
    # A request id is made from what is paid in and the account's number before it: a deposit that
    # is repeated is one, another day's is another.
    seqs = held.account_seq if held is not None else {}
    return control.deposit(
        Deposit(item, seqs.get(item.account_id, 0))
        for item in _short(items, held)
        if item.amount_minor > 0
    )


def _short(items: Iterator[Seed], held: AccountsDump | None) -> Iterator[Seed]:
    """What each account lacks of its opening balance: a target that ran before has some of it."""
    balances: Any = held.balances if held is not None else {}
    for item in items:
        balance = balances.get((item.account_id, item.asset_id))
        available_minor = balance.available_minor if balance is not None else 0
        yield item._replace(amount_minor=item.amount_minor - available_minor)


def _asked(scenario: Scenario, seed: int) -> tuple[int, ...]:
    """The accounts to read where a target doesn't list them: those of the run, and the system's."""
    return (*account_ids(scenario, seed=seed), *_SYSTEM_ACCOUNT_IDS)


def _updates_from(endpoint: Endpoint) -> dict[int, int] | None:
    if BALANCES_TOPIC in endpoint.absent_topics:
        return None
    return end_offsets(endpoint.kafka_address, endpoint.topic_prefix + BALANCES_TOPIC)
