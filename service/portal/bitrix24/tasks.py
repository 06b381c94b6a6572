"""Tasks: selected and filtered in UPPER_CASE, answered in camelCase, numbers as text."""

from datetime import datetime
from typing import Any

from service.portal.bitrix24.fields import fixed
from service.portal.bitrix24.log import DONE, WAITING, TaskRow
from service.portal.bitrix24.table import Column
from service.portal.book import Task, User

_OVERDUE = -1


def task_fields(now: datetime) -> dict[str, Column[Task]]:
    """tasks.task.*; `now` decides the computed SUB_STATUS. UF_CRM_TASK has to be named."""

    def status(task: Task) -> int:
        return WAITING if task.done_at is None else DONE

    def sub_status(task: Task) -> int:
        return _OVERDUE if task.done_at is None and task.due_at < now else status(task)

    def bound(task: Task) -> list[str]:
        return [] if task.deal_id is None else [f"D_{task.deal_id}"]

    return {
        "ID": Column("int", lambda task: task.id),
        "PARENT_ID": fixed(None),
        "TITLE": Column("text", lambda task: task.text),
        "DESCRIPTION": fixed(""),
        "MARK": fixed(""),
        "PRIORITY": fixed("1"),
        "STATUS": Column("int", status),
        "REAL_STATUS": Column("int", status, plain=False),
        "SUB_STATUS": Column("int", sub_status),
        "GROUP_ID": fixed("0"),
        "STAGE_ID": fixed("0"),
        "CREATED_BY": Column("int", lambda task: task.created_by),
        "CREATED_DATE": Column("instant", lambda task: task.created_at),
        "RESPONSIBLE_ID": Column("int", lambda task: task.responsible),
        "ACCOMPLICES": fixed([]),
        "AUDITORS": fixed([]),
        "CHANGED_BY": Column("int", lambda task: task.updated_by),
        "CHANGED_DATE": Column("instant", lambda task: task.updated_at),
        "STATUS_CHANGED_BY": Column("int", lambda task: task.updated_by),
        "STATUS_CHANGED_DATE": Column("instant", lambda task: task.done_at or task.created_at),
        "CLOSED_BY": Column("int", lambda task: task.updated_by if task.done_at else 0),
        "CLOSED_DATE": Column("instant", lambda task: task.done_at),
        "ACTIVITY_DATE": Column("instant", lambda task: task.updated_at),
        "DATE_START": fixed(None),
        "DEADLINE": Column("instant", lambda task: task.due_at),
        "COMMENTS_COUNT": fixed("0"),
        "UF_CRM_TASK": Column("list", bound, plain=False),
        "UF_TASK_WEBDAV_FILES": Column("raw", lambda _task: False, plain=False),
        "UF_MAIL_MESSAGE": Column("raw", lambda _task: None, plain=False),
    }


def camel(name: str) -> str:
    """`UF_CRM_TASK` -> `ufCrmTask`."""
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


def answered(row: dict[str, Any], users: dict[int, User]) -> dict[str, Any]:
    """A rendered row as tasks methods answer it, with its people."""
    found = {camel(name): value for name, value in row.items()}
    found["group"] = []
    for name, person in (("CREATED_BY", "creator"), ("RESPONSIBLE_ID", "responsible")):
        if row.get(name) is not None:
            found[person] = _person(int(row[name]), users)
    return found


def _person(user_id: int, users: dict[int, User]) -> dict[str, Any]:
    user = users.get(user_id)
    return {
        "id": str(user_id),
        "name": user.name if user else "",
        "link": f"/company/personal/user/{user_id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": None,
    }


def history_row(row: TaskRow, at: str, users: dict[int, User]) -> dict[str, Any]:
    """A row of tasks.task.history.list; deadlines in it are unix seconds as text."""
    user = users.get(row.user)
    first, _, last = (user.name if user else "").partition(" ")
    return {
        "id": row.id,
        "createdDate": at,
        "field": row.field,
        "value": {"from": row.before, "to": row.after},
        "user": {
            "id": row.user,
            "name": first,
            "lastName": last,
            "secondName": "",
            "login": f"user{row.user}@example.com",
        },
    }
