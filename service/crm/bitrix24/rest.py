"""Calling Bitrix24's REST: one method, or fifty in a batch; errors in their many shapes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from service.crm.bearer import Bearer
from service.crm.bitrix24 import oauth
from service.crm.bitrix24.operating import Operating
from service.domain.instant import Instant
from service.domain.ports import Connection, PortalHttp, PortalResponse
from service.errors import SourceLimited, SourceRefused, SourceRejected, SourceUnavailable

BATCH = 50
PAGE = 50
SLOW_DOWN_SECONDS = 5.0
OPERATING_SECONDS = 120.0
Row = dict[str, Any]
_REFUSALS = {
    "no_auth_found": "the incoming webhook is deleted, expired or wrong; make a new one: --token",
    "invalid_credentials": "the incoming webhook is not valid; make a new one: --token",
    "expired_token": "the token has expired; connect the portal again",
    "insufficient_scope": "the webhook lacks a right (scopes crm, task, user, telephony)",
    "access_denied": "the portal's plan or the webhook's rights do not allow this",
    "portal_deleted": "the portal is closed",
    "overload_limit": "the portal is blocked by its vendor for too many requests",
}


class MethodMissing(SourceUnavailable):
    """The portal has no such method (module or plan lacks it)."""


class Rest:
    """The methods of one portal through its incoming webhook."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._http = http
        self._operating = Operating()
        self.told_at: Instant = 0
        """When the portal last answered, by its own clock."""
        secrets = connection.secrets
        fixed = secrets.get("token", "")
        self._prefix = f"/rest/{secrets.get('user', '')}/{fixed}" if fixed else "/rest"
        self._bearer = Bearer(connection, fixed, partial(oauth.refresh, connection, http), None)

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """`result` of one method."""
        return self.answer(method, params).get("result")

    def write(self, method: str, params: Mapping[str, Any]) -> Any:
        """`result` of a method that must not be done twice: not tried again after a fault.

        Raises:
            SourceRejected: the portal will never take it (400).
        """
        answer = self._send(method, params, once=True)
        if answer.status == 400:
            raise SourceRejected(f"Bitrix24 does not take it: {words_of(_document(answer))[:200]}")
        return _read(answer).get("result")

    def answer(self, method: str, params: Mapping[str, Any] | None = None) -> Row:
        """The whole answer of one method."""
        return self._answered(method, params or {}, method)

    def _answered(self, method: str, params: Mapping[str, Any], *inner: str) -> Row:
        """An answer, at the pace that the time of its methods allows."""
        if pause := self._operating.pause(method, *inner):
            self._http.wait(pause)
        found = _read(self._send(method, params))
        time = found.get("time")
        self._operating.note(method, time)
        if isinstance(time, dict) and isinstance(time.get("finish"), int | float):
            self.told_at = int(time["finish"])
        return found

    def _send(
        self, method: str, params: Mapping[str, Any], *, once: bool = False
    ) -> PortalResponse:
        """A call; an application's token goes along, and is renewed when it has expired."""
        path, token = f"{self._prefix}/{method}", self._bearer.get()
        if self._prefix != "/rest":
            return self._http.request("POST", path, json=dict(params), once=once)
        answer = self._http.request("POST", path, json={**params, "auth": token}, once=once)
        if _has_expired(answer) and (fresh := self._bearer.renewed(token)):
            answer = self._http.request("POST", path, json={**params, "auth": fresh}, once=once)
        return answer

    def optional(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """`result`, or None where the portal lacks the method or the right to it."""
        try:
            return self.call(method, params)
        except (MethodMissing, SourceRefused):
            return None

    def batch(self, calls: Mapping[str, tuple[str, Mapping[str, Any]]]) -> tuple[Row, Row]:
        """Many calls, fifty a request: (results by key, errors by key)."""
        results: Row = {}
        errors: Row = {}
        keys = list(calls)
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH]
            commands = {k: f"{calls[k][0]}?{urlencode(_flat(calls[k][1]))}" for k in part}
            inner = {key: calls[key][0] for key in part}
            given = {"halt": 0, "cmd": commands}
            result = self._answered("batch", given, *inner.values()).get("result") or {}
            for key, time in _map(result.get("result_time")).items():
                self._operating.note(inner.get(key, "batch"), time)
            results |= _map(result.get("result"))
            errors |= _map(result.get("result_error"))
        for error in errors.values():
            _refuse_pause(error)
        return results, errors

    def each(self, method: str, params: Mapping[str, Mapping[str, Any]]) -> tuple[Row, Row]:
        """One method for many keys, in batches: (results by key, errors by key).

        Keys get a letter on the way: PHP would make a list of numbers that follow each other.
        """
        calls = {f"k{key}": (method, given) for key, given in params.items()}
        results, errors = self.batch(calls)
        return {k[1:]: v for k, v in results.items()}, {k[1:]: v for k, v in errors.items()}

    def listed(self, method: str, ids: Sequence[str], select: Sequence[str] = ()) -> list[Row]:
        """Rows of a crm.*.list with these ids; absent ones are gone, or out of sight."""
        found: list[Row] = []
        for start in range(0, len(ids), PAGE):
            part = list(ids[start : start + PAGE])
            given = {"filter": {"@ID": part}, "select": list(select), "start": -1}
            rows = rows_of(self.call(method, given))
            # Bitrix24 ignores a filter that it does not know and answers with the whole table.
            found += [row for row in rows if str(row["ID"]) in part]
        return found

    def gone(self, method: str, ids: Sequence[str]) -> list[str]:
        """Which of these the portal calls not found; "access denied" is a blind spot, not that."""
        _, errors = self.each(method, {subject: {"id": subject} for subject in ids})
        return [subject for subject in ids if "not found" in words_of(errors.get(subject))]

    def by_id(self, method: str, params: Mapping[str, Any], after: int = 0) -> Iterator[list[Row]]:
        """Pages of a crm.*.list by `>ID` with start=-1: the fast way over a big table."""
        last = after
        while True:
            given = dict(params)
            given["filter"] = {**dict(params.get("filter") or {}), ">ID": last}
            rows = rows_of(self.call(method, {**given, "order": {"ID": "ASC"}, "start": -1}))
            fresh = [row for row in rows if int(row["ID"]) > last]
            if fresh:
                yield fresh
                last = max(int(row["ID"]) for row in fresh)
            if len(rows) < PAGE or not fresh:
                return

    def by_offset(self, method: str, params: Mapping[str, Any]) -> Iterator[list[Row]]:
        """Pages of a method that only knows `start`."""
        start: Any = 0
        while start is not None:
            answer = self.answer(method, {**params, "start": start})
            rows = rows_of(answer.get("result"))
            if rows:
                yield rows
            start = answer.get("next") if rows else None


