"""Plans and plan-fact on the wire (api.md 3.7).

Values of money are minor units of the account's currency (plan-fact with `money=major`: decimals);
ratios are planned in whole per cent and
measured as fractions (`fact` 0.25 against `plan` 30).
"""

from typing import Literal

from pydantic import Field

from service.api.schemas import Instant, ListEnd, LocalDate, Ref, Wire

PERIOD = "2026, 2026-Q4, 2026-11, 2026-W48, 2026-11-23"


class PlanShown(Wire):
    """One plan; neither team nor seller = of the whole account."""

    account: str
    metric: str
    period: str = Field(description=PERIOD)
    team: str | None
    seller: str | None
    value: int | None = Field(description="null: removed")
    currency: str | None = Field(description="of money; else null")
    status: str = Field(description="draft, approved, closed")
    locked: bool
    version: int | None = Field(description="null of what is kept in parts, and of what is gone")


class PlanList(ListEnd):
    """Plans as they stand."""

    data: list[PlanShown]


class Counts(Wire):
    """How many rows became what."""

    created: int
    updated: int
    unchanged: int
    removed: int


class PlansWritten(Counts):
    """Answer of a PUT."""

    data: list[PlanShown] = Field(description="the rows as they are now, in the order of the body")


class PlansMoved(Wire):
    """What became of the plans of a period."""

    status: Literal["draft", "approved", "closed"]
    changed: int = Field(description="how many were in another state")
    account: str
    period: str


class PlanVersion(Wire):
    """One version of a plan."""

    account: str
    metric: str
    period: str
    team: str | None
    seller: str | None
    version: int
    value: int | None = Field(description="null: it was removed")
    status: str
    who: str
    at: Instant
    reason: str | None


class PlanHistory(ListEnd):
    """Versions by plan, the oldest first."""

    data: list[PlanVersion]


class PlanPart(Wire):
    """A part of what is split. Its days: of a week those inside the period that was split."""

    account: str
    metric: str
    period: str
    from_: LocalDate = Field(alias="from")
    to: LocalDate
    team: str | None
    seller: str | None
    value: int
    currency: str | None


class Decomposed(Wire):
    """The parts; of sums `total` is the value that was asked for, exactly."""

    data: list[PlanPart]
    total: int


class RateShown(Wire):
    """A rate of the funnel."""

    value: float | None
    n: int | None = Field(description="cases behind it; null of a given one")
    from_: Literal["given", "trailing_90_days"] = Field(alias="from")


class PerDay(Wire):
    """What is needed in a working day, rounded up; null: no working day, or not known."""

    deals_won: int | None
    deals: int | None
    inquiries: int | None
    attempts: int | None


class Lag(Wire):
    """Sales of a period come from inquiries one median cycle earlier."""

    median_cycle_seconds: int | None
    n: int


class BackwardsRates(Wire):
    """The rates that were used."""

    average_check: RateShown
    conversion: RateShown
    lead_to_deal: RateShown
    attempts_per_inquiry: RateShown


class BackwardsShown(Wire):
    """The funnel backwards from money: what a goal needs, each rounded up once."""

    account: str
    period: str
    goal: int
    currency: str
    team: str | None
    seller: str | None
    deals_won: int
    deals: int
    inquiries: int
    attempts: int | None
    per_working_day: PerDay
    working_days: int
    rates: BackwardsRates
    lag: Lag


class FileFaultShown(Wire):
    """A cell that cannot be used."""

    row: int = Field(description="line of the file; the heading is 1")
    column: str
    code: str
    value: str
    detail: str


class PlansImported(Counts):
    """What became of a file."""

    accepted: int
    rejected: int = Field(description="rows with a fault; without `partial` one stops all")
    errors: list[FileFaultShown]
    dry_run: bool


class ForecastShown(Wire):
    """The end of the period foreseen."""

    low: float | None = Field(description="80 % interval; null with under 6 closed months")
    mid: float | None
    high: float | None
    method: str | None = Field(description="run_rate, combined")
    coverage: float | None = Field(description="share of closed months inside their interval")
    coverage_months: int
    pipeline: float | None = Field(description="fact and what deals in work will bring: combined")
    commitments: int | float | None = Field(
        description="of receipts and sales: open deals that are expected to close in the period, "
        "as they stand; in no forecast. null of another figure and with a past `as_of`"
    )


class WorkingDays(Wire):
    """Of the period; today counts in `left` with its remaining hours."""

    all: int
    passed: int
    left: float


class MonthPart(Wire):
    """What of a week's plan lies in a month."""

    period: str = Field(examples=["2026-03"])
    plan: int


class PlanFactLine(Wire):
    """Plan against fact of one figure."""

    account: str
    metric: str
    seller: Ref | None
    team: Ref | None
    currency: str | None
    plan: float | int | None
    plan_version: int | None
    plan_by_month: list[MonthPart] | None = Field(
        description="of a week across two months: both parts; else null"
    )
    fact: float | int | None
    percent: float | None = Field(description="fact / plan as a fraction")
    expected: float | None = Field(description="what should be there by now")
    pace: float | None = Field(description="fact / expected")
    gap: float | int | None = Field(description="fact - plan; of ratios in points")
    gap_expected: float | None = Field(description="fact - expected")
    run_rate: float | None
    forecast: ForecastShown
    needed_per_day: float | None = Field(description="null: no plan, or no day left")
    working_days: WorkingDays
    status: str = Field(
        description="no_plan, done, missed, too_early, ahead, on_pace, behind, far_behind; of "
        "limits ok, over"
    )


class PlanFactList(ListEnd):
    """Lines by account, then seller or team, then figure."""

    data: list[PlanFactLine]


class GapState(Wire):
    """Receipts and their three factors."""

    receipts: int
    inquiries: int | None
    sales_per_inquiry: float | None
    average_check: int | None


class GapEffect(Wire):
    """What a factor brought, in minor units."""

    factor: str = Field(description="inquiries, sales_per_inquiry, average_check, not_separable")
    amount: int


class GapSpan(Wire):
    """What was compared with."""

    from_: LocalDate = Field(alias="from")
    to: LocalDate


class GapLine(Wire):
    """The difference of receipts explained; effects sum to it exactly."""

    account: str
    seller: Ref | None
    team: Ref | None
    currency: str
    compared: GapSpan | None = Field(description="the period before; null against the plan")
    before: GapState
    after: GapState
    difference: int
    effects: list[GapEffect]
    separable: bool


class GapList(ListEnd):
    """Lines by account, then seller or team."""

    data: list[GapLine]
