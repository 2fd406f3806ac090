"""
I6: replaying all account updates over the opening balances gives the closing balances.

Of all accounts by acct.balances.v1, and of a watched account by its StreamAccount.
"""

from collections.abc import Iterable, Sequence

from harness.engine.subscription_log import Entry
from workloads.account.audit.subscriptions import check_subscriptions
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump, TargetState, UpdatesDump
from workloads.account.terms.market import FIRST_ACCOUNT_ID

_NOTHING = (0, 0, 0, 0)


def check_account_updates(
    opening: TargetState,
    closing: TargetState,
    *,
    watched: Sequence[int],
    log: Iterable[Entry] | None,
) -> Tally:
    """Replay topic and subscriptions; *log* is None where these were not recorded."""
    tally = Tally("I6")
    tally.lacks(closing.unrest)
    if closing.updates is None:
        tally.lacks("acct.balances.v1 was not read")
    if closing.accounts is None or opening.accounts is None:
        tally.lacks("the accounts' balances are not known")
    elif closing.updates is not None and not closing.unrest:
        _check_topic(tally, closing.updates, opening.accounts, closing.accounts)
    if watched and log is None:
        tally.lacks("the subscriptions were not recorded")
    elif log is not None:
        check_subscriptions(tally, log, watched, None if closing.unrest else closing.accounts)
    return tally


def _check_topic(
    tally: Tally, updates: UpdatesDump, opening: AccountsDump, closing: AccountsDump
) -> None:
    told = updates.balances
    for key in {**told, **closing.balances}:
        account_id, asset_id = key
        if account_id < FIRST_ACCOUNT_ID or not closing.covers(account_id):
            continue
        if key not in told and not opening.covers(account_id):
            continue
        before = opening.balances.get(key, _NOTHING)[:4]
        has = tuple(closing.balances.get(key, _NOTHING)[:4])
        makes = tuple(told.get(key, before))
        tally.check(
            makes == has,
            f"account {account_id} asset {asset_id}: its updates make {makes} by bucket, "
            f"the account has {has}",
            size=max(abs(one - other) for one, other in zip(makes, has, strict=True)),
        )
