"""Writing the rows of a file: all or nothing, or line by line, or only to see what would be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.errors import ConfigError
from service.kpi.planfile import FileFault, Sheet
from service.kpi.planwrite import Refused, Writer

MOST_CLASHES = 100


class LookedOnly(Exception):  # noqa: N818 - the transaction is to be rolled back
    """Nothing is to be written."""


RESULTS = ("created", "updated", "unchanged", "removed")


@dataclass
class Imported:
    """What became of a file. `stopped`: a rejected row stopped all."""

    results: list[str] = field(default_factory=list)
    faults: list[FileFault] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)
    stopped: bool = False

    def settle(self, *, dry_run: bool) -> None:
        """Leave the transaction if nothing is to be written.

        Raises:
            LookedOnly: it was a look, or a rejected row stops all.
        """
        if dry_run or self.stopped:
            raise LookedOnly

    def document(self) -> dict[str, Any]:
        """On the wire."""
        counts = {word: self.results.count(word) for word in RESULTS}
        counts["accepted"] = len(self.results)
        if self.stopped:
            counts = dict.fromkeys(counts, 0)
        return {
            "accepted": counts.pop("accepted"),
            "rejected": len({fault.row for fault in self.faults}),
            **counts,
            "errors": [fault.document() for fault in self.faults],
        }


@dataclass(frozen=True)
class Importer:
    """Writes sheets in one transaction (who wants to look only rolls it back)."""

    connection: Connection
    configs: Mapping[str, Config]
    author: str
    reason: str
    now: Instant

    def write(self, sheet: Sheet, *, partial: bool) -> Imported:
        """Write the rows that can stand; those that cannot are told.

        A row that contradicts others is told and left out, and the others are tried again, so that
        the answer names every fault; without `partial` the caller then rolls all back.
        """
        found = Imported(faults=list(sheet.faults))
        rows = list(sheet.rows)
        for account in sorted({row["account_id"] for _, row in rows}):
            own = [(number, row) for number, row in rows if row["account_id"] == account]
            results = self._account(account, own, found)
            found.results += results
            if any(result != "unchanged" for result in results):
                found.accounts.add(account)
        found.faults.sort(key=lambda fault: fault.row)
        found.stopped = bool(found.faults) and not partial
        return found

    def _account(
        self, account: str, rows: list[tuple[int, dict[str, Any]]], found: Imported
    ) -> list[str]:
        clashes = 0
        while rows:
            writer = Writer(
                self.connection, self.configs[account], self.author, self.reason, self.now
            )
            attempt = self.connection.begin_nested()
            try:
                results = writer.write([row for _, row in rows])
            except Refused as error:
                attempt.rollback()
                clashes += 1
                if clashes > MOST_CLASHES:
                    detail = f"more than {MOST_CLASHES} rows contradict what is planned"
                    raise ConfigError(f"file: {detail}") from None
                number, row = rows.pop(error.index)
                value = str(row.get(error.member) or "")
                found.faults.append(
                    FileFault(number, error.member, error.code, value, error.detail)
                )
                continue
            attempt.commit()
            return results
        return []
