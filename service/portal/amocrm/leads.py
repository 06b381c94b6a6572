"""GET leads and one lead."""

from collections.abc import Callable

from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, link, nothing, page
from service.portal.amocrm.catalogs import linked
from service.portal.amocrm.pipelines import loss_reason
from service.portal.amocrm.query import Ask
from service.portal.book import Deal
from service.portal.office import Office, unix

_ORDERS: dict[str, Callable[[Deal], object]] = {
    "created_at": lambda deal: (deal.created_at, deal.id),
    "updated_at": lambda deal: (deal.updated_at, deal.id),
    "id": lambda deal: deal.id,
}


def leads(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads; with `with=only_deleted` the thin rows of deleted leads."""
    if ask.wants("only_deleted"):
        gone = [deal for deal in office.book.deals.values() if deal.deleted_at is not None]
        gone.sort(key=lambda deal: deal.id)
        return page(office, ask, "leads", gone, lambda deal: _deleted(office, deal))
    rows = [deal for deal in office.book.deals.values() if _matches(ask, deal)]
    _sort(rows, ask)
    nearest = nearest_tasks(office)
    return page(office, ask, "leads", rows, lambda deal: _lead(office, ask, deal, nearest))


def lead(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/{id}: 204 for an unknown or deleted one."""
    found = office.book.deals.get(int(ask.parts["id"]))
    if found is None or found.deleted_at is not None:
        return nothing()
    return hal(_lead(office, ask, found, nearest_tasks(office)))


def links(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/{id}/links: the contacts of a lead."""
    found = office.book.deals.get(int(ask.parts["id"]))
    rows = [] if found is None else list(found.contact_ids)
    if not rows:
        return nothing()
    body = [
        {"to_entity_id": number, "to_entity_type": "contacts", "metadata": {"main_contact": first}}
        for number, first in zip(rows, [True] + [False] * len(rows), strict=False)
    ]
    return hal({"_links": link(office, ask.path), "_embedded": {"links": body}})


def _sort(rows: list[Deal], ask: Ask) -> None:
    for name, key in _ORDERS.items():
        direction = ask.text("order", name)
        if direction is not None:
            rows.sort(key=key, reverse=direction == "desc")  # type: ignore[arg-type]
            return
    rows.sort(key=lambda deal: deal.id)


def _matches(ask: Ask, deal: Deal) -> bool:
    if deal.deleted_at is not None:
        return False
    numbers = {
        "id": deal.id,
        "responsible_user_id": deal.responsible,
        "created_by": deal.created_by,
        "updated_by": deal.updated_by,
        "pipeline_id": int(deal.pipeline_id),
    }
    for name, number in numbers.items():
        wanted = ask.numbers("filter", name)
        if wanted is not None and number not in wanted:
            return False
    instants = {
        "created_at": deal.created_at,
        "updated_at": deal.updated_at,
        "closed_at": deal.closed_at,
    }
    for name, instant in instants.items():
        span = ask.span("filter", name)
        if span is not None and (instant is None or not span[0] <= unix(instant) <= span[1]):
            return False
    return _in_statuses(ask, deal)


def _in_statuses(ask: Ask, deal: Deal) -> bool:
    """`filter[statuses][i][pipeline_id]` with `[status_id]`: pairs only."""
    pairs = ask.node("filter", "statuses")
    if not isinstance(pairs, dict):
        return True
    wanted = [pair for pair in pairs.values() if isinstance(pair, dict)]
    return not wanted or any(
        pair.get("pipeline_id") == deal.pipeline_id and pair.get("status_id") == deal.stage_id
        for pair in wanted
    )


def nearest_tasks(office: Office) -> dict[int, int]:
    """Deal id -> the earliest deadline (unix seconds) of its open tasks."""
    found: dict[int, int] = {}
    for task in office.book.tasks.values():
        if task.deal_id is None or task.done_at is not None or task.deleted_at is not None:
            continue
        due = unix(task.due_at)
        found[task.deal_id] = min(due, found.get(task.deal_id, due))
    return found


def custom_fields(office: Office, deal: Deal) -> list[Json] | None:
    """Filled fields only; None when there are none, as the CRM does."""
    names = office.book.field_names
    found = [
        {
            "field_id": field_id,
            "field_name": names.get(field_id, str(field_id)),
            "field_code": None,
            "field_type": "text",
            "values": [{"value": text}],
            "is_computed": False,
        }
        for field_id, text in deal.fields
        if text
    ]
    return found or None


def group_of(office: Office, user_id: int) -> int:
    """The department of a user; 0 is the default one."""
    user = office.book.users.get(user_id)
    return user.group_id if user else 0


def _lead(office: Office, ask: Ask, deal: Deal, nearest: dict[int, int]) -> Json:
    body: Json = {
        "id": deal.id,
        "name": deal.name,
        "price": deal.amount,
        "responsible_user_id": deal.responsible,
        "group_id": group_of(office, deal.responsible),
        "status_id": int(deal.stage_id),
        "pipeline_id": int(deal.pipeline_id),
        "loss_reason_id": deal.loss_reason_id,
        "created_by": deal.created_by,
        "updated_by": deal.updated_by,
        "created_at": unix(deal.created_at),
        "updated_at": unix(deal.updated_at),
        "closed_at": None if deal.closed_at is None else unix(deal.closed_at),
        "closest_task_at": nearest.get(deal.id),
        "is_deleted": False,
        "custom_fields_values": custom_fields(office, deal),
        "score": None,
        "account_id": office.account_id,
        "labor_cost": None,
        "is_price_computed": False,
        "_links": link(office, f"leads/{deal.id}"),
        "_embedded": _embedded(office, ask, deal),
    }
    if ask.wants("source_id"):
        body["source_id"] = _source(deal)
    if ask.wants("is_price_modified_by_robot"):
        body["is_price_modified_by_robot"] = False
    return body


def _source(deal: Deal) -> int | None:
    return int(deal.source_id) if deal.source_id and deal.source_id.isdecimal() else None


def _embedded(office: Office, ask: Ask, deal: Deal) -> Json:
    embedded: Json = {"tags": [], "companies": []}
    if ask.wants("catalog_elements"):
        embedded["catalog_elements"] = linked(office, deal.id)
    if ask.wants("loss_reason"):
        known = deal.loss_reason_id in office.book.loss_reasons
        embedded["loss_reason"] = (
            [loss_reason(office, deal.loss_reason_id)]
            if known and deal.loss_reason_id is not None
            else []
        )
    if ask.wants("contacts"):
        embedded["contacts"] = [
            {"id": number, "is_main": place == 0, "_links": link(office, f"contacts/{number}")}
            for place, number in enumerate(deal.contact_ids)
        ]
    return embedded


def _deleted(office: Office, deal: Deal) -> Json:
    return {
        "id": deal.id,
        "updated_at": unix(deal.updated_at),
        "updated_by": deal.updated_by,
        "is_deleted": True,
        "_links": link(office, f"leads/{deal.id}"),
    }
