"""Writing a nudge into amoCRM: a task for the seller, or a note on the deal (amocrm.md 6)."""

import json

from service.crm.amocrm.rest import PAGE, Params, Rest, Row, refuse
from service.domain.ports import Nudge
from service.errors import SourceRejected

FOLLOW_UP = 1  # the task type that every account has


def write(rest: Rest, nudge: Nudge) -> str:
    """The id of the new task or note."""
    if nudge.kind == "task":
        task = {
            "text": nudge.text, "complete_till": nudge.due_at, "task_type_id": FOLLOW_UP,
            "entity_id": int(nudge.deal), "entity_type": "leads",
            "responsible_user_id": int(nudge.seller), "request_id": nudge.mark,
        }  # fmt: skip
        return _made(rest, "tasks", task)
    if nudge.kind == "note":
        note = {
            "entity_id": int(nudge.deal), "note_type": "common", "params": {"text": nudge.text},
            "request_id": nudge.mark,
        }  # fmt: skip
        return _made(rest, "leads/notes", note)
    raise SourceRejected(f"amoCRM has no {nudge.kind} to write")


def find(rest: Rest, nudge: Nudge) -> str | None:
    """The id of the task or note with the mark on the deal."""
    path, name, params = f"/api/v4/leads/{nudge.deal}/notes", "notes", list[tuple[str, str]]()
    if nudge.kind == "task":
        path, name = "/api/v4/tasks", "tasks"
        params = [("filter[entity_type]", "leads"), ("filter[entity_id][]", nudge.deal)]
    query: Params = [("limit", PAGE), *params]
    for rows, _ in rest.pages(path, name, query):
        for row in rows:
            if nudge.mark in _text(row):
                return str(row["id"])
    return None


def _text(row: Row) -> str:
    return str(row.get("text") or (row.get("params") or {}).get("text") or "")


def _made(rest: Rest, path: str, body: Row) -> str:
    answer = rest.post(f"/api/v4/{path}", [body], once=True)
    if answer.status in {400, 422}:
        raise SourceRejected(f"amoCRM does not take it ({answer.status}): {_why(answer.body)}")
    refuse(answer)
    made = json.loads(answer.body)["_embedded"][path.rpartition("/")[2]]
    return str(made[0]["id"])


def _why(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return "no reason given"
    return str(found.get("detail") or found.get("title") or "no reason given")[:200]
