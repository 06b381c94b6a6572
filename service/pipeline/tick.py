"""The tick: violations whose instant has come are re-read, judged once more, claimed and told.

Nothing is told while hooks that could disprove it wait in the inbox, or subjects that they touched
wait to be read: they are worked on first. Nothing at all is told before history has been read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_fact
from typing import Any

import structlog

from service.alerts import events, policy
from service.alerts.policy import Event
from service.domain.bulk import Stretch, ready_at
from service.domain.config import Config
from service.domain.facts import Fact, Kind, Touched
from service.domain.instant import Instant, iso
from service.errors import SourceUnavailable
from service.pipeline import doubts, inhibition, inquiries
from service.pipeline import nudges as writing
from service.pipeline.drain import BATCH as INBOX_BATCH
from service.pipeline.drain import LeaseLost, drain, store_facts
from service.pipeline.holds import holding
from service.pipeline.office import Office
from service.pipeline.rejudge import judge_dirty
from service.rules.book import Window
from service.rules.shelf import arrival
from service.rules.texts import Names, advice, render_title
from service.store import (
    accounts,
    announcements,
    bulks,
    images,
    nudges,
    outbox,
    remarks,
    subscriptions,
)
from service.store.accounts import AccountRow
from service.store.engine import reading, transaction
from service.store.handles import Connection

BATCH = 200
MOST_OLD = 5000  # breaches from before the connection or a rule's arrival, in one digest
REREAD = 50  # subjects in one reading
CATCH_UP = 20  # batches of the inbox worked on before telling; a longer backlog is told as known
PATIENCE_SECONDS = 5
LATE_SECONDS = policy.LATE_SECONDS
log = structlog.get_logger()
Row = dict[str, Any]


def due_accounts(connection: Connection, now: Instant) -> list[str]:
    """Accounts with violations to look at."""
    return announcements.accounts_due(connection, now)


def tick(office: Office) -> int:
    """Look at all violations that are due; how many."""
    with reading(office.engine) as connection:
        waiting = due_accounts(connection, office.now())
    return sum(tick_account(office, account_id) for account_id in waiting)


def tick_account(office: Office, account_id: str) -> int:
    """Look at an account's violations that are due; how many."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or doubts.is_unread(office, row):
            return 0
        due = _due(office, connection, row, office.now())
        config = office.config(connection, account_id)
        windows = office.windows(connection, row)
    if not due:
        return 0
    doubts.read_news(office, row, due)
    facts = _reread(office, row, config, [v for v in due if not _came_before(v, windows)])
    with holding(office, account_id, patience=PATIENCE_SECONDS) as mine:
        if not mine:
            return 0
        try:
            store_facts(office, account_id, facts)
            _catch_up(office, account_id)
            with transaction(office.engine) as connection:
                if accounts.hold(connection, account_id, office.worker):
                    now = accounts.account(connection, account_id)
                    is_read = now is not None and not doubts.is_unread(office, now)
                    return announce(office, connection, row) if is_read else 0
        except LeaseLost:
            log.warning("lease_lost", account=account_id)
    return 0


def _due(office: Office, connection: Connection, row: AccountRow, now: Instant) -> list[Row]:
    """What to look at. While a change is still being judged, nothing from before the change.

    Old breaches are taken all at once: they make one digest, not one for each batch; so are those
    of a bulk change.
    """
    windows = office.windows(connection, row)
    judging = row.judged_version < row.config_version
    after = max(windows[-1].arrived.values(), default=0) if judging else 0
    due = announcements.due(connection, row.account_id, now, BATCH, after)
    if len(due) < BATCH:
        return due
    if not _is_old(due[-1], windows, now) and not bulks.of_violations(
        connection, row.account_id, due
    ):
        return due
    return announcements.due(connection, row.account_id, now, MOST_OLD, after)


def _is_old(row: Row, windows: Sequence[Window], now: Instant) -> bool:
    config = windows[-1].config
    breach = row["breach_at"]
    return policy.is_before(breach, arrival(windows, row["rule"], breach), config, now)


def _came_before(row: Row, windows: Sequence[Window]) -> bool:
    """Whether a breach is older than its rule is here."""
    return bool(row["breach_at"] <= arrival(windows, row["rule"], row["breach_at"]))


