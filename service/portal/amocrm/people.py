"""GET account, users, contacts, companies."""

from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, link, nothing, page, whole_list
from service.portal.amocrm.query import Ask
from service.portal.book import Contact, Deal, User
from service.portal.office import Office, unix

_ALL = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "D"}
_BORN = 1_585_117_000
_TASK_TYPES = ((1, "Связаться", "FOLLOW_UP"), (2, "Встреча", "MEETING"))


def group_name(group_id: int) -> str:
    """AmoCRM's own name for the default group, a plain one for the others."""
    return "Отдел продаж" if group_id == 0 else f"Отдел {group_id}"


def account(office: Office, ask: Ask) -> Response:
    """GET /api/v4/account."""
    admin = office.admin()
    body: Json = {
        "id": office.account_id,
        "name": office.subdomain,
        "subdomain": office.subdomain,
        "created_at": _BORN,
        "created_by": 0,
        "updated_at": _BORN,
        "updated_by": 0,
        "current_user_id": admin.id if admin else 0,
        "country": "RU",
        "currency": "RUB",
        "currency_symbol": "₽",
        "customers_mode": "disabled",
        "is_unsorted_on": True,
        "is_loss_reason_enabled": bool(office.book.loss_reasons),
        "is_helpbot_enabled": False,
        "is_technical_account": False,
        "contact_name_display_order": 1,
        "_links": link(office, "account"),
    }
    if ask.wants("is_api_filter_enabled"):
        body["is_api_filter_enabled"] = True
    if ask.wants("version"):
        body["version"] = 12
    embedded = {name: make(office) for name, make in _EMBEDDED.items() if ask.wants(name)}
    return hal({**body, "_embedded": embedded} if embedded else body)


def _users_groups(office: Office) -> list[Json]:
    ids = sorted({0} | {user.group_id for user in office.book.users.values()})
    return [{"id": number, "name": group_name(number), "uuid": None} for number in ids]


def _task_types(office: Office) -> list[Json]:
    known = {number for number, _, _ in _TASK_TYPES}
    used = {task.kind_id for task in office.book.tasks.values()}
    own = tuple((number, f"Тип {number}", None) for number in sorted(used - known))
    return [
        {"id": number, "name": name, "color": None, "icon_id": None, "code": code}
        for number, name, code in (*_TASK_TYPES, *own)
    ]


def _datetime_settings(office: Office) -> Json:
    return {
        "date_pattern": "d.m.Y H:i",
        "short_date_pattern": "d.m",
        "short_time_pattern": "H:i",
        "date_format": "d.m.Y",
        "time_format": "H:i:s",
        "timezone": office.zone.key,
        "timezone_offset": office.local_iso(office.clock.now())[-6:],
    }


_EMBEDDED = {
    "users_groups": _users_groups,
    "task_types": _task_types,
    "datetime_settings": _datetime_settings,
}


def users(office: Office, ask: Ask) -> Response:
    """GET /api/v4/users."""
    rows = sorted(office.book.users.values(), key=lambda user: user.id)
    return page(office, ask, "users", rows, lambda user: _user(office, user), total=True)


def user(office: Office, ask: Ask) -> Response:
    """GET /api/v4/users/{id}."""
    found = office.book.users.get(int(ask.parts["id"]))
    return nothing() if found is None else hal(_user(office, found))


def _user(office: Office, user: User) -> Json:
    groups = [{"id": user.group_id, "name": group_name(user.group_id)}] if user.group_id else []
    return {
        "id": user.id,
        "name": user.name,
        "email": f"user{user.id}@example.com",
        "lang": "ru",
        "rights": {
            "leads": _ALL,
            "contacts": _ALL,
            "companies": _ALL,
            "tasks": {"edit": "A", "delete": "A"},
            "mail_access": False,
            "catalog_access": False,
            "files_access": False,
            "status_rights": None,
            "catalog_rights": [],
            "custom_fields_rights": None,
            "is_admin": user.is_admin,
            "is_free": False,
            "is_active": user.is_active,
            "group_id": user.group_id or None,
            "role_id": None,
        },
        "_links": link(office, f"users/{user.id}"),
        "_embedded": {"roles": [], "groups": groups},
    }


