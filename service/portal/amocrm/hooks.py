"""A change of the book as amoCRM's webhooks: form bodies in the CRM's own words and order.

Sources: amocrm.md 1.2-1.8 and the samples beside it. One deviation is ours: `unsorted[delete]`
carries `updated_at`, the instant of acceptance. The vendor's sample has no such instant, and in
accelerated time the instant of receipt is minutes away from it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from service.portal.amocrm.activity import recording
from service.portal.amocrm.leads import group_of
from service.portal.amocrm.log import message_id
from service.portal.book import Call, Change, Contact, Deal, Inquiry, Message, Note, Task
from service.portal.brackets import Branch, encode
from service.portal.office import Office, unix

_LEAD, _CONTACT = 2, 1
_NOTE_TEXT, _NOTE_CALL_IN, _NOTE_CALL_OUT = 4, 10, 11
_TEXT_TIME = "%Y-%m-%d %H:%M:%S"
Fields = Mapping[str, Branch]
Told = tuple[tuple[str, ...], Fields]
"""The settings that want it, and the body without the account block."""


class HookWriter:
    """Writes the bodies; remembers each lead's last old stage, which later hooks repeat stale."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._stale_stage: dict[int, str] = {}

    def write(self, change: Change) -> list[tuple[tuple[str, ...], bytes]]:
        """Settings and form body of each delivery that a change makes."""
        return [
            (settings, encode({**self._account(), **body})) for settings, body in self._told(change)
        ]

    def _account(self) -> Fields:
        subdomain = self._office.subdomain
        home = {"self": f"https://{subdomain}.amocrm.ru"}
        return {
            "account": {"subdomain": subdomain, "id": self._office.account_id, "_links": home},
        }

    def _told(self, change: Change) -> list[Told]:
        after = change.after
        match after:
            case Deal():
                before = change.before if isinstance(change.before, Deal) else None
                return self._of_deal(change.verb, before, after)
            case Task():
                task = change.before if isinstance(change.before, Task) else None
                return _of_task(self._office, change.verb, task, after)
            case Call():
                return self._of_call(after, change.at)
            case Note():
                return [(("note_lead",), self._text_note(after))]
            case Message():
                return [_of_message(self._office, after)]
            case Inquiry():
                return _of_inquiry(self._office, change)
            case Contact():
                return _of_contact(self._office, change, after)
        return []

    def _of_deal(self, verb: str, before: Deal | None, deal: Deal) -> list[Told]:
        if before is None:
            return [] if deal.inquiry_uid else [_lead("add", lead_fields(self._office, deal))]
        if verb == "deal_deleted":
            self._stale_stage.pop(deal.id, None)
            thin: Fields = {
                "id": deal.id,
                "status_id": deal.stage_id,
                "pipeline_id": deal.pipeline_id,
            }
            return [_lead("delete", thin)]
        if verb == "deal_restored":
            return [_lead("restore", lead_fields(self._office, deal))]
        if verb == "deal_moved":
            self._stale_stage[deal.id] = before.stage_id
            moved = lead_fields(self._office, deal, old_stage=before.stage_id)
            return [_lead("status", moved), _lead("update", lead_fields(self._office, deal))]
        if verb == "deal_handed_over":
            stale = self._stale_stage.get(deal.id)
            given = lead_fields(
                self._office, deal, old_stage=stale, old_responsible=before.responsible
            )
            return [_lead("responsible", given)]
        return [_lead("update", lead_fields(self._office, deal))]

    def _text_note(self, note: Note) -> Fields:
        office = self._office
        deal = office.book.deals.get(note.deal_id)
        owner = deal.responsible if deal else note.author
        user = office.book.users.get(note.author)
        source = {"id": note.author, "author_name": user.name if user else "", "type": 1}
        local = note.created_at.astimezone(office.zone).strftime(_TEXT_TIME)
        fields: Fields = {
            "text": note.text,
            "attachement": "",
            "date_create": local,
            "note_type": _NOTE_TEXT,
            "element_type": _LEAD,
            "element_id": note.deal_id,
            "catalog_id": 0,
            "group_id": group_of(office, owner),
            "timestamp_x": local,
            "account_id": office.account_id,
            "metadata": _json({"event_source": source}),
            "created_by": note.author,
            "modified_by": note.author,
            "main_user_id": owner,
            "id": note.id,
            "created_at": unix(note.created_at),
            "updated_at": unix(note.created_at),
        }
        return {"leads": {"note": [{"note": fields}]}}

    def _of_call(self, call: Call, written_at: datetime) -> list[Told]:
        """On the lead if the telephony knew it, else on the contact, else nowhere."""
        if call.deal_id is not None:
            fields = self._call_note(call, written_at, _LEAD, call.deal_id)
            return [(("note_lead",), {"leads": {"note": [{"note": fields}]}})]
        if call.contact_id is not None:
            fields = self._call_note(call, written_at, _CONTACT, call.contact_id)
            item: Fields = {"note": fields, "type": "contact"}
            return [(("note_contact",), {"contacts": {"note": [item]}})]
        return []

    def _call_note(
        self, call: Call, written_at: datetime, element_type: int, element_id: int
    ) -> Fields:
        office = self._office
        deal = office.book.deals.get(call.deal_id) if call.deal_id is not None else None
        owner = deal.responsible if deal else call.author
        text = {
            "UNIQ": call.uniq,
            "LINK": recording(call),
            "PHONE": call.phone,
            "DURATION": call.seconds,
            "SRC": "demo-pbx",
        }
        return {
            "text": _json(text),
            "note_type": _NOTE_CALL_IN if call.direction == "in" else _NOTE_CALL_OUT,
            "element_type": element_type,
            "element_id": element_id,
            "date_create": call.started_at.astimezone(office.zone).strftime(_TEXT_TIME),
            "timestamp_x": written_at.astimezone(office.zone).strftime(_TEXT_TIME),
            "account_id": office.account_id,
            "created_by": call.author,
            "modified_by": call.author,
            "main_user_id": owner,
            "group_id": group_of(office, owner),
            "id": call.id,
            "created_at": unix(call.started_at),
            "updated_at": unix(written_at),
        }


