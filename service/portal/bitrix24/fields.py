"""The fields of deals, leads, contacts, activities, comments, calls, tasks: how they are read."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from service.portal.bitrix24.log import LEAD_SEMANTICS, LEAD_STATUS, SEMANTICS, History
from service.portal.bitrix24.table import Column, Kind
from service.portal.book import Contact, Deal, Inquiry, Note

PLANNED_CLOSE = timedelta(days=7)
SOURCES = {"sip": "CALL", "mail": "EMAIL", "forms": "WEB", "chats": "OPENLINE"}


def fixed(value: Any, kind: Kind = "raw") -> Column[Any]:
    """A field that every row has alike."""
    return Column(kind, lambda _row: value)


def deal_fields(history: History) -> dict[str, Column[Deal]]:
    """crm.deal.*, the user fields `UF_CRM_<id>` among them."""

    def semantic(deal: Deal) -> str:
        return SEMANTICS[history.stage_of(deal).kind]

    def lead_id(deal: Deal) -> int | None:
        inquiry = history.book.inquiries.get(deal.inquiry_uid or "")
        return inquiry.id if inquiry else None

    def close_day(deal: Deal) -> datetime:
        return deal.closed_at or deal.created_at + PLANNED_CLOSE

    def activity(deal: Deal) -> tuple[datetime, int]:
        return history.activity.get(deal.id, (deal.created_at, deal.created_by))

    columns: dict[str, Column[Deal]] = {
        "ID": Column("int", lambda deal: deal.id),
        "TITLE": Column("text", lambda deal: deal.name),
        "TYPE_ID": fixed("SALE"),
        "STAGE_ID": Column("text", lambda deal: deal.stage_id),
        "PROBABILITY": fixed(None),
        "CURRENCY_ID": fixed("RUB"),
        "OPPORTUNITY": Column("money", lambda deal: Decimal(deal.amount)),
        "IS_MANUAL_OPPORTUNITY": fixed("N"),
        "TAX_VALUE": fixed("0.00"),
        "LEAD_ID": Column("int", lead_id),
        "COMPANY_ID": fixed("0"),
        "CONTACT_ID": Column("int", lambda deal: next(iter(deal.contact_ids), None)),
        "QUOTE_ID": fixed(None),
        "BEGINDATE": Column("date", lambda deal: deal.created_at),
        "CLOSEDATE": Column("date", close_day),
        "ASSIGNED_BY_ID": Column("int", lambda deal: deal.responsible),
        "CREATED_BY_ID": Column("int", lambda deal: deal.created_by),
        "MODIFY_BY_ID": Column("int", lambda deal: deal.updated_by),
        "DATE_CREATE": Column("instant", lambda deal: deal.created_at),
        "DATE_MODIFY": Column("instant", lambda deal: deal.updated_at),
        "OPENED": fixed("Y"),
        "CLOSED": Column("raw", lambda deal: "N" if semantic(deal) == "P" else "Y"),
        "COMMENTS": fixed(None),
        "ADDITIONAL_INFO": fixed(None),
        "LOCATION_ID": fixed(None),
        "CATEGORY_ID": Column("int", lambda deal: int(deal.pipeline_id)),
        "STAGE_SEMANTIC_ID": Column("raw", semantic),
        "IS_NEW": fixed("N"),
        "IS_RECURRING": fixed("N"),
        "IS_RETURN_CUSTOMER": fixed("N"),
        "IS_REPEATED_APPROACH": fixed("N"),
        "SOURCE_ID": Column("text", lambda deal: deal.source_id),
        "SOURCE_DESCRIPTION": fixed(None),
        "ORIGINATOR_ID": fixed(None),
        "ORIGIN_ID": fixed(None),
        "MOVED_BY_ID": Column("int", lambda deal: history.moved_by.get(deal.id, deal.created_by)),
        "MOVED_TIME": Column("instant", lambda deal: deal.stage_entered_at),
        "LAST_ACTIVITY_TIME": Column("instant", lambda deal: activity(deal)[0]),
        "UTM_SOURCE": fixed(None),
        "UTM_MEDIUM": fixed(None),
        "UTM_CAMPAIGN": fixed(None),
        "UTM_CONTENT": fixed(None),
        "UTM_TERM": fixed(None),
        "LAST_ACTIVITY_BY": Column("int", lambda deal: activity(deal)[1]),
    }
    for field_id in sorted(history.book.field_names):
        columns[f"UF_CRM_{field_id}"] = Column("text", _user_field(field_id), plain=False)
    return columns


def _user_field(field_id: int) -> Any:
    return lambda deal: dict(deal.fields).get(field_id)


def lead_fields() -> dict[str, Column[Inquiry]]:
    """crm.lead.*; an inquiry that nobody took has the responsible 0."""
    return {
        "ID": Column("int", lambda lead: lead.id),
        "TITLE": Column("text", lambda lead: lead.name),
        "NAME": fixed(""),
        "SECOND_NAME": fixed(None),
        "LAST_NAME": fixed(None),
        "COMPANY_TITLE": fixed(None),
        "COMPANY_ID": fixed(None),
        "CONTACT_ID": fixed(None),
        "IS_RETURN_CUSTOMER": fixed("N"),
        "BIRTHDATE": fixed(""),
        "SOURCE_ID": Column("text", lambda lead: SOURCES.get(lead.category, "OTHER")),
        "SOURCE_DESCRIPTION": Column("text", lambda lead: lead.source_name),
        "STATUS_ID": Column("text", lambda lead: LEAD_STATUS[lead.outcome]),
        "STATUS_DESCRIPTION": fixed(None),
        "COMMENTS": fixed(None),
        "CURRENCY_ID": fixed("RUB"),
        "OPPORTUNITY": fixed("0.00"),
        "IS_MANUAL_OPPORTUNITY": fixed("N"),
        "HAS_PHONE": fixed("N"),
        "HAS_EMAIL": fixed("N"),
        "HAS_IMOL": fixed("N"),
        "ASSIGNED_BY_ID": Column("int", lambda lead: lead.responsible or 0),
        "CREATED_BY_ID": fixed("0"),
        "MODIFY_BY_ID": Column("int", lambda lead: lead.responsible or 0),
        "DATE_CREATE": Column("instant", lambda lead: lead.created_at),
        "DATE_MODIFY": Column("instant", lambda lead: lead.updated_at),
        "DATE_CLOSED": Column("instant", lambda lead: lead.closed_at or ""),
        "STATUS_SEMANTIC_ID": Column("raw", lambda lead: LEAD_SEMANTICS[lead.outcome]),
        "OPENED": fixed("Y"),
        "ORIGINATOR_ID": fixed(None),
        "ORIGIN_ID": fixed(None),
        "MOVED_BY_ID": Column("int", lambda lead: lead.responsible or 0),
        "MOVED_TIME": Column("instant", lambda lead: lead.closed_at or lead.created_at),
        "UTM_SOURCE": fixed(None),
        "LAST_ACTIVITY_BY": Column("int", lambda lead: lead.responsible or 0),
        "LAST_ACTIVITY_TIME": Column("instant", lambda lead: lead.updated_at),
    }


def contact_fields() -> dict[str, Column[Contact]]:
    """crm.contact.*; PHONE and EMAIL have to be named in lists."""
    return {
        "ID": Column("int", lambda contact: contact.id),
        "NAME": Column("text", lambda contact: contact.name.partition(" ")[0]),
        "SECOND_NAME": fixed(None),
        "LAST_NAME": Column("text", lambda contact: contact.name.partition(" ")[2] or None),
        "TYPE_ID": fixed("CLIENT"),
        "SOURCE_ID": fixed(None),
        "COMPANY_ID": fixed(None),
        "HAS_PHONE": Column("raw", lambda contact: "Y" if contact.phone else "N"),
        "HAS_EMAIL": Column("raw", lambda contact: "Y" if contact.email else "N"),
        "HAS_IMOL": fixed("N"),
        "DATE_CREATE": Column("instant", lambda contact: contact.created_at),
        "DATE_MODIFY": Column("instant", lambda contact: contact.updated_at),
        "ASSIGNED_BY_ID": fixed("1"),
        "CREATED_BY_ID": fixed("1"),
        "MODIFY_BY_ID": fixed("1"),
        "OPENED": fixed("Y"),
        "LAST_ACTIVITY_TIME": Column("instant", lambda contact: contact.updated_at),
        "PHONE": Column("raw", lambda contact: _multi(contact, "PHONE"), plain=False),
        "EMAIL": Column("raw", lambda contact: _multi(contact, "EMAIL"), plain=False),
    }


def _multi(contact: Contact, kind: str) -> list[dict[str, str]]:
    value = contact.phone if kind == "PHONE" else contact.email
    if not value:
        return []
    number = str(contact.id * 10 + (kind == "EMAIL"))
    return [{"ID": number, "VALUE_TYPE": "WORK", "VALUE": value, "TYPE_ID": kind}]


def comment_fields() -> dict[str, Column[Note]]:
    """crm.timeline.comment.*: notes of deals."""
    return {
        "ID": Column("int", lambda note: note.id),
        "ENTITY_ID": Column("int", lambda note: note.deal_id),
        "ENTITY_TYPE": Column("text", lambda _note: "deal"),
        "CREATED": Column("instant", lambda note: note.created_at),
        "COMMENT": Column("text", lambda note: note.text),
        "AUTHOR_ID": Column("int", lambda note: note.author),
        "FILES": Column("raw", lambda _note: {}),
    }
