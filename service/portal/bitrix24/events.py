"""Outgoing webhooks and what a change of the book tells them: ids only, in the portal's form.

Sources: bitrix24.md 1.1-1.3 and the samples beside it.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.portal.bitrix24.calls import failed_code, failed_reason
from service.portal.bitrix24.invoices import INVOICE
from service.portal.bitrix24.log import Line
from service.portal.book import (
    TO_DO_KIND,
    Call,
    Change,
    Contact,
    Deal,
    Inquiry,
    Message,
    Note,
    Task,
    User,
)
from service.portal.brackets import Branch, encode
from service.portal.dialect import Delivery
from service.portal.invoices import Invoice
from service.portal.office import Office, unix

_FIRST_HANDLER = 900
_OAUTH = "https://oauth.bitrix24.tech/rest/"
EVENTS = (
    *(f"ONCRM{name}{verb}" for name in ("DEAL", "LEAD", "CONTACT", "COMPANY", "ACTIVITY")
      for verb in ("ADD", "UPDATE", "DELETE")),
    "ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE",
    "ONCRMTIMELINECOMMENTADD", "ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE",
    "ONVOXIMPLANTCALLEND", "ONUSERADD",
)  # fmt: skip
Data = Mapping[str, Branch]


@dataclass(frozen=True)
class Outgoing:
    """An outgoing webhook as an administrator makes it by hand."""

    url: str
    events: tuple[str, ...]
    application_token: str
    number: int


class Outgoings:
    """The outgoing webhooks of a portal, by address."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._webhooks: dict[str, Outgoing] = {}
        self.member_id = hashlib.sha256(office.subdomain.encode()).hexdigest()[:32]

    def put(self, url: str, events: list[str], application_token: str | None) -> Outgoing:
        """Make or replace the webhook of this address; without a token the portal makes one.

        Raises:
            ValueError: an event that an outgoing webhook cannot have.
        """
        names = tuple(name.upper() for name in events)
        unknown = [name for name in names if name not in EVENTS]
        if unknown:
            msg = f"events: {unknown[0]} is not offered to an outgoing webhook"
            raise ValueError(msg)
        known = self._webhooks.get(url)
        number = known.number if known else len(self._webhooks)
        token = application_token or secrets.token_hex(16)
        self._webhooks[url] = Outgoing(url, names, token, number)
        return self._webhooks[url]

    def has(self, url: str) -> bool:
        """Is there a webhook with this address."""
        return url in self._webhooks

    def state(self) -> list[dict[str, object]]:
        """The webhooks, without their tokens."""
        return [{"url": hook.url, "events": hook.events} for hook in self._webhooks.values()]

    def deliveries(self, change: Change) -> list[Delivery]:
        """The events that a change raises, to each webhook that chose them."""
        return [
            Delivery(hook.url, event, self._body(hook, event, data))
            for event, data in told(self._office, change)
            for hook in self._webhooks.values()
            if event in hook.events
        ]

    def _body(self, hook: Outgoing, event: str, data: Data) -> bytes:
        domain = f"{self._office.subdomain}.bitrix24.ru"
        handler = _FIRST_HANDLER + 100 * hook.number + hook.events.index(event)
        return encode(
            {
                "event": event,
                "event_handler_id": handler,
                "data": data,
                "ts": unix(self._office.clock.now()),
                "auth": {
                    "domain": domain,
                    "client_endpoint": f"https://{domain}/rest/",
                    "server_endpoint": _OAUTH,
                    "member_id": self.member_id,
                    "application_token": hook.application_token,
                },
            }
        )


def told(office: Office, change: Change) -> Iterator[tuple[str, Data]]:
    """Event names with their data, in the order in which the portal raises them."""
    after = change.after
    verb = "ADD" if change.before is None else "UPDATE"
    match after:
        case Deal():
            verb = "DELETE" if change.verb == "deal_deleted" else verb
            yield f"ONCRMDEAL{verb}", _fields(after.id)
        case Inquiry():
            yield f"ONCRMLEAD{verb}", _fields(after.id)
        case Task():
            yield from _of_task(after, "DELETE" if change.verb == "task_deleted" else verb)
        case Call():
            yield "ONCRMACTIVITYADD", _fields(after.id)
            yield "ONVOXIMPLANTCALLEND", _call_data(office, after, change)
        case Message():
            yield "ONCRMACTIVITYADD", _fields(after.id)
        case Note():
            yield "ONCRMTIMELINECOMMENTADD", {"ID": after.id}
        case Contact():
            yield f"ONCRMCONTACT{verb}", _fields(after.id)
        case Invoice():
            verb = verb if after.deleted_at is None else "DELETE"
            data = {"FIELDS": {"ID": after.id, "ENTITY_TYPE_ID": INVOICE}}
            yield f"ONCRMDYNAMICITEM{verb}", data
        case User() if change.before is None:
            yield "ONUSERADD", _user_data(after)


def _of_task(task: Task, verb: str) -> Iterator[tuple[str, Data]]:
    if task.kind_id != TO_DO_KIND:
        yield f"ONTASK{verb}", _task_data(task.id, verb)
    if task.deal_id is not None:
        yield f"ONCRMACTIVITY{verb}", _fields(task.id)


def _fields(number: int) -> Data:
    return {"FIELDS": {"ID": number}}


def _task_data(number: int, verb: str) -> Data:
    return {
        "FIELDS_BEFORE": "undefined" if verb == "ADD" else {"ID": number},
        "FIELDS_AFTER": "undefined" if verb == "DELETE" else {"ID": number},
        "IS_ACCESSIBLE_BEFORE": "N" if verb == "ADD" else "undefined",
        "IS_ACCESSIBLE_AFTER": "N" if verb == "DELETE" else "undefined",
    }


def _call_data(office: Office, call: Call, change: Change) -> Data:
    line = Line(0, call, change.at)
    return {
        "CALL_ID": call.uniq,
        "CALL_TYPE": 2 if call.direction == "in" else 1,
        "PHONE_NUMBER": call.phone,
        "PORTAL_NUMBER": "74950000001",
        "PORTAL_USER_ID": call.author,
        "CALL_DURATION": call.seconds,
        "CALL_START_DATE": office.local_iso(call.started_at),
        "COST": 0,
        "COST_CURRENCY": "",
        "CALL_FAILED_CODE": failed_code(line),
        "CALL_FAILED_REASON": failed_reason(line),
        "CRM_ACTIVITY_ID": call.id,
    }


def _user_data(user: User) -> Data:
    first, _, last = user.name.partition(" ")
    return {
        "ID": user.id,
        "ACTIVE": "Y" if user.is_active else "N",
        "EMAIL": f"user{user.id}@example.com",
        "NAME": first,
        "LAST_NAME": last,
        "UF_DEPARTMENT": [user.group_id or 1],
    }
