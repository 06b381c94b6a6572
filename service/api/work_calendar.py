"""The work calendar of an account, day by day (api.md 3.2)."""

from datetime import date, timedelta
from typing import Any

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from service.api.auth import require
from service.api.deps import CallDep, json_answer
from service.api.names import visible_names
from service.api.params import NumberParam
from service.api.problems import bad_parameter, not_found
from service.api.router import Router
from service.api.schemas import Wire
from service.domain.calendar import WorkCalendar
from service.domain.period import local_date
from service.domain.public_holidays import is_provisional, is_shortened

router = Router(prefix="/v1", tags=["Directory"])
FIRST_YEAR, LAST_YEAR = 2000, 2100


class CalendarDay(Wire):
    """One local day."""

    day: str = Field(examples=["2026-12-31"])
    hours: list[str] = Field(examples=[["10:00-18:00"]], description="empty: nobody works")
    reason: str | None = Field(description="why nobody works: holiday, weekend, off; else null")
    shortened: bool = Field(description="ends an hour earlier, before a holiday")


class Calendar(Wire):
    """The working days of a year."""

    account: str = Field(examples=["romashka"])
    year: int = Field(examples=[2026])
    timezone: str = Field(examples=["Europe/Moscow"])
    holidays: str | None = Field(examples=["RU"], description="whose; null: none are kept")
    provisional: bool = Field(
        description="no decree on transferred days is known for the year yet: days may change"
    )
    working_days: int
    days: list[CalendarDay]


@router.get(
    "/accounts/{account_id}/calendar",
    response_model=Calendar,
    dependencies=[Depends(require("crm:read"))],
)
def account_calendar(call: CallDep, account_id: str, year: NumberParam = None) -> Response:
    """By which days and hours the account is judged in a year (default: the present one)."""
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        raise bad_parameter("year", f"Must be a year from {FIRST_YEAR} to {LAST_YEAR}.")
    with call.read() as connection:
        names = visible_names(call, connection)
        if account_id not in names:
            raise not_found()
        config = names[account_id].config
    chosen = year if year is not None else local_date(call.now, config.timezone).year
    calendar = config.calendar(None)
    first = date(chosen, 1, 1)
    days = [_day(calendar, first + timedelta(days=n)) for n in range(_length(chosen))]
    answer = {
        "account": account_id, "year": chosen, "timezone": str(config.timezone),
        "holidays": calendar.country,
        "provisional": bool(calendar.country) and is_provisional(calendar.country or "", chosen),
        "working_days": sum(1 for one in days if one["hours"]), "days": days,
    }  # fmt: skip
    return json_answer(answer)


def _length(year: int) -> int:
    return (date(year + 1, 1, 1) - date(year, 1, 1)).days


def _day(calendar: WorkCalendar, on: date) -> dict[str, Any]:
    hours = calendar.hours(on)
    by_rule = calendar.shorten and on not in calendar.exceptions
    return {
        "day": on.isoformat(),
        "hours": [f"{_clock(start)}-{_clock(end)}" for start, end in hours],
        "reason": calendar.reason_off(on),
        "shortened": bool(hours) and by_rule and is_shortened(calendar.country or "", on),
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