def _reread(office: Office, row: AccountRow, config: Config, due: Sequence[Row]) -> list[Fact]:
    """The subjects of fresh breaches, as the CRM has them now; without the CRM as we know them."""
    now = office.now()
    fresh = [v for v in due if _is_fresh(v, config, now)]
    if not fresh or not doubts.can_ask(office, row) or office.breaker.is_open(row.account_id):
        return []
    touched = sorted({t for v in fresh for t in _subjects_of(v)}, key=lambda t: (t.kind, t.id))
    client = office.client(row, config)
    facts: list[Fact] = []
    try:
        for start in range(0, len(touched), REREAD):
            facts += client.fetch(touched[start : start + REREAD])
        if any(violation["subject_kind"] == "lead" for violation in fresh):
            facts += inquiries.gone(office, row.account_id, client)
    except SourceUnavailable as error:
        office.breaker.failed(row.account_id, error)
        log.info("reread_failed", account=row.account_id, error=str(error))
    else:
        office.breaker.answered(row.account_id)
    return [replace_fact(fact, at=now) if fact.at == 0 else fact for fact in facts]


def _catch_up(office: Office, account_id: str) -> None:
    for _ in range(CATCH_UP):
        if drain(office, account_id) < INBOX_BATCH:
            break
    judge_dirty(office, account_id)


def _is_fresh(row: Row, config: Config, now: Instant) -> bool:
    late = now - row["breach_at"] > LATE_SECONDS
    return row["resolved_at"] is None and not late and row["breach_at"] >= config.connected_at


def _subjects_of(row: Row) -> list[Touched]:
    found = []
    if row["subject_kind"] == "task":
        found.append(Touched(Kind.TASK, row["subject_id"]))
    if row["deal"]:
        found.append(Touched(Kind.DEAL, row["deal"]))
    return found


def announce(office: Office, connection: Connection, row: AccountRow) -> int:
    """Claim what is due, make messages of it, say when to look again; in one transaction."""
    now = office.now()
    config = office.config(connection, row.account_id)
    known = accounts.account(connection, row.account_id) or row  # re-judged meanwhile?
    due = _due(office, connection, known, now)
    claimed: list[tuple[str, Row]] = []
    marks: list[tuple[str, Instant | None]] = []
    bulk = bulks.of_violations(connection, row.account_id, due)
    doubtful = doubts.doubtful_from(office, connection, row)
    for violation in due:
        ready = _ready_at(violation, bulk, config)
        if doubtful is not None and violation["breach_at"] >= doubtful:
            ready = max(ready, now + doubts.AGAIN_SECONDS)
        kind = _claim(connection, violation, now) if ready <= now else None
        if kind is not None:
            claimed.append((kind, violation))
        marks.append((violation["id"], _next_look(violation, now, ready)))
    announcements.look_again(connection, row.account_id, marks)
    if claimed:
        _tell(office, connection, known, config, claimed, bulk, now)
    return len(due)


def _ready_at(row: Row, bulk: Mapping[str, Stretch], config: Config) -> Instant:
    """When a breach may be told: one of a bulk change waits for the others of its norm."""
    stretch = bulk.get(row["id"])
    if stretch is None:
        return int(row["breach_at"])
    return ready_at(row, stretch, config.document.bulk.limit)


def _claim(connection: Connection, row: Row, now: Instant) -> str | None:
    """The event to tell, if there is one and nobody has told it."""
    resolved = row["resolved_at"] is not None and row["resolved_at"] <= now
    if not resolved:
        if row["breach_at"] > now:
            return None
        return "opened" if announcements.claim(connection, row, "opened", now) else None
    if announcements.opened(connection, row) is None:
        return None  # over before anybody was told: nothing to tell
    return "resolved" if announcements.claim(connection, row, "resolved", now) else None


def _next_look(row: Row, now: Instant, ready: Instant) -> Instant | None:
    if ready > now:
        return ready
    if row["resolved_at"] is not None and row["resolved_at"] > now:
        return int(row["resolved_at"])
    return None


def _tell(
    office: Office,
    connection: Connection,
    row: AccountRow,
    config: Config,
    claimed: Sequence[tuple[str, Row]],
    bulk: Mapping[str, Stretch],
    now: Instant,  # that of the claims: a resolution finds its opening's messages by it
) -> None:
    portal = office.portal(row, config)
    adapter = office.adapter(row.crm)
    names = images.deal_names(connection, row.account_id, {v["deal"] for _, v in claimed})
    said = remarks.marks(connection, [v for _, v in claimed], now)
    opened = [violation for kind, violation in claimed if kind == "opened"]
    book = office.book_of(connection, row.account_id)
    windows = office.windows(connection, row)
    quiet = inhibition.silenced(connection, row.account_id, book, opened, now)
    made: list[Event] = []
    for kind, violation in claimed:
        model = book.known(violation["rule"])
        deal = names.get(violation["deal"], "")
        subject = Names(deal, str(violation["values"].get("text", {}).get("name") or deal))
        mute = said.mute_of(violation)
        told = (
            announcements.receivers_told(connection, row.account_id, violation)
            if kind == "resolved"
            else set()
        )
        made.append(
            Event(
                "opened" if kind == "opened" else "resolved",
                violation,
                {
                    lang: render_title(model, violation, subject, config, now, lang)
                    for lang in ("ru", "en")
                },
                {lang: advice(model, lang) for lang in ("ru", "en")},
                config.seller_name(violation["owner"]) or "",
                deal,
                adapter.subject_url(portal, "deal", violation["deal"])
                if violation["deal"]
                else None,
                mute is not None,
                told=frozenset(told),
                inhibited=kind == "opened" and violation["id"] in quiet,
                ops=model.to == "ops",
                arrived=arrival(windows, violation["rule"], violation["breach_at"]),
                bulk=bulk.get(violation["id"]),
            )
        )
    at = {event.id: _event_at(event) for event in made}
    rows = [_outbox_row(row.account_id, message, at) for message in policy.plan(made, config, now)]
    rows += _for_subscribers(connection, row.account_id, made, config, now)
    outbox.put(connection, rows, now)
    nudges.put(connection, _nudges(made, config, now), now)


