"""The settings document of one account (design 8.2a): its shape and defaults.

Names of pipelines, stages, fields and sellers may be given by CRM id or by title;
`domain.resolving.resolve` turns them into ids against the portal's directory.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from service.domain.amounts import Hygiene
from service.domain.bulk import Limit
from service.domain.money import is_currency
from service.domain.rates import Rates
from service.domain.span import Span
from service.faults import first_of, place_of, said

_HOUR = r"(?:[01]?\d|2[0-3]):[0-5]\d"
_QUIET = re.compile(f"{_HOUR}-(?:{_HOUR}|24:00)")
_FIELDS = ("source", "budget", "loss_reason", "close_date", "paid")
_LIMITS = ("open_deals", "open_tasks", "due_today", "overdue_tasks", "hot_deals")
TEAM_TOTALS = ("open_deals", "overdue_tasks")
_MOST_DEALS = 1_000_000
LONGEST_ABSENCE = timedelta(days=1100)  # three years: whoever is away for longer has left


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_names(given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            msg = f"there is no {name[:60]!r} here; there are {', '.join(known)}"
            raise ValueError(msg)


def _check_limits(value: dict[str, int], known: Sequence[str] = _LIMITS) -> dict[str, int]:
    _check_names(value, known)
    for name, limit in value.items():
        if not 0 <= limit <= _MOST_DEALS:
            msg = f"{name}: must be 0 to {_MOST_DEALS}; 0 = not judged"
            raise ValueError(msg)
    return value


_LimitsOf = Annotated[dict[str, int], AfterValidator(_check_limits)]


class Work(_Model):
    """Working hours. `week`: `mon-fri 10:00-18:00`, parts separated by commas."""

    week: str = "mon-fri 10:00-18:00"
    holidays: str = "RU"  # a country of the `holidays` library, or "none"
    shorten: bool = False  # working days before holidays end an hour earlier
    exceptions: dict[str, str] = {}  # 2026-12-31: "10:00-15:00" or off

    @field_validator("exceptions", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """YAML reads `off` as false and dates as dates: take both."""
        if not isinstance(value, dict):
            return value
        return {str(day): "off" if hours is False else hours for day, hours in value.items()}


class PipelineSettings(_Model):
    """What a pipeline asks for. Stages by id or title."""

    qualified_from: str | int | None = None
    late_from: str | int | None = None
    required: dict[str, list[str]] = {}  # from this stage on: contact phone budget source company
    hot_amount: int | None = Field(None, ge=0)  # major units
    mandatory: list[str | int] = []  # stages that no deal may skip
    commented: list[str | int] = []  # stages that ask for a note on entering
    weights: dict[str, Annotated[int, Field(ge=0, le=1000)]] = {}  # stage -> deals that one counts
    limits: dict[str, int] = {}  # open_deals: how many of its deals one seller may have

    @field_validator("limits")
    @classmethod
    def _limits_known(cls, value: dict[str, int]) -> dict[str, int]:
        return _check_limits(value, ("open_deals",))


def _read_day(value: Any) -> Any:
    if value is None or isinstance(value, date):  # YAML reads a date
        return value and value.isoformat()
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        msg = f"{str(value)[:40]!r} is no date; write 2026-12-31"
        raise ValueError(msg) from None


def _check_order(first: str, last: str) -> None:
    if first > last:
        msg = f"to: {last} lies before from: {first}"
        raise ValueError(msg)


class Absence(_Model):
    """Days (both inclusive) on which a seller is away."""

    from_: str = Field(alias="from")
    to: str
    deputy: str | int | None = None

    @field_validator("from_", "to", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        return _read_day(value)

    @model_validator(mode="after")
    def _in_order(self) -> "Absence":
        _check_order(self.from_, self.to)
        if date.fromisoformat(self.to) - date.fromisoformat(self.from_) >= LONGEST_ABSENCE:
            msg = f"to: an absence lasts at most {LONGEST_ABSENCE.days} days"
            raise ValueError(msg)
        return self


class Member(_Model):
    """A seller of a team: by id or name alone, or with the days (both inclusive) that he is in it.

    Days of the settings in force hold over what earlier settings said of them.
    """

    id: str | int
    from_: str | None = Field(None, alias="from")
    to: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"id": value} if isinstance(value, str | int) else value

    @field_validator("from_", "to", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        return _read_day(value)

    @model_validator(mode="after")
    def _in_order(self) -> "Member":
        if self.from_ is not None and self.to is not None:
            _check_order(self.from_, self.to)
        return self

    @model_serializer
    def _short(self) -> str | int | dict[str, str | int]:
        """As it is written: a seller without days is his id or name alone."""
        days = {name: day for name, day in (("from", self.from_), ("to", self.to)) if day}
        return {"id": self.id, **days} if days else self.id

    @property
    def first(self) -> date | None:
        """The first day; None = whenever the settings are in force."""
        return date.fromisoformat(self.from_) if self.from_ else None

    @property
    def last(self) -> date | None:
        """The last day; None = whenever the settings are in force."""
        return date.fromisoformat(self.to) if self.to else None


TeamLines = Mapping[str, Sequence[Member]]
"""By team: who is in it, as the settings say it."""


class SellerSettings(_Model):
    """What differs for one seller."""

    limit: int | None = Field(None, ge=0, le=_MOST_DEALS)  # open deals; 0 = not judged
    limits: _LimitsOf = {}  # open_tasks due_today overdue_tasks hot_deals
    newcomer_until: str | None = None  # that day included: `newcomer_share` of the normal limits
    exempt: bool = False  # an assistant or head: not judged by what sellers do
    telegram: int | str | None = None
    absent: list[Absence] = []
    week: str | None = None
    person: str | None = None

    @field_validator("newcomer_until", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        return _read_day(value)


class RuleSettings(_Model):
    """What an account changes in a rule."""

    off: bool = False
    severity: Literal["info", "warning", "critical"] | None = None
    params: dict[
        str, int | float | str | bool | list[str] | dict[str, int | float | str | bool]
    ] = {}
    for_: str | dict[str, str] | None = Field(
        None,
        alias="for",
        description="a span, or spans by name beside `default`: a stage, a pipeline or what the "
        "rule goes by; source:..., category:... and kind:... say what the name is",
    )
    nudge: Literal["task", "note", "chat"] | None = None  # written into the CRM at the breach

    @field_validator("for_")
    @classmethod
    def _spans(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for text in value.values() if isinstance(value, dict) else [value] if value else []:
            Span.parse(text)
        return value


class Receiver(_Model):
    """Somebody who hears of violations."""

    telegram: int | str | None = None
    rules: str | list[str] = "*"
    severities: list[Literal["info", "warning", "critical"]] = ["warning", "critical"]
    sellers: list[str | int] | None = None
    lang: Literal["ru", "en"] | None = None
    ops: bool = False  # also hears of the connection itself: access lost, hook switched off

    @property
    def named_rules(self) -> list[str]:
        """The rules that it hears of; `*` = all."""
        return [self.rules] if isinstance(self.rules, str) else self.rules

    def hears_of(self, rule_id: str) -> bool:
        """Whether violations of a rule concern it."""
        return rule_id in self.named_rules or "*" in self.named_rules


class Alerts(_Model):
    """Who hears what, and when not."""

    receivers: dict[str, Receiver] = {}
    quiet: str | None = None  # "20:00-09:00": told after it
    resolved: bool = True  # tell that a violation is over

    @field_validator("quiet")
    @classmethod
    def _quiet_hours(cls, value: str | None) -> str | None:
        if value is not None and not _QUIET.fullmatch(value):
            msg = f"{value[:40]!r} is no span; write for example 20:00-09:00"
            raise ValueError(msg)
        if value is not None and len(set(value.split("-"))) == 1:
            msg = f"{value} ends where it begins"
            raise ValueError(msg)
        return value


class Bulk(_Model):
    """When changes of deals count as one bulk change: told in one message, marked `bulk`."""

    deals: int = Field(
        50, ge=1, le=_MOST_DEALS, description="more deals than this, changed by one author"
    )
    minutes: int = Field(10, ge=1, le=1440, description="within so many minutes")

    @property
    def limit(self) -> Limit:
        """As it is judged."""
        return Limit(self.deals, self.minutes * 60)


def _check_pipeline(name: str, own: Any) -> None:
    try:
        PipelineSettings.model_validate({} if own is None else own)
    except ValidationError as error:
        first = first_of(error)
        place = ".".join(part for part in (name, place_of(first)) if part)
        msg = f"{place}: {said(first)}"
        raise ValueError(msg) from None


class AccountDocument(_Model):
    """The whole document; every field has a default."""

    account: str | None = None
    timezone: str | None = None
    currency: str | None = None
    rates: Rates = {}
    work: Work = Work()
    pipelines: dict[str, Any] = {}  # "exclude": [..], else title or id -> PipelineSettings
    fields: dict[str, str | int] = {}  # source, budget, loss_reason -> title, id, or "default"
    receipts_from: Literal["won", "payments"] = Field(
        "won",
        description="what receipts are: amounts of won deals, or payments, each at its own "
        "instant: changes of `fields.paid`, the field of what was paid so far, if it is mapped, "
        "else what the portal's invoices say",
    )
    same_inquiry_hours: int = Field(
        24,
        ge=0,
        le=720,
        description="a client's next form in one pipeline within so many hours of a deal of his is "
        "the same inquiry; 0 = each counts",
    )
    teams: dict[str, list[Member]] = {}
    sellers: dict[str, SellerSettings] = {}
    limits: _LimitsOf = {}  # open_deals open_tasks due_today overdue_tasks hot_deals
    team_limits: dict[str, dict[str, int]] = {}  # team -> the same for each of its sellers
    team_totals: dict[str, dict[str, int]] = {}  # team -> open_deals overdue_tasks of all of them
    newcomer_share: int = Field(50, ge=1, le=100)  # per cent of the normal limits
    rules: dict[str, RuleSettings] = {}
    alerts: Alerts = Alerts()
    bulk: Bulk = Bulk()
    hygiene: Hygiene = Hygiene()
    telephony: bool | None = None  # None = as found
    spam_reasons: list[str] | None = None  # loss reasons that mean "not our client"
    test_tags: list[str] = []  # deals with one of these tags are not judged and count nowhere
    hot_tags: list[str] = []  # deals with one of these tags are hot
    task_minutes: dict[str, int] = Field(
        {},
        description="how long a task of a kind (title or id) takes where the CRM does not say it, "
        "in minutes; `default` (15) for all others",
    )
    junk: list[str] | None = None  # values that mean nothing; None = the built-in list
    stop_texts: list[str] = []  # texts of tasks that say nothing, beside the built-in ones

    @field_validator("currency")
    @classmethod
    def _currency_code(cls, value: str | None) -> str | None:
        if value is not None and not is_currency(value):
            msg = f"{value[:20]!r} is no currency; write for example RUB"
            raise ValueError(msg)
        return value

    @field_validator("task_minutes")
    @classmethod
    def _minutes(cls, value: dict[str, int]) -> dict[str, int]:
        for name, minutes in value.items():
            if not 1 <= minutes <= 1440:
                msg = f"{name}: must be 1 to 1440"
                raise ValueError(msg)
        return value

    @field_validator("fields")
    @classmethod
    def _fields_known(cls, value: dict[str, str | int]) -> dict[str, str | int]:
        _check_names(value, _FIELDS)
        return value

    @field_validator("team_limits", "team_totals")
    @classmethod
    def _team_limits_known(
        cls, value: dict[str, dict[str, int]], info: ValidationInfo
    ) -> dict[str, dict[str, int]]:
        known = TEAM_TOTALS if info.field_name == "team_totals" else _LIMITS
        for name, limits in value.items():
            try:
                _check_limits(limits, known)
            except ValueError as error:
                msg = f"{name}: {error}"
                raise ValueError(msg) from None
        return value

    @field_validator("pipelines")
    @classmethod
    def _pipeline_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Each one must be readable; it stays as written."""
        for name, own in value.items():
            if name != "exclude":
                _check_pipeline(name, own)
            elif not isinstance(own, list) or not all(isinstance(n, str | int) for n in own):
                msg = "exclude must be a list of titles or ids"
                raise ValueError(msg)
        return value

    @field_validator(
        "sellers", "teams", "team_limits", "team_totals", "pipelines", "task_minutes", mode="before"
    )
    @classmethod
    def _seller_names(cls, value: Any) -> Any:
        return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_off(cls, value: Any) -> Any:
        """`card-no-source: off` is YAML for false."""
        if not isinstance(value, dict):
            return value
        off = {"off": True}
        return {str(k): off if v in (False, "off") else v for k, v in value.items()}
