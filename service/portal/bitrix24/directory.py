"""The REST methods about the portal itself: pipelines, stages, fields, people, who is asking."""

from typing import Any

from service.portal.bitrix24 import invoices
from service.portal.bitrix24.fields import SOURCES
from service.portal.bitrix24.methods import Method, wanted
from service.portal.bitrix24.params import Params, RestError, Result, whole
from service.portal.bitrix24.table import Column, Table, Wanted
from service.portal.book import Pipeline, Stage, User
from service.portal.office import Office

SCOPES = ["crm", "task", "tasks", "telephony", "user", "user_brief", "department", "im"]
_SEMANTICS = {
    "incoming": (None, "process"),
    "open": (None, "process"),
    "won": ("S", "success"),
    "lost": ("F", "failure"),
}
_COLORS = {"incoming": "#39A8EF", "open": "#39A8EF", "won": "#7BD500", "lost": "#FF5752"}
_LEAD_STAGES = (
    Stage("NEW", "Не обработан", 10, "incoming"),
    Stage("IN_PROCESS", "В работе", 20, "open"),
    Stage("CONVERTED", "Качественный лид", 30, "won"),
    Stage("JUNK", "Некачественный лид", 40, "lost"),
)
_SOURCE_NAMES = {
    "CALL": "Звонок",
    "EMAIL": "Электронная почта",
    "WEB": "Веб-сайт",
    "OPENLINE": "Открытая линия",
    "OTHER": "Другое",
}
_FIELD_TYPES = {"int": "integer", "money": "double", "instant": "datetime", "date": "date"}
_RATES = {"CURRENCY": "RUB", "AMOUNT_CNT": "1", "AMOUNT": "1.0000", "SORT": "100", "BASE": "Y"}


class Directory:
    """Methods that describe one portal."""

    def __init__(self, office: Office, deal_columns: Any) -> None:
        self._office = office
        self._deal_columns = deal_columns

    def all(self) -> dict[str, Method]:
        """Methods by their lower-case names."""
        return {
            "crm.category.list": self.categories,
            "crm.status.list": self.statuses,
            "crm.deal.fields": self.deal_fields,
            "crm.currency.list": lambda _: Result([{**_RATES, "FULL_NAME": "Рубль"}], total=1),
            "crm.currency.base.get": lambda _: Result("RUB"),
            "crm.settings.mode.get": lambda _: Result(1 if office_has_leads(self._office) else 2),
            "user.get": self.users,
            "user.current": lambda _: Result(self._me()),
            "department.get": self.departments,
            "profile": self.profile,
            "scope": lambda _: Result(SCOPES),
            "server.time": self.server_time,
            "app.info": lambda _: Result(_APP),
            "event.bind": _application_only,
            "event.unbind": _application_only,
            "event.get": _application_only,
            "event.offline.get": _application_only,
        }

    def categories(self, params: Params) -> Result:
        """crm.category.list of deals, or of invoices: `result.categories`."""
        entity = whole(params, "entityTypeId", 0)
        if entity == invoices.INVOICE:
            return Result({"categories": [invoices.CATEGORY]}, total=1)
        if entity != 2:
            raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
        rows = sorted(self._office.book.pipelines.values(), key=lambda row: row.sort)
        found = [
            {
                "id": int(row.id),
                "name": row.name,
                "sort": row.sort,
                "entityTypeId": 2,
                "isDefault": "Y" if row.id == "0" else "N",
            }
            for row in rows
        ]
        return Result({"categories": found}, total=len(found))

    def statuses(self, params: Params) -> Result:
        """crm.status.list: stages of deals, leads and invoices, sources."""
        rows: list[dict[str, Any]] = []
        for pipeline in self._office.book.pipelines.values():
            rows += [_status(_entity(pipeline), stage) for stage in pipeline.stages]
        rows += [_status("STATUS", stage) for stage in _LEAD_STAGES]
        rows += [_status(invoices.STAGE_LIST, stage) for stage in invoices.STAGES.values()]
        names = {**_SOURCE_NAMES, **dict.fromkeys(self._sources(), "")}
        for place, name in enumerate(names):
            title = _SOURCE_NAMES.get(name) or name
            rows.append(_row("SOURCE", name, title, 10 * (place + 1)))
        for number, row in enumerate(rows):
            row["ID"] = str(101 + 2 * number)
        columns = {name: Column[Any]("raw", _reader(name)) for name in rows[0]}
        columns["SORT"] = Column[Any]("int", _reader("SORT"))
        found = Table(columns, self._office.zone).listing(rows, _without_pages(params))
        return Result(found.value, total=found.total)

    def _sources(self) -> list[str]:
        deals = {deal.source_id for deal in self._office.book.deals.values() if deal.source_id}
        return sorted(deals - set(SOURCES.values()))

    def deal_fields(self, _params: Params) -> Result:
        """crm.deal.fields."""
        names = self._office.book.field_names
        found = {}
        for name, column in self._deal_columns().items():
            dynamic = name.startswith("UF_")
            label = names[int(name.removeprefix("UF_CRM_"))] if dynamic else name
            found[name] = {
                "type": _FIELD_TYPES.get(column.kind, "string"),
                "isRequired": False,
                "isReadOnly": name == "ID",
                "isImmutable": False,
                "isMultiple": False,
                "isDynamic": dynamic,
                "title": name if dynamic else label,
                **({"listLabel": label, "formLabel": label} if dynamic else {}),
            }
        return Result(found)

    def users(self, params: Params) -> Result:
        """user.get; FILTER or filter, paged by start."""
        asked = _without_pages(params)
        columns: dict[str, Column[User]] = {
            "ID": Column("int", lambda user: user.id),
            "ACTIVE": Column("raw", lambda user: user.is_active),
            "USER_TYPE": Column("text", lambda _user: "employee"),
        }
        start = max(whole(params, "start", 0), 0)
        table = Table(columns, self._office.zone)
        rules = {
            key: _flag(value) if key.endswith("ACTIVE") else value
            for key, value in asked.filter.items()
        }
        users = self._office.book.users.values()
        page = table.listing(users, Wanted(rules, asked.order, ["ID"], start))
        people = self._office.book.users
        rows = [self._user(people[int(row["ID"])]) for row in page.value]
        return Result(rows, total=page.total, next=page.next)

    def _user(self, user: User) -> dict[str, Any]:
        first, _, last = user.name.partition(" ")
        return {
            "ID": str(user.id),
            "ACTIVE": user.is_active,
            "NAME": first,
            "LAST_NAME": last,
            "SECOND_NAME": "",
            "EMAIL": f"user{user.id}@example.com",
            "LAST_LOGIN": "",
            "DATE_REGISTER": "2024-07-15T03:00:00+03:00",
            "TIME_ZONE": "",
            "IS_ONLINE": "N",
            "TIMESTAMP_X": {},
            "LAST_ACTIVITY_DATE": {},
            "PERSONAL_GENDER": "",
            "PERSONAL_BIRTHDAY": "",
            "WORK_POSITION": "",
            "UF_EMPLOYMENT_DATE": "",
            "UF_DEPARTMENT": [user.group_id or 1],
            "USER_TYPE": "employee",
        }

    def _me(self) -> dict[str, Any]:
        admin = self._office.admin()
        return {} if admin is None else self._user(admin)

    def departments(self, params: Params) -> Result:
        """department.get: the company and its groups."""
        groups = sorted({user.group_id for user in self._office.book.users.values()} - {0, 1})
        rows: list[dict[str, Any]] = [{"ID": "1", "NAME": self._office.subdomain, "SORT": 500}]
        rows += [
            {"ID": str(number), "NAME": f"Отдел {number}", "SORT": 500, "PARENT": "1"}
            for number in groups
        ]
        wanted_id = params.get("ID")
        found = [row for row in rows if wanted_id is None or row["ID"] == str(wanted_id)]
        return Result(found, total=len(found))

    def profile(self, _params: Params) -> Result:
        """profile: the webhook's maker, an administrator here."""
        me = self._me()
        return Result(
            {
                "ID": me.get("ID", "1"),
                "ADMIN": bool(me),
                "NAME": me.get("NAME", ""),
                "LAST_NAME": me.get("LAST_NAME", ""),
                "PERSONAL_GENDER": "",
                "TIME_ZONE": self._office.zone.key,
            }
        )

    def server_time(self, _params: Params) -> Result:
        """server.time."""
        return Result(self._office.local_iso(self._office.clock.now()))


