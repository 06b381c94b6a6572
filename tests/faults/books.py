"""What must be true in the end, counted on our own side and compared with Dozor's."""

from collections import Counter
from typing import Any

import httpx
from sqlalchemy import Engine, Table, func, select

from service.store.engine import open_engine
from service.store.records import Alert
from service.store.tables import FactRow, Inbox, Violation
from tests.faults.load import Hook
from tests.faults.process import PATIENCE, Dozor, until
from tests.faults.stand_in import StandIn

INBOX: Table = Inbox.__table__  # type: ignore[attr-defined]
FACT: Table = FactRow.__table__  # type: ignore[attr-defined]
VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
ALERT: Table = Alert.__table__  # type: ignore[attr-defined]
AT_ONCE = 8  # messages that the sender has under way at a time


class Books:
    """Dozor's tables, read from outside."""

    def __init__(self, dozor: Dozor) -> None:
        self.engine: Engine = open_engine(dozor.database_url)
        self._now = dozor.now

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def rows(self, query: Any) -> list[Any]:
        """What a query finds."""
        with self.engine.connect() as connection:
            return list(connection.execute(query))

    def pending(self) -> int:
        """Hooks not worked on."""
        where = INBOX.c.state == "pending"
        return int(self.rows(select(func.count()).select_from(INBOX).where(where))[0][0])

    def bodies(self) -> Counter[bytes]:
        """How many rows of the inbox have each body."""
        query = select(INBOX.c.body, func.count()).group_by(INBOX.c.body)
        return Counter({bytes(body): count for body, count in self.rows(query)})

    def versions(self) -> Counter[tuple[str, str]]:
        """How many versions are known of each subject."""
        return Counter((str(kind), id_) for kind, id_ in self.rows(select(FACT.c.kind, FACT.c.id)))

    def overdue(self) -> list[tuple[str, int, str]]:
        """Tasks that are overdue by now, by the rule that alerts: (task, breach, id)."""
        query = select(VIOLATION.c.subject_id, VIOLATION.c.breach_at, VIOLATION.c.id).where(
            VIOLATION.c.rule == "task-overdue", VIOLATION.c.breach_at <= self._now().timestamp()
        )
        return [tuple(row) for row in self.rows(query)]

    def alerts(self, channel: str) -> list[Any]:
        """The outbox of a channel."""
        query = select(
            ALERT.c.key, ALERT.c.receiver, ALERT.c.state, ALERT.c.attempts, ALERT.c.text,
            ALERT.c.violations, ALERT.c.kind,
        )  # fmt: skip
        return self.rows(query.where(ALERT.c.channel == channel))

    def unsent(self) -> int:
        """Messages still to be sent."""
        where = ALERT.c.state == "pending"
        return int(self.rows(select(func.count()).select_from(ALERT).where(where))[0][0])

    def unannounced(self, hooks: list[Hook]) -> set[str]:
        """Overdue tasks of which nobody has been told."""
        told = {id_ for alert in self.alerts("webhook") for id_ in alert.violations}
        told &= {id_ for alert in self.alerts("telegram") for id_ in alert.violations}
        announced = {task for task, _, id_ in self.overdue() if id_ in told}
        return {hook.id for hook in hooks if hook.due} - announced


def settle(books: Books, hooks: list[Hook]) -> None:
    """Wait until all is worked off, every deadline has passed, and every message has left."""
    until(lambda: books.pending() == 0)
    until(lambda: not books.unannounced(hooks))
    until(lambda: books.unsent() == 0)


def check_inbox(books: Books, hooks: list[Hook]) -> None:
    """Acknowledged is stored: once if sent once, never more often than it was sent."""
    stored = books.bodies()
    for hook in hooks:
        rows = stored[hook.body]
        assert rows <= hook.sent, (hook, rows)
        if hook.acknowledged:
            assert rows >= 1, hook
        if hook.acknowledged == 1:
            assert rows == hook.sent == 1, (hook, rows)
    assert set(stored) <= {hook.body for hook in hooks}


def check_facts(books: Books, dozor: Dozor, hooks: list[Hook]) -> None:
    """Every acknowledged subject is known by one version; what is derived is right."""
    acknowledged = {(hook.kind, hook.id) for hook in hooks if hook.acknowledged}
    known = books.versions()
    assert acknowledged <= set(known)
    assert set(known.values()) == {1}
    assert dozor.command("verify") == []


def check_answers(dozor: Dozor, hooks: list[Hook]) -> None:
    """The API answers every acknowledged subject."""
    for kind in ("task", "deal"):
        wanted = {hook.id for hook in hooks if hook.acknowledged and hook.kind == kind}
        assert wanted <= answered(dozor, f"{kind}s")


def answered(dozor: Dozor, what: str) -> set[str]:
    """The CRM ids of all deals or tasks that the API lists."""
    found: set[str] = set()
    cursor: dict[str, str] = {}
    with httpx.Client(base_url=dozor.url, headers=dozor.key, timeout=PATIENCE) as api:
        while True:
            page = api.get(f"/v1/{what}", params={"limit": "1000", **cursor})
            assert page.status_code == 200, page.text
            document = page.json()
            found |= {row["crm_id"] for row in document["data"]}
            if document["next_cursor"] is None:
                return found
            cursor = {"cursor": document["next_cursor"]}


def check_alerts(books: Books, stand_in: StandIn, hooks: list[Hook], crashes: int) -> None:
    """Each overdue task is told once to each receiver; sent twice only over a crash."""
    late = {hook.id: hook.due for hook in hooks if hook.due}
    violations = books.overdue()
    assert sorted((task, breach) for task, breach, _ in violations) == sorted(late.items())
    ids = sorted(id_ for _, _, id_ in violations)
    tries = 0
    for channel in ("telegram", "webhook"):
        alerts = books.alerts(channel)
        assert sorted(id_ for alert in alerts for id_ in alert.violations) == ids
        assert {alert.state for alert in alerts} <= {"sent"}
        tries += sum(alert.attempts - 1 for alert in alerts)
    assert tries <= crashes * AT_ONCE
    _check_events(books, stand_in)
    _check_texts(books, stand_in)


def _check_events(books: Books, stand_in: StandIn) -> None:
    """A subscriber sees each key at least once, with one body, never more often than tried."""
    seen = Counter(key for key, _ in stand_in.events)
    alerts = {alert.key: alert for alert in books.alerts("webhook")}
    assert set(seen) == set(alerts)
    assert len(set(stand_in.events)) == len(seen)
    assert [key for key, times in seen.items() if times > alerts[key].attempts] == []


def _check_texts(books: Books, stand_in: StandIn) -> None:
    """Telegram carries no key: its messages are told apart by their words."""
    seen = Counter(stand_in.texts)
    tried: Counter[str] = Counter()
    for alert in books.alerts("telegram"):
        tried[alert.text] += alert.attempts
    assert set(seen) == set(tried)
    assert [text for text, times in seen.items() if times > tried[text]] == []
