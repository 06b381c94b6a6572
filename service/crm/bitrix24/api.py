"""Bitrix24 REST: directory, fetching touched ids, history, checking."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from service.crm.bitrix24 import mapping
from service.crm.bitrix24.rest import Rest, Row, rows_of
from service.domain.directory import CustomField, Directory, Pipeline, Seller, Stage, StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.instant import Instant, iso
from service.domain.ports import Connection, Finding, Page, PortalHttp
from service.errors import SourceRefused

OVERLAP_SECONDS = 3600
_TASK_FIELDS = [
    "ID", "TITLE", "STATUS", "DEADLINE", "CREATED_DATE", "CHANGED_DATE", "CLOSED_DATE",
    "CREATED_BY", "RESPONSIBLE_ID", "CHANGED_BY", "UF_CRM_TASK",
]  # fmt: skip
_SEMANTICS = {"S": StageKind.WON, "F": StageKind.LOST}
_EXTRA = {"success": StageKind.WON, "failure": StageKind.LOST, "apology": StageKind.LOST}


class BitrixClient:
    """REST of one Bitrix24 portal."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._connection = connection
        self._http = http
        self._rest = Rest(connection, http)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    # --- directory --------------------------------------------------------------------------------

    def read_directory(self) -> Directory:
        """Users with departments, pipelines with stages, custom fields, the portal itself."""
        departments = {
            str(row["ID"]): str(row["NAME"])
            for row in rows_of(self._rest.optional("department.get"))
        }
        sellers = [
            _seller(row, departments)
            for page in self._rest.by_offset("user.get", {"FILTER": {"USER_TYPE": "employee"}})
            for row in page
        ]
        currency = self._rest.optional("crm.currency.base.get")
        profile = self._rest.optional("profile") or {}
        calls = self._rest.optional("voximplant.statistic.get", {"SORT": "ID", "ORDER": "DESC"})
        app = self._rest.optional("app.info") or {}
        return Directory(
            external_id=app.get("member_id") or None,
            timezone=profile.get("TIME_ZONE") or None,
            currency=currency if isinstance(currency, str) else None,
            loss_reasons_used=False,
            telephony=bool(rows_of(calls)) or None,
            complete_users=True,
            sellers=tuple(sellers),
            pipelines=tuple(self._pipelines()),
            fields=tuple(_fields(self._rest.optional("crm.deal.fields"))),
        )

    def _pipelines(self) -> Iterator[Pipeline]:
        rows = rows_of(self._rest.call("crm.category.list", {"entityTypeId": 2}))
        calls = {
            f"s{row['id']}": (
                "crm.status.list",
                {"filter": {"ENTITY_ID": _stage_list(row["id"])}, "order": {"SORT": "ASC"}},
            )
            for row in rows
        }
        stages, _ = self._rest.batch(calls)
        for row in rows:
            yield Pipeline(
                id=str(row["id"]),
                name=str(row["name"]),
                sort=mapping.number(row.get("sort")),
                main=row.get("isDefault") == "Y",
                stages=tuple(_stage(s) for s in rows_of(stages.get(f"s{row['id']}"))),
            )

    # --- fetching ---------------------------------------------------------------------------------

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Present images and exact histories of touched subjects, in few batches."""
        ids: dict[Kind, list[str]] = {}
        for subject in touched:
            ids.setdefault(subject.kind, []).append(subject.id)
        facts = self._deals(ids.get(Kind.DEAL, []))
        tasks = ids.get(Kind.TASK, [])
        facts += self._tasks([i[1:] for i in tasks if i.startswith("t")])
        facts += self._activities([i[1:] for i in tasks if i.startswith("a")])
        facts += self._calls([i[1:] for i in ids.get(Kind.CALL, [])])
        facts += self._comments(ids.get(Kind.NOTE, []))
        facts += self._leads(ids.get(Kind.LEAD, []))
        return facts + self._persons(ids.get(Kind.CONTACT, []))

    def _deals(self, ids: Sequence[str]) -> list[Fact]:
        if not ids:
            return []
        rows = rows_of(
            self._rest.call(
                "crm.deal.list",
                {"filter": {"@ID": list(ids)}, "select": ["*", "UF_*"], "start": -1},
            )
        )
        facts = self._of_deals(rows)
        missing = set(ids) - {str(row["ID"]) for row in rows}
        return facts + [self._gone(Kind.DEAL, i) for i in sorted(missing) if self._is_gone(i)]

    def _of_deals(self, rows: Sequence[Row]) -> list[Fact]:
        """Deals with their contacts and stage histories."""
        calls: dict[str, tuple[str, dict[str, Any]]] = {}
        for row in rows:
            deal = str(row["ID"])
            calls[f"c{deal}"] = ("crm.deal.contact.items.get", {"id": deal})
            calls[f"h{deal}"] = (
                "crm.stagehistory.list",
                {"entityTypeId": 2, "order": {"ID": "ASC"}, "filter": {"OWNER_ID": deal}},
            )
        results, errors = self._rest.batch(calls)
        facts: list[Fact] = []
        for row in rows:
            deal = str(row["ID"])
            linked = rows_of(results.get(f"c{deal}"))
            contacts = [str(item["CONTACT_ID"]) for item in linked]
            known = None if f"c{deal}" in errors else contacts
            facts += mapping.deal(row, known)
            steps = [mapping.stage(step) for step in rows_of(results.get(f"h{deal}"))]
            facts += [step for step in steps if step is not None]
        return facts + self._persons_of(facts)

    def _is_gone(self, deal: str) -> bool:
        """`Not found` is deleted; `Access denied` is a blind spot, never a deletion."""
        _, errors = self._rest.batch({"deal": ("crm.deal.get", {"id": deal})})
        error = errors.get("deal")
        text = str(error.get("error_description") if isinstance(error, dict) else error or "")
        return "not found" in text.lower()

    def _gone(self, kind: Kind, subject: str) -> Fact:
        return Fact(kind, subject, 0, {"deleted": True}, Rank.FETCHED)

    def _tasks(self, ids: Sequence[str]) -> list[Fact]:
        if not ids:
            return []
        pages = self._rest.by_offset(
            "tasks.task.list", {"filter": {"ID": list(ids)}, "select": _TASK_FIELDS}
        )
        return self._of_tasks([row for page in pages for row in page])

    def _of_tasks(self, rows: Sequence[Row]) -> list[Fact]:
        """Tasks with the exact instants of their history."""
        calls = {
            f"t{row['id']}": ("tasks.task.history.list", {"taskId": str(row["id"])}) for row in rows
        }
        histories, _ = self._rest.batch(calls)
        facts: list[Fact] = []
        for row in rows:
            fact = mapping.task(row)
            if fact is not None:
                facts.append(fact)
                facts += mapping.task_history(fact.id, rows_of(histories.get(fact.id)))
        return facts

    def _activities(self, ids: Sequence[str]) -> list[Fact]:
        if not ids:
            return []
        rows = rows_of(
            self._rest.call("crm.activity.list", {"filter": {"@ID": list(ids)}, "start": -1})
        )
        facts = [mapping.activity(row, _deal_of_activity(row)) for row in rows]
        calls = [str(row["ID"]) for row in rows if row.get("PROVIDER_ID") == "VOXIMPLANT_CALL"]
        return [fact for fact in facts if fact is not None] + self._calls(calls)

    def _calls(self, keys: Sequence[str]) -> list[Fact]:
        """Calls by activity id (or the telephony's own id), with the deal they belong to."""
        facts: list[Fact] = []
        for key in keys:
            name = "CRM_ACTIVITY_ID" if key.isdecimal() else "CALL_ID"
            rows = rows_of(self._rest.optional("voximplant.statistic.get", {"FILTER": {name: key}}))
            facts += self._of_calls(rows)
        return facts

    def _of_calls(self, rows: Sequence[Row]) -> list[Fact]:
        ids = [i for row in rows if (i := mapping.entity(row.get("CRM_ACTIVITY_ID")))]
        found: dict[str, str | None] = {}
        for start in range(0, len(ids), 50):
            part = {"filter": {"@ID": ids[start : start + 50]}, "start": -1}
            for row in rows_of(self._rest.optional("crm.activity.list", part)):
                found[str(row["ID"])] = _deal_of_activity(row)
        facts = [mapping.call(row, found.get(str(row.get("CRM_ACTIVITY_ID")))) for row in rows]
        return [fact for fact in facts if fact is not None]

    def _comments(self, ids: Sequence[str]) -> list[Fact]:
        calls = {i: ("crm.timeline.comment.get", {"id": i}) for i in ids}
        results, _ = self._rest.batch(calls)
        facts = []
        for row in results.values():
            if not isinstance(row, dict):
                continue
            owner = str(row.get("ENTITY_TYPE") or "").lower()
            deal = mapping.entity(row.get("ENTITY_ID")) if owner == "deal" else None
            facts.append(mapping.comment(row, deal))
        return [fact for fact in facts if fact is not None]

    def _leads(self, ids: Sequence[str]) -> list[Fact]:
        if not ids:
            return []
        rows = rows_of(
            self._rest.call(
                "crm.lead.list", {"filter": {"@ID": list(ids)}, "select": ["*"], "start": -1}
            )
        )
        return self._of_leads(rows)

    def _of_leads(self, rows: Sequence[Row]) -> list[Fact]:
        """Inquiries, each with the deal that it became."""
        won = [str(row["ID"]) for row in rows if row.get("STATUS_SEMANTIC_ID") == "S"]
        deals: dict[str, str] = {}
        if won:
            found = self._rest.call(
                "crm.deal.list",
                {"filter": {"@LEAD_ID": won}, "select": ["ID", "LEAD_ID"], "start": -1},
            )
            deals = {str(row["LEAD_ID"]): str(row["ID"]) for row in rows_of(found)}
        facts = [mapping.lead(row, deals.get(str(row["ID"]))) for row in rows]
        return [fact for fact in facts if fact is not None]

    def _persons_of(self, deals: Iterable[Fact]) -> list[Fact]:
        people: list[str] = []
        for fact in deals:
            people += fact.body.get("contacts") or []
            people += [fact.body["company"]] if fact.body.get("company") else []
        return self._persons(list(dict.fromkeys(people)))

    def _persons(self, keys: Sequence[str]) -> list[Fact]:
        facts: list[Fact | None] = []
        people = [key for key in keys if not key.startswith("co")]
        companies = [key[2:] for key in keys if key.startswith("co")]
        for method, ids, company in (
            ("crm.contact.list", people, False),
            ("crm.company.list", companies, True),
        ):
            for start in range(0, len(ids), 50):
                given = {
                    "filter": {"@ID": ids[start : start + 50]},
                    "select": ["ID", "DATE_MODIFY", "PHONE", "EMAIL"],
                    "start": -1,
                }
                rows = rows_of(self._rest.call(method, given))
                facts += [mapping.person(row, company=company) for row in rows]
        return [fact for fact in facts if fact is not None]

    # --- history ----------------------------------------------------------------------------------

    def backfill(self, since: Instant | None, cursor: Row | None) -> Iterator[Page]:
        """Deals with histories, tasks, to-dos, calls, inquiries, comments; each by `>ID`."""
        steps: list[tuple[str, Callable[[int, Row], Iterator[tuple[list[Fact], int]]]]] = [
            ("deals", self._read_deals),
            ("tasks", self._read_tasks),
            ("activities", self._read_activities),
            ("calls", self._read_calls),
            ("inquiries", self._read_leads),
        ]
        start = dict(cursor or {"step": 0, "after": 0, "done": 0})
        first, done = int(start["step"]), int(start.get("done", 0))
        changed: Row = {"from": since} if since else {}
        for position in range(first, len(steps)):
            name, read = steps[position]
            after = int(start.get("after", 0)) if position == first else 0
            for facts, last in read(after, changed):
                done += len(facts)
                yield Page(facts, {"step": position, "after": last, "done": done}, done, None, name)
            following = {"step": position + 1, "after": 0, "done": done}
            yield Page([], following if position + 1 < len(steps) else None, done, None, name)

    def changes(self, cursor: Row | None) -> Iterator[Page]:
        """What changed since the cursor, with an overlap."""
        newest = int((cursor or {}).get("from", 0))
        since = max(newest - OVERLAP_SECONDS, 0)
        for page in self.backfill(since or None, None):
            newest = max([newest, *(fact.at for fact in page.facts)])
            yield Page(page.facts, {"from": newest}, page.done, None, page.step)

    def _read_deals(self, after: int, changed: Row) -> Iterator[tuple[list[Fact], int]]:
        given = {"select": ["*", "UF_*"], "filter": _since("DATE_MODIFY", changed)}
        for rows in self._rest.by_id("crm.deal.list", given, after):
            facts = self._of_deals(rows) + self._comments_of(rows)
            yield facts, max(int(row["ID"]) for row in rows)

    def _comments_of(self, rows: Sequence[Row]) -> list[Fact]:
        calls = {
            str(row["ID"]): (
                "crm.timeline.comment.list",
                {"filter": {"ENTITY_TYPE": "deal", "ENTITY_ID": row["ID"]}},
            )
            for row in rows
        }
        results, _ = self._rest.batch(calls)
        facts = [
            mapping.comment(row, deal) for deal, found in results.items() for row in rows_of(found)
        ]
        return [fact for fact in facts if fact is not None]

    def _read_tasks(self, after: int, changed: Row) -> Iterator[tuple[list[Fact], int]]:
        last = after
        while True:
            given = {
                "filter": {">ID": last, **_since("CHANGED_DATE", changed)},
                "order": {"ID": "ASC"},
                "select": _TASK_FIELDS,
            }
            rows = rows_of(self._rest.call("tasks.task.list", given))
            if not rows:
                return
            last = max(int(row["id"]) for row in rows)
            yield self._of_tasks(rows), last

    def _read_activities(self, after: int, changed: Row) -> Iterator[tuple[list[Fact], int]]:
        given = {"filter": _since("LAST_UPDATED", changed)}
        for rows in self._rest.by_id("crm.activity.list", given, after):
            facts = [mapping.activity(row, _deal_of_activity(row)) for row in rows]
            found = [fact for fact in facts if fact is not None]
            yield found, max(int(row["ID"]) for row in rows)

    def _read_calls(self, after: int, changed: Row) -> Iterator[tuple[list[Fact], int]]:
        last = after
        while True:
            given = {
                "FILTER": {">ID": last, **_since("CALL_START_DATE", changed)},
                "SORT": "ID",
                "ORDER": "ASC",
            }
            rows = rows_of(self._rest.optional("voximplant.statistic.get", given))
            if not rows:
                return
            last = max(int(row["ID"]) for row in rows)
            yield self._of_calls(rows), last

    def _read_leads(self, after: int, changed: Row) -> Iterator[tuple[list[Fact], int]]:
        given = {"select": ["*"], "filter": _since("DATE_MODIFY", changed)}
        for rows in self._rest.by_id("crm.lead.list", given, after):
            yield self._of_leads(rows), max(int(row["ID"]) for row in rows)

    # --- hooks ------------------------------------------------------------------------------------

    def subscribe(self, hook_url: str) -> None:
        """An incoming webhook cannot subscribe; the outgoing one is made by hand."""
        raise SourceRefused(
            "Bitrix24 lets only applications subscribe over the API; in the portal open "
            "Applications -> Developer resources -> Outgoing webhook, paste the hook address, "
            "choose the events on deals, leads, tasks, calls and comments, and give its token "
            "with: dozor account application-token ACCOUNT TOKEN"
        )

    def check(self, hook_url: str) -> list[Finding]:
        """Rights and scopes, as far as reading shows them."""
        profile = self._rest.call("profile") or {}
        admin = bool(profile.get("ADMIN"))
        advice = "" if admin else "make the incoming webhook as an administrator"
        findings = [
            Finding("portal answers", True, "profile is readable"),
            Finding("administrator", admin, "the webhook sees everything", advice),
        ]
        scopes = self._rest.optional("scope") or []
        for scope in ("crm", "task", "user", "telephony"):
            has = scope in scopes
            advice = "" if has else f"add the scope {scope} to the incoming webhook"
            findings.append(Finding(f"scope {scope}", has, "needed for reading", advice))
        given = bool(self._connection.secrets.get("application_token"))
        advice = "" if given else "dozor account application-token ACCOUNT TOKEN"
        findings.append(Finding("application token", given, "of the outgoing webhook", advice))
        return findings


def _since(name: str, changed: Row) -> Row:
    return {f">={name}": iso(int(changed["from"]))} if changed else {}


def _deal_of_activity(row: Row) -> str | None:
    return mapping.entity(row.get("OWNER_ID")) if str(row.get("OWNER_TYPE_ID")) == "2" else None


def _stage_list(category: Any) -> str:
    return "DEAL_STAGE" if mapping.number(category) == 0 else f"DEAL_STAGE_{category}"


def _stage(row: Row) -> Stage:
    extra = row.get("EXTRA") if isinstance(row.get("EXTRA"), dict) else {}
    kind = _SEMANTICS.get(str(row.get("SEMANTICS"))) or _EXTRA.get(
        str((extra or {}).get("SEMANTICS"))
    )
    return Stage(
        id=str(row["STATUS_ID"]),
        name=str(row["NAME"]),
        sort=mapping.number(row.get("SORT")),
        kind=kind or StageKind.OPEN,
    )


def _seller(row: Row, departments: dict[str, str]) -> Seller:
    names = [str(row.get(name) or "") for name in ("LAST_NAME", "NAME")]
    inside = row.get("UF_DEPARTMENT")
    department = str(inside[0]) if isinstance(inside, list) and inside else None
    return Seller(
        id=str(row["ID"]),
        name=" ".join(name for name in names if name) or str(row["ID"]),
        group=department,
        group_name=departments.get(department or ""),
        active=row.get("ACTIVE") in (True, "Y", "true", "1"),
        timezone=row.get("TIME_ZONE") or None,
    )


def _fields(result: Any) -> Iterator[CustomField]:
    if not isinstance(result, dict):
        return
    for name, row in result.items():
        if name.startswith("UF_") and isinstance(row, dict):
            items = row.get("items") or []
            yield CustomField(
                id=name,
                name=str(row.get("listLabel") or row.get("formLabel") or row.get("title") or name),
                type=str(row.get("type") or "string"),
                code=name,
                options={str(item["ID"]): str(item["VALUE"]) for item in items},
            )
