"""amoCRM's hook bodies of an invented department, in the CRM's wire form."""

import random
from collections.abc import Iterator
from urllib.parse import urlencode

SELLERS = [str(n) for n in range(101, 131)]
FIRST_DEAL = 10_000_000  # ids of one length: their order as texts is that of their numbers
TASKS_OF = 10  # room for ids of tasks and notes of one deal
_HEAD = {
    "account[subdomain]": "demo", "account[id]": "31000001",
    "account[_links][self]": "https://demo.example",
}  # fmt: skip


def form(entity: str, action: str, fields: dict[str, object]) -> bytes:
    """One event as amoCRM posts it."""
    return urlencode(_HEAD | {f"{entity}[{action}][0][{k}]": v for k, v in fields.items()}).encode()


def lead(action: str, deal: int, at: int, **fields: object) -> bytes:
    """`leads[add]`, `leads[update]`, `leads[status]` at an instant."""
    seller = SELLERS[deal % len(SELLERS)]
    told = {
        "id": FIRST_DEAL + deal, "name": f"Окна, ул. Мира {deal}", "status_id": "20",
        "price": "45000", "responsible_user_id": seller, "last_modified": at,
        "modified_user_id": seller, "created_user_id": "0", "pipeline_id": "31",
        "account_id": "31000001", "created_at": born(deal), "updated_at": at,
        "custom_fields[0][id]": "501", "custom_fields[0][name]": "ИНН",
        "custom_fields[0][values][0][value]": str(7_700_000_000 + deal),
    }  # fmt: skip
    return form("leads", action, told | fields)


def task(action: str, deal: int, number: int, at: int, due: int, **fields: object) -> bytes:
    """`task[add]`, `task[update]`."""
    seller = SELLERS[deal % len(SELLERS)]
    told = {
        "id": (FIRST_DEAL + deal) * TASKS_OF + number, "element_id": FIRST_DEAL + deal,
        "element_type": "2", "task_type": "1", "text": "Перезвонить по КП", "status": "0",
        "account_id": "31000001", "created_at": at, "created_user_id": seller,
        "responsible_user_id": seller, "modified_by": seller, "updated_at": at,
        "complete_before": due, "action_close": "0",
    }  # fmt: skip
    return form("task", action, told | fields)


def note(deal: int, number: int, at: int) -> bytes:
    """`leads[note]` of a seller."""
    seller = SELLERS[deal % len(SELLERS)]
    told = {
        "note[text]": "клиент просит скидку и замер в пятницу", "note[note_type]": "4",
        "note[element_type]": "2", "note[element_id]": FIRST_DEAL + deal,
        "note[created_by]": seller, "note[modified_by]": seller, "note[main_user_id]": seller,
        "note[id]": (FIRST_DEAL + deal) * TASKS_OF + number, "note[created_at]": at,
        "note[updated_at]": at, "note[account_id]": "31000001",
    }  # fmt: skip
    return form("leads", "note", told)


DAY = 86_400
BASE = 900  # deals told in full; divisible by the number of sellers and of outcomes
START, DAYS = 1_717_398_000, 700  # Monday, 2024-06-03 10:00 in Moscow, and on


def born(deal: int) -> int:
    """When a deal came."""
    return START + deal % BASE * (DAYS * DAY // BASE)


def history(deal: int) -> Iterator[tuple[int, bytes]]:
    """(instant, body) of a deal's first days: what an ordinary deal leaves behind."""
    at = born(deal)
    yield at, lead("add", deal, at, status_id="10")
    yield at + 900, task("add", deal, 1, at + 900, at + DAY)
    yield at + 5_000, note(deal, 2, at + 5_000)
    yield at + DAY - 600, task(
        "update", deal, 1, at + 900, at + DAY,
        updated_at=at + DAY - 600, status="1", action_close="1",
    )  # fmt: skip
    moved = at + DAY
    yield moved, _stage(deal, moved, "20", "10")
    yield moved + 60, task("add", deal, 3, moved + 60, moved + 3 * DAY)
    if deal % 3:  # two of three end
        end = moved + 2 * DAY
        yield end, _stage(deal, end, "142" if deal % 3 == 1 else "143", "20")


def _stage(deal: int, at: int, to: str, old: str) -> bytes:
    return lead("status", deal, at, status_id=to, old_status_id=old)


def events(
    deals: int, count: int, at: int, seed: int, newest: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """(instant, body) of what happens next to open deals drawn at random, two seconds apart.

    Drawn from all `deals`, or from the `newest` so many: what a department works on.

    As amoCRM tells it (reference amocrm.md 4): a stage change is two hooks, `status` and `update`;
    a talk leaves a note and an update of the deal; a finished task is followed by the next one.
    """
    chance = random.Random(seed)
    number_told = 0
    while number_told < count:
        told: list[tuple[int, bytes]] = []
        live = newest or deals
        deal, now = deals - live + chance.randrange(live // 3) * 3, at + 2 * number_told
        kind, number = chance.random(), 4 + chance.randrange(5)
        if kind < 0.3:
            told.append((now, lead("update", deal, now, price=chance.randrange(10_000, 90_000))))
        elif kind < 0.5:
            told.append((now, task("add", deal, number, now, now + DAY)))
        elif kind < 0.7:
            done = {"updated_at": now, "status": "1", "action_close": "1"}
            told.append((now, task("update", deal, number, now - 5, now + DAY, **done)))
            told.append((now + 1, task("add", deal, number + 1, now + 1, now + DAY)))
        elif kind < 0.85:
            told.append((now, note(deal, number, now)))
            told.append((now, lead("update", deal, now)))
        else:
            told += [
                (now, _stage(deal, now, "30", "20")),
                (now, lead("update", deal, now, status_id="30")),
            ]
        yield from told[: count - number_told]
        number_told += len(told)
