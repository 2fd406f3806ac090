"""Balance updates in columns: the same as each update by itself, however they come in."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.event_log import Values
from workloads.account.audit.target_state import AccountsDump
from workloads.account.audit.update_table import Updates, decode
from workloads.account.audit.updates import UpdatesFold
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.bad_record import BadRecordError

SINT64 = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
BALANCES = st.builds(
    contract.Balance,
    asset_id=st.one_of(st.integers(0, 60), st.integers(0, 2**32 - 1)),
    total_minor=SINT64,
    locked_orders_minor=SINT64,
    locked_isolated_minor=SINT64,
    locked_withdrawal_minor=SINT64,
    available_minor=SINT64,
)
UPDATES = st.builds(
    contract.AccountUpdate,
    account_id=st.one_of(st.integers(1_000, 1_003), st.integers(0, 2**64 - 1)),
    account_seq=st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1)),
    snapshot=st.booleans(),
    t_commit_ns=st.integers(0, 2**64 - 1),
    balances=st.lists(BALANCES, max_size=3),
    positions=st.lists(st.builds(contract.Position, size_lots=SINT64), max_size=1),
    cause=st.one_of(
        st.none(),
        st.binary(max_size=17).map(lambda request_id: contract.Cause(request_id=request_id)),
    ),
    journal_seq=st.integers(0, 2**63 - 1),
)


def rows(table: Updates) -> list[tuple[Any, ...]]:
    """Each update as plain values."""
    found = []
    lines = table.balances
    for row in range(len(table)):
        chosen = lines.rows(lines.owner == row)
        columns = (
            chosen.asset_id,
            chosen.total_minor,
            chosen.locked_orders_minor,
            chosen.locked_isolated_minor,
            chosen.locked_withdrawal_minor,
            chosen.available_minor,
        )
        balances = list(zip(*(column.tolist() for column in columns), strict=True))
        found.append(
            (
                int(table.account_id[row]),
                int(table.account_seq[row]),
                bool(table.is_snapshot[row]),
                int(table.journal_seq[row]),
                balances,
            )
        )
    return found


def expected(value: bytes) -> tuple[Any, ...]:
    """The same by the generated class."""
    message = contract.AccountUpdate.FromString(value)
    balances = [
        (
            line.asset_id,
            line.total_minor,
            line.locked_orders_minor,
            line.locked_isolated_minor,
            line.locked_withdrawal_minor,
            line.available_minor,
        )
        for line in message.balances
    ]
    return (
        message.account_id,
        message.account_seq,
        message.snapshot,
        message.journal_seq,
        balances,
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    messages=st.lists(UPDATES, max_size=6),
    at=st.integers(0, 10**6),
    bit=st.integers(0, 7),
    is_damaged=st.booleans(),
)
def test_columns_are_what_the_generated_class_reads(
    messages: list[contract.AccountUpdate], at: int, bit: int, is_damaged: bool
) -> None:
    """Any update; and one with a flipped bit is refused if, and only if, the class refuses it."""
    values = [message.SerializeToString() for message in messages]
    if is_damaged and values and values[0]:
        damaged = bytearray(values[0])
        damaged[at % len(damaged)] ^= 1 << bit
        values[0] = bytes(damaged)
    try:
        wanted = [expected(value) for value in values]
    except DecodeError:
        with pytest.raises(BadRecordError):
            decode(Values.joined(values))
        return
    if not all(values) or any(max(row[1], row[3]) > 2**63 - 1 for row in wanted):
        with pytest.raises(BadRecordError):
            decode(Values.joined(values))
        return

    assert rows(decode(Values.joined(values))) == wanted


def dump_of(account_seq: dict[int, int] | None) -> AccountsDump | None:
    """The opening as far as the numbers of accounts go; it covers all but account 1,002."""
    if account_seq is None:
        return None
    asked = frozenset((1_000, 1_001))
    return AccountsDump(account_seq=account_seq, balances={}, open_orders=None, asked=asked)


STEPS = st.lists(
    st.tuples(
        st.integers(1_000, 1_002),  # account
        st.sampled_from([1, 1, 1, 1, 0, 2, -1, -3]),  # from the number before
        st.booleans(),  # a snapshot
        st.integers(-1, 1),  # what the total is off by
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    steps=STEPS,
    cut=st.integers(0, 30),
    opening=st.one_of(st.none(), st.dictionaries(st.integers(1_000, 1_001), st.integers(0, 5))),
)
def test_all_accounts_at_once_are_each_update_by_itself(
    steps: list[tuple[int, int, bool, int]], cut: int, opening: dict[int, int] | None
) -> None:
    """Gaps, repetitions, snapshots and wrong totals, wherever the records are cut in two."""
    last: dict[int, int] = {}
    seqs: dict[int, int] = {}
    values, gaps, mismatches, repeated = [], [], 0, 0
    for account_id, step, is_snapshot, error in steps:
        seq = seqs[account_id] = max(0, seqs.get(account_id, 3) + step)
        balance = contract.Balance(
            asset_id=1, available_minor=5, locked_orders_minor=2, total_minor=7 + error
        )
        update = contract.AccountUpdate(
            account_id=account_id, account_seq=seq, snapshot=is_snapshot, balances=[balance]
        )
        values.append(update.SerializeToString())
        mismatches += error != 0
        is_covered = opening is not None and account_id != 1_002
        before = last.get(account_id, (opening or {}).get(account_id, 0) if is_covered else None)
        if before is not None and seq <= before:
            repeated += 1
            continue
        if before is not None and seq != before + 1 and not is_snapshot:
            gaps.append(f"account {account_id}: account_seq {seq} follows {before}")
        last[account_id] = seq
    fold = UpdatesFold(dump_of(opening))
    fold.fold(values[:cut])
    fold.fold(values[cut:])
    found = fold.result()

    assert (found.gap_count, found.gap_first) == (len(gaps), gaps[0] if gaps else "")
    assert (found.repeated_count, found.mismatch_count) == (repeated, mismatches)
    assert (found.update_count, found.balance_count) == (len(values), len(values))
    assert {key: seq for key, seq in found.last_seq.items() if key in last} == last


def test_a_total_that_no_register_holds_is_compared_exactly() -> None:
    """Parts that wrap around to the total are not the total."""
    half = 2**62
    balance = contract.Balance(
        asset_id=1, available_minor=half, locked_orders_minor=half, total_minor=-(2**63)
    )
    fold = UpdatesFold(None)
    fold.fold([contract.AccountUpdate(account_id=1_000, balances=[balance]).SerializeToString()])

    assert f"its parts sum to {2**63}" in fold.result().mismatch_first
