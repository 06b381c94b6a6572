"""amoCRM hooks: form bytes -> facts and touched subjects. Pure."""

from typing import Any

from service.crm import form
from service.crm.amocrm import mapping
from service.domain.facts import Fact, Kind, Touched
from service.domain.ports import Connection, Decoded, RawHook
from service.errors import PayloadNotUnderstood

_KNOWN = {"leads", "contacts", "companies", "task", "tasks", "unsorted"}
_PERSON_ACTIONS = ("add", "update", "delete", "restore", "responsible")
_DEAL_ACTIONS = ("add", "update", "status", "responsible", "restore", "delete")


def decode(raw: RawHook, connection: Connection) -> Decoded:
    """All entities and actions of a body.

    Raises:
        PayloadNotUnderstood: unreadable, of another account, or with nothing in it.
    """
    body = form.parse(raw.body)
    _check_account(body, connection)
    facts: list[Fact] = []
    touched: list[Touched] = []
    _read_deals(body.get("leads"), raw, connection, facts, touched)
    _read_notes(body, raw, facts)
    _read_persons(body, raw, facts)
    for key in ("task", "tasks"):
        _read_tasks(body.get(key), raw, facts)
    _read_inquiries(body.get("unsorted"), raw, facts, touched)
    if facts or touched:
        return Decoded(facts, list(dict.fromkeys(touched)))
    return _nothing(body)


def _nothing(body: dict[str, Any]) -> Decoded:
    others = sorted(key for key in body if key not in {"account", *_KNOWN})
    if others and all(isinstance(body[key], dict) for key in others):
        return Decoded(ignored=",".join(others)[:60])
    named = [key for key in sorted(_KNOWN) if isinstance(body.get(key), dict)]
    if any(_has_ids(body[key]) for key in named):
        return Decoded(ignored=",".join(named))
    raise PayloadNotUnderstood("cut" if named else "not_a_hook")


def _has_ids(node: Any) -> bool:
    """Whether somewhere inside stands an entity with an id."""
    if not isinstance(node, dict):
        return False
    return bool(form.text(node, "id", "uid")) or any(_has_ids(child) for child in node.values())


def _check_account(body: dict[str, Any], connection: Connection) -> None:
    """A body of another portal is kept, but not taken in (decisions.md 23, 30)."""
    account = body.get("account")
    told_id, told_name = form.text(account, "id"), form.text(account, "subdomain")
    if connection.external_id and told_id and told_id != connection.external_id:
        raise PayloadNotUnderstood("foreign_account", f"account[id]={told_id}")
    if connection.subdomain and told_name and told_name != connection.subdomain:
        raise PayloadNotUnderstood("foreign_account", f"account[subdomain]={told_name}")


def _read_deals(
    leads: Any, raw: RawHook, connection: Connection, facts: list[Fact], touched: list[Touched]
) -> None:
    if not isinstance(leads, dict):
        return
    for action in _DEAL_ACTIONS:
        for lead in form.items(leads.get(action)):
            if not isinstance(lead, dict):
                continue
            timeless = form.whole(lead, "updated_at", "last_modified") is None
            if timeless and action != "delete":
                _touch(lead, touched)  # a Digital Pipeline body: ids only, no times
                continue
            fact = mapping.deal_of_hook(lead, action, raw.received_at, connection.currency)
            if fact is not None:
                facts.append(fact)
                if action != "delete":
                    touched.append(Touched(Kind.DEAL, fact.id))
    for action in ("mail_in", "call_in", "chat", "site_visit"):
        for lead in form.items(leads.get(action)):
            _touch(lead, touched)


def _touch(lead: Any, touched: list[Touched]) -> None:
    deal = form.subject_id(lead, "id")
    if deal is not None:
        touched.append(Touched(Kind.DEAL, deal))


def _read_notes(body: dict[str, Any], raw: RawHook, facts: list[Fact]) -> None:
    for entity in ("leads", "contacts", "companies"):
        node = body.get(entity)
        if not isinstance(node, dict):
            continue
        for item in form.items(node.get("note")):
            note = item.get("note") if isinstance(item, dict) else None
            fact = mapping.note_of_hook(note, raw.received_at) if isinstance(note, dict) else None
            if fact is not None:
                facts.append(fact)


def _read_persons(body: dict[str, Any], raw: RawHook, facts: list[Fact]) -> None:
    for entity in ("contacts", "companies"):
        node = body.get(entity)
        if not isinstance(node, dict):
            continue
        for action in _PERSON_ACTIONS:
            for contact in form.items(node.get(action)):
                if isinstance(contact, dict):
                    fact = mapping.person_of_hook(contact, action, raw.received_at)
                    facts += [fact] if fact is not None else []


def _read_tasks(tasks: Any, raw: RawHook, facts: list[Fact]) -> None:
    if not isinstance(tasks, dict):
        return
    for action in ("add", "update", "responsible", "delete"):
        for task in form.items(tasks.get(action)):
            fact = (
                mapping.task_of_hook(task, action, raw.received_at)
                if isinstance(task, dict)
                else None
            )
            facts += [fact] if fact is not None else []


def _read_inquiries(unsorted: Any, raw: RawHook, facts: list[Fact], touched: list[Touched]) -> None:
    if not isinstance(unsorted, dict):
        return
    for action in ("add", "update", "delete"):
        for item in form.items(unsorted.get(action)):
            found = (
                mapping.inquiry_of_hook(item, action, raw.received_at)
                if isinstance(item, dict)
                else []
            )
            facts += found
            touched += [Touched(Kind.DEAL, f.id) for f in found if f.kind is Kind.DEAL]
