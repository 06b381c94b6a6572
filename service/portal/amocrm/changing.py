"""The REST calls that change the CRM itself: leads added and edited, tasks edited and closed."""

from dataclasses import replace

import msgspec
from starlette.responses import Response

from service.portal.amocrm.answers import Json, link
from service.portal.amocrm.query import Ask, BadQueryError
from service.portal.amocrm.writing import InvalidError, author_of, each, now_of
from service.portal.book import Deal, Pipeline, Task
from service.portal.office import Office, from_unix, unix

_CHOICE = "The value you selected is not a valid choice."


def add_leads(office: Office, ask: Ask) -> Response:
    """POST /api/v4/leads."""
    return each(office, ask, "leads", lambda row: _add_lead(office, row))


def edit_leads(office: Office, ask: Ask) -> Response:
    """PATCH /api/v4/leads, /leads/{id}."""
    return each(office, _single(ask), "leads", lambda row: _edit_lead(office, row))


def edit_tasks(office: Office, ask: Ask) -> Response:
    """PATCH /api/v4/tasks, /tasks/{id}."""
    return each(office, _single(ask), "tasks", lambda row: _edit_task(office, row))


def _single(ask: Ask) -> Ask:
    """With an id in the path the body is one object: the same as a list of one with that id."""
    if "id" not in ask.parts:
        return ask
    try:
        found = msgspec.json.decode(ask.body)
    except msgspec.DecodeError:
        raise BadQueryError(400, "Request body is not JSON") from None
    if not isinstance(found, dict):
        raise BadQueryError(400, "Request body has to be an object")
    body = msgspec.json.encode([{**found, "id": int(ask.parts["id"])}])
    return replace(ask, body=body)


def _whole(row: Json, name: str) -> int | None:
    found = row.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
        raise InvalidError(name, "This value should be of type int.")
    return found


def _text(row: Json, name: str) -> str | None:
    found = row.get(name)
    if found is not None and not isinstance(found, str):
        raise InvalidError(name, "This value should be of type string.")
    return found


def _person(office: Office, row: Json, default: int) -> int:
    found = _whole(row, "responsible_user_id")
    number = default if found is None else found
    if number not in office.book.users:
        raise InvalidError("responsible_user_id", "User not found")
    return number


def _stage(pipeline: Pipeline, row: Json) -> str | None:
    found = _whole(row, "status_id")
    if found is None:
        return None
    if not any(stage.id == str(found) for stage in pipeline.stages):
        raise InvalidError("status_id", _CHOICE)
    return str(found)


def _fields(office: Office, row: Json, before: dict[int, str]) -> dict[int, str] | None:
    """The whole set after the given ones are put; an empty list of values clears one."""
    given = row.get("custom_fields_values")
    if given is None:
        return None
    after = dict(before)
    for number, one in enumerate(given if isinstance(given, list) else [given]):
        path = f"custom_fields_values.{number}"
        field_id = one.get("field_id") if isinstance(one, dict) else None
        if field_id not in office.book.field_names:
            raise InvalidError(f"{path}.field_id", _CHOICE)
        values = one.get("values") or []
        if values:
            after[field_id] = str(values[0].get("value", ""))
        else:
            after.pop(field_id, None)
    return after


def _thin(office: Office, what: str, number: int, updated_at: int) -> Json:
    links = link(office, f"{what}/{number}")
    return {"id": number, "updated_at": updated_at, "_links": links}


def _add_lead(office: Office, row: Json) -> Json:
    book, now, author = office.book, now_of(office), author_of(office)
    asked = _whole(row, "pipeline_id")
    pipeline = next(iter(book.pipelines.values())) if asked is None else None
    pipeline = pipeline or book.pipelines.get(str(asked))
    if pipeline is None:
        raise InvalidError("pipeline_id", _CHOICE)
    first = next(stage.id for stage in pipeline.stages if stage.kind == "open")
    stage = _stage(pipeline, row) or first
    closed = pipeline.stage(stage).kind in {"won", "lost"}
    number = book.next_id()
    deal = Deal(
        id=number, name=_text(row, "name") or f"Сделка #{number}", pipeline_id=pipeline.id,
        stage_id=stage, amount=_whole(row, "price") or 0,
        responsible=_person(office, row, author), created_at=now, created_by=author,
        updated_at=now, updated_by=author, stage_entered_at=now,
        closed_at=now if closed else None,
        fields=tuple(sorted((_fields(office, row, {}) or {}).items())),
    )  # fmt: skip
    book.create_deal(deal)
    return _thin(office, "leads", deal.id, unix(now))


def _edit_lead(office: Office, row: Json) -> Json:
    book, now, author = office.book, now_of(office), author_of(office)
    deal = book.deals.get(_whole(row, "id") or 0)
    if deal is None or deal.deleted_at is not None:
        raise InvalidError("id", "Entity not found")
    stage = _stage(book.pipelines[deal.pipeline_id], row)
    responsible = _person(office, row, deal.responsible)
    reason = _whole(row, "loss_reason_id")
    if reason is not None and reason not in book.loss_reasons:
        raise InvalidError("loss_reason_id", _CHOICE)
    plain = {
        "name": _text(row, "name"),
        "amount": _whole(row, "price"),
        "fields": _fields(office, row, dict(deal.fields)),
        "loss_reason_id": reason,
    }
    if any(value is not None for value in plain.values()):
        book.edit_deal(deal.id, now, author, **plain)  # type: ignore[arg-type]
    if responsible != deal.responsible:
        book.hand_over_deal(deal.id, responsible, now, author)
    if stage is not None and stage != deal.stage_id:
        book.move_deal(deal.id, stage, now, author, reason)
    return _thin(office, "leads", deal.id, unix(book.deals[deal.id].updated_at))


def _edit_task(office: Office, row: Json) -> Json:
    book, now, author = office.book, now_of(office), author_of(office)
    task = book.tasks.get(_whole(row, "id") or 0)
    if task is None or task.deleted_at is not None:
        raise InvalidError("id", "Entity not found")
    due, text = _whole(row, "complete_till"), _text(row, "text")
    responsible = _person(office, row, task.responsible)
    if due is not None or text is not None:
        due_at = None if due is None else from_unix(due)
        book.edit_task(task.id, now, author, due_at=due_at, text=text)
    if responsible != task.responsible:
        book.hand_over_task(task.id, responsible, now, author)
    _finish(office, row, task)
    return _thin(office, "tasks", task.id, unix(book.tasks[task.id].updated_at))


def _finish(office: Office, row: Json, task: Task) -> None:
    if row.get("is_completed") is not True or task.done_at is not None:
        return
    result = row.get("result")
    said = result.get("text") if isinstance(result, dict) else None
    office.book.finish_task(task.id, now_of(office), author_of(office), said)
