"""amoCRM REST (API v4): directory, fetching, history, subscribing, checking."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from service.crm.amocrm import mapping
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
    TaskKind,
)
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.instant import Instant
from service.domain.ports import Connection, Finding, Page, PortalHttp, PortalResponse
from service.errors import SourceLimited, SourceRefused, SourceUnavailable

PAGE = 250
EVENTS_PAGE = 100
IDS = 50
OVERLAP_SECONDS = 600
HOOKS = (
    "add_lead", "update_lead", "delete_lead", "restore_lead", "status_lead", "responsible_lead",
    "note_lead", "add_task", "update_task", "delete_task", "responsible_task", "note_contact",
    "note_company", "add_contact", "update_contact", "add_unsorted", "delete_unsorted",
)  # fmt: skip
DOUBTFUL_HOOKS = {"update_task", "add_unsorted", "delete_unsorted", "note_company"}
EVENT_TYPES = (
    "lead_status_changed", "entity_responsible_changed", "sale_field_changed", "task_completed",
    "task_deadline_changed", "lead_deleted",
)  # fmt: skip
Params = list[tuple[str, Any]]
Row = dict[str, Any]


class AmoClient:
    """REST of one amoCRM account."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._connection = connection
        self._http = http
        self._born: dict[tuple[str, str], Instant] = {}

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    # --- calls ------------------------------------------------------------------------------------

    def _call(
        self, method: str, path: str, params: Params | None = None, body: Any = None
    ) -> PortalResponse:
        token = self._connection.secrets.get("token", "")
        answer = self._http.request(
            method, path, params=params, json=body, headers={"authorization": f"Bearer {token}"}
        )
        _refuse(answer)
        return answer

    def _get(self, path: str, params: Params | None = None) -> Row:
        answer = self._call("GET", path, params)
        return {} if answer.status == 204 else _object(answer)

    def _rows(self, path: str, name: str, params: Params) -> Iterator[list[Row]]:
        """Pages of a list; `next` is followed only by its query, never by its host."""
        query: Params | None = [*params, ("page", 1)]
        while query is not None:
            document = self._get(path, query)
            rows = (document.get("_embedded") or {}).get(name) or []
            if rows:
                yield rows
            following = ((document.get("_links") or {}).get("next") or {}).get("href")
            query = list(parse_qsl(urlsplit(following).query)) if following and rows else None

    def _all(self, path: str, name: str, params: Params | None = None) -> list[Row]:
        found: list[Row] = []
        for rows in self._rows(path, name, [("limit", PAGE), *(params or [])]):
            found += rows
        return found

    # --- directory --------------------------------------------------------------------------------

    def read_directory(self) -> Directory:
        """Account, users, pipelines, loss reasons, custom fields."""
        account = self._get(
            "/api/v4/account", [("with", "task_types,users_groups,datetime_settings")]
        )
        linked = account.get("_embedded") or {}
        groups = {str(g["id"]): g["name"] for g in linked.get("users_groups") or []}
        sellers, complete = self._sellers(groups)
        reasons = self._optional("/api/v4/leads/loss_reasons", "loss_reasons")
        fields = self._optional("/api/v4/leads/custom_fields", "custom_fields")
        pipelines = self._all("/api/v4/leads/pipelines", "pipelines")
        settings = linked.get("datetime_settings") or {}
        return Directory(
            external_id=str(account["id"]),
            subdomain=account.get("subdomain"),
            timezone=settings.get("timezone") or None,
            currency=account.get("currency") or None,
            loss_reasons_used=bool(account.get("is_loss_reason_enabled", True)),
            complete_users=complete,
            sellers=tuple(sellers),
            pipelines=tuple(_pipeline(row) for row in pipelines),
            loss_reasons=tuple(LossReason(id=str(r["id"]), name=r["name"]) for r in reasons),
            fields=tuple(_field(row) for row in fields),
            task_kinds=tuple(
                TaskKind(id=str(t["id"]), name=t["name"]) for t in linked.get("task_types") or []
            ),
        )

    def _sellers(self, groups: dict[str, str]) -> tuple[list[Seller], bool]:
        """All users; without an administrator's token the list is not complete."""
        try:
            rows = self._all("/api/v4/users", "users")
        except SourceRefused:
            return [], False
        return [_seller(row, groups) for row in rows], True

    def _optional(self, path: str, name: str) -> list[Row]:
        try:
            return self._all(path, name)
        except SourceRefused:
            return []

    # --- fetching ---------------------------------------------------------------------------------

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Present images of touched deals, tasks and persons; gone ones are told as deleted."""
        ids: dict[Kind, list[str]] = {}
        for subject in touched:
            ids.setdefault(subject.kind, []).append(subject.id)
        deals = self._by_ids(ids.get(Kind.DEAL, []), "leads", _WITH_DEAL)
        facts = [self._deal(row) for row in deals]
        facts += self._missing(ids.get(Kind.DEAL, []), deals, Kind.DEAL)
        tasks = self._by_ids(ids.get(Kind.TASK, []), "tasks", [])
        facts += [mapping.task_of_rest(row, row["updated_at"]) for row in tasks]
        facts += self._missing(ids.get(Kind.TASK, []), tasks, Kind.TASK)
        return facts + self._persons(facts, ids.get(Kind.CONTACT, []))

    def _deal(self, row: Row) -> Fact:
        return mapping.deal_of_rest(row, self._connection.currency, row["updated_at"])

    def _by_ids(self, ids: Sequence[str], entity: str, extra: Params) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(ids), IDS):
            part: Params = [("filter[id][]", i) for i in ids[start : start + IDS]]
            found += self._all(f"/api/v4/{entity}", entity, [*extra, *part])
        return found

    def _missing(self, ids: Sequence[str], rows: list[Row], kind: Kind) -> list[Fact]:
        """An id that is not in the answer is gone, at the instant at which we learn it."""
        have = {str(row["id"]) for row in rows}
        gone = [subject for subject in ids if subject not in have]
        return [Fact(kind, subject, 0, {"deleted": True}, Rank.FETCHED) for subject in gone]

    def _persons(self, deals: Sequence[Fact], also: Sequence[str] = ()) -> list[Fact]:
        people: list[str] = [c for c in also if not c.startswith("co")]
        companies: list[str] = [c[2:] for c in also if c.startswith("co")]
        for fact in deals:
            people += fact.body.get("contacts") or []
            if fact.body.get("company"):
                companies.append(fact.body["company"][2:])
        found = self._by_ids(list(dict.fromkeys(people)), "contacts", [])
        facts = [mapping.person_of_rest(row, row["updated_at"]) for row in found]
        found = self._by_ids(list(dict.fromkeys(companies)), "companies", [])
        facts += [mapping.person_of_rest(r, r["updated_at"], company=True) for r in found]
        return facts

    # --- history ----------------------------------------------------------------------------------

    def backfill(self, since: Instant | None, cursor: Row | None) -> Iterator[Page]:
        """Deals, tasks, notes, inquiries, then what events tell of the past."""
        steps: list[tuple[str, Callable[[Row], Iterator[Page]]]] = [
            ("deals", self._read_deals),
            ("tasks", self._read_tasks),
            ("notes", lambda at: self._read_notes("leads", at)),
            ("contact notes", lambda at: self._read_notes("contacts", at)),
            ("inquiries", self._read_inquiries),
            ("events", self._read_events),
        ]
        start = dict(cursor or {"step": 0, "from": since or 0, "done": 0})
        first, done = int(start["step"]), int(start.get("done", 0))
        for number in range(first, len(steps)):
            name, read = steps[number]
            at = start if number == first else {"from": since or 0}
            for page in read(at):
                done += len(page.facts)
                here = {"step": number, "done": done, **(page.cursor or {"from": since or 0})}
                yield Page(page.facts, here, done, None, name)
            following = {"step": number + 1, "from": since or 0, "done": done}
            yield Page([], following if number + 1 < len(steps) else None, done, None, name)

    def changes(self, cursor: Row | None) -> Iterator[Page]:
        """What changed since the cursor, with an overlap."""
        marks = dict(cursor or {})
        start = int(marks.get("from", 0)) - OVERLAP_SECONDS
        newest = int(marks.get("from", 0))
        for page in self.backfill(max(start, 0), None):
            newest = max([newest, *(fact.at for fact in page.facts)])
            yield Page(page.facts, {"from": newest}, page.done, None, page.step)

    def _window(
        self, path: str, name: str, extra: Params, at: Row
    ) -> Iterator[tuple[list[Row], Row]]:
        """Rows by `updated_at`, ascending; resumes at the newest instant seen."""
        start = int(at.get("from", 0))
        params: Params = [("limit", PAGE), ("order[updated_at]", "asc"), *extra]
        if start:
            params.append(("filter[updated_at][from]", start))
        for rows in self._rows(path, name, params):
            yield rows, {"from": max(int(row["updated_at"]) for row in rows)}

    def _read_deals(self, at: Row) -> Iterator[Page]:
        for rows, cursor in self._window("/api/v4/leads", "leads", _WITH_DEAL, at):
            facts = [self._deal(row) for row in rows]
            for fact in facts:
                self._born["lead", fact.id] = fact.body["created_at"]
            yield Page(facts + self._persons(facts), cursor, 0)

    def _read_tasks(self, at: Row) -> Iterator[Page]:
        for rows, cursor in self._window("/api/v4/tasks", "tasks", [], at):
            facts = [mapping.task_of_rest(row, row["updated_at"]) for row in rows]
            for fact in facts:
                self._born["task", fact.id] = fact.body["created_at"]
            yield Page(facts, cursor, 0)

    def _read_notes(self, entity: str, at: Row) -> Iterator[Page]:
        kinds: Params = [("filter[note_type][]", k) for k in ("common", "call_in", "call_out")]
        for rows, cursor in self._window(f"/api/v4/{entity}/notes", "notes", kinds, at):
            facts = [mapping.note_of_rest(row, entity, row["updated_at"]) for row in rows]
            yield Page([fact for fact in facts if fact is not None], cursor, 0)

    def _read_inquiries(self, at: Row) -> Iterator[Page]:
        for rows in self._rows("/api/v4/leads/unsorted", "unsorted", [("limit", PAGE)]):
            yield Page([mapping.inquiry_of_rest(r, r["created_at"]) for r in rows], dict(at), 0)

    def _read_events(self, at: Row) -> Iterator[Page]:
        """All events since the start, oldest first as far as the page order allows.

        The first event of a subject and kind tells how it began: that is placed at its creation.
        """
        params: Params = [("limit", EVENTS_PAGE)]
        params += [("filter[type][]", kind) for kind in EVENT_TYPES]
        if at.get("from"):
            params.append(("filter[created_at][from]", at["from"]))
        firsts: dict[tuple[str, str], Row] = {}
        for rows in self._rows("/api/v4/events", "events", params):
            facts: list[Fact] = []
            for event in rows:
                facts += mapping.facts_of_event(event, self._connection.currency)
                key = (f"{event['entity_type']}:{event['entity_id']}", event["type"])
                known = firsts.get(key)
                if known is None or _order(event) < _order(known):
                    firsts[key] = event
            yield Page(facts, dict(at), 0)
        yield Page(self._beginnings(firsts), dict(at), 0)

    def _beginnings(self, firsts: dict[tuple[str, str], Row]) -> list[Fact]:
        facts = []
        self._learn_births(list(firsts.values()))
        for event in firsts.values():
            before = mapping.before_of_event(event, self._connection.currency)
            entity, subject = event["entity_type"], str(event["entity_id"])
            born = self._born.get((entity, subject))
            if before is None or born is None or born > event["created_at"]:
                continue
            kind = Kind.TASK if entity == "task" else Kind.DEAL
            facts.append(Fact(kind, subject, born, before, Rank.HISTORY))
        return facts

    def _learn_births(self, events: list[Row]) -> None:
        """After a restart the creation instants read earlier are asked for again."""
        for entity, path in (("lead", "leads"), ("task", "tasks")):
            ids = {str(e["entity_id"]) for e in events if e["entity_type"] == entity}
            unknown = sorted(i for i in ids if (entity, i) not in self._born)
            for row in self._by_ids(unknown, path, []):
                self._born[entity, str(row["id"])] = row["created_at"]

    # --- hooks ------------------------------------------------------------------------------------

    def subscribe(self, hook_url: str) -> None:
        """Register the hook; names that this portal does not know are left out."""
        settings = list(HOOKS)
        for attempt in (settings, [name for name in settings if name not in DOUBTFUL_HOOKS]):
            body = {"destination": hook_url, "settings": attempt, "sort": 10}
            answer = self._http.request(
                "POST", "/api/v4/webhooks", json=body, headers=self._authorisation()
            )
            if answer.status in (200, 201):
                return
            if answer.status not in (400, 422):
                _refuse(answer)
        raise SourceRefused(
            "the portal did not take the hook; add it by hand: settings -> WebHooks"
        )

    def _authorisation(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._connection.secrets.get('token', '')}"}

    def check(self, hook_url: str) -> list[Finding]:
        """Token and rights, as far as reading shows them."""
        account = self._get("/api/v4/account")
        findings = [Finding("portal answers", True, f"account {account.get('name')}")]
        _, complete = self._sellers({})
        advice = "" if complete else "give Dozor a token of an administrator"
        findings.append(Finding("users readable", complete, "list of users", advice))
        hooks = self._optional("/api/v4/webhooks", "webhooks")
        alive = [hook for hook in hooks if not hook.get("disabled")]
        advice = "" if alive else "dozor account rotate-hook, then save the hook in the portal"
        findings.append(Finding("hook registered", bool(alive), f"{len(alive)} hooks", advice))
        return findings


_WITH_DEAL: Params = [("with", "contacts,loss_reason,source_id")]


def _order(event: Row) -> tuple[int, str]:
    return int(event["created_at"]), str(event["id"])


def _refuse(answer: PortalResponse) -> None:
    """Statuses that no repetition mends now."""
    if answer.status in (200, 201, 202, 204):
        return
    if answer.status == 401:
        raise SourceRefused("the token is not (or no longer) valid; make a new one: --token")
    if answer.status == 402:
        raise SourceRefused("the portal's plan is not paid: reading is closed")
    if answer.status == 403:
        if answer.body.lstrip()[:1] == b"<":
            raise SourceLimited("the portal blocks requests from here; ask its support", 3600)
        raise SourceRefused("the token lacks a right for this; take an administrator's token")
    raise SourceUnavailable(f"the portal answered {answer.status}")


def _object(answer: PortalResponse) -> Row:
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise SourceUnavailable("the portal answered something that is no JSON") from None
    if not isinstance(found, dict):
        raise SourceUnavailable("the portal answered no JSON object")
    return found


def _seller(row: Row, groups: dict[str, str]) -> Seller:
    rights = row.get("rights") or {}
    group = str(rights.get("group_id") or 0)
    return Seller(
        id=str(row["id"]),
        name=row.get("name") or str(row["id"]),
        group=group,
        group_name=groups.get(group) or "Отдел продаж",
        active=bool(rights.get("is_active", True)),
        admin=bool(rights.get("is_admin")),
    )


def _pipeline(row: Row) -> Pipeline:
    return Pipeline(
        id=str(row["id"]),
        name=row["name"],
        sort=row.get("sort") or 0,
        main=bool(row.get("is_main")),
        archived=bool(row.get("is_archive")),
        stages=tuple(_stage(s) for s in (row.get("_embedded") or {}).get("statuses") or []),
    )


def _stage(row: Row) -> Stage:
    kinds = {mapping.WON: StageKind.WON, mapping.LOST: StageKind.LOST}
    kind = kinds.get(str(row["id"]), StageKind.OPEN)
    if row.get("type") == 1:
        kind = StageKind.INCOMING
    return Stage(id=str(row["id"]), name=row["name"], sort=row.get("sort") or 0, kind=kind)


def _field(row: Row) -> CustomField:
    required = row.get("required_statuses") or []
    return CustomField(
        id=str(row["id"]),
        name=row["name"],
        type=row.get("type") or "text",
        code=row.get("code") or None,
        required=tuple((str(r["pipeline_id"]), str(r["status_id"])) for r in required),
        options={str(e["id"]): str(e["value"]) for e in row.get("enums") or []},
    )