def contacts(office: Office, ask: Ask) -> Response:
    """GET /api/v4/contacts."""
    ids = ask.numbers("filter", "id")
    span = ask.span("filter", "updated_at")
    rows = [
        contact
        for contact in office.book.contacts.values()
        if (ids is None or contact.id in ids)
        and (span is None or span[0] <= unix(contact.updated_at) <= span[1])
    ]
    if ask.text("order", "updated_at"):
        rows.sort(key=lambda row: (row.updated_at, row.id))
    else:
        rows.sort(key=lambda row: row.id)
    held = _deals_by_contact(office)
    return page(office, ask, "contacts", rows, lambda row: _contact(office, ask, row, held))


def contact(office: Office, ask: Ask) -> Response:
    """GET /api/v4/contacts/{id}."""
    found = office.book.contacts.get(int(ask.parts["id"]))
    if found is None:
        return nothing()
    return hal(_contact(office, ask, found, _deals_by_contact(office)))


def _deals_by_contact(office: Office) -> dict[int, list[Deal]]:
    held: dict[int, list[Deal]] = {}
    for deal in office.book.deals.values():
        for contact_id in deal.contact_ids if deal.deleted_at is None else ():
            held.setdefault(contact_id, []).append(deal)
    return held


def _contact(office: Office, ask: Ask, contact: Contact, held: dict[int, list[Deal]]) -> Json:
    first, _, last = contact.name.partition(" ")
    deals = held.get(contact.id, [])
    owner = deals[0].responsible if deals else 0
    embedded: Json = {"tags": [], "companies": []}
    if ask.wants("leads"):
        embedded["leads"] = [
            {"id": deal.id, "_links": link(office, f"leads/{deal.id}")} for deal in deals
        ]
    return {
        "id": contact.id,
        "name": contact.name,
        "first_name": first,
        "last_name": last,
        "responsible_user_id": owner,
        "group_id": 0,
        "created_by": 0,
        "updated_by": 0,
        "created_at": unix(contact.created_at),
        "updated_at": unix(contact.updated_at),
        "closest_task_at": None,
        "is_deleted": False,
        "is_unsorted": False,
        "custom_fields_values": _reach(contact),
        "account_id": office.account_id,
        "_links": link(office, f"contacts/{contact.id}"),
        "_embedded": embedded,
    }


_REACH = ((910_001, "Телефон", "PHONE"), (910_002, "Email", "EMAIL"))


def contact_fields(office: Office, ask: Ask) -> Response:
    """GET /api/v4/contacts/custom_fields: the two that every account has."""
    rows = [
        {
            "id": field_id,
            "name": name,
            "type": "multitext",
            "account_id": office.account_id,
            "code": code,
            "sort": 4,
            "is_api_only": False,
            "enums": [{"id": field_id * 10, "value": "WORK", "sort": 2}],
            "required_statuses": [],
            "is_deletable": False,
            "is_predefined": True,
            "entity_type": "contacts",
            "_links": link(office, f"contacts/custom_fields/{field_id}"),
        }
        for field_id, name, code in _REACH
    ]
    return whole_list(office, ask, "custom_fields", rows)


def companies(_office: Office, _ask: Ask) -> Response:
    """GET /api/v4/companies: this department sells to people."""
    return nothing()


def _reach(contact: Contact) -> list[Json] | None:
    """Phone and e-mail as custom fields; None when there is neither, as the CRM does."""
    found = [
        {
            "field_id": field_id,
            "field_name": name,
            "field_code": code,
            "field_type": "multitext",
            "values": [{"value": value, "enum_id": field_id * 10, "enum_code": "WORK"}],
        }
        for (field_id, name, code), value in zip(
            _REACH, (contact.phone, contact.email), strict=True
        )
        if value
    ]
    return found or None
