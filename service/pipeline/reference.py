"""Keeps what the SQL views for BI tools look up: names, zones, calendars, titles of rules."""

import time
from dataclasses import dataclass, field

from service.domain.instant import Instant
from service.kpi.bi_rows import KINDS, Origin, rows_of
from service.pipeline.office import Office
from service.rules.words import rule_name
from service.store import accounts
from service.store.accounts import AccountRow
from service.store.bi import refs
from service.store.bi.reader import first_instant
from service.store.engine import is_sqlite, reading, transaction
from service.store.handles import Connection

LOOK_SECONDS = 5  # real


@dataclass
class Reference:
    """Called often; looks now and then, and writes only what has changed."""

    office: Office
    _looked_at: float = 0.0
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def run(self) -> None:
        """Look if it is time (nothing on SQLite, which has no views)."""
        if not is_sqlite(self.office.engine) and time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self.refresh()

    def refresh(self) -> int:
        """Bring the rows of all accounts up to date; how many documents were written."""
        office, written = self.office, 0
        with reading(office.engine) as connection:
            rows = accounts.accounts(connection)
        for row in rows:
            now = office.now()
            stamp = (row.config_version, now // 3600)  # a new day begins with an hour, nearly
            if self._known.get(row.account_id) == stamp:
                continue
            with reading(office.engine) as connection:
                documents = self._documents(connection, row, now)
            with transaction(office.engine) as connection:
                written += refs.save(connection, row.account_id, documents, now)
            self._known[row.account_id] = stamp
        return written

    def _documents(
        self, connection: Connection, row: AccountRow, now: Instant
    ) -> dict[str, list[dict[str, object]]]:
        office, lang = self.office, self.office.settings.lang
        config = office.config(connection, row.account_id)
        book = office.book_of(connection, row.account_id)
        titles = [(name, rule_name(book.model(name), name, lang)) for name in book.names]
        page = office.adapter(row.crm).subject_url(office.portal(row, config), "deal", "{id}")
        own = Origin(config, row, titles, page)
        oldest = first_instant(connection, row.account_id)
        return {kind: list(rows_of(kind, own, now, lang, oldest)) for kind in KINDS}
