"""What a protocol server knows of the portal it plays: the book, the clock, the names, the lock."""

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from service.clock import Clock
from service.portal.book import Book, User
from service.portal.grants import Grants

CrmKind = Literal["amocrm", "bitrix24"]


@dataclass
class Faults:
    """Misbehaviour on demand: `drop` and `duplicate` are shares 0..1 of the hooks.

    `delay_seconds` (portal time): each delivery waits a random part of it, so hooks swap places.
    `status`: every REST call is answered with this HTTP status; 0 = none. `errors`: the share of
    REST calls that get a 503. `slow_seconds` (real): each call takes so much longer. `broken`:
    every call gets something else than an answer (names in `mischief.BROKEN`); "" = none.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    delay_seconds: float = 0.0
    status: int = 0
    errors: float = 0.0
    slow_seconds: float = 0.0
    broken: str = ""


@dataclass
class Office:
    """One simulated portal. Whoever reads or changes `book` holds `lock`."""

    kind: CrmKind
    book: Book
    clock: Clock
    account_id: int
    subdomain: str
    token: str
    zone: ZoneInfo
    limits: bool = True
    base_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    faults: Faults = field(default_factory=Faults)
    grants: Grants = field(init=False)

    def __post_init__(self) -> None:
        self.grants = Grants(self.kind, self.clock)

    def is_home(self, host: str) -> bool:
        """Does the portal live at this host (and port): a renamed one answers only at its new."""
        return not self.grants.home or host == self.grants.home

    def local_iso(self, instant: datetime) -> str:
        """ISO 8601 in whole seconds with the portal's own offset (`2026-03-02T10:00:00+03:00`)."""
        return instant.astimezone(self.zone).isoformat(timespec="seconds")

    def admin(self) -> User | None:
        """The administrator with the lowest id, whose rights the REST token carries."""
        admins = [user for user in self.book.users.values() if user.is_admin]
        return min(admins, key=lambda user: user.id, default=None)

    def snapshot(self) -> Book:
        """A copy of the book that stays as it is while the department goes on."""
        with self.lock:
            book = self.book
            return replace(
                book,
                users=dict(book.users),
                contacts=dict(book.contacts),
                deals=dict(book.deals),
                tasks=dict(book.tasks),
                calls=dict(book.calls),
                notes=dict(book.notes),
                messages=dict(book.messages),
                inquiries=dict(book.inquiries),
                invoices=dict(book.invoices),
                journal=list(book.journal),
                listeners=[],
            )


def unix(instant: datetime) -> int:
    """Whole unix seconds."""
    return int(instant.timestamp())


def from_unix(seconds: int) -> datetime:
    """The aware UTC instant of unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)