def _lead(action: str, fields: Fields) -> Told:
    return ((f"{action}_lead",), {"leads": {action: [fields]}})


def lead_fields(
    office: Office,
    deal: Deal,
    *,
    old_stage: str | None = None,
    old_responsible: int | None = None,
) -> Fields:
    """The whole lead as every hook about it shows it."""
    fields: dict[str, Branch] = {
        "id": deal.id,
        "name": deal.name,
        "status_id": deal.stage_id,
        **({} if old_stage is None else {"old_status_id": old_stage}),
        "price": deal.amount,
        "responsible_user_id": deal.responsible,
        "last_modified": unix(deal.updated_at),
        "modified_user_id": deal.updated_by,
        "created_user_id": deal.created_by,
        "date_create": unix(deal.created_at),
        "pipeline_id": deal.pipeline_id,
        "account_id": office.account_id,
    }
    names = office.book.field_names
    custom: list[Fields] = [
        {"id": number, "name": names.get(number, str(number)), "values": [{"value": text}]}
        for number, text in deal.fields
        if text
    ]
    if custom:
        fields["custom_fields"] = custom
    if old_responsible is not None:
        fields["old_responsible_user_id"] = old_responsible
    return {**fields, "created_at": unix(deal.created_at), "updated_at": unix(deal.updated_at)}


def _of_task(office: Office, verb: str, before: Task | None, task: Task) -> list[Told]:
    if verb == "task_deleted":
        return [(("delete_task",), {"task": {"delete": [{"id": task.id}]}})]
    fields: dict[str, Branch] = {
        "id": task.id,
        "element_id": task.deal_id or 0,
        "element_type": _LEAD if task.deal_id is not None else 0,
        "task_type": task.kind_id,
        "date_create": _utc(task.created_at),
        "text": task.text,
        "status": int(task.done_at is not None),
        "account_id": office.account_id,
        "created_user_id": task.created_by,
        "last_modified": _utc(task.updated_at),
        "responsible_user_id": task.responsible,
        "complete_till": _utc(task.due_at),
    }
    if before is not None:
        fields |= {"action_close": int(verb == "task_done"), "old_text": before.text}
        if verb == "task_done" and task.result_text:
            fields["result"] = {"id": 2_000_000_000 + task.id, "text": task.result_text}
        if before.responsible != task.responsible:
            fields |= {
                "main_user": task.responsible,
                "modified_by": task.updated_by,
                "old_responsible_user_id": before.responsible,
            }
    fields |= {
        "created_at": unix(task.created_at),
        "updated_at": unix(task.updated_at),
        "complete_before": unix(task.due_at),
    }
    if before is None:
        return [(("add_task",), {"task": {"add": [fields]}})]
    given = before.responsible != task.responsible
    settings = ("responsible_task", "update_task") if given else ("update_task",)
    return [(settings, {"task": {"update": [fields]}})]


