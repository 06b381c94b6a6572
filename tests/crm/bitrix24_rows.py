"""Rows of Bitrix24 for tests, and a portal that answers methods alone or in a batch."""

import json
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.crm.kit import sample


def rest(name: str) -> Any:
    return sample("bitrix24", f"rest-{name}")["result"]


class RefusalError(Exception):
    """The portal answers with this error."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.body = {"error": code, "error_description": words}
        self.status = status


NOT_FOUND = RefusalError("", "Not found")
ACCESS_DENIED = RefusalError("", "Access denied.")


class Portal:
    """Answers methods, alone or in a batch; the ones that nobody taught it give an empty list."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        params = json.loads(request.content)
        if method == "batch":
            return httpx.Response(200, json={"result": self._batch(params["cmd"])})
        try:
            return httpx.Response(200, json={"result": self._answer(method, params)})
        except RefusalError as error:
            return httpx.Response(error.status, json=error.body)

    def _batch(self, commands: dict[str, str]) -> dict[str, Any]:
        assert len(commands) <= 50
        results, errors = {}, {}
        for key, command in commands.items():
            method, _, query = command.partition("?")
            params = {name: values[0] for name, values in parse_qs(query).items()}
            try:
                results[key] = self._answer(method, params)
            except RefusalError as error:
                errors[key] = error.body
        return {"result": results or [], "result_error": errors or []}

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        self.asked.append((method, params))
        found = self.methods.get(method, [])
        if isinstance(found, RefusalError):
            raise found
        return found(params) if callable(found) else found


def deal(**given: Any) -> dict[str, Any]:
    return {
        "ID": "21", "TITLE": "Окна", "CATEGORY_ID": "10", "STAGE_ID": "C10:LOSE",
        "OPPORTUNITY": "19999.99", "CURRENCY_ID": "RUB", "ASSIGNED_BY_ID": "7",
        "CREATED_BY_ID": "7", "MODIFY_BY_ID": "9", "MOVED_BY_ID": "7", "LEAD_ID": None,
        "DATE_CREATE": "2024-04-25T17:59:11+03:00", "DATE_MODIFY": "2024-05-21T10:00:00+03:00",
        "MOVED_TIME": "2024-05-20T19:45:00+03:00", "CONTACT_ID": "55", "COMPANY_ID": "0",
        "SOURCE_ID": "WEB", "UF_CRM_1": "x", "UF_CRM_2": "", "UF_CRM_3": ["1", "2"],
        "UF_CRM_4": False, "UF_CRM_5": [], "IS_RECURRING": "N",
    } | given  # fmt: skip


def activity(**given: Any) -> dict[str, Any]:
    return {
        "ID": "10120", "OWNER_ID": "5111", "OWNER_TYPE_ID": "2", "TYPE_ID": "6",
        "PROVIDER_ID": "CRM_TODO", "SUBJECT": "Позвонить клиенту", "DESCRIPTION": "",
        "DEADLINE": "9999-12-31T00:00:00+03:00", "COMPLETED": "N", "RESPONSIBLE_ID": "29",
        "DIRECTION": "0", "CREATED": "2025-08-20T16:00:00+03:00", "AUTHOR_ID": "29",
        "LAST_UPDATED": "2025-08-20T16:00:00+03:00", "EDITOR_ID": "29",
        "START_TIME": "2025-08-21T16:00:00+03:00",
    } | given  # fmt: skip
