"""Bitrix24 events: form bytes -> touched ids. Pure. Only a call's end is a whole fact."""

from collections.abc import Callable
from typing import Any

from service.crm import form
from service.crm.bitrix24 import mapping
from service.crm.bitrix24.invoices import INVOICE, PREFIX
from service.domain.facts import Fact, Kind, Touched
from service.domain.instant import Instant
from service.domain.ports import Decoded, RawHook
from service.errors import PayloadNotUnderstood

_ITEMS = ("ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE")
Reader = Callable[[Any, Instant], Decoded]


def decode(raw: RawHook) -> Decoded:
    """One event.

    Raises:
        PayloadNotUnderstood: unreadable, or without an event or id.
    """
    body = form.parse(raw.body)
    name = (form.text(body, "event") or "").upper()
    if not name:
        raise PayloadNotUnderstood("not_a_hook", "no event")
    reader = _READERS.get(name)
    if reader is None:
        return Decoded(ignored=name[:60])
    return reader(body.get("data"), raw.received_at)


def _fields_id(data: Any) -> str:
    """`data[FIELDS][ID]`, or `data[ID]` (timeline comments)."""
    fields = data.get("FIELDS") if isinstance(data, dict) else None
    found = form.subject_id(fields, "ID") or form.subject_id(data, "ID")
    if found is None:
        raise PayloadNotUnderstood("no_id")
    return found


def _touch(kind: Kind, prefix: str = "") -> Reader:
    def read(data: Any, _received: Instant) -> Decoded:
        return Decoded(touched=[Touched(kind, prefix + _fields_id(data))])

    return read


def _gone(*kinds: tuple[Kind, str]) -> Reader:
    def read(data: Any, received: Instant) -> Decoded:
        subject = _fields_id(data)
        return Decoded(
            [Fact(kind, prefix + subject, received, {"deleted": True}) for kind, prefix in kinds]
        )

    return read


def _task_id(data: Any) -> str:
    """`FIELDS_AFTER[TASK_ID]`, else `FIELDS_AFTER[ID]`, else `FIELDS_BEFORE[ID]`."""
    after = data.get("FIELDS_AFTER") if isinstance(data, dict) else None
    before = data.get("FIELDS_BEFORE") if isinstance(data, dict) else None
    found = (
        form.subject_id(after, "TASK_ID")
        or form.subject_id(after, "ID")
        or form.subject_id(before, "ID")
    )
    if found is None:
        raise PayloadNotUnderstood("no_id")
    return f"t{found}"


def _task(data: Any, _received: Instant) -> Decoded:
    return Decoded(touched=[Touched(Kind.TASK, _task_id(data))])


def _task_gone(data: Any, received: Instant) -> Decoded:
    return Decoded([Fact(Kind.TASK, _task_id(data), received, {"deleted": True})])


def _call(data: Any, _received: Instant) -> Decoded:
    """A call's end: the fact at once; its deal is asked for."""
    plain = {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}
    fact = mapping.call(plain)
    if fact is None:
        raise PayloadNotUnderstood("no_id")
    return Decoded([fact], [Touched(Kind.CALL, fact.id)])


def _item(event: str) -> Reader:
    """An item of a smart process: only invoices are of use."""

    def read(data: Any, received: Instant) -> Decoded:
        fields = data.get("FIELDS") if isinstance(data, dict) else None
        if form.text(fields, "ENTITY_TYPE_ID") != str(INVOICE):
            return Decoded(ignored=event)
        key = PREFIX + _fields_id(data)
        if event.endswith("DELETE"):
            return Decoded([Fact(Kind.PAYMENT, key, received, {"deleted": True})])
        return Decoded(touched=[Touched(Kind.PAYMENT, key)])

    return read


def _directory(_data: Any, _received: Instant) -> Decoded:
    return Decoded(directory_changed=True)


def _removed(_data: Any, _received: Instant) -> Decoded:
    return Decoded(
        ignored="ONAPPUNINSTALL",
        farewell="the application was removed from the portal; install it again",
    )


_READERS: dict[str, Reader] = {
    "ONCRMDEALADD": _touch(Kind.DEAL),
    "ONCRMDEALUPDATE": _touch(Kind.DEAL),
    "ONCRMDEALMOVETOCATEGORY": _touch(Kind.DEAL),
    "ONCRMDEALDELETE": _gone((Kind.DEAL, "")),
    "ONCRMLEADADD": _touch(Kind.LEAD),
    "ONCRMLEADUPDATE": _touch(Kind.LEAD),
    "ONCRMLEADDELETE": _gone((Kind.LEAD, "")),
    "ONCRMCONTACTADD": _touch(Kind.CONTACT),
    "ONCRMCONTACTUPDATE": _touch(Kind.CONTACT),
    "ONCRMCONTACTDELETE": _gone((Kind.CONTACT, "")),
    "ONCRMCOMPANYADD": _touch(Kind.CONTACT, "co"),
    "ONCRMCOMPANYUPDATE": _touch(Kind.CONTACT, "co"),
    "ONCRMCOMPANYDELETE": _gone((Kind.CONTACT, "co")),
    "ONCRMACTIVITYADD": _touch(Kind.TASK, "a"),
    "ONCRMACTIVITYUPDATE": _touch(Kind.TASK, "a"),
    "ONCRMACTIVITYDELETE": _gone((Kind.TASK, "a"), (Kind.CALL, "c")),
    "ONCRMTIMELINECOMMENTADD": _touch(Kind.NOTE),
    "ONCRMTIMELINECOMMENTUPDATE": _touch(Kind.NOTE),
    "ONCRMTIMELINECOMMENTDELETE": _gone((Kind.NOTE, "")),
    **{name: _item(name) for name in _ITEMS},
    "ONTASKADD": _task,
    "ONTASKUPDATE": _task,
    "ONTASKDELETE": _task_gone,
    "ONVOXIMPLANTCALLEND": _call,
    "ONAPPUNINSTALL": _removed,
    "ONUSERADD": _directory,
    "ONCRMDEALUSERFIELDADD": _directory,
    "ONCRMDEALUSERFIELDUPDATE": _directory,
    "ONCRMDEALUSERFIELDDELETE": _directory,
    "ONCRMDEALUSERFIELDSETENUMVALUES": _directory,
}