def _of_message(office: Office, message: Message) -> Told:
    """Of an outgoing one the hook does not say who of ours wrote it: events do."""
    deal = office.book.deals[message.deal_id]
    user = office.book.users.get(message.author)
    fields: Fields = {
        "id": message_id(message),
        "chat_id": str(UUID(int=deal.id, version=4)),
        "talk_id": deal.id,
        "contact_id": deal.contact_ids[0] if deal.contact_ids else 0,
        "text": "Добрый день!",
        "created_at": unix(message.sent_at),
        "type": "incoming" if user is None else "outgoing",
        "author": {
            "id": str(UUID(int=message.author, version=4)),
            "type": "external" if user is None else "internal",
            "name": "Клиент" if user is None else user.name,
        },
        "origin": "onlinechat",
        "element_type": _LEAD,
        "element_id": deal.id,
        "entity_type": "lead",
        "entity_id": deal.id,
    }
    if message.direction == "in":
        return ("add_message",), {"message": {"add": [fields]}}
    return ("add_outgoing_message",), {"outgoing_message": {"add": [fields]}}


def _of_inquiry(office: Office, change: Change) -> list[Told]:
    inquiry = change.after
    if not isinstance(inquiry, Inquiry):
        return []
    if change.verb == "inquired":
        return [(("add_unsorted",), {"unsorted": {"add": [_inquiry_fields(office, inquiry)]}})]
    accepted = inquiry.outcome == "accepted"
    deal_id = inquiry.deal_id if accepted else inquiry.id
    fields: Fields = {
        "action": "accept" if accepted else "decline",
        "uid": inquiry.uid,
        "accept_result" if accepted else "decline_result": {"leads": [deal_id]},
        "category": inquiry.category,
        "created_at": unix(inquiry.created_at),
        "modified_user_id": change.author,
        "updated_at": unix(inquiry.updated_at),
    }
    return [(("delete_unsorted",), {"unsorted": {"delete": [fields]}})]


def _inquiry_fields(office: Office, inquiry: Inquiry) -> Fields:
    created = unix(inquiry.created_at)
    pipeline_id = inquiry.pipeline_id
    lead: Fields = {
        "last_modified": created,
        "name": inquiry.name,
        "pipeline_id": pipeline_id,
        "modified_user_id": 0,
        "date_create": created,
    }
    source: Fields = {
        "form_id": inquiry.id,
        "form_type": 1,
        "from": inquiry.source_name,
        "form_name": inquiry.source_name,
        "origin": {"ip": "203.0.113.10", "datetime": created, "referer": "https://site.example/"},
        "date": created,
    }
    return {
        "uid": inquiry.uid,
        "category": inquiry.category,
        "source_data": source,
        "date_create": created,
        "data": {"leads": [lead]},
        "pipeline_id": pipeline_id,
        "account_id": office.account_id,
        "request_id": 0,
        "lead_id": inquiry.id,
        "created_at": created,
    }


def _of_contact(office: Office, change: Change, contact: Contact) -> list[Told]:
    action = "add" if change.before is None else "update"
    reach = (("Телефон", "PHONE", contact.phone), ("Email", "EMAIL", contact.email))
    custom: list[Fields] = [
        {
            "id": 910_000 + place,
            "name": name,
            "code": code,
            "values": [{"value": value, "enum": 9_100_000 + place}],
        }
        for place, (name, code, value) in enumerate(reach, 1)
        if value
    ]
    fields: dict[str, Branch] = {
        "id": contact.id,
        "name": contact.name,
        "responsible_user_id": change.author,
        "date_create": unix(contact.created_at),
        "last_modified": unix(contact.updated_at),
        "created_user_id": change.author,
        "modified_user_id": change.author,
        "account_id": office.account_id,
    }
    if custom:
        fields["custom_fields"] = custom
    fields |= {
        "created_at": unix(contact.created_at),
        "updated_at": unix(contact.updated_at),
        "type": "contact",
    }
    return [((f"{action}_contact",), {"contacts": {action: [fields]}})]


def _utc(instant: datetime) -> str:
    """Task dates are UTC in text, unlike those of notes."""
    return instant.astimezone(UTC).strftime(_TEXT_TIME)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
