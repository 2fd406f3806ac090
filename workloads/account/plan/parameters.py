"""
The [workload] table of accounts.v1 scenarios, checked.

    accounts = { count = 10000, kind = "uniform" }
    accounts = { count = 10000, kind = "zipf", theta = 0.99 }           any theta >= 0
    accounts = { count = 10000, kind = "hot", hot_count = 1, hot_share = "80%" }
    instruments = 50
    mix = { reserve = "48%", release = "45%", fill = "4%", transfer = "3%" }    sums to 100 %
          also amend, internal_transfer, create_account, duplicate
    insufficient = "0%"        of the reserves: more than the account has, to be refused (state an
                               objective operations.rejected_share that allows them)
    withdrawals = "50%"        of the transfers
    new_accounts = "0%"        of the transfers: deposits that make their account
    order_life = "500ms"       mean time from reserve to release
    expected_reply = "20ms"    a dependent on gRPC is planned no earlier than this after its cause
    expected_visible = "100ms" and a release after a fill this long after the fill
    taker_fee_ppm = 1000       reserved with every order
    maker_fee_ppm = 400
    seed_minor = 1000000000000 what each account holds of each of its assets at the start
    subscriptions = 0          StreamAccount calls held open, half of them on the busiest accounts

`reserve - release` is what fills close for good: (48 - 45) / 4 = 0.75 orders a fill, so that open
orders don't grow. A `duplicate` repeats an earlier transfer with its request id.
"""

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

from harness.model.file_faults import plain_faults
from harness.model.units import parse_duration_ns, parse_share
from workloads.account.plan.market import INSTRUMENT_COUNT_MAX

_SUM_TOLERANCE = 1e-9
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


class Mix(_Table):
    """Shares of all operations; sum 1."""

    reserve: Share = 0.0
    release: Share = 0.0
    fill: Share = 0.0
    amend: Share = 0.0
    transfer: Share = 0.0
    internal_transfer: Share = 0.0
    create_account: Share = 0.0
    duplicate: Share = 0.0

    @property
    def closed_by_fill_count(self) -> float:
        """How many of its two orders a fill closes for good, on average."""
        return (self.reserve - self.release) / self.fill if self.fill else 0.0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = sum(value for _, value in self)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"sums to {total * 100:.6g} %; must be 100 %")
        if self.fill == 0 and abs(self.reserve - self.release) > _SUM_TOLERANCE:
            raise ValueError(
                "reserve and release differ without fills; write the same share, or open orders "
                "grow"
            )
        if not -_SUM_TOLERANCE <= self.closed_by_fill_count <= _CLOSED_BY_FILL_MAX + _SUM_TOLERANCE:
            raise ValueError(
                f"a fill would close {self.closed_by_fill_count:.2f} orders for good; "
                "reserve - release must be between 0 and the share of fills"
            )
        if self.amend > 0 and self.reserve == 0:
            raise ValueError("amend without reserve; write a share of reserves")
        if self.duplicate > 0 and self.transfer == 0:
            raise ValueError("duplicate without transfer; write a share of transfers")
        return self


class Workload(_Table):
    """The whole table."""

    accounts: Annotated[UniformAccounts | ZipfAccounts | HotAccounts, Field(discriminator="kind")]
    instruments: Annotated[int, Field(ge=1, le=INSTRUMENT_COUNT_MAX)] = 50
    mix: Mix
    insufficient: Share = 0.0
    withdrawals: Share = 0.5
    new_accounts: Share = 0.0
    order_life: DurationNs = 500_000_000
    expected_reply: DurationNs = 20_000_000
    expected_visible: DurationNs = 100_000_000
    taker_fee_ppm: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    maker_fee_ppm: Annotated[int, Field(ge=-100_000, le=100_000)] = 400
    seed_minor: Annotated[int, Field(ge=1, le=10**15)] = 10**12
    subscriptions: Annotated[int, Field(ge=0, le=10_000)] = 0

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


def parse_workload(table: Mapping[str, Any]) -> Workload:
    """
    The table of a scenario that was checked before.

    Raises:
        ValidationError: it was not checked, and has faults.
    """
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
