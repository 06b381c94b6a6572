"""JSON bodies -> facts and directory. Pure."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from service.crm.generic import schema
from service.domain.clientkeys import client_keys
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
)
from service.domain.facts import Fact, Kind
from service.domain.instant import from_datetime
from service.domain.ports import Decoded, RawHook
from service.errors import PayloadNotUnderstood

_DECODER = msgspec.json.Decoder(schema.Body)
_KINDS: dict[type, Kind] = {
    schema.Deal: Kind.DEAL, schema.Task: Kind.TASK, schema.Call: Kind.CALL,
    schema.Note: Kind.NOTE, schema.Inquiry: Kind.LEAD, schema.Contact: Kind.CONTACT,
    schema.Payment: Kind.PAYMENT,
}  # fmt: skip
_NAMES = {
    (Kind.DEAL, "seller"): "responsible", (Kind.TASK, "seller"): "responsible",
    (Kind.LEAD, "seller"): "responsible", (Kind.CALL, "seller"): "author",
    (Kind.TASK, "open"): "is_open",
}  # fmt: skip


def decode(raw: RawHook, secrets: dict[str, str]) -> Decoded:
    """All facts of a body, or none.

    Raises:
        PayloadNotUnderstood: `empty`, `not_utf8`, or `bad_fact: <place>: <what is wrong>`.
    """
    if not raw.body.strip():
        raise PayloadNotUnderstood("empty")
    try:
        body = _DECODER.decode(raw.body)
    except msgspec.ValidationError as error:
        raise PayloadNotUnderstood(f"bad_fact: {_place(str(error))}"[:300]) from None
    except (msgspec.DecodeError, RecursionError):
        raise PayloadNotUnderstood("not_json") from None
    except UnicodeDecodeError:
        raise PayloadNotUnderstood("not_utf8") from None
    facts, directory = [], None
    for item in body.facts:
        if isinstance(item, schema.Directory):
            directory = _directory(item)
        else:
            facts.append(_fact(item, secrets))
    return Decoded(facts, directory=directory)


def _place(told: str) -> str:
    """Msgspec says `what - at `$.facts[3].amount``; the place comes first here."""
    what, _, where = told.partition(" - at ")
    place = where.strip("`").removeprefix("$").removeprefix(".")
    return f"{place}: {what}" if place else what


def _fact(item: Any, secrets: dict[str, str]) -> Fact:
    kind = _KINDS[type(item)]
    at = from_datetime(item.at)
    body: dict[str, Any] = {}
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if name in {"id", "at"} or value is UNSET:
            continue
        value = from_datetime(value) if isinstance(value, datetime) else value
        body[_NAMES.get((kind, name), name)] = value
    if kind is Kind.CONTACT:
        body = _hashed(body, secrets)
    return Fact(kind, item.id, at, _completed(kind, at, body))


def _hashed(body: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """Phones and e-mails as keys: the values are not kept."""
    told = [name for name in ("phones", "emails") if name in body]
    phones, emails = body.pop("phones", ()), body.pop("emails", ())
    if "phones" in told:
        body.setdefault("has_phone", bool(phones))
    if "emails" in told:
        body.setdefault("has_email", bool(emails))
    keys = client_keys(secrets, phones, emails) if told else None
    return body if keys is None else body | {"keys": keys}


def _completed(kind: Kind, at: int, body: dict[str, Any]) -> dict[str, Any]:
    if kind in {Kind.DEAL, Kind.TASK} and "created_at" in body:
        body.setdefault("created_by", body.get("author") or "0")
    if kind is Kind.TASK and "starts_at" in body:
        body["task_kind"] = "meeting"
    if kind is Kind.NOTE:
        body["created_at"] = at
    if kind is Kind.LEAD:
        body.setdefault("category", "lead")
    if kind is Kind.PAYMENT:
        one = {"at": body.pop("paid_at"), **{n: body.pop(n) for n in ("amount", "currency")}}
        body["payments"] = [one]
    return body


def _directory(item: schema.Directory) -> Directory:
    return Directory(
        timezone=item.timezone,
        currency=item.currency,
        loss_reasons_used=bool(item.loss_reasons),
        complete_users=True,
        sellers=tuple(
            Seller(id=s.id, name=s.name, group=s.team, group_name=s.team, active=s.active)
            for s in item.sellers
        ),
        pipelines=tuple(
            Pipeline(
                id=p.id, name=p.name, sort=number, main=number == 0,
                stages=tuple(
                    Stage(id=s.id, name=s.name, sort=place, kind=StageKind(s.kind))
                    for place, s in enumerate(p.stages)
                ),
            )
            for number, p in enumerate(item.pipelines)
        ),
        loss_reasons=tuple(LossReason(id=r.id, name=r.name) for r in item.loss_reasons),
        fields=tuple(CustomField(id=f.id, name=f.name) for f in item.fields),
    )  # fmt: skip
