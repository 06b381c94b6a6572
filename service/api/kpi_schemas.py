"""Figures on the wire (api.md 3.6).

Units of values: `count` whole numbers; `money` minor units of the row's currency (`money=major`:
decimals); `ratio` fractions with 6 digits; `seconds`, `minutes`, `hours`; `points`, `number` as the
figure's formula says.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import Instant, Listed, ListEnd, LocalDate, Ref, Wire


class Kpi(Wire):
    """A figure's definition."""

    slug: str = Field(examples=["deals_won"])
    title: str
    description: str
    formula: str
    unit: str = Field(description="count, money, ratio, seconds, minutes, hours, points, number")
    kind: str = Field(description="sum, ratio, level, distribution, derived")
    direction: str = Field(description="what is better: up, down, neutral")
    missing: str = Field(description="what stands where there is nothing: zero, null")
    dimensions: list[str]
    grains: list[str]
    attributed_to: str
    subject_kind: str = Field(description="deal, task, lead, call, seller")
    plannable: bool
    numerator: str | None = Field(description="of a ratio: the figure above the line")
    denominator: list[str] | None = Field(description="of a ratio: the figures below, added up")
    factors: list[str] | None = Field(description="of a derived figure: what it is made of")
    beside: dict[str, str] | None = Field(
        description="figures shown with it, by suffix; `open_aging` with `include=parts`"
    )
    percentiles: list[int] | None = Field(description="of a distribution; the first is the figure")
    cohort: bool = Field(description="dated at the instant of the cohort: what became of it so far")
    horizon_seconds: int | None = Field(
        description="age at which members of a cohort are looked at"
    )
    version: int


class KpiList(ListEnd):
    """All figures."""

    data: list[Kpi]


Value = float | int | str | bool | None


class KpiRow(BaseModel):
    """One period and group, flat: one member a column.

    Dimensions are ids with `<dimension>_name` beside where there is a name; figures are numbers by
    slug, null = nothing can be said. `absent`: the seller was away on all working days of the row.
    Beside a figure, as asked for: `__previous` and `__change`, `__plan` and `__percent`, `__num`
    and `__den`; of distributions `__count`, `__mean`, `__p90`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value]
    currency: str | None = Field(description="of all money in the row; null where there is none")


class KpiPeriodRow(KpiRow):
    """A row of a query with a grain."""

    period: LocalDate = Field(description="first day of the period inside the span")
    period_end: LocalDate = Field(description="its last day inside the span")
    partial: bool = Field(description="cut by `from` or `to`, or not over yet")


class KpiColumn(Wire):
    """A column of the rows."""

    name: str = Field(examples=["receipts"])
    role: Literal["time", "dimension", "metric", "companion"]
    type: Literal["date", "string", "integer", "number", "boolean"]
    unit: str | None = Field(description="of numbers; null of time and dimensions")
    exponent: int | None = Field(
        description="digits of money's minor unit; null: no money, or currencies that differ in it"
    )
    source: Literal["won", "paid_field", "invoices", "mixed"] | None = Field(
        description="what receipts are in these accounts, of figures made of them: amounts of won "
        "deals, changes of a field, invoices, or not the same in all; null of other columns"
    )


class Compared(Wire):
    """The span that `__previous` is of."""

    from_: LocalDate = Field(alias="from")
    to: LocalDate
    rule: str = Field(
        description="whole_periods: moved by whole calendar units; same_days: by as many days; "
        "same_dates: of the year before; working_days: the span is not over, so that many of its "
        "working days that have come are compared"
    )


class KpiMeta(Wire):
    """How the figures are to be read."""

    as_of: Instant
    data_through: Instant | None = Field(description="the oldest of the accounts'; null: no facts")
    timezones: list[str]
    compare: Compared | None
    receipts_from: dict[str, Literal["won", "payments"]] = Field(
        description="what receipts are, by account: amounts of won deals, or what was paid"
    )


class KpiTable(ListEnd):
    """Answer of a query; always whole, so there is never a next page."""

    data: list[KpiPeriodRow | KpiRow]
    totals: list[KpiRow] = Field(default=[], description="by currency; only with totals=true")
    columns: list[KpiColumn]
    meta: KpiMeta


class FigureSubject(Wire):
    """What a figure counts; null where nothing of it is kept."""

    kind: str | None = Field(description="deal, task, lead, call, seller")
    id: str | None
    name: str | None
    url: str | None


class Addend(Wire):
    """One thing that a figure counts."""

    subject: FigureSubject
    metric: str = Field(description="the contribution that it is counted by")
    at: Instant
    until: Instant | None = Field(description="the end of a piece of time")
    seller: Ref | None
    rule: str | None
    rule_name: str | None
    severity: str | None
    value: float | int = Field(description="in the unit of the figure; money in minor units")
    currency: str | None


class CurrencySum(Wire):
    """What the addends of one currency sum to."""

    currency: str | None
    sum: float | int
    count: int


class AddendMeta(Wire):
    """The sums of all pages together."""

    sum: float | int | None = Field(description="equals the figure; null with several currencies")
    count: int
    by_currency: list[CurrencySum]


class AddendList(Listed):
    """A page of what a figure is made of, newest first."""

    data: list[Addend]
    meta: AddendMeta
