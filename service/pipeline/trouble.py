"""What ops have to know of an account: told once, to subscribers of `account.error` and to ops.

An account's error is told when it appears and when it is over; other news (a hook that the CRM
switched off, an access that ends soon) once a day at most.
"""

from collections.abc import Mapping
from typing import Any

from service.alerts import events
from service.alerts.texts import trouble
from service.pipeline.office import Office
from service.store import accounts, outbox, subscriptions
from service.store.accounts import AccountRow
from service.store.engine import transaction
from service.store.handles import Connection

DAY = 86400


def tell_error(office: Office, account_id: str) -> int:
    """Tell an account's error that has not been told, or that it is over; 1 if there was news."""
    with transaction(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return 0
        error = row.error if row.status == "error" else None
        if error == row.error_told:
            return 0
        kind = "error" if error else "well"
        detail = {"error": error or row.error_told or ""}
        _put(office, connection, row, kind, f"{kind}.{office.now()}", detail)
        accounts.change(connection, account_id, error_told=error)
    return 1


def tell(
    office: Office, connection: Connection, row: AccountRow, kind: str, **detail: object
) -> None:
    """Tell a piece of news (`alerts.texts.trouble`), once a day."""
    _put(office, connection, row, kind, f"{kind}.{office.now() // DAY}", detail)


def _put(
    office: Office,
    connection: Connection,
    row: AccountRow,
    kind: str,
    key: str,
    detail: Mapping[str, object],
) -> None:
    config = office.config(connection, row.account_id)
    now = office.now()
    common: dict[str, Any] = {
        "account_id": row.account_id, "kind": "trouble", "violations": [], "event_at": now,
    }  # fmt: skip
    rows = []
    for name, receiver in sorted(config.document.alerts.receivers.items()):
        if receiver.ops and receiver.telegram is not None:
            text = trouble(kind, row.name, detail, receiver.lang or config.lang)
            rows.append(
                {**common, "key": f"{name}.{key}", "receiver": name, "channel": "telegram",
                 "text": text}
            )  # fmt: skip
    data = {"account": row.account_id, "kind": kind, **detail}
    data["text"] = trouble(kind, row.name, detail, config.lang)
    rows += [
        {**common, "key": f"{found['id']}.{key}", "channel": "webhook", "receiver": found["id"],
         "text": str(data["text"]), "body": events.body("account.error", now, data)}
        for found in subscriptions.subscriptions(connection, active=True)
        if events.wants_account(found, "account.error", row.account_id)
    ]  # fmt: skip
    outbox.put(connection, rows, now)
