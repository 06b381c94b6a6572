"""Clients of the simulated department write, and the sellers answer late or never.

In amoCRM it is a chat, in Bitrix24 the mail. What was written stays as it is: REST can tell all
of it afterwards.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from service.portal.book import Message

if TYPE_CHECKING:
    from service.portal.department import Department


def correspond(department: "Department", deal_id: int, born: datetime) -> None:
    """Of some deals the client writes, soon or after days."""
    if department.random.random() < 0.35:
        then = department.after(born, 4, 4000)
        department.plan(then, lambda now: _client_writes(department, deal_id, now))
    elif department.random.random() < 0.1:
        then = department.after(born, 2, 300)
        department.plan(then, lambda now: _seller_writes(department, deal_id, now))


def _client_writes(department: "Department", deal_id: int, at: datetime) -> None:
    if department.open(deal_id) is None:
        return
    book = department.book
    book.message(Message(book.next_id(), deal_id, "in", at, 0))
    luck = department.random.random()
    if luck < 0.7:
        then = department.after(at, 2, 30) if luck < 0.35 else department.after(at, 30, 900)
        department.plan(then, lambda now: _seller_writes(department, deal_id, now))
    if department.random.random() < 0.4:
        then = department.after(at, 1, 1500)
        department.plan(then, lambda now: _client_writes(department, deal_id, now))


def _seller_writes(department: "Department", deal_id: int, at: datetime) -> None:
    deal = department.open(deal_id)
    if deal is not None:
        book = department.book
        book.message(Message(book.next_id(), deal_id, "out", at, deal.responsible))
