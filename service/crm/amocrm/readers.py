"""Rows of amoCRM with what belongs to them, as facts: deals with persons, tasks, persons."""

from collections.abc import Iterable, Sequence

from service.crm.amocrm import rest_facts
from service.crm.amocrm.invoices import Invoices
from service.crm.amocrm.rest import Params, PathMissing, Rest, Row
from service.domain.facts import Fact, Kind, Rank
from service.domain.ports import Connection

WITH_DEAL: Params = [("with", "contacts,loss_reason,source_id,catalog_elements")]


class Readers:
    """Reads subjects of one portal by id."""

    def __init__(self, rest: Rest, connection: Connection) -> None:
        self.rest = rest
        self.connection = connection
        self.invoices = Invoices(rest, connection.currency)

    def deals(self, ids: Sequence[str]) -> list[Fact]:
        """Deals as they are; what the list lacks is asked for alone before it counts as gone."""
        rows = self.rest.by_ids("leads", ids, WITH_DEAL)
        known = {str(row["id"]) for row in rows}
        gone = []
        for deal in ids:
            if deal in known:
                continue
            row = self._deal(deal)
            if row:
                rows.append(row)
            else:
                gone.append(_gone(Kind.DEAL, deal))
        return self.of_deals(rows) + gone

    def _deal(self, deal: str) -> Row:
        try:
            return self.rest.get(f"/api/v4/leads/{deal}", WITH_DEAL)
        except PathMissing:
            return {}

    def of_deals(self, rows: Iterable[Row]) -> list[Fact]:
        """Rows of deals, what they say of their closing, and their invoices."""
        deals, currency = list(rows), self.connection.currency
        facts = [fact for row in deals for fact in rest_facts.deal(row, currency)]
        return facts + self.invoices.of_deals(deals)

    def tasks(self, ids: Sequence[str]) -> list[Fact]:
        """Tasks as they are; absent ones are gone."""
        rows = self.rest.by_ids("tasks", ids)
        known = {str(row["id"]) for row in rows}
        return self.of_tasks(rows) + [_gone(Kind.TASK, task) for task in ids if task not in known]

    def of_tasks(self, rows: Iterable[Row]) -> list[Fact]:
        """Rows of tasks."""
        return [rest_facts.task(row, self.connection.timezone) for row in rows]

    def calls(self, ids: Sequence[str]) -> list[Fact]:
        """Calls by the ids of their notes, on deals or on persons: REST knows how they ended."""
        facts: list[Fact | None] = []
        for entity in ("leads", "contacts", "companies"):
            known = {fact.id for fact in facts if fact is not None}
            wanted = [note for note in ids if f"c{note}" not in known]
            facts += [rest_facts.note(row, entity) for row in self._notes(entity, wanted)]
        return [fact for fact in facts if fact is not None]

    def _notes(self, entity: str, ids: Sequence[str]) -> list[Row]:
        try:
            return self.rest.by_ids(f"{entity}/notes", ids)
        except PathMissing:
            return []

    def persons(self, asked: Sequence[str] = (), *, of: Sequence[Fact] = ()) -> list[Fact]:
        """Contacts and companies (`co<id>`): those asked for, and those of deals."""
        keys = list(asked)
        for fact in of:
            keys += fact.body.get("contacts") or []
            keys += [fact.body["company"]] if fact.body.get("company") else []
        keys = list(dict.fromkeys(keys))
        people = self.rest.by_ids("contacts", [key for key in keys if not key.startswith("co")])
        companies = self.rest.by_ids("companies", [k[2:] for k in keys if k.startswith("co")])
        secrets = self.connection.secrets
        facts = [rest_facts.person(row, secrets) for row in people]
        return facts + [rest_facts.person(row, secrets, company=True) for row in companies]


def _gone(kind: Kind, subject: str) -> Fact:
    """Deleted, nobody says when: instant 0 stands for "when it was noticed"."""
    return Fact(kind, subject, 0, {"deleted": True}, Rank.FETCHED)
