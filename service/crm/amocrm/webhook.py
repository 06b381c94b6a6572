"""amoCRM hooks: form bytes -> facts and touched subjects. Pure.

A body may hold several entities and actions, in any order. Contacts and loss reason of a deal are
in REST only, so each lead hook also touches its deal.
"""

from collections.abc import Iterator
from typing import Any

from service.crm import form
from service.crm.amocrm import hook_facts
from service.crm.amocrm.invoices import PREFIX
from service.domain.facts import Fact, Kind, Touched
from service.domain.ports import Connection, Decoded, RawHook
from service.errors import PayloadNotUnderstood

_KNOWN = ("leads", "contacts", "companies", "task", "tasks", "unsorted")
_DEAL_ACTIONS = ("add", "update", "status", "responsible", "restore", "delete")
_SIGNALS = ("mail_in", "call_in", "chat", "site_visit")  # Digital Pipeline: ids only
_PERSON_ACTIONS = ("add", "update", "delete", "restore", "responsible")
_OWNERS = {"leads": "deal", "contacts": "contact", "companies": "company"}
MAX_NAME = 60


def decode(raw: RawHook, connection: Connection) -> Decoded:
    """All entities and actions of a body.

    Raises:
        PayloadNotUnderstood: unreadable, of another account, or with nothing in it.
    """
    body = form.parse(raw.body)
    _check_account(body, connection)
    facts: list[Fact] = []
    touched: list[Touched] = []
    for found in _read(body, raw, connection):
        if isinstance(found, Fact):
            facts.append(found)
        else:
            touched.append(found)
    if facts or touched:
        return Decoded(facts, list(dict.fromkeys(touched)))
    return _nothing(body)


def _read(body: dict[str, Any], raw: RawHook, connection: Connection) -> Iterator[Fact | Touched]:
    yield from _deals(body.get("leads"), raw, connection)
    yield from _notes(body, raw)
    yield from _persons(body, raw, connection.secrets)
    for key in ("task", "tasks"):
        for action, item in _entities(body.get(key), ("add", "update", "responsible", "delete")):
            task = hook_facts.task(item, action, raw.received_at, connection.timezone)
            yield from [task] if task is not None else []
    for key, direction in (("message", "in"), ("outgoing_message", "out")):
        for _, item in _entities(body.get(key), ("add",)):
            word = hook_facts.chat(item, direction, raw.received_at)
            yield from [word] if word is not None else []
    for _, item in _entities(body.get("talk"), ("update",)):
        closed = hook_facts.talk(item, raw.received_at)
        yield from [closed] if closed is not None else []
    yield from _elements(body.get("catalogs"))
    for action, item in _entities(body.get("unsorted"), ("add", "update", "delete")):
        for fact in hook_facts.inquiry(item, action, raw.received_at, connection.secrets):
            yield fact
            if fact.kind is Kind.DEAL:
                yield Touched(Kind.DEAL, fact.id)


def _entities(node: Any, actions: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(action, entity) of all entities under these actions."""
    if not isinstance(node, dict):
        return
    for action in actions:
        found = node.get(action)
        if isinstance(found, str):  # the vendor's prose: {entity: {delete: id}}
            yield action, {"id": found}
        for item in form.items(found):
            if isinstance(item, dict):
                yield action, item


def _deals(leads: Any, raw: RawHook, connection: Connection) -> Iterator[Fact | Touched]:
    for action, lead in _entities(leads, _DEAL_ACTIONS):
        deal = form.subject_id(lead, "id")
        if deal is None:
            continue
        if action == "delete":
            yield from hook_facts.deal(lead, action, raw.received_at, connection.currency)
            continue
        if form.instant(lead, "updated_at", "last_modified") is not None:
            yield from hook_facts.deal(lead, action, raw.received_at, connection.currency)
        # Without a time it is a Digital Pipeline body: old and new ids, fit for asking only.
        yield Touched(Kind.DEAL, deal)
    for _, lead in _entities(leads, _SIGNALS):
        deal = form.subject_id(lead, "id")
        if deal is not None:
            yield Touched(Kind.DEAL, deal)


def _notes(body: dict[str, Any], raw: RawHook) -> Iterator[Fact | Touched]:
    for entity, owner in _OWNERS.items():
        for _, item in _entities(body.get(entity), ("note",)):
            holder = form.text(item, "type")
            named = holder if holder in {"contact", "company"} else owner
            note = item.get("note")
            fact = hook_facts.note(note, named, raw.received_at) if isinstance(note, dict) else None
            if fact is None:
                continue
            yield fact
            if fact.kind is Kind.CALL and fact.body["seconds"] > 0:
                # Minutes of ringing look like a talk: only REST says how it ended (decisions 18).
                yield Touched(Kind.CALL, fact.id)


def _elements(catalogs: Any) -> Iterator[Touched]:
    """Elements of lists: which of them are invoices, only REST knows."""
    for _, element in _entities(catalogs, ("add", "update", "delete")):
        catalog, key = form.subject_id(element, "catalog_id"), form.subject_id(element, "id")
        if catalog is not None and key is not None:
            yield Touched(Kind.PAYMENT, f"{PREFIX}{catalog}.{key}")


def _persons(body: dict[str, Any], raw: RawHook, secrets: dict[str, str]) -> Iterator[Fact]:
    for entity in ("contacts", "companies"):
        for action, item in _entities(body.get(entity), _PERSON_ACTIONS):
            company = entity == "companies"
            fact = hook_facts.person(item, action, raw.received_at, secrets, company=company)
            if fact is not None:
                yield fact


def _check_account(body: dict[str, Any], connection: Connection) -> None:
    """A body of another portal is kept, but not taken in (decisions.md 23, 30)."""
    account = body.get("account")
    told_id, told_name = form.text(account, "id"), form.text(account, "subdomain")
    if connection.external_id and told_id and told_id != connection.external_id:
        raise PayloadNotUnderstood("foreign_account", f"account[id]={told_id}")
    if connection.subdomain and told_name and told_name != connection.subdomain:
        raise PayloadNotUnderstood("foreign_account", f"account[subdomain]={told_name}")


def _nothing(body: dict[str, Any]) -> Decoded:
    """A body without a fact: entities we have no use for are named, anything else is parked."""
    others = [key for key, node in body.items() if key != "account" and key not in _KNOWN]
    if any(isinstance(body[key], dict) for key in others):
        return Decoded(ignored=",".join(sorted(others))[:MAX_NAME])
    named = [key for key in _KNOWN if isinstance(body.get(key), dict)]
    actions = sorted(
        f"{key}[{action}]" for key in named for action, node in body[key].items() if _has_id(node)
    )
    if actions:
        return Decoded(ignored=",".join(actions)[:MAX_NAME])
    raise PayloadNotUnderstood("cut" if named else "not_a_hook")


def _has_id(node: Any) -> bool:
    """Whether somewhere inside stands an entity with an id."""
    if not isinstance(node, dict):
        return False
    return bool(form.text(node, "id", "uid")) or any(_has_id(child) for child in node.values())
