"""Bitrix24's users, departments, pipelines, stages and user fields as a `Directory`.

Sources: vendor REST documentation of 2026-08-21 (user.get, department.get, crm.category.list,
crm.status.list, crm.deal.fields); proved by tests/crm/bitrix24/samples/rest-*.json.
"""

from collections.abc import Iterator
from typing import Any

from service.crm.bitrix24.mapping import Row, number
from service.crm.bitrix24.rest import Rest, rows_of
from service.domain.directory import CustomField, Directory, Pipeline, Seller, Stage, StageKind
from service.errors import SourceRefused

_DEALS = 2
_SEMANTICS = {"S": StageKind.WON, "F": StageKind.LOST}
_EXTRA = {"success": StageKind.WON, "failure": StageKind.LOST, "apology": StageKind.LOST}


def read(rest: Rest) -> Directory:
    """The whole directory. There are no loss reasons, and no fields required by stage, to read."""
    sellers, complete = _sellers(rest)
    profile = rest.optional("profile") or {}
    calls = rest.optional("voximplant.statistic.get", {"SORT": "ID", "ORDER": "DESC"})
    app = rest.optional("app.info") or {}
    return Directory(
        external_id=app.get("member_id") or None,
        timezone=profile.get("TIME_ZONE") or None,
        currency=_currency(rest),
        loss_reasons_used=False,
        telephony=bool(rows_of(calls)) or None,
        complete_users=complete,
        sellers=tuple(sellers),
        pipelines=tuple(_pipelines(rest)),
        fields=tuple(_fields(rest.optional("crm.deal.fields"))),
    )


def _sellers(rest: Rest) -> tuple[list[Seller], bool]:
    """All employees, dismissed ones too; and whether the webhook may see them."""
    departments = {
        str(row["ID"]): str(row["NAME"])
        for page in _allowed_pages(rest, "department.get")
        for row in page
    }
    try:
        pages = list(rest.by_offset("user.get", {"FILTER": {"USER_TYPE": "employee"}}))
    except SourceRefused:
        return [], False
    return [_seller(row, departments) for page in pages for row in page], True


def _allowed_pages(rest: Rest, method: str) -> list[list[Row]]:
    try:
        return list(rest.by_offset(method, {}))
    except SourceRefused:
        return []


def _seller(row: Row, departments: dict[str, str]) -> Seller:
    names = [str(row.get(name) or "") for name in ("LAST_NAME", "NAME")]
    inside = row.get("UF_DEPARTMENT")
    department = str(inside[0]) if isinstance(inside, list) and inside else None
    return Seller(
        id=str(row["ID"]),
        name=" ".join(name for name in names if name) or str(row["ID"]),
        group=department,
        group_name=departments.get(department or ""),
        active=row.get("ACTIVE") in (True, "Y", "true", "1"),
        timezone=row.get("TIME_ZONE") or None,
    )


def _currency(rest: Rest) -> str | None:
    """The portal's base currency."""
    for row in rows_of(rest.optional("crm.currency.list")):
        if row.get("BASE") == "Y":
            return str(row["CURRENCY"])
    found = rest.optional("crm.currency.base.get")
    return found if isinstance(found, str) and found else None


def _pipelines(rest: Rest) -> Iterator[Pipeline]:
    rows = rows_of(rest.call("crm.category.list", {"entityTypeId": _DEALS}))
    lists = {str(row["id"]): _stage_list(row["id"]) for row in rows}
    stages, _ = rest.each(
        "crm.status.list",
        {
            f"s{category}": {"filter": {"ENTITY_ID": name}, "order": {"SORT": "ASC"}}
            for category, name in lists.items()
        },
    )
    for row in rows:
        category = str(row["id"])
        listed = [s for s in rows_of(stages.get(f"s{category}")) if _is_of(s, lists[category])]
        yield Pipeline(
            id=category,
            name=str(row["name"]),
            sort=number(row.get("sort")),
            main=row.get("isDefault") == "Y",
            stages=tuple(_stage(stage) for stage in listed),
        )


def _is_of(stage: Row, stage_list: str) -> bool:
    return stage.get("ENTITY_ID") in (None, stage_list)


def _stage_list(category: Any) -> str:
    return "DEAL_STAGE" if number(category) == 0 else f"DEAL_STAGE_{category}"


def _stage(row: Row) -> Stage:
    extra = row.get("EXTRA")
    inner = str(extra.get("SEMANTICS")) if isinstance(extra, dict) else ""
    return Stage(
        id=str(row["STATUS_ID"]),
        name=str(row["NAME"]),
        sort=number(row.get("SORT")),
        kind=_SEMANTICS.get(str(row.get("SEMANTICS"))) or _EXTRA.get(inner) or StageKind.OPEN,
    )


def _fields(result: Any) -> Iterator[CustomField]:
    """User fields of deals; options of enumerations by their ids."""
    for name, row in result.items() if isinstance(result, dict) else ():
        if name.startswith("UF_") and isinstance(row, dict):
            yield CustomField(
                id=name,
                name=str(row.get("listLabel") or row.get("formLabel") or row.get("title") or name),
                type=str(row.get("type") or "string"),
                code=name,
                options={str(item["ID"]): str(item["VALUE"]) for item in row.get("items") or []},
            )
