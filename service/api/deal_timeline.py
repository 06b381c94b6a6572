"""What happened to a deal, read off the facts of its timeline."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from service.api.names import Names, full_id
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank
from service.domain.fieldfold import after_each
from service.domain.instant import Instant, iso
from service.domain.siblings import BUSY_CONTACT
from service.store import facts
from service.store.handles import Connection
from service.store.reads.violations import of_deal

Entry = dict[str, Any]
_SHOWN = {
    Kind.CALL: ("direction", "answered", "seconds"),
    Kind.NOTE: ("text",),
    Kind.MESSAGE: ("direction",),
}
_PLAIN = ("name", "source", "loss_reason", "company", "contacts", "tags", "fields")


def entries(connection: Connection, names: Names, deal_id: str, until: Instant) -> list[Entry]:
    """Everything up to an instant, oldest first; `at` is a number of seconds."""
    key = f"deal:{deal_id}"
    versions = [*facts.load(connection, names.id, [key]).get(key, {}).values()]
    told = [*_told(names, versions), *_told(names, _written(connection, names.id, deal_id))]
    found = [entry for entry in told if entry["at"] <= until]
    found += [
        entry
        for row in of_deal(connection, names.id, deal_id)
        for entry in _violation(names, row)
        if entry["at"] <= until
    ]
    return sorted(found, key=lambda entry: entry["at"])


def _written(connection: Connection, account_id: str, deal_id: str) -> Iterator[Fact]:
    """Messages of the deal's persons that hang on no deal: they wait on all open ones."""
    persons = facts.contacts_of(connection, account_id, [deal_id]).get(deal_id, set())
    deals = facts.deals_of(connection, account_id, persons)
    lent = [f"contact:{person}" for person in persons if len(deals[person]) <= BUSY_CONTACT]
    for versions in facts.load(connection, account_id, lent).values():
        yield from (fact for fact in versions.values() if fact.kind is Kind.MESSAGE)


def _told(names: Names, versions: Iterable[Fact]) -> Iterator[Entry]:
    """Entries of all subjects, each from what changed between its versions."""
    by_subject: dict[tuple[Kind, str], list[Fact]] = {}
    for fact in versions:
        by_subject.setdefault((fact.kind, fact.id), []).append(fact)
    for (kind, subject_id), told in by_subject.items():
        told.sort(key=lambda fact: (fact.at, fact.rank, fact.digest()))
        if kind is Kind.DEAL:
            yield from _deal(names, told)
        elif kind is Kind.TASK:
            yield from _task(names, subject_id, told)
        elif kind in _SHOWN:
            yield from _talk(names, kind, subject_id, told)


def _entry(
    names: Names, fact: Fact, kind: str, before: Any, after: Any, at: Instant | None = None
) -> Entry:
    return {
        "at": fact.at if at is None else at,
        "kind": kind,
        "actor": names.seller(_person(fact.body.get("author"))),
        "before": before,
        "after": after,
        "source": "hook" if fact.rank is Rank.HOOK else "fetch",
    }


def _person(author: Any) -> str | None:
    return str(author) if author and author != "0" else None


def _deal(names: Names, told: Sequence[Fact]) -> Iterator[Entry]:
    image: dict[str, Any] = {}
    for fact, fields in zip(told, after_each(told), strict=True):
        after = {**image, **fact.body} | ({} if fields is None else {"fields": fields})
        if not image:
            born = after.get("created_at") or fact.at
            yield _entry(names, fact, "created", None, {"name": after.get("name")}, born)
        else:
            yield from _deal_changes(names, fact, image, after)
        image = after


def _deal_changes(
    names: Names, fact: Fact, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Entry]:
    if _place(before) != _place(after) and before.get("stage") is not None:
        yield from _moved(names, fact, before, after)
    if _differ(before, after, "responsible"):
        old, new = (names.seller(image["responsible"]) for image in (before, after))
        yield _entry(names, fact, "seller_changed", old, new)
    if _differ(before, after, "amount"):
        yield _entry(names, fact, "amount_changed", _money(before), _money(after))
    for name in _PLAIN:
        if _differ(before, after, name):
            old, new = ({"field": name, "value": image[name]} for image in (before, after))
            yield _entry(names, fact, "field_changed", old, new)
    if after.get("deleted") and not before.get("deleted"):
        yield _entry(names, fact, "deleted", None, None)


def _moved(
    names: Names, fact: Fact, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Entry]:
    old, new = (names.stage(*_place(image)) for image in (before, after))
    yield _entry(names, fact, "stage_changed", old, new)
    was, now = (names.config.stage_kind(*_place(image)) for image in (before, after))
    closed = (StageKind.WON, StageKind.LOST)
    if now in closed and was is not now:
        yield _entry(names, fact, now.value, None, None)
    elif was in closed and now not in closed:
        yield _entry(names, fact, "reopened", None, None)


def _place(image: Mapping[str, Any]) -> tuple[str, str]:
    return (image.get("pipeline") or "", image.get("stage") or "")


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    return name in before and before[name] != after[name]


def _money(image: Mapping[str, Any]) -> dict[str, Any]:
    return {"amount": image["amount"], "currency": image.get("currency")}


def _task(names: Names, task_id: str, told: Sequence[Fact]) -> Iterator[Entry]:
    image: dict[str, Any] = {}
    subject = {"id": full_id(names.id, task_id)}
    for fact in told:
        after = {**image, **fact.body}
        shown = {**subject, "title": after.get("text"), "due_at": iso(after.get("due_at"))}
        if not image:
            born = after.get("created_at") or fact.at
            yield _entry(names, fact, "task_set", None, shown, born)
        elif _differ(image, after, "due_at"):
            old = {**subject, "due_at": iso(image["due_at"])}
            yield _entry(names, fact, "task_moved", old, shown)
        if image.get("is_open", True) and after.get("is_open") is False:
            done = {**subject, "title": after.get("text"), "result": after.get("result")}
            yield _entry(names, fact, "task_done", None, done)
        image = after


def _talk(names: Names, kind: Kind, subject_id: str, told: Sequence[Fact]) -> Iterator[Entry]:
    """A call, note or message: one entry, from all that is known of it."""
    image: dict[str, Any] = {}
    for fact in told:
        image |= fact.body
    if image.get("deleted"):
        return
    first = told[0]
    at = image.get("started_at") or image.get("created_at") or first.at
    shown = {"id": full_id(names.id, subject_id)}
    shown |= {name: image.get(name) for name in _SHOWN[kind]}
    yield {
        **_entry(names, first, kind.value, None, shown, at),
        "actor": names.seller(_person(image.get("author"))),
    }


def _violation(names: Names, row: Mapping[str, Any]) -> Iterator[Entry]:
    shown = {"id": row["id"], "rule": row["rule"], "severity": row["severity"]}
    moments = [("violation_opened", row["breach_at"]), ("violation_resolved", row["resolved_at"])]
    for kind, at in moments:
        if at is not None:
            yield {
                "at": at,
                "kind": kind,
                "actor": None,
                "before": None,
                "after": shown,
                "source": "derived",
            }
