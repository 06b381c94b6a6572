"""Absences of the settings document as rows beside those that were entered over the API."""

from hashlib import blake2b
from typing import Any

from service.api.names import Names
from service.domain.account import Absence, SellerSettings
from service.domain.config import Config
from service.domain.named import parse_document, read_date
from service.domain.period import to_day
from service.errors import ConfigError
from service.store.accounts import settings_history
from service.store.handles import Connection

Row = dict[str, Any]


def of_settings(connection: Connection, names: Names) -> list[Row]:
    """Those of the document in force; by whom and since when it says so.

    A document tells no kind: it is `other`. The id is made of what is told.
    """
    config = names.config
    written = [(name, one) for name, own in config.document.sellers.items() for one in own.absent]
    if not written:
        return []
    history = [
        (version, parse_document(version["document"]).sellers)
        for version in reversed(settings_history(connection, names.id))
    ]
    found: dict[str, Row] = {}
    for name, absence in written:
        said = None
        for version, sellers in history:
            if absence not in sellers.get(name, SellerSettings()).absent:
                break
            said = version
        seller = _known(config, name)
        if said is not None and seller:
            row = _row(config, seller, absence) | {"at": said["at"], "author": said["author"]}
            found[row["id"]] = row
    return list(found.values())


def _row(config: Config, seller: str, absence: Absence) -> Row:
    first = to_day(read_date(absence.from_, "sellers.absent.from"))
    last = to_day(read_date(absence.to, "sellers.absent.to"))
    deputy = "" if absence.deputy is None else _known(config, absence.deputy)
    told = "\x00".join([config.account_id, seller, str(first), str(last), deputy])
    return {
        "account_id": config.account_id, "seller": seller, "first": first, "last": last,
        "id": f"abs_s{blake2b(told.encode(), digest_size=10).hexdigest()}", "kind": "other",
        "deputy": deputy, "removed_at": None, "removed_by": None, "origin": "settings",
    }  # fmt: skip


def _known(config: Config, name: str | int) -> str:
    """The CRM id of a seller; "" for a name that the portal does not know."""
    try:
        return config.seller_id(name, "sellers")
    except ConfigError:
        return ""
