"""
I6, of StreamAccount: each subscription begins with a snapshot, has no gap, and ends as the account.

A snapshot in place of lost deltas is legal, and counted; what is lost without one is not. After an
end that somebody announced (the target stopped, or was killed) a stream begins anew.
"""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from harness.engine.subscription_log import Arrival, Entry
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump
from workloads.account.contract.accounts_pb2 import AccountUpdate
from workloads.account.wire.read_replies import buckets_of

Amounts = tuple[int, int, int, int]


class _Stream:
    """One subscription, as a client folds it."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.seq: int | None = None  # None: nothing may be believed before a snapshot
        self.balances: dict[int, Amounts] = {}
        self.update_count = self.overflow_count = self.end_count = 0
        self.ended = ""  # how it ended; empty while it is open

    def begin(self) -> None:
        self.seq, self.ended = None, ""

    def take(self, update: AccountUpdate) -> str:
        """One update; what is wrong with it, if anything."""
        self.update_count += 1
        fault = self._fault(update)
        if update.snapshot:
            self.overflow_count += self.seq is not None
            self.balances = {}
        self.seq = update.account_seq
        self.balances |= {balance.asset_id: buckets_of(balance) for balance in update.balances}
        return fault

    def _fault(self, update: AccountUpdate) -> str:
        seq, last = update.account_seq, self.seq
        if update.account_id != self.account_id:
            return f"tells of account {update.account_id}"
        if update.snapshot:
            return f"a snapshot at {seq} follows {last}" if last is not None and seq < last else ""
        if last is None:
            return f"begins with account_seq {seq} and not with a snapshot"
        return f"account_seq {seq} follows {last}" if seq != last + 1 else ""


def check_subscriptions(
    tally: Tally, log: Iterable[Entry], watched: Sequence[int], closing: AccountsDump | None
) -> None:
    """Check each subscription, one for each of *watched*, against the accounts in the end."""
    streams = [_Stream(account_id) for account_id in watched]
    for entry in log:
        stream = streams[entry.number]
        match entry.what:
            case Arrival.OPENED:
                stream.begin()
            case Arrival.ENDED:
                stream.end_count += 1
                stream.ended = entry.body.decode(errors="replace") or "no reason given"
            case Arrival.MESSAGE:
                _take(tally, stream, entry.body)
    for stream in streams:
        _finish(tally, stream, closing)
    counts = {
        "a new snapshot stood for lost deltas": sum(item.overflow_count for item in streams),
        "a subscription ended and was opened again": sum(item.end_count for item in streams),
    }
    for what, count in counts.items():
        if count:
            tally.note(f"{what} {count:,} times")


def _take(tally: Tally, stream: _Stream, message: bytes) -> None:
    try:
        update = AccountUpdate.FromString(message)
    except DecodeError:
        tally.check(False, f"{_name(stream)}: a message is not an AccountUpdate")
        return
    fault = stream.take(update)
    tally.check(not fault, f"{_name(stream)}: {fault}")
    for balance in update.balances:
        if sum(buckets_of(balance)) != balance.total_minor:
            tally.violate(
                f"{_name(stream)}: at account_seq {update.account_seq} the total of asset "
                f"{balance.asset_id} is not the sum of its parts"
            )


def _finish(tally: Tally, stream: _Stream, closing: AccountsDump | None) -> None:
    """Check what the client has in the end against the account."""
    if stream.ended:
        tally.lacks(f"{_name(stream)} ended and was not opened again ({stream.ended})")
        return
    if stream.seq is None:
        tally.lacks(f"{_name(stream)} received nothing")
        return
    if closing is None or not closing.covers(stream.account_id):
        tally.lacks("the closing balances of watched accounts are not known")
        return
    seq = closing.account_seq.get(stream.account_id, 0)
    tally.check_equal(
        stream.seq,
        seq,
        f"{_name(stream)} ends at account_seq {stream.seq}, the account is at {seq}",
    )
    held = _held(closing.balances, stream.account_id)
    if stream.seq != seq:
        return
    for asset_id in sorted({*held, *stream.balances}):
        told = stream.balances.get(asset_id, (0, 0, 0, 0))
        has = held.get(asset_id, (0, 0, 0, 0))
        tally.check(
            told == has,
            f"{_name(stream)} makes {told} of asset {asset_id} by bucket, the account has {has}",
            size=max(abs(one - other) for one, other in zip(told, has, strict=True)),
        )


def _held(balances: Mapping[tuple[int, int], Sequence[int]], account_id: int) -> dict[int, Amounts]:
    return {
        asset_id: (dump[0], dump[1], dump[2], dump[3])
        for (owner, asset_id), dump in balances.items()
        if owner == account_id
    }


def _name(stream: _Stream) -> str:
    return f"the subscription of account {stream.account_id}"