def _nudges(made: Sequence[Event], config: Config, now: Instant) -> list[Row]:
    """What goes into the CRM: of fresh openings whose rules ask for it, and that no bulk began."""
    fresh = [
        e for e in made if e.kind == "opened" and not (e.muted or e.inhibited or e.bulk is not None)
    ]
    fresh = [e for e in fresh if not policy.is_old(e, config, now)]
    found = [writing.wanted(dict(e.row), e.title[config.lang], config) for e in fresh]
    return [row for row in found if row is not None]


def _event_at(event: Event) -> Instant:
    return int(event.row["breach_at"] if event.kind == "opened" else event.row["resolved_at"])


def _outbox_row(account_id: str, message: policy.Outgoing, at: Mapping[str, Instant]) -> Row:
    return {
        "account_id": account_id, "key": message.key, "receiver": message.receiver,
        "channel": message.channel, "kind": message.kind, "text": message.text,
        "violations": list(message.violations),
        "event_at": min(at[violation] for violation in message.violations),
        "state": "suppressed" if message.suppressed else "pending",
        "reason": message.suppressed or message.reason,
        "next_try_at": None if message.suppressed else message.not_before,
    }  # fmt: skip


def _for_subscribers(
    connection: Connection,
    account_id: str,
    made: Sequence[Event],
    config: Config,
    now: Instant,
) -> list[Row]:
    rows: list[Row] = []
    for subscription in subscriptions.subscriptions(connection, active=True):
        for event in made:
            kind = f"violation.{event.kind}"
            if event.muted or policy.is_old(event, config, now):
                continue  # what is older than the connection never alerts singly
            if not events.wants(subscription, kind, account_id, event.row):
                continue
            at = _event_at(event)
            data = {
                "account": account_id,
                "version": 1 if event.kind == "opened" else 2,
                "violation": violation_view(account_id, event, config),
            }
            rows.append({
                "account_id": account_id, "key": f"{subscription['id']}.{event.kind}.{event.id}",
                "receiver": subscription["id"], "channel": "webhook", "kind": "event",
                "text": event.title[config.lang], "body": events.body(kind, at, data),
                "violations": [event.id], "event_at": at,
            })  # fmt: skip
    return rows


def violation_view(account_id: str, event: Event, config: Config) -> Mapping[str, Any]:
    """A violation as other systems see it (the fields of api.md 3.4 that are facts)."""
    row = event.row
    team = config.team_of(row["seller"], row["breach_at"])
    seller = {"id": f"{account_id}.{row['seller']}", "name": config.seller_name(row["seller"])}
    deal = {"id": f"{account_id}.{row['deal']}", "name": event.deal, "url": event.url}
    money = {"amount": row["amount"], "currency": row["currency"]}
    return {
        "id": row["id"],
        "account": account_id,
        "rule": {"id": row["rule"], "version": row["rule_version"]},
        "severity": row["severity"],
        "status": "open" if event.kind == "opened" else "resolved",
        "title": event.title[config.lang],
        "subject": {"kind": row["subject_kind"], "id": f"{account_id}.{row['subject_id']}"},
        "deal": deal if row["deal"] else None,
        "seller": seller if row["seller"] else None,
        "team": {"id": team.id, "name": team.name} if team else None,
        "amount": money if row["currency"] else None,
        "since": iso(row["since"]),
        "held_since": iso(row["held_since"]),
        "breach_at": iso(row["breach_at"]),
        "resolved_at": iso(row["resolved_at"]),
        "resolution": row["resolution"],
        "bulk": event.bulk is not None,
        "values": row["values"].get("attributes", {}),
    }
