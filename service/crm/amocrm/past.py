"""amoCRM's lists, whole or since an instant: deals, tasks, notes, inquiries, invoices, events."""

from collections.abc import Callable, Iterator
from typing import Any

from service.crm.amocrm import events, rest_facts
from service.crm.amocrm.beginnings import Beginnings
from service.crm.amocrm.readers import WITH_DEAL, Readers
from service.crm.amocrm.rest import PAGE, Params
from service.crm.steps import Piece, Step
from service.domain.facts import Kind
from service.domain.instant import Instant

EVENTS_PAGE = 100
OVERLAP_SECONDS = 600
_NOTE_TYPES: Params = [
    ("filter[note_type][]", kind)
    for kind in ("common", "call_in", "call_out", "sms_in", "sms_out", "amomail_message")
]
_PATHS = {Kind.DEAL: "leads", Kind.TASK: "tasks"}


class Past:
    """One run over the lists; it remembers when the subjects that it read were created."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._rest = readers.rest
        self._beginnings = Beginnings()

    def steps(self) -> list[Step]:
        """The lists in the order in which they are read."""
        readers: list[tuple[str, Callable[[Instant, Any], Iterator[Piece]]]] = [
            ("deals", self._deals),
            ("tasks", self._tasks),
            ("notes of deals", lambda since, at: self._notes("leads", since, at)),
            ("notes of contacts", lambda since, at: self._notes("contacts", since, at)),
            ("inquiries", self._inquiries),
            ("invoices", self._invoices),
            ("events", self._events),
        ]
        return [Step(name, read, OVERLAP_SECONDS) for name, read in readers]

    def _deals(self, since: Instant, position: Any) -> Iterator[Piece]:
        start = max(since, int(position or 0))
        for rows, newest in self._rest.window("/api/v4/leads", "leads", WITH_DEAL, start):
            self._beginnings.births(Kind.DEAL, rows)
            facts = self._readers.of_deals(rows)
            yield Piece(facts + self._readers.persons(of=facts), newest, newest)

    def _tasks(self, since: Instant, position: Any) -> Iterator[Piece]:
        """In order of ids: tasks cannot be ordered by change. `position`: the next page."""
        params: Params = [("limit", PAGE), ("order[id]", "asc"), ("page", int(position or 1))]
        if since:
            params.append(("filter[updated_at][from]", since))
        for rows, page in self._rest.pages("/api/v4/tasks", "tasks", params):
            self._beginnings.births(Kind.TASK, rows)
            newest = max(int(row["updated_at"]) for row in rows)
            yield Piece(self._readers.of_tasks(rows), page + 1, newest)

    def _notes(self, entity: str, since: Instant, position: Any) -> Iterator[Piece]:
        start = max(since, int(position or 0))
        path = f"/api/v4/{entity}/notes"
        for rows, newest in self._rest.window(path, "notes", _NOTE_TYPES, start):
            facts = [rest_facts.note(row, entity) for row in rows]
            yield Piece([fact for fact in facts if fact is not None], newest, newest)

    def _inquiries(self, _since: Instant, position: Any) -> Iterator[Piece]:
        """Those that wait, all of them: the list has no filter by time."""
        params: Params = [("limit", PAGE), ("page", int(position or 1))]
        for rows, page in self._rest.pages("/api/v4/leads/unsorted", "unsorted", params):
            secrets = self._readers.connection.secrets
            yield Piece([rest_facts.inquiry(row, secrets) for row in rows], page + 1)

    def _invoices(self, since: Instant, position: Any) -> Iterator[Piece]:
        """All of them: the list has no filter by time."""
        for rows, page in self._readers.invoices.pages(int(position or 1)):
            changed = [row for row in rows if int(row["updated_at"]) >= since]
            newest = max(int(row["updated_at"]) for row in rows)
            yield Piece(self._readers.invoices.of_rows(changed), page + 1, newest)

    def waiting(self) -> Iterator[list[str]]:
        """The ids of all inquiries that wait."""
        for piece in self._inquiries(0, None):
            yield [fact.id for fact in piece.facts]

    def _events(self, since: Instant, _position: Any) -> Iterator[Piece]:
        """Events in the portal's order; at last what was before the first ones.

        A reading that was cut off starts anew: only all events together tell which one is first.
        """
        params: Params = [("limit", EVENTS_PAGE)]
        params += [("filter[type][]", kind) for kind in (*events.TYPES, *events.MESSAGES)]
        if since:
            params.append(("filter[created_at][from]", since))
        currency = self._readers.connection.currency
        for rows, _ in self._rest.pages("/api/v4/events", "events", params):
            read = [events.read(row, currency) for row in rows]
            found = [event for event in read if event is not None]
            self._beginnings.note(found)
            newest = max(int(row["created_at"]) for row in rows)
            said = [message for row in rows if (message := events.message(row)) is not None]
            yield Piece(events.facts(found) + said, None, newest)
        self._learn_births()
        for told in self._beginnings.facts(since):
            yield Piece(told, None)

    def _learn_births(self) -> None:
        """Creation instants of what an earlier run has read, or of what did not change."""
        for kind, path in _PATHS.items():
            for unknown in self._beginnings.unborn(kind):
                self._beginnings.births(kind, self._rest.by_ids(path, unknown))
