"""
StreamAccount: a snapshot of one account, then each of its updates, for as long as the client stays.

The one idea: a snapshot is taken of what is applied and sent when that is durable; what becomes
durable meanwhile is held back if the snapshot has it and queued if it has not, so the two meet
without a gap and without a lock.
"""

import grpc

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.calls import Context, caught_up, parsed
from workloads.account.reference.core import Core
from workloads.account.reference.ledger import balance_messages, position_messages
from workloads.account.reference.reserve_stream import DRAINING
from workloads.account.reference.state import ACCOUNT_NOT_FOUND, Account
from workloads.account.reference.watchers import Watcher


class AccountStreams:
    """The handler of StreamAccount."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def serve(self, raw: bytes, context: Context) -> None:
        """One subscription; only the client or the end of the service ends it."""
        core = self._core
        request = await parsed(raw, contract.StreamRequest, context)
        await caught_up(core, "StreamAccount", request.meta.min_applied_seq, context)
        account = core.state.user(request.account_id)
        if account is None:
            core.counters[f"StreamAccount/{ACCOUNT_NOT_FOUND}"] += 1
            detail = f"1001 ACCOUNT_NOT_FOUND: {request.account_id}"
            await context.abort(grpc.StatusCode.NOT_FOUND, detail)
        core.counters["StreamAccount/0"] += 1
        watcher = core.watchers.add(account.account_id)
        try:
            await self._follow(account, watcher, context)
        finally:
            core.watchers.remove(account.account_id, watcher)
        await context.abort(*DRAINING)

    async def _follow(self, account: Account, watcher: Watcher, context: Context) -> None:
        core = self._core
        while not core.watchers.is_draining:
            if watcher.needs_snapshot:
                snapshot = _snapshot(account, core.state.journal_seq)
                watcher.follow(account.seq)
                snapshot.t_commit_ns = await core.commitment.durable()
                core.counters["StreamAccount.snapshot"] += 1
                await context.write(snapshot.SerializeToString())
                continue
            update = watcher.pop()
            if update is None:
                await watcher.changed()
            else:
                await context.write(update)


def _snapshot(account: Account, journal_seq: int) -> contract.AccountUpdate:
    return contract.AccountUpdate(
        account_id=account.account_id,
        account_seq=account.seq,
        snapshot=True,
        balances=balance_messages(account),
        positions=position_messages(account),
        journal_seq=journal_seq,
    )
