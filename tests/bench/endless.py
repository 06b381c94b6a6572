"""An amoCRM of any size that holds nothing: every row is made from its number when it is asked for.

`python -m tests.bench.endless PORT DEALS`: each deal with a contact, a task, a call and a change of
stage. Deal n was changed n seconds after the first one.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import uvicorn

Row = dict[str, Any]
Query = dict[str, list[str]]
FIRST = 1_750_000_000
_PAGE, _EVENTS_PAGE = 250, 100
_SELLERS = 30
_PIPELINE, _STAGES = 31, (311, 312)


class Endless:
    """The ASGI application."""

    def __init__(self, deals: int) -> None:
        self._deals = deals

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer a GET."""
        if scope["type"] != "http":
            return
        found = self._answer(scope["path"], parse_qs(scope["query_string"].decode()))
        headers = [(b"content-type", b"application/hal+json")]
        status = 200 if found else 204
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = msgspec.json.encode(found) if found else b""
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str, query: Query) -> Row | None:
        name = path.removeprefix("/api/v4/")
        if name in _WHOLE:
            return _WHOLE[name]
        if name == "contacts":
            rows = [_contact(int(number)) for number in query.get("filter[id][]", [])]
            return {"_embedded": {"contacts": rows}}
        if name not in _LISTS:
            return None
        key, make, size = _LISTS[name]
        numbers: Sequence[int] = range(self._deals)
        if name == "events":
            numbers = numbers[::-1]
        elif "filter[updated_at][from]" in query:
            numbers = numbers[max(0, int(query["filter[updated_at][from]"][0]) - FIRST) :]
        page = int(query.get("page", ["1"])[0])
        part = numbers[(page - 1) * size : page * size]
        return _page(
            key, [make(number) for number in part], query, page, page * size < len(numbers)
        )


def _page(key: str, rows: list[Row], query: Query, page: int, goes_on: bool) -> Row | None:
    if not rows:
        return None
    following = urlencode({**query, "page": [str(page + 1)]}, doseq=True)
    links = {"next": {"href": f"https://elsewhere.example/?{following}"}} if goes_on else {}
    return {"_links": links, "_embedded": {key: rows}}


def _seller(number: int) -> int:
    return number % _SELLERS + 1


def _row(number: int, first_id: int) -> Row:
    at = FIRST + number
    who = _seller(number)
    return {
        "id": first_id + number, "created_at": at - 3600, "updated_at": at, "created_by": who,
        "updated_by": who, "responsible_user_id": who, "account_id": 1,
    }  # fmt: skip


def _lead(number: int) -> Row:
    contacts = [{"id": number + 1, "is_main": True}]
    return _row(number, 1) | {
        "name": f"Сделка {number}", "price": 1000 + number, "status_id": _STAGES[1],
        "pipeline_id": _PIPELINE, "loss_reason_id": None, "closed_at": None, "source_id": None,
        "custom_fields_values": None, "_embedded": {"contacts": contacts, "companies": []},
    }  # fmt: skip


def _contact(number: int) -> Row:
    phone = {"field_code": "PHONE", "values": [{"value": f"+7999{number:07}"}]}
    return _row(number, 0) | {"name": f"Клиент {number}", "custom_fields_values": [phone]}


def _task(number: int) -> Row:
    return _row(number, 10_000_000) | {
        "text": "Позвонить", "task_type_id": 1, "entity_id": number + 1, "entity_type": "leads",
        "is_completed": number % 2 == 0, "complete_till": FIRST + number + 86400, "result": [],
    }  # fmt: skip


def _call(number: int) -> Row:
    params = {
        "uniq": f"u{number}", "duration": 60, "source": "pbx", "phone": "+7", "call_status": 4,
        "call_responsible": _seller(number),
    }  # fmt: skip
    return _row(number, 20_000_000) | {
        "entity_id": number + 1, "note_type": "call_out", "params": params,
    }  # fmt: skip


def _event(number: int) -> Row:
    before, after = (
        [{"lead_status": {"id": stage, "pipeline_id": _PIPELINE}}] for stage in _STAGES
    )
    return {
        "id": f"e{number:09}", "type": "lead_status_changed", "entity_type": "lead",
        "entity_id": number + 1, "created_by": _seller(number), "created_at": FIRST + number - 60,
        "value_before": before, "value_after": after,
    }  # fmt: skip


_LISTS: dict[str, tuple[str, Callable[[int], Row], int]] = {
    "leads": ("leads", _lead, _PAGE),
    "tasks": ("tasks", _task, _PAGE),
    "leads/notes": ("notes", _call, _PAGE),
    "events": ("events", _event, _EVENTS_PAGE),
}
_KINDS = ((311, "Первичный контакт", 0), (312, "КП", 0), (142, "Успех", 0), (143, "Провал", 0))
_WHOLE: dict[str, Row] = {
    "account": {"id": 1, "subdomain": "endless", "currency": "RUB", "name": "Endless"},
    "users": {
        "_embedded": {
            "users": [
                {"id": n, "name": f"Продавец {n}", "rights": {"is_active": True}}
                for n in range(1, _SELLERS + 1)
            ]
        }
    },
    "leads/pipelines": {
        "_embedded": {
            "pipelines": [
                {
                    "id": _PIPELINE, "name": "Продажи", "sort": 1,
                    "_embedded": {
                        "statuses": [
                            {"id": stage, "name": name, "sort": place, "type": kind}
                            for place, (stage, name, kind) in enumerate(_KINDS)
                        ]
                    },
                }
            ]
        }
    },
}  # fmt: skip


if __name__ == "__main__":
    uvicorn.run(Endless(int(sys.argv[2])), port=int(sys.argv[1]), log_level="error")
