"""amoCRM's account, users, pipelines, loss reasons and custom fields as a `Directory`.

Sources: amoCRM developers "Account", "Users", "Pipelines", "Custom fields"; proved by
tests/crm/amocrm/samples/rest-{account,users,pipelines,loss-reasons}.json.
"""

from service.crm.amocrm.rest import Rest, Row
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
    TaskKind,
)
from service.errors import SourceRefused

DEFAULT_GROUP = "Отдел продаж"
_KINDS = {"142": StageKind.WON, "143": StageKind.LOST}
_INCOMING = 1


def read(rest: Rest) -> Directory:
    """The whole directory. Without an administrator's token the list of users stays empty."""
    account = rest.get("/api/v4/account", [("with", "task_types,users_groups,datetime_settings")])
    linked = account.get("_embedded") or {}
    groups = {str(group["id"]): group["name"] for group in linked.get("users_groups") or []}
    rows, complete = users(rest)
    settings = linked.get("datetime_settings") or {}
    reasons = rest.allowed("/api/v4/leads/loss_reasons", "loss_reasons")
    fields = rest.allowed("/api/v4/leads/custom_fields", "custom_fields")
    pipelines = rest.all("/api/v4/leads/pipelines", "pipelines")
    return Directory(
        external_id=str(account["id"]),
        subdomain=account.get("subdomain"),
        timezone=settings.get("timezone") or None,
        currency=account.get("currency") or None,
        loss_reasons_used=bool(account.get("is_loss_reason_enabled", True)),
        complete_users=complete,
        sellers=tuple(_seller(row, groups) for row in rows),
        pipelines=tuple(_pipeline(row) for row in pipelines),
        loss_reasons=tuple(LossReason(id=str(r["id"]), name=r["name"]) for r in reasons),
        fields=tuple(_field(row) for row in fields),
        task_kinds=tuple(
            TaskKind(id=str(kind["id"]), name=kind["name"])
            for kind in linked.get("task_types") or []
        ),
    )


def users(rest: Rest) -> tuple[list[Row], bool]:
    """(rows of all users, whether the token may see them)."""
    try:
        return rest.all("/api/v4/users", "users"), True
    except SourceRefused:
        return [], False


def _seller(row: Row, groups: dict[str, str]) -> Seller:
    rights = row.get("rights") or {}
    group = str(rights.get("group_id") or 0)
    return Seller(
        id=str(row["id"]),
        name=row.get("name") or str(row["id"]),
        group=group,
        group_name=groups.get(group) or DEFAULT_GROUP,
        active=bool(rights.get("is_active", True)),
        admin=bool(rights.get("is_admin")),
    )


def _pipeline(row: Row) -> Pipeline:
    return Pipeline(
        id=str(row["id"]),
        name=row["name"],
        sort=row.get("sort") or 0,
        main=bool(row.get("is_main")),
        archived=bool(row.get("is_archive")),
        stages=tuple(_stage(s) for s in (row.get("_embedded") or {}).get("statuses") or []),
    )


def _stage(row: Row) -> Stage:
    kind = _KINDS.get(str(row["id"]), StageKind.OPEN)
    if row.get("type") == _INCOMING:
        kind = StageKind.INCOMING
    return Stage(id=str(row["id"]), name=row["name"], sort=row.get("sort") or 0, kind=kind)


def _field(row: Row) -> CustomField:
    required = row.get("required_statuses") or []
    return CustomField(
        id=str(row["id"]),
        name=row["name"],
        type=row.get("type") or "text",
        code=row.get("code") or None,
        required=tuple((str(r["pipeline_id"]), str(r["status_id"])) for r in required),
        options={str(e["id"]): str(e["value"]) for e in row.get("enums") or []},
    )
