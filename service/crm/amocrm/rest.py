"""Calling amoCRM's API v4: one call, pages of a list, rows by id; errors by their status."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from service.crm.amocrm import oauth
from service.crm.bearer import Bearer
from service.domain.ports import Connection, PortalHttp, PortalResponse
from service.errors import SourceLimited, SourceRefused, SourceUnavailable

PAGE = 250
IDS = 50
BLOCKED_SECONDS = 3600
Params = list[tuple[str, Any]]
Row = dict[str, Any]


class PathMissing(SourceUnavailable):
    """This portal has no such path."""


class Rest:
    """API v4 of one portal. The host is the connected one, whatever an answer says."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._http = http
        self._bearer = Bearer(
            connection,
            connection.secrets.get("token", ""),
            partial(oauth.refresh, connection, http),
            oauth.EARLY_SECONDS,
        )

    def get(self, path: str, params: Params | None = None) -> Row:
        """A JSON object; `{}` for 204."""
        answer = self._send("GET", path, params=params)
        refuse(answer)
        return {} if answer.status == 204 else _object(answer)

    def post(self, path: str, body: Any, *, once: bool = False) -> PortalResponse:
        """An answer of whatever status. `once`: not tried again after a fault."""
        return self._send("POST", path, json=body, once=once)

    def delete(self, path: str, body: Any) -> PortalResponse:
        """An answer of whatever status."""
        return self._send("DELETE", path, json=body)

    def _send(self, method: str, path: str, **given: Any) -> PortalResponse:
        """A call with the token in force; once more with a new one if it was not accepted."""
        token = self._bearer.get()
        answer = self._http.request(method, path, headers=_header(token), **given)
        if answer.status == 401 and (fresh := self._bearer.renewed(token)):
            answer = self._http.request(method, path, headers=_header(fresh), **given)
        return answer

    def pages(self, path: str, name: str, params: Params) -> Iterator[tuple[list[Row], int]]:
        """Pages of a list with their numbers, from the `page` in `params` (else 1) on."""
        query: Params | None = params
        number = next((int(value) for key, value in params if key == "page"), 1)
        while query is not None:
            document = self.get(path, query)
            found = _rows(document, name)
            if found:
                yield found, number
            query = _following(document) if found else None
            number += 1

    def window(
        self, path: str, name: str, params: Params, since: int
    ) -> Iterator[tuple[list[Row], int]]:
        """Rows changed at or after `since`, oldest change first, with the newest instant so far.

        Each page starts at the newest instant seen, so rows that change meanwhile (they go to the
        end) shift nothing; rows of that very second come twice.
        """
        page = 1
        while True:
            query: Params = [*params, ("order[updated_at]", "asc"), ("page", page)]
            if since:
                query.append(("filter[updated_at][from]", since))
            document = self.get(path, [("limit", PAGE), *query])
            found = _rows(document, name)
            if not found:
                return
            newest = max(since, *(int(row["updated_at"]) for row in found))
            yield found, newest
            if _following(document) is None:
                return
            since, page = (newest, 1) if newest > since else (since, page + 1)

    def all(self, path: str, name: str) -> list[Row]:
        """A whole list."""
        return [row for rows, _ in self.pages(path, name, [("limit", PAGE)]) for row in rows]

    def allowed(self, path: str, name: str) -> list[Row]:
        """A whole list, or nothing where the token has no right to it or the portal lacks it."""
        try:
            return self.all(path, name)
        except (SourceRefused, PathMissing):
            return []

    def by_ids(self, path: str, ids: Sequence[str], extra: Params | None = None) -> list[Row]:
        """Rows of a list (`leads`, `leads/notes`) with these ids.

        Absent ones are gone, or out of the token's sight.
        """
        found: list[Row] = []
        for start in range(0, len(ids), IDS):
            part = ids[start : start + IDS]
            query: Params = [("limit", PAGE), *(extra or [])]
            query += [("filter[id][]", subject) for subject in part]
            rows = _rows(self.get(f"/api/v4/{path}", query), path.rpartition("/")[2])
            # A portal without filters (by its plan) answers with whatever comes first.
            found += [row for row in rows if str(row["id"]) in part]
        return found


def _header(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def refuse(answer: PortalResponse) -> None:
    """Let a good answer through.

    Raises:
        SourceRefused: token, right or plan; says what to do.
        SourceLimited: the portal has blocked us.
        SourceUnavailable: anything else that is no good answer.
    """
    if answer.status in {200, 201, 202, 204}:
        return
    if answer.status == 401:
        raise SourceRefused("the token is not (or no longer) valid; make a new one: --token")
    if answer.status == 402:
        raise SourceRefused("the portal's plan is not paid: reading is closed")
    if answer.status == 403:
        if not answer.body.lstrip().startswith(b"{"):
            raise SourceLimited(
                "the portal blocks requests from here; ask its support", BLOCKED_SECONDS
            )
        raise SourceRefused("the token lacks a right for this; take an administrator's token")
    if answer.status in {404, 405}:
        raise PathMissing(f"the portal answered {answer.status}; check --base-url")
    raise SourceUnavailable(f"the portal answered {answer.status}")


def _object(answer: PortalResponse) -> Row:
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise SourceUnavailable("the portal answered something that is no JSON") from None
    if not isinstance(found, dict):
        raise SourceUnavailable("the portal answered no JSON object")
    return found


def _rows(document: Row, name: str) -> list[Row]:
    return (document.get("_embedded") or {}).get(name) or []


def _following(document: Row) -> Params | None:
    """The query of the next page; its host is not looked at."""
    link = ((document.get("_links") or {}).get("next") or {}).get("href")
    return list(parse_qsl(urlsplit(link).query, keep_blank_values=True)) if link else None
