"""Rows of Bitrix24 with what belongs to them, as facts; read by id, in batches.

A deal comes with its contacts and stage history, a task with its history, a call with the deal to
which its activity is bound.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from service.crm.bitrix24 import mapping
from service.crm.bitrix24.invoices import Invoices
from service.crm.bitrix24.mapping import Row
from service.crm.bitrix24.rest import PAGE, Rest, rows_of
from service.domain.facts import Fact, Kind, Rank
from service.domain.ports import Connection

DEAL_FIELDS = ("*", "UF_*")
LEAD_FIELDS = ("*", "PHONE", "EMAIL")
TASK_FIELDS = (
    "ID", "TITLE", "STATUS", "DEADLINE", "CREATED_DATE", "CHANGED_DATE", "CLOSED_DATE",
    "CREATED_BY", "RESPONSIBLE_ID", "CHANGED_BY", "CLOSED_BY", "UF_CRM_TASK",
)  # fmt: skip
_PERSON_FIELDS = ("ID", "DATE_MODIFY", "HAS_PHONE", "HAS_EMAIL", "PHONE", "EMAIL")
_DEAL_TYPE = "2"


class Readers:
    """Reads subjects of one portal by id."""

    def __init__(self, rest: Rest, connection: Connection) -> None:
        self.rest = rest
        self._currency = connection.currency
        self._secrets = connection.secrets
        self._is_admin: bool | None = None
        self.invoices = Invoices(rest, connection.currency)

    # --- deals ------------------------------------------------------------------------------------

    def deals(self, ids: Sequence[str]) -> list[Fact]:
        """Deals as they are, with their stage histories; those not found are gone."""
        rows = self.rest.listed("crm.deal.list", ids, DEAL_FIELDS)
        gone = self._gone("crm.deal.get", ids, rows)
        return self.of_deals(rows) + [_deleted(Kind.DEAL, deal) for deal in gone]

    def of_deals(self, rows: Sequence[Row]) -> list[Fact]:
        """Rows of deals with contacts, stage histories and the persons' images."""
        ids = [str(row["ID"]) for row in rows]
        contacts, unknown = self.rest.each(
            "crm.deal.contact.items.get", {deal: {"id": deal} for deal in ids}
        )
        facts: list[Fact] = []
        for row in rows:
            deal = str(row["ID"])
            linked = [str(item["CONTACT_ID"]) for item in rows_of(contacts.get(deal))]
            told = None if deal in unknown else linked
            facts += mapping.deal(row, told, self._currency)
        templates = {str(row["ID"]) for row in rows if row.get("IS_RECURRING") == "Y"}
        facts += self._stages([deal for deal in ids if deal not in templates], facts)
        return facts + self._persons_of(facts)

    def _stages(self, ids: Sequence[str], told: Sequence[Fact]) -> list[Fact]:
        """Stage histories. The present stage is told by the deal, with who moved it there."""
        query = {deal: {**_HISTORY, "filter": {"OWNER_ID": deal}} for deal in ids}
        results, _ = self.rest.each("crm.stagehistory.list", query)
        known = {(fact.id, fact.at) for fact in told if fact.rank is Rank.HISTORY}
        facts = []
        for deal in ids:
            rows = rows_of(results.get(deal))
            if len(rows) >= PAGE:
                given = {"entityTypeId": 2, "filter": {"OWNER_ID": deal}}
                last = max(int(row["ID"]) for row in rows)
                rows += [
                    r for p in self.rest.by_id("crm.stagehistory.list", given, last) for r in p
                ]
            steps = [mapping.stage(row) for row in rows if str(row.get("OWNER_ID")) == deal]
            facts += [s for s in steps if s is not None and (s.id, s.at) not in known]
        return facts

    # --- tasks and activities ---------------------------------------------------------------------

    def tasks(self, ids: Sequence[str]) -> list[Fact]:
        """Tasks as they are. An absent one is gone if we see all, else it may be out of sight."""
        facts: list[Fact] = []
        for start in range(0, len(ids), PAGE):
            part = list(ids[start : start + PAGE])
            given = {"filter": {"ID": part}, "select": list(TASK_FIELDS)}
            rows = rows_of(self.rest.call("tasks.task.list", given))
            mine = [row for row in rows if str(row["id"]) in part]
            facts += self.of_tasks(mine)
            absent = set(part) - {str(row["id"]) for row in mine}
            if absent and self._sees_all():
                facts += [_deleted(Kind.TASK, f"t{task}") for task in sorted(absent)]
        return facts

    def _sees_all(self) -> bool:
        """Whether an administrator asks: nothing is hidden from one."""
        if self._is_admin is None:
            self._is_admin = bool((self.rest.optional("profile") or {}).get("ADMIN"))
        return self._is_admin

    def of_tasks(self, rows: Sequence[Row]) -> list[Fact]:
        """Rows of tasks with the exact instants of their histories."""
        ids = [str(row["id"]) for row in rows]
        histories, _ = self.rest.each(
            "tasks.task.history.list", {task: {"taskId": task} for task in ids}
        )
        facts: list[Fact] = []
        for row in rows:
            images = mapping.task(row)
            facts += images
            if images:
                steps = rows_of(histories.get(str(row["id"])))
                created = images[0].body["created_at"]
                facts += mapping.task_history(images[0].id, steps, created)
        return facts

    def activities(self, ids: Sequence[str]) -> list[Fact]:
        """Planned steps as tasks, and calls of the telephony; those not found are gone."""
        rows = self.rest.listed("crm.activity.list", ids)
        gone = self._gone("crm.activity.get", ids, rows)
        facts = self.of_activities(rows)
        facts += [_deleted(Kind.TASK, f"a{activity}") for activity in gone]
        calls = [str(row["ID"]) for row in rows if row.get("PROVIDER_ID") == "VOXIMPLANT_CALL"]
        return facts + self.calls(calls)

    def of_activities(self, rows: Iterable[Row]) -> list[Fact]:
        """Rows of activities: the planned steps among them, mails and chats."""
        used = [row for row in rows if mapping.is_planned(row) or mapping.is_message(row)]
        deals = self._deals_of(used)
        facts: list[Fact] = []
        for row in used:
            deal = deals.get(str(row["ID"]))
            if mapping.is_message(row):
                facts += mapping.message(row, deal)
            elif (step := mapping.activity(row, deal)) is not None:
                facts.append(step)
        return facts

    def _deals_of(self, activities: Iterable[Row]) -> dict[str, str]:
        """Activity id -> deal: its owner, else the newest deal to which it is bound."""
        deals: dict[str, str] = {}
        others: list[str] = []
        for row in activities:
            owner = mapping.entity(row.get("OWNER_ID"))
            if str(row.get("OWNER_TYPE_ID")) == _DEAL_TYPE and owner is not None:
                deals[str(row["ID"])] = owner
            else:
                others.append(str(row["ID"]))
        bindings, _ = self.rest.each(
            "crm.activity.binding.list", {activity: {"activityId": activity} for activity in others}
        )
        for activity, found in bindings.items():
            bound = [r for r in rows_of(found) if str(r.get("entityTypeId")) == _DEAL_TYPE]
            if bound:
                deals[activity] = str(max(int(row["entityId"]) for row in bound))
        return deals

    # --- calls ------------------------------------------------------------------------------------

    def calls(self, keys: Sequence[str]) -> list[Fact]:
        """Calls by activity id, or by the telephony's own id where that is no number."""
        query = {
            str(place): {"FILTER": {"CRM_ACTIVITY_ID" if key.isdecimal() else "CALL_ID": key}}
            for place, key in enumerate(keys)
        }
        results, _ = self.rest.each("voximplant.statistic.get", query)
        rows = []
        for place, key in enumerate(keys):
            found = rows_of(results.get(str(place)))
            rows += [r for r in found if key in (str(r.get("CRM_ACTIVITY_ID")), r.get("CALL_ID"))]
        return self.of_calls(rows)

    def of_calls(self, rows: Sequence[Row]) -> list[Fact]:
        """Rows of the call statistics with the deals to which they belong."""
        ids = [i for row in rows if (i := mapping.entity(row.get("CRM_ACTIVITY_ID")))]
        found = self._deals_of(self.rest.listed("crm.activity.list", ids))
        facts = [
            mapping.call(row, found.get(str(row.get("CRM_ACTIVITY_ID"))), self._secrets)
            for row in rows
        ]
        return [fact for fact in facts if fact is not None]

    # --- the rest ---------------------------------------------------------------------------------

    def comments(self, ids: Sequence[str]) -> list[Fact]:
        """Timeline comments as notes; those not found are gone."""
        query = {comment: {"id": comment} for comment in ids}
        results, errors = self.rest.each("crm.timeline.comment.get", query)
        facts: list[Fact | None] = [_comment(row) for row in results.values()]
        gone = [i for i in ids if "not found" in str(errors.get(i, "")).lower()]
        facts += [_deleted(Kind.NOTE, comment) for comment in gone]
        return [fact for fact in facts if fact is not None]

    def comments_of(self, deals: Sequence[str]) -> list[Fact]:
        """Timeline comments of deals, all pages."""
        facts: list[Fact | None] = []
        start, left = 0, list(deals)
        while left:
            query = {deal: _comments(deal, start) for deal in left}
            results, _ = self.rest.each("crm.timeline.comment.list", query)
            pages = {deal: rows_of(found) for deal, found in results.items()}
            facts += [mapping.comment(row, deal) for deal, rows in pages.items() for row in rows]
            start, left = start + PAGE, [deal for deal, rows in pages.items() if len(rows) == PAGE]
        return [fact for fact in facts if fact is not None]

    def leads(self, ids: Sequence[str]) -> list[Fact]:
        """Inquiries as they are; those not found are gone."""
        rows = self.rest.listed("crm.lead.list", ids, LEAD_FIELDS)
        gone = self._gone("crm.lead.get", ids, rows)
        return self.of_leads(rows) + [_deleted(Kind.LEAD, lead) for lead in gone]

    def of_leads(self, rows: Sequence[Row]) -> list[Fact]:
        """Rows of leads, each with the deal that it became."""
        won = [str(row["ID"]) for row in rows if row.get("STATUS_SEMANTIC_ID") == "S"]
        deals: dict[str, str] = {}
        if won:
            given = {"filter": {"@LEAD_ID": won}, "select": ["ID", "LEAD_ID"], "start": -1}
            for row in rows_of(self.rest.call("crm.deal.list", given)):
                deals.setdefault(str(row.get("LEAD_ID")), str(row["ID"]))
        told = [(row, deals.get(str(row["ID"]))) for row in rows]
        return [fact for row, deal in told for fact in mapping.lead(row, deal, self._secrets)]

    def persons(self, keys: Sequence[str]) -> list[Fact]:
        """Contacts and companies (`co<id>`)."""
        people = [key for key in keys if not key.startswith("co")]
        companies = [key[2:] for key in keys if key.startswith("co")]
        facts = [
            mapping.person(row, self._secrets)
            for row in self.rest.listed("crm.contact.list", people, _PERSON_FIELDS)
        ]
        facts += [
            mapping.person(row, self._secrets, company=True)
            for row in self.rest.listed("crm.company.list", companies, _PERSON_FIELDS)
        ]
        return [fact for fact in facts if fact is not None]

    def _persons_of(self, deals: Iterable[Fact]) -> list[Fact]:
        people: list[str] = []
        for fact in deals:
            people += fact.body.get("contacts") or []
            people += [fact.body["company"]] if fact.body.get("company") else []
        return self.persons(list(dict.fromkeys(people)))

    def _gone(self, method: str, ids: Sequence[str], rows: Sequence[Row]) -> list[str]:
        """Of the asked ones, those of which the portal says that they are not found."""
        have = {str(row["ID"]) for row in rows}
        return self.rest.gone(method, [subject for subject in ids if subject not in have])


def _comments(deal: str, start: int) -> Row:
    timeline = {"ENTITY_TYPE": "deal", "ENTITY_ID": deal}
    return {"filter": timeline, "order": {"ID": "ASC"}, "start": start}


_HISTORY: Row = {"entityTypeId": 2, "order": {"ID": "ASC"}}


def _deleted(kind: Kind, subject: str) -> Fact:
    """Deleted, nobody says when: instant 0 stands for "when it was noticed"."""
    return Fact(kind, subject, 0, {"deleted": True}, Rank.FETCHED)


def _comment(row: Any) -> Fact | None:
    if not isinstance(row, dict):
        return None
    owner = str(row.get("ENTITY_TYPE") or "").lower()
    return mapping.comment(row, mapping.entity(row.get("ENTITY_ID")) if owner == "deal" else None)
