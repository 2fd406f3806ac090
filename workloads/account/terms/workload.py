"""
The [workload] table of accounts.v1 scenarios, checked.

    accounts = { count = 10000, kind = "uniform" }
    accounts = { count = 10000, kind = "zipf", theta = 0.99 }           any theta >= 0
    accounts = { count = 10000, kind = "hot", hot_count = 1, hot_share = "80%" }
    instruments = 50
    market = "uniform"         "varied": lot size, tick value, quote asset and fee kind (some fees
                               are per lot) differ from instrument to instrument
    holdings = "pareto"        an account trades few instruments, some many; "all": each trades all
    mix = { reserve = "48%", release = "45%", fill = "4%", transfer = "3%" }    sums to 100 %
          also amend, ioc, internal_transfer, create_account, pend, post, void, get_balances,
          list_ledger, duplicate
    insufficient = "0%"        of the reserves: more than the account has, to be rejected (state an
                               objective operations.rejected_share that allows them)
    withdrawals = "50%"        of the transfers, and of the first phases (pend)
    new_accounts = "0%"        of the transfers: deposits that make their account
    order_life = "500ms"       mean time from reserve to release
    expected_reply = "20ms"    a dependent on gRPC is planned no earlier than this after its cause
    expected_visible = "100ms" and a release after a fill this long after the fill
    reprice = "0%"             an amendment moves the limit by this share of its distance to the
                               last price; 0: it draws a limit and a quantity like a new order's
    ioc_rest = "50%"           of the ioc orders: larger than what they meet; the engine lets the
                               rest expire (an order_event)
    caps = []                  e.g. [{ count = 300, window = "10s" }]: messages of an account
    sweeps                     e.g. { mean = 3.0, max = 30 }, see below; none if not written
    changed_duplicates = "0%"  of the duplicates: ask for something else, to be rejected
    repeated_records = "0%"    of the records on Kafka: sent once more
    late_records = "0%"        of the fills: sent behind up to late_max = 64 later records
    read_your_writes = "0%"    of the reads: must see a write that was answered before
    page = 50                  entries of a ledger page
    subscriptions = 0          StreamAccount calls held open, half of them on the busiest accounts
    taker_fee_ppm = 1000       reserved with every order, where fees are not per lot
    maker_fee_ppm = 400
    seed_minor = 1000000000000 what each account holds of each of its assets at the start

`reserve - release` is what closes otherwise: by a fill, (48 - 45) / 4 = 0.75 orders a fill here,
or by an ioc order, which takes a resting one whole; so open orders don't grow. An `ioc` is a
reserve that the engine matches at once: its fill, and the order_event of its rest, follow from it
and are not in the mix. A `post` or `void` settles an earlier `pend`; the others stay pending. A
`duplicate` repeats an earlier write with its request id.

With `sweeps` the arrivals are fills alone (mix = { fill = "100%" }, holdings = "all"): one
aggressive order takes a geometric number of resting ones, *mean* on average and at most *max*, one
at each arrival. All orders are reserved beforehand, the resting ones about order_life before.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harness.model.arrivals import rate_per_s_max
from harness.model.file_faults import plain_faults
from harness.model.scenario import Scenario
from harness.model.text import exact, share, significant
from harness.model.units import (
    NANOS_PER_SECOND,
    format_duration,
    format_rate,
    parse_duration_ns,
    parse_share,
)
from workloads.account.terms.market import INSTRUMENT_COUNT_MAX, Market, MarketKind, market

_SUM_TOLERANCE = 1e-9
SWEEP_LIFE_MAX = 1.5  # a resting order is reserved 0.5 to 1.5 order_life before its fill
_CAPS_USABLE = 0.95  # of what caps allow: arrivals scatter, and an order's account is given
_CLOSED_BY_FILL_MAX = 1.0  # of its two orders; both only where they are equally large


def _share(value: Any) -> float:
    share = parse_share(value)
    if not 0 <= share <= 1:
        raise ValueError(f'"{value}" is not between 0 % and 100 %; write e.g. "5%"')
    return share


Share = Annotated[float, BeforeValidator(_share)]
DurationNs = Annotated[int, BeforeValidator(parse_duration_ns)]


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class UniformAccounts(_Table):
    """All accounts equally busy."""

    count: Annotated[int, Field(ge=2)]
    kind: Literal["uniform"]


class ZipfAccounts(_Table):
    """The account of rank k is k ** -theta as busy as the first."""

    count: Annotated[int, Field(ge=2)]
    kind: Literal["zipf"]
    theta: Annotated[float, Field(ge=0, le=10)]


class HotAccounts(_Table):
    """*hot_count* accounts share *hot_share* of the operations, the others the rest."""

    count: Annotated[int, Field(ge=2)]
    kind: Literal["hot"]
    hot_count: Annotated[int, Field(ge=1)]
    hot_share: Share

    @model_validator(mode="after")
    def _some_are_cold(self) -> Self:
        if self.hot_count >= self.count:
            raise ValueError(f"hot_count is {self.hot_count}; must be below count {self.count}")
        return self


class Sweeps(_Table):
    """One aggressive order takes a geometric number of resting ones."""

    mean: Annotated[float, Field(ge=1)] = 3.0
    max: Annotated[int, Field(ge=1, le=100)] = 30

    @model_validator(mode="after")
    def _mean_is_reachable(self) -> Self:
        if self.mean > self.max / 2:
            raise ValueError(f"mean is {self.mean:g}; must be at most half of max")
        return self


class Cap(_Table):
    """At most *count* messages of an account in any *window*."""

    count: Annotated[int, Field(ge=1)]
    window: DurationNs


class Mix(_Table):
    """Shares of all operations; sum 1."""

    reserve: Share = 0.0
    release: Share = 0.0
    fill: Share = 0.0
    amend: Share = 0.0
    ioc: Share = 0.0
    transfer: Share = 0.0
    internal_transfer: Share = 0.0
    create_account: Share = 0.0
    pend: Share = 0.0
    post: Share = 0.0
    void: Share = 0.0
    get_balances: Share = 0.0
    list_ledger: Share = 0.0
    duplicate: Share = 0.0

    @property
    def closed_by_fill_count(self) -> float:
        """How many of its two orders a fill closes for good, on average."""
        return (self.reserve - self.release - self.ioc) / self.fill if self.fill else 0.0

    @property
    def settled_share(self) -> float:
        """How many first phases get a second one."""
        return min(1.0, (self.post + self.void) / self.pend) if self.pend else 0.0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = sum(value for _, value in self)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"sums to {exact(total * 100)} %; must be 100 %")
        if self.fill == 0 and abs(self.reserve - self.release - self.ioc) > _SUM_TOLERANCE:
            raise ValueError(
                "reserve and release differ without fills, and not by ioc; write the same share, "
                "or open orders grow"
            )
        if not -_SUM_TOLERANCE <= self.closed_by_fill_count <= _CLOSED_BY_FILL_MAX + _SUM_TOLERANCE:
            raise ValueError(
                f"a fill would close {significant(self.closed_by_fill_count)} orders for good; "
                "reserve - release - ioc must be between 0 and the share of fills"
            )
        if self.amend > 0 and self.reserve == 0:
            raise ValueError("amend without reserve; write a share of reserves")
        if self.duplicate > 0 and self.transfer + self.reserve + self.pend == 0:
            raise ValueError("duplicate without a write; write a share of transfers or reserves")
        if self.post + self.void > self.pend + _SUM_TOLERANCE:
            raise ValueError("post and void settle more than pend begins; write a larger pend")
        return self


class Workload(_Table):
    """The whole table."""

    accounts: Annotated[UniformAccounts | ZipfAccounts | HotAccounts, Field(discriminator="kind")]
    instruments: Annotated[int, Field(ge=1, le=INSTRUMENT_COUNT_MAX)] = 50
    market: MarketKind = "uniform"
    mix: Mix
    insufficient: Share = 0.0
    withdrawals: Share = 0.5
    new_accounts: Share = 0.0
    order_life: DurationNs = 500_000_000
    expected_reply: DurationNs = 20_000_000
    expected_visible: DurationNs = 100_000_000
    holdings: Literal["pareto", "all"] = "pareto"
    reprice: Share = 0.0
    ioc_rest: Share = 0.5
    caps: list[Cap] = Field(default_factory=list)
    sweeps: Sweeps | None = None
    changed_duplicates: Share = 0.0
    repeated_records: Share = 0.0
    late_records: Share = 0.0
    late_max: Annotated[int, Field(ge=1, le=64)] = 64  # the contract's reorder buffer
    read_your_writes: Share = 0.0
    page: Annotated[int, Field(ge=1, le=1_000)] = 50
    subscriptions: Annotated[int, Field(ge=0, le=10_000)] = 0
    taker_fee_ppm: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    maker_fee_ppm: Annotated[int, Field(ge=-100_000, le=100_000)] = 400
    seed_minor: Annotated[int, Field(ge=1, le=10**15)] = 10**12

    @property
    def listed(self) -> Market:
        return market(self.instruments, self.market)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        mix = self.mix
        if self.sweeps is not None and mix.fill < 1:
            raise ValueError('sweeps are fills alone; write mix = { fill = "100%" }')
        if self.sweeps is not None and self.holdings != "all":
            raise ValueError('sweeps meet orders of any account; write holdings = "all"')
        if self.sweeps is None and mix.fill > 0 and mix.reserve == 0:
            raise ValueError("fill without reserve; write a share of reserves, or sweeps")
        if self.reprice > 0 and mix.fill > 0:
            raise ValueError(
                "with reprice resting orders don't cross, so none fills another; "
                "write ioc instead of fill in mix"
            )
        if self.caps and self.holdings != "all":
            raise ValueError('caps move messages between accounts; write holdings = "all"')
        if self.late_records + self.repeated_records > 0 and mix.fill + mix.ioc == 0:
            raise ValueError("late or repeated records without fills; write a share of fills")
        return self

    @model_validator(mode="after")
    def _fills_have_two_sides(self) -> Self:
        accounts = self.accounts
        if not isinstance(accounts, HotAccounts) or self.mix.fill == 0:
            return self
        if accounts.hot_count == 1 and accounts.hot_share > 1 - self.mix.fill:
            raise ValueError(
                "a fill needs two accounts, and one has almost all orders; "
                'write fill = "0%" in mix, or a lower hot_share'
            )
        return self


def phase_faults(scenario: Scenario) -> list[tuple[str, str, str]]:
    """What the table asks for that the scenario's phases and arrivals don't allow."""
    workload = parse_workload(scenario.workload)
    faults = []
    lead_ns = sweep_lead_ns(workload)
    if scenario.warmup_ns < lead_ns:
        faults.append(
            (
                "phases.warmup",
                format_duration(scenario.warmup_ns),
                f"sweeps need {format_duration(lead_ns)}; or write a shorter workload.order_life",
            )
        )
    rate_per_s = rate_per_s_max(scenario.arrivals)
    allowed_per_s = capped_rate_per_s(workload, scenario.warmup_ns + scenario.measure_ns)
    if rate_per_s > _CAPS_USABLE * allowed_per_s:
        faults.append(
            (
                "workload.caps",
                f"allow {workload.accounts.count} accounts {format_rate(allowed_per_s)} in all",
                f"lower arrivals.rate below {share(_CAPS_USABLE)} of that, or write more accounts",
            )
        )
    return faults


def sweep_lead_ns(workload: Workload) -> int:
    """How long before a fill its orders may be reserved."""
    if workload.sweeps is None:
        return 0
    return round(SWEEP_LIFE_MAX * workload.order_life) + 2 * workload.expected_reply


def capped_rate_per_s(workload: Workload, duration_ns: int) -> float:
    """The highest rate of all accounts together that the caps allow for so long."""
    by_cap = [cap.count / max(cap.window, 1) for cap in workload.caps if cap.window <= duration_ns]
    by_cap += [cap.count / duration_ns for cap in workload.caps if cap.window > duration_ns]
    return min(by_cap, default=math.inf) * NANOS_PER_SECOND * workload.accounts.count


def parse_workload(table: Mapping[str, Any]) -> Workload:
    """The checked table of a scenario; ValidationError if it was not checked and has faults."""
    return Workload.model_validate(dict(table))


def workload_faults(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every fault of the table as (key, value, remedy)."""
    try:
        Workload.model_validate(dict(table))
    except ValidationError as error:
        found = plain_faults(error, Workload)
        return [(_key(fault.key), fault.value, fault.remedy) for fault in found]
    return []


def _key(key: str) -> str:
    return "workload" if key == "the file" else f"workload.{key}"