def _has_expired(answer: PortalResponse) -> bool:
    """`expired_token`, in any letters, whatever the status."""
    return answer.body[:200].lstrip().startswith(b"{") and (
        b'"expired_token"' in answer.body[:500].lower()
    )


def rows_of(result: Any) -> list[Row]:
    """The rows in a result: a list, or under `items`, `tasks`, `list`, `categories`."""
    if isinstance(result, dict):
        for name in ("items", "tasks", "list", "categories"):
            if name in result:
                return rows_of(result[name])
        return [row for row in result.values() if isinstance(row, dict)]
    return [row for row in result or [] if isinstance(row, dict)]


def _read(response: PortalResponse) -> Row:
    """The body first, then the status: some faults come with 200."""
    document = _document(response)
    if "error" in document:
        _raise(response.status, document)
    if response.status != 200:
        raise SourceUnavailable(f"the portal answered {response.status}")
    return document


def _document(response: PortalResponse) -> Row:
    try:
        document = json.loads(response.body)
    except ValueError:
        raise SourceUnavailable(
            f"the portal answered {response.status} and something that is no JSON"
        ) from None
    if not isinstance(document, dict):
        raise SourceUnavailable("the portal answered no JSON object")
    return document


def _raise(status: int, document: Row) -> None:
    code = str(document.get("error") or "").lower()
    text = str(document.get("error_description") or "")
    if code == "query_limit_exceeded":
        raise SourceLimited("the portal asks to slow down", SLOW_DOWN_SECONDS)
    if code == "operation_time_limit":
        raise SourceLimited("the method's time on the portal is used up", OPERATING_SECONDS)
    if code == "error_method_not_found":
        raise MethodMissing(f"the portal has no such method: {text}")
    if code in _REFUSALS:
        raise SourceRefused(_REFUSALS[code])
    raise SourceUnavailable(f"the portal answered {status}: {code or text}")


def words_of(error: Any) -> str:
    """What a failed call of a batch says, in small letters."""
    if isinstance(error, dict):
        return f"{error.get('error') or ''} {error.get('error_description') or ''}".lower()
    return str(error or "").lower()


def _refuse_pause(error: Any) -> None:
    """A call that failed for want of time must not look like one without a result."""
    words = words_of(error)
    if "query_limit_exceeded" in words:
        raise SourceLimited("the portal asks to slow down", SLOW_DOWN_SECONDS)
    if "operation_time_limit" in words:
        raise SourceLimited("the method's time on the portal is used up", OPERATING_SECONDS)


def _map(value: Any) -> Row:
    """Empty maps come as empty lists."""
    return value if isinstance(value, dict) else {}


def _flat(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested parameters as PHP bracket keys."""
    found: list[tuple[str, str]] = []
    for name, value in params.items():
        key = f"{prefix}[{name}]" if prefix else str(name)
        if isinstance(value, dict):
            found += _flat(value, key)
        elif isinstance(value, list):
            found += _flat({str(i): item for i, item in enumerate(value)}, key)
        else:
            found.append((key, str(value)))
    return found
