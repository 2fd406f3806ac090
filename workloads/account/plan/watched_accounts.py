"""Which accounts somebody watches while a run goes: half of them the busiest, the rest any."""

import numpy as np

from workloads.account.plan.accounts import make_accounts
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.terms.workload import Workload


def watched_accounts(workload: Workload, *, seed: int) -> tuple[int, ...]:
    """The ids of the accounts that are watched, in the order of the subscriptions."""
    if not workload.subscriptions:
        return ()
    accounts = make_accounts(workload, workload.listed, seed=seed)
    by_rank = np.argsort(-accounts.weights, kind="stable")
    count = min(workload.subscriptions, len(accounts))
    busiest = -(-count // 2)
    spread = np.linspace(busiest, len(accounts), count - busiest, endpoint=False).astype(np.int64)
    chosen = np.concatenate([by_rank[:busiest], by_rank[spread]])
    return tuple((FIRST_ACCOUNT_ID + chosen).tolist())
