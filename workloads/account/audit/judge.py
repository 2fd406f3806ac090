"""
The audit: all evidence of a run through all folds, once, to a verdict on each invariant.

The ledger is read as a stream of tables, some ten thousand transactions at a time, and each
invariant is a function of their columns. A check that breaks down makes its invariants UNKNOWN with
the reason; it never becomes a pass, and never hides the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness.engine.subscription_log import read_subscriptions
from harness.model.record import Invariant
from harness.system import AuditEvidence
from workloads.account.audit.account_updates import check_account_updates
from workloads.account.audit.balances import BalanceFold, check_parts
from workloads.account.audit.effects import EffectFold
from workloads.account.audit.instruments import Instruments
from workloads.account.audit.laws import LAWS, AuditPart, ListOrder, When
from workloads.account.audit.ledger_table import Transactions, read_ledger
from workloads.account.audit.movements import Places, movements
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.order_checks import OrderFold
from workloads.account.audit.order_ends import check_ends, check_lists
from workloads.account.audit.plan_conformance import check_generation
from workloads.account.audit.read_table import reads_of
from workloads.account.audit.reads import ReadFold
from workloads.account.audit.rejections import check_pending, check_rejections
from workloads.account.audit.replayed import check_replay
from workloads.account.audit.retold import EarlierTransactions
from workloads.account.audit.sequences import SequenceFold
from workloads.account.audit.source_order import SourceOrder
from workloads.account.audit.tally import Tally, unknown
from workloads.account.audit.target_state import TargetState
from workloads.account.contract.accounts_pb2 import ReferenceData
from workloads.account.terms.workload import Workload
from workloads.account.wire.identity import source_name
from workloads.account.wire.kinds import Kind


def judge(
    evidence: AuditEvidence,
    workload: Workload,
    *,
    reference: ReferenceData,
    watched: Sequence[int],
) -> tuple[Invariant, ...]:
    """
    Every invariant, in order of its number, but causes before what follows from them.

    I20 only if the target file tells how to replay or the scenario requires it, I21 only of a plan
    with reads, I23 only if the target was killed on purpose.

    Args:
        evidence: What the run left behind.
        workload: What its scenario asked for.
        reference: The reference data that the target was given.
        watched: The accounts that were subscribed to.
    """
    found: dict[str, Invariant] = {}
    ledger = None

    def of_the_ledger() -> tuple[Tally, ...]:
        nonlocal ledger
        ledger = _Ledger(evidence, workload, reference)
        return ledger.tallies()

    checks: dict[AuditPart, Callable[[], tuple[Tally, ...]]] = {
        AuditPart.LEDGER: of_the_ledger,
        AuditPart.PARTS: lambda: (check_parts(_closing(evidence)),),
        AuditPart.UPDATES: lambda: (_account_updates(evidence, watched),),
        AuditPart.REPLAY: lambda: (check_replay(_closing(evidence), evidence.replay),),
        AuditPart.PLAN: lambda: (check_generation(evidence, _log(evidence)),),
    }
    for what, check in checks.items():
        # Any failure of a check, whatever it is, must leave the other checks their say.
        try:
            found.update({tally.identity: tally.result() for tally in check()})
        except Exception as error:  # noqa: BLE001
            reason = f"the check failed ({_words(error)})"
            failed = (item for item, law in LAWS.items() if law.check is what)
            found.update({item: unknown(item, reason) for item in failed})
    is_judged = {
        When.ALWAYS: True,
        When.READS: _has_reads(workload),
        When.REPLAYED: evidence.replay is not None
        or "I20" in (evidence.scenario.required_invariants or ()),
        When.KILLED: bool(evidence.restarts_ns),
    }
    shown = [item for item, law in LAWS.items() if is_judged[law.when]]
    if ledger is not None and ledger.has_gap:
        shown.sort(key=lambda item: LAWS[item].order)
    return tuple(found[item] for item in shown)


class _Ledger:
    """
    The folds that go with the ledger.

    Attributes:
        has_gap: Transactions are missing; other invariants may seem violated for that alone.
    """

    def __init__(
        self, evidence: AuditEvidence, workload: Workload, reference: ReferenceData
    ) -> None:
        self.has_gap = False
        self._evidence = evidence
        self._opening, self._closing = _opening(evidence), _closing(evidence)
        self._log = _log(evidence)
        places = self._places = Places()
        self._balances = BalanceFold(self._opening, places)
        self._effects = EffectFold(
            self._log, restarts_ns=evidence.restarts_ns, is_attached=evidence.is_attached
        )
        self._sequences = SequenceFold(
            self._opening,
            places,
            EarlierTransactions(self._tables),
            on_replaced=self._effects.revoke,
        )
        self._sources = SourceOrder(self._log, self._sequences.tally)
        self._orders = OrderFold(
            self._log,
            Instruments.of(
                reference,
                taker_fee_ppm=workload.taker_fee_ppm,
                maker_fee_ppm=workload.maker_fee_ppm,
            ),
            places,
            opening=self._opening.accounts,
            effects=self._effects,
        )
        self._reads = _reads(evidence, workload, self._log)

    def tallies(self) -> tuple[Tally, ...]:
        orders = self._orders.tallies
        tallies = (
            self._balances.conserved,
            self._balances.non_negative,
            orders.locks,
            orders.orphans,
            self._effects.exactly_once,
            self._sequences.tally,
            orders.fees,
            self._effects.durable,
            *(() if self._reads is None else (self._reads.tally,)),
        )
        # Whatever stops the reading, a service's own bytes included: what was found until then
        # stays found, and nothing passes.
        unrest = self._closing.unrest
        for tally in tallies:
            for reason in self._closing.absent:
                if reason != unrest:
                    tally.note(reason)
            tally.lacks(unrest)
            if self._evidence.are_events_cut_off:
                tally.lacks("the ledger topic was still coming when the observer's time was up")
        try:
            if self._evidence.events_path is None:
                for tally in tallies:
                    tally.lacks("the ledger topic was not observed")
                self._look_at_the_end()
            else:
                self._read()
                self._finish()
        except Exception as error:  # noqa: BLE001
            for tally in tallies:
                tally.lacks(f"the ledger can't be judged to its end ({_words(error)})")
        self.has_gap = self._sequences.has_gap
        for tally in tallies:
            if tally.violation_count and unrest:
                tally.note(unrest)
            may_follow = LAWS[tally.identity].order is ListOrder.OTHERS
            if tally.violation_count and self.has_gap and may_follow:
                tally.note("this may follow from the gap in the ledger alone (I8)")
        return tallies

    def _look_at_the_end(self) -> None:
        """What the closing state alone can disprove; it proves nothing."""
        closing, is_attached = self._closing, self._evidence.is_attached
        self._balances.check_sums(closing, is_attached=is_attached)
        if closing.accounts is not None:
            self._balances.check_signs(closing.accounts)
        self._check_orders(check_lists)

    def _tables(self, offset_bytes: int = 0) -> Iterator[Transactions]:
        path = self._evidence.events_path
        assert path is not None, "asked for only if there is one"
        return read_ledger(path, run_tag=self._evidence.run_tag, offset_bytes=offset_bytes)

    def _read(self) -> None:
        for table in self._tables():
            for part in self._sequences.new_parts(table):
                self._take(part)

    def _finish(self) -> None:
        """Everything that only the end can tell."""
        is_whole = not self._closing.unrest and not self._evidence.are_events_cut_off
        self._effects.finish(dead_letter_count=self._dead_letter_count(), is_whole=is_whole)
        if not is_whole:
            # Taken while the target moved, its parts are not of one moment: only a total that it
            # gave in one answer can be wrong by itself.
            moving = replace(self._closing, accounts=None)
            self._balances.check_sums(moving, is_attached=self._evidence.is_attached)
            self._sequences.check_updates(self._closing)
            return
        self._balances.finish(self._closing, is_attached=self._evidence.is_attached)
        run_tag = self._evidence.run_tag
        self._sequences.finish(self._closing, self._log, lambda shard: source_name(run_tag, shard))
        if self._reads is not None:
            self._reads.finish(self._closing)
        check_rejections(self._log, self._effects.exactly_once, self._orders)
        check_pending(self._log, self._effects.exactly_once, self._closing.accounts)
        self._check_orders(check_ends)

    def _check_orders(self, check: Callable[..., None]) -> None:
        check(
            self._orders,
            self._log,
            opening=self._opening,
            closing=self._closing,
            is_attached=self._evidence.is_attached,
        )

    def _dead_letter_count(self) -> int | None:
        before, after = self._opening.dead_letter_count, self._closing.dead_letter_count
        return None if before is None or after is None else after - before

    def _take(self, part: Transactions) -> None:
        """New transactions, through every invariant."""
        row = self._log.rows_of(part.operation)
        moves = movements(self._places, part.postings)
        asked_by = np.zeros(len(part), np.int64)
        asked_by[row >= 0] = self._log.account_id(row[row >= 0])
        self._sequences.touch(part, asked_by)
        if self._reads is not None:
            self._reads.take(part, asked_by)
        is_balanced = self._balances.take(part, moves)
        self._orders.observe(part, row)
        is_first = self._effects.take(part, row)
        self._sources.take(part, row, is_first=is_first)
        self._orders.take(part, row, moves, is_first=is_first, is_balanced=is_balanced)


def _has_reads(workload: Workload) -> bool:
    return workload.mix.get_balances + workload.mix.list_ledger > 0


def _reads(evidence: AuditEvidence, workload: Workload, log: OperationLog) -> ReadFold | None:
    """None for a plan without any."""
    if not _has_reads(workload):
        return None
    table = evidence.operations
    law = ReadFold(
        log,
        reads_of(table, log, Kind.GET_BALANCES, limit_count=0),
        reads_of(table, log, Kind.LIST_LEDGER, limit_count=workload.page),
        opening=_opening(evidence),
    )
    writes = log.write[log.write >= 0]
    untold = int(np.count_nonzero((log.tells[writes]) & (log.told_seq[writes] == 0)))
    if untold:
        law.tally.lacks(f"{untold:,} writes were acknowledged without telling their journal_seq")
    return law


def _account_updates(evidence: AuditEvidence, watched: Sequence[int]) -> Tally:
    path = evidence.subscriptions_path
    return check_account_updates(
        _opening(evidence),
        _closing(evidence),
        watched=watched,
        log=None if path is None else read_subscriptions(path),
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _opening(evidence: AuditEvidence) -> TargetState:
    assert isinstance(evidence.opening, TargetState), "what System.open returned"
    return evidence.opening


def _closing(evidence: AuditEvidence) -> TargetState:
    assert isinstance(evidence.closing, TargetState), "what System.close returned"
    return evidence.closing


def _log(evidence: AuditEvidence) -> OperationLog:
    return OperationLog(evidence.operations, run_tag=evidence.run_tag)