_APP = {
    "ID": 5,
    "CODE": "local.webhook",
    "VERSION": 1,
    "STATUS": "L",
    "INSTALLED": True,
    "PAYMENT_EXPIRED": "N",
    "DAYS": None,
    "LANGUAGE_ID": "ru",
    "LICENSE": "ru_basic",
    "LICENSE_TYPE": "basic",
    "LICENSE_FAMILY": "basic",
}


def office_has_leads(office: Office) -> bool:
    """Does this portal work with leads (classic mode)."""
    return bool(office.book.inquiries)


def _application_only(_params: Params) -> Result:
    """Events are an application's business; a webhook is refused."""
    raise RestError(403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")


def _without_pages(params: Params) -> Wanted:
    asked = wanted(params)
    return Wanted(asked.filter, asked.order, asked.select, 0)


def _flag(value: Any) -> Any:
    """ACTIVE may be asked for as true, 1 or Y."""
    return {"true": "Y", "1": "Y", "false": "N", "0": "N"}.get(str(value).lower(), value)


def _entity(pipeline: Pipeline) -> str:
    return "DEAL_STAGE" if pipeline.id == "0" else f"DEAL_STAGE_{pipeline.id}"


def _reader(name: str) -> Any:
    return lambda row: row[name]


def _status(entity: str, stage: Stage) -> dict[str, Any]:
    semantics, extra = _SEMANTICS[stage.kind]
    row = _row(entity, stage.id, stage.name, stage.sort)
    color = _COLORS[stage.kind]
    extras = {"SEMANTICS": extra, "COLOR": color}
    return {**row, "COLOR": color, "SEMANTICS": semantics, "EXTRA": extras}


def _row(entity: str, status: str, name: str, sort: int) -> dict[str, Any]:
    return {
        "ID": "",
        "ENTITY_ID": entity,
        "STATUS_ID": status,
        "NAME": name,
        "NAME_INIT": "",
        "SORT": sort,
        "SYSTEM": "N",
        "CATEGORY_ID": None,
        "COLOR": None,
        "SEMANTICS": None,
        "EXTRA": None,
    }
