"""The REST calls that write: tasks and notes, in lists, answered thinly (amocrm.md 4)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, link, problem
from service.portal.amocrm.query import Ask, BadQueryError
from service.portal.book import Note, Task
from service.portal.office import Office, from_unix, unix

MOST = 250
_FOLLOW_UP = 1


class InvalidError(Exception):
    """A member that cannot be taken."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(detail)
        self.path = path
        self.detail = detail


def add_tasks(office: Office, ask: Ask) -> Response:
    """POST /api/v4/tasks."""
    return each(office, ask, "tasks", lambda row: _add_task(office, row))


def add_notes(office: Office, ask: Ask) -> Response:
    """POST /api/v4/leads/notes, /leads/{id}/notes."""
    lead = ask.parts.get("id")
    return each(office, ask, "notes", lambda row: _add_note(office, row, lead))


def each(office: Office, ask: Ask, name: str, make: Callable[[Json], Json]) -> Response:
    """Take the objects of the body; the answer names each that could not be taken, and why."""
    rows = _rows(ask.body)
    made: list[Json] = []
    faults: list[Json] = []
    for number, row in enumerate(rows):
        told = str(row.get("request_id", number))
        try:
            made.append({**make(row), "request_id": told})
        except InvalidError as error:
            fault = {"code": "NotSupportedChoice", "path": error.path, "detail": error.detail}
            faults.append({"request_id": told, "errors": [fault]})
    if faults:
        return problem(400, "Request validation failed", **{"validation-errors": faults})
    if ask.method == "PATCH" and "id" in ask.parts:
        return hal(made[0])
    links = {"self": {"href": f"{office.base_url}{ask.path}"}}
    return hal({"_links": links, "_embedded": {name: made}})


def _rows(body: bytes) -> list[Json]:
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise BadQueryError(400, "Request body is not JSON") from None
    if not isinstance(found, list) or not found or not all(isinstance(r, dict) for r in found):
        raise BadQueryError(400, "Request body has to be a list of objects")
    if len(found) > MOST:
        raise BadQueryError(400, f"Limit {MOST} entities per request")
    return found


def now_of(office: Office) -> datetime:
    """The portal's instant in whole seconds."""
    return office.clock.now().replace(microsecond=0)


def author_of(office: Office) -> int:
    """In whose name the token writes."""
    admin = office.admin()
    return admin.id if admin else 0


def _lead(office: Office, row: Json, name: str) -> int:
    found = row.get(name)
    deal = office.book.deals.get(found) if isinstance(found, int) else None
    if deal is None or deal.deleted_at is not None:
        raise InvalidError(name, "Entity not found")
    return deal.id


def _add_task(office: Office, row: Json) -> Json:
    text, due = row.get("text"), row.get("complete_till")
    if not isinstance(text, str) or not text:
        raise InvalidError("text", "This field is missing.")
    if not isinstance(due, int):
        raise InvalidError("complete_till", "This field is missing.")
    deal = None
    if row.get("entity_id") is not None:
        if row.get("entity_type") != "leads":
            raise InvalidError("entity_type", "The value you selected is not a valid choice.")
        deal = _lead(office, row, "entity_id")
    author, now = author_of(office), now_of(office)
    responsible = row.get("responsible_user_id", author)
    if responsible not in office.book.users:
        raise InvalidError("responsible_user_id", "User not found")
    task = Task(
        id=office.book.next_id(), text=text, kind_id=row.get("task_type_id") or _FOLLOW_UP,
        deal_id=deal, responsible=responsible, created_at=now, created_by=author,
        updated_at=now, updated_by=author, due_at=from_unix(due),
    )  # fmt: skip
    office.book.set_task(task)
    return {"id": task.id, "updated_at": unix(now), "_links": link(office, f"tasks/{task.id}")}


def _add_note(office: Office, row: Json, lead: str | None) -> Json:
    if row.get("note_type") != "common":
        raise InvalidError("note_type", "The value you selected is not a valid choice.")
    params = row.get("params")
    text = params.get("text") if isinstance(params, dict) else None
    if not isinstance(text, str) or not text:
        raise InvalidError("params.text", "This field is missing.")
    deal = _lead(office, {"entity_id": int(lead)} if lead else row, "entity_id")
    note = Note(office.book.next_id(), deal, text, now_of(office), author_of(office))
    office.book.note(note)
    links = link(office, f"leads/{deal}/notes/{note.id}")
    return {"id": note.id, "entity_id": deal, "updated_at": unix(note.created_at), "_links": links}
