"""Writing a nudge into Bitrix24: a to-do or a comment on the deal, or a notification (9)."""

from datetime import UTC, datetime

from service.crm.bitrix24.rest import Rest, Row, rows_of
from service.domain.ports import Nudge
from service.errors import SourceRejected

DEAL = 2
CLIENT = "dozor"


def write(rest: Rest, nudge: Nudge) -> str:
    """The id of what was made."""
    if nudge.kind == "task":
        todo = {
            "ownerTypeId": DEAL, "ownerId": int(nudge.deal), "title": nudge.text,
            "description": nudge.text, "responsibleId": int(nudge.seller),
            "deadline": datetime.fromtimestamp(nudge.due_at, UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        return str(rest.write("crm.activity.todo.add", todo)["id"])
    if nudge.kind == "note":
        comment = {"ENTITY_ID": int(nudge.deal), "ENTITY_TYPE": "deal", "COMMENT": nudge.text}
        return str(rest.write("crm.timeline.comment.add", {"fields": comment}))
    if nudge.kind == "chat":
        message = {
            "USER_ID": int(nudge.seller), "MESSAGE": nudge.text, "TAG": nudge.mark,
            "CLIENT_ID": CLIENT,
        }  # fmt: skip
        return str(rest.write("im.notify.personal.add", message))
    raise SourceRejected(f"Bitrix24 has no {nudge.kind} to write")


def find(rest: Rest, nudge: Nudge) -> str | None:
    """The id of the to-do or comment with the mark; a notification with the same tag replaces."""
    where: Row
    if nudge.kind == "task":
        method, where = "crm.activity.list", {"OWNER_TYPE_ID": DEAL, "OWNER_ID": int(nudge.deal)}
    elif nudge.kind == "note":
        method = "crm.timeline.comment.list"
        where = {"ENTITY_TYPE": "deal", "ENTITY_ID": int(nudge.deal)}
    else:
        return None
    for row in rows_of(rest.call(method, {"filter": where, "order": {"ID": "DESC"}})):
        if any(nudge.mark in str(row.get(name) or "") for name in ("SUBJECT", "COMMENT")):
            return str(row["ID"])
    return None
