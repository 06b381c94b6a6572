"""Bitrix24's lists (deals, tasks, calls, leads, invoices) read whole or since an instant.

Each is read by `>ID`, the only fast way over a big table. `position` is the last id.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from service.crm.bitrix24 import mapping
from service.crm.bitrix24.mapping import Row, changed_since
from service.crm.bitrix24.readers import DEAL_FIELDS, LEAD_FIELDS, TASK_FIELDS, Readers
from service.crm.bitrix24.rest import PAGE, MethodMissing, rows_of
from service.crm.steps import Piece, Step
from service.domain.instant import Instant
from service.errors import SourceRefused

OVERLAP_SECONDS = 3600
OVERLAP_CALLS = 20  # rows of the call statistics, by id


class Past:
    """The lists of one portal."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._rest = readers.rest
        self._began: Instant = 0  # when the first deals were read, by the portal's clock

    def steps(self) -> list[Step]:
        """The lists in the order in which they are read."""
        timed: list[tuple[str, Callable[[Instant, Any], Iterator[Piece]]]] = [
            ("deals", self._deals),
            ("comments", self._comments),
            ("tasks", self._tasks),
            ("activities", self._activities),
            ("inquiries", self._leads),
            ("invoices", self._invoices),
        ]
        steps = [Step(name, read, OVERLAP_SECONDS) for name, read in timed]
        return [*steps, Step("calls", self._calls, OVERLAP_CALLS, by_id=True)]

    def _deals(self, since: Instant, position: Any) -> Iterator[Piece]:
        given = {"select": list(DEAL_FIELDS), "filter": changed_since("DATE_MODIFY", since)}
        for rows in self._rest.by_id("crm.deal.list", given, int(position or 0)):
            facts = self._readers.of_deals(rows)
            self._began = self._began or self._rest.told_at
            facts += self._readers.comments_of([str(row["ID"]) for row in rows])
            yield Piece(facts, _last(rows, "ID"), _newest(rows, "DATE_MODIFY"))

    def _comments(self, since: Instant, position: Any) -> Iterator[Piece]:
        """Comments of deals in whose timeline something happened: it does not move DATE_MODIFY.

        From the beginning there is nothing to do: all deals have been read with their comments.
        """
        if not since:
            yield Piece([], None, self._began)
            return
        name = "LAST_ACTIVITY_TIME"
        given = {"select": ["ID", name], "filter": changed_since(name, since)}
        for rows in self._rest.by_id("crm.deal.list", given, int(position or 0)):
            facts = self._readers.comments_of([str(row["ID"]) for row in rows])
            newest = min(_newest(rows, name), self._rest.told_at)  # what is planned lies ahead
            yield Piece(facts, _last(rows, "ID"), newest)

    def _tasks(self, since: Instant, position: Any) -> Iterator[Piece]:
        last = int(position or 0)
        while True:
            given = {
                "filter": {">ID": last, **changed_since("CHANGED_DATE", since)},
                "order": {"ID": "ASC"},
                "select": list(TASK_FIELDS),
            }
            rows = rows_of(self._rest.call("tasks.task.list", given))
            fresh = [row for row in rows if int(row["id"]) > last]
            if not fresh:
                return
            last = _last(fresh, "id")
            yield Piece(self._readers.of_tasks(fresh), last, _newest(fresh, "changedDate"))
            if len(rows) < PAGE:
                return

    def _activities(self, since: Instant, position: Any) -> Iterator[Piece]:
        given = {"filter": changed_since("LAST_UPDATED", since)}
        for rows in self._rest.by_id("crm.activity.list", given, int(position or 0)):
            facts = self._readers.of_activities(rows)
            yield Piece(facts, _last(rows, "ID"), _newest(rows, "LAST_UPDATED"))

    def _leads(self, since: Instant, position: Any) -> Iterator[Piece]:
        given = {"select": list(LEAD_FIELDS), "filter": changed_since("DATE_MODIFY", since)}
        for rows in self._rest.by_id("crm.lead.list", given, int(position or 0)):
            facts = self._readers.of_leads(rows)
            yield Piece(facts, _last(rows, "ID"), _newest(rows, "DATE_MODIFY"))

    def _invoices(self, since: Instant, position: Any) -> Iterator[Piece]:
        invoices = self._readers.invoices
        for rows in invoices.pages(since, int(position or 0)):
            facts = invoices.of_rows(changed := invoices.changed(rows, since))
            yield Piece(facts, _last(rows, "id"), _newest(changed, "updatedTime"))

    def _calls(self, since: Instant, position: Any) -> Iterator[Piece]:
        """The call statistics; a portal without telephony, or a webhook without it, has none."""
        last = int(position or 0)
        while True:
            given = {
                "FILTER": {">ID": last, **changed_since("CALL_START_DATE", since)},
                "SORT": "ID",
                "ORDER": "ASC",
            }
            try:
                rows = rows_of(self._rest.call("voximplant.statistic.get", given))
            except (MethodMissing, SourceRefused):
                return
            fresh = [row for row in rows if int(row["ID"]) > last]
            if not fresh:
                return
            last = _last(fresh, "ID")
            yield Piece(self._readers.of_calls(fresh), last, last)
            if len(rows) < PAGE:
                return


def _last(rows: Sequence[Row], name: str) -> int:
    return max(int(row[name]) for row in rows)


def _newest(rows: Sequence[Row], name: str) -> Instant:
    return max((mapping.instant(row.get(name)) or 0 for row in rows), default=0)
