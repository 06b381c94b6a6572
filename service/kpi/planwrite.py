"""Writing plans: rows as people set them become stored rows that agree with each other.

A row means what it says: after the writing a reading of its scope and period gives its value, or
all is refused. Nothing is moved that was not named: who wants a new value spread over the others
decomposes it. Of a running month the finished days are frozen when its plan is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection

from service.domain.account import AccountDocument
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, local_date, periods
from service.kpi.decompose import Excess, over_time
from service.kpi.metrics import METRICS
from service.kpi.plantree import (
    PlanBook,
    Scope,
    days_of,
    finished,
    names_within,
    parents,
    scope_of,
    title,
)
from service.store import plans as store

FROZEN = "the day is over"
Wanted = dict[str, Any]
"""A row to write: the columns of `plan` without version; status and locked None = as they are."""


class Refused(ValueError):  # noqa: N818 - an answer, not a failure
    """A row that cannot be written. `index`: which; `field`: its member; `code`: as in problems."""

    def __init__(self, index: int, member: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.index = index
        self.member = member
        self.code = code
        self.detail = detail


@dataclass
class Writer:
    """Writes rows of one account in one transaction."""

    connection: Connection
    config: Config
    author: str
    reason: str
    now: Instant
    book: PlanBook = field(init=False)
    _closed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def write(self, rows: Sequence[Wanted]) -> list[str]:
        """Write all rows; what became of each: created, updated, unchanged, removed.

        Raises:
            Refused: the first row that cannot stand.
        """
        store.hold(self.connection, self.config.account_id)
        self.book = read_book(self.connection, self.config, rows)
        results = [""] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: _coarse_first(rows[i]))
        for index in order:
            results[index] = self._one(index, rows[index])
        for index in reversed(order):  # the finest first: it is what does not fit
            self._check(index, rows[index])
        return results

    def _one(self, index: int, row: Wanted) -> str:
        period = Period.parse(row["period"])
        known = self.book.row(row["metric"], row["period"], scope_of(row))
        if known is not None and _is_same(known, self._settled(row, known)):
            return "unchanged"
        self._refuse_closed(index, row, period)
        if METRICS[row["metric"]].kind != "sum" or period.grain in ("day", "month"):
            return self._put(index, row)
        parts = self._parts(index, row, period)
        results = {self._put(index, part) for part in parts}
        return results.pop() if len(results) == 1 else "updated"

    def _refuse_closed(self, index: int, row: Wanted, period: Period) -> None:
        known = self.book.row(row["metric"], row["period"], scope_of(row))
        names = [known["period"]] if known is not None and known["status"] == "closed" else []
        if METRICS[row["metric"]].kind == "sum":
            months = periods(period.first, period.last, "month")
            names += [m.name for m in months if self._is_closed(row["metric"], m.name)]
        if row["status"] == "closed":
            detail = "A plan is closed by POST /v1/plans/close."
            raise Refused(index, "status", "conflict", detail)
        if names:
            detail = f"The plan of {names[0]} is closed."
            raise Refused(index, "period", "plan_closed", detail)

    def _is_closed(self, metric: str, month: str) -> bool:
        key = (metric, month)
        if key not in self._closed:
            rows = self.book.rows_of_month(metric, month)
            self._closed[key] = any(row["status"] == "closed" for row in rows)
        return self._closed[key]

    def _parts(self, index: int, row: Wanted, period: Period) -> list[Wanted]:
        """A quarter or year as its months, a week as its days; locked and finished ones stay."""
        grain = "day" if period.grain == "week" else "month"
        pieces = periods(period.first, period.last, "day" if grain == "day" else "month")
        if row["value"] is None:
            return [{**row, "period": piece.name} for piece in pieces]
        scope = scope_of(row)
        total = self.book.total(row["metric"], period, scope)
        if total == row["value"] and all(self._known(row, p) for p in pieces if grain == "month"):
            values = [self.book.total(row["metric"], piece, scope) or 0 for piece in pieces]
        else:
            values = self._spread(index, row, pieces, scope)
        parts = []
        for piece, value in zip(pieces, values, strict=True):
            known = self._known(row, piece)
            locked = known["locked"] if known else False
            asked = row["locked"] if row["locked"] is not None else locked
            parts.append({**row, "period": piece.name, "value": value, "locked": asked})
        return parts

    def _known(self, row: Wanted, piece: Period) -> Mapping[str, Any] | None:
        return self.book.row(row["metric"], piece.name, scope_of(row))

    def _spread(self, index: int, row: Wanted, pieces: Sequence[Period], scope: Scope) -> list[int]:
        today = local_date(self.now, self.config.timezone)
        fixed = {}
        for number, piece in enumerate(pieces):
            known = self._known(row, piece)
            if known is not None and (known["locked"] or piece.last < today):
                fixed[number] = int(known["value"])
        weights = [sum(self.book.weights(scope[1], piece)) for piece in pieces]
        try:
            return over_time(int(row["value"]), fixed, weights)
        except Excess as error:
            detail = excess_sentence(row["metric"], row["period"], scope, error.amount)
            raise Refused(index, "value", "conflict", detail) from None

    # --- one stored row -----------------------------------------------------------------------

    def _put(self, index: int, row: Wanted) -> str:
        known = self.book.row(row["metric"], row["period"], scope_of(row))
        made = self._settled(row, known)
        changed = known is not None and any(
            known[name] != made[name] for name in ("value", "status", "currency")
        )
        if changed and known is not None and known["status"] == "approved" and not self.reason:
            detail = "An approved plan is changed only with a reason."
            raise Refused(index, "reason", "invalid_body", detail)
        is_month = METRICS[row["metric"]].kind == "sum" and len(row["period"]) == 7
        if is_month and known is not None and known["value"] != made["value"]:
            self._before_change(made)
        return self._store(made, self.reason)

    def _settled(self, row: Wanted, known: Mapping[str, Any] | None) -> Wanted:
        """What is changed by hand is locked from then on, unless the row says otherwise."""
        locked, status = row["locked"], row["status"]
        if locked is None:
            same = known is not None and known["value"] == row["value"]
            by_hand = known is not None or len(row["period"]) == 10
            locked = bool(known["locked"]) if same and known is not None else by_hand
        if status is None:
            status = known["status"] if known is not None else "draft"
        return {**row, "locked": bool(locked), "status": status}

    def _store(self, row: Wanted, reason: str) -> str:
        result = store.put(self.connection, row, self.author, reason, self.now)
        self.book.put(row)
        return result

    def _before_change(self, row: Wanted) -> None:
        """Finished days keep their plan; other days are computed anew unless they are locked."""
        month = Period.parse(row["period"])
        over = finished(self.config, month, self.now)
        scope = scope_of(row)
        days = days_of(month)
        if row["value"] is not None and 0 < over < len(days):
            for one in (scope, *parents(self.config, scope, month.first, month.last)):
                self._freeze(row, month, one, over)
        for number, day in enumerate(days):
            known = self.book.row(row["metric"], day.isoformat(), scope)
            if known is None:
                continue
            if row["value"] is None or (number >= over and not known["locked"]):
                self._store({**known, "value": None}, self.reason)

    def _freeze(self, row: Wanted, month: Period, scope: Scope, over: int) -> None:
        whole = self.book.row(row["metric"], month.name, scope)
        if whole is None:
            return
        days = days_of(month)[:over]
        values = self.book.day_totals(row["metric"], month, scope)
        for day, value in zip(days, values, strict=False):
            if self.book.row(row["metric"], day.isoformat(), scope) is None:
                kept = {**whole, "period": day.isoformat(), "value": value, "locked": True}
                self._store(kept, FROZEN)

    def freeze_all(self) -> None:
        """Keep the finished days of every plan of the running month as they are read now."""
        month = Period.around(local_date(self.now, self.config.timezone), "month")
        over = finished(self.config, month, self.now)
        if over:
            store.hold(self.connection, self.config.account_id)
            slugs = {slug for slug, metric in METRICS.items() if metric.kind == "sum"}
            self.book = book_of(self.connection, self.config, slugs, {month.name})
            whole = [row for row in self.book.rows.values() if row["period"] == month.name]
            for row in whole:
                self._freeze(dict(row), month, scope_of(row), over)

    # --- whether it all agrees ----------------------------------------------------------------

    def _check(self, index: int, row: Wanted) -> None:
        metric = METRICS[row["metric"]]
        if metric.kind != "sum":
            return
        period, scope = Period.parse(row["period"]), scope_of(row)
        if row["value"] is not None:
            self._compare(index, row["metric"], period, scope, row["value"])
        for month in periods(period.first, period.last, "month"):
            for one in (scope, *parents(self.config, scope, month.first, month.last)):
                whole = self.book.row(row["metric"], month.name, one)
                if whole is not None:
                    self._compare(index, row["metric"], month, one, whole["value"])
            for day in days_of(month) if scope[1] else ():
                kept = self.book.row(row["metric"], day.isoformat(), scope)
                if kept is not None:
                    span = Period(day, day, "day")
                    self._compare(index, row["metric"], span, scope, kept["value"])

    def _compare(self, index: int, metric: str, period: Period, scope: Scope, value: int) -> None:
        total = self.book.total(metric, period, scope) or 0
        if total != value:
            amount = total - value
            detail = excess_sentence(metric, period.name, scope, amount)
            raise Refused(index, "value", "conflict", detail)


def _is_same(known: Mapping[str, Any], row: Wanted) -> bool:
    return all(known[name] == row[name] for name in ("value", "currency", "status", "locked"))


def before_settings(
    connection: Connection, config: Config, new: AccountDocument, author: str, now: Instant
) -> None:
    """Working time may be about to change: finished days keep their plan, only the rest moves."""
    old = config.document
    if (_hours(old), old.timezone) != (_hours(new), new.timezone):
        Writer(connection, config, author, FROZEN, now).freeze_all()


def before_absence(
    connection: Connection, config: Config, days: tuple[date, date], author: str, now: Instant
) -> None:
    """An absence is about to be entered or taken back: finished days keep their plan."""
    month = Period.around(local_date(now, config.timezone), "month")
    if days[0] <= month.last and month.first <= days[1]:
        Writer(connection, config, author, FROZEN, now).freeze_all()


def _hours(document: AccountDocument) -> tuple[Any, ...]:
    own = {name: (seller.week, seller.absent) for name, seller in document.sellers.items()}
    return (document.work, own)


def excess_sentence(metric: str, period: str, scope: Scope, amount: int) -> str:
    """Why a plan and its parts cannot both stand."""
    word = "exceed it by" if amount > 0 else "fall short of it by"
    return (
        f"The plan of {metric} for {title(scope)} in {period} cannot stand: its locked, finished"
        f" or given parts {word} {abs(amount)}."
    )


def read_book(
    connection: Connection, config: Config, rows: Sequence[Mapping[str, Any]]
) -> PlanBook:
    """All that is planned around some rows."""
    return book_of(
        connection, config, {row["metric"] for row in rows}, {row["period"] for row in rows}
    )


def book_of(connection: Connection, config: Config, metrics: set[str], spans: set[str]) -> PlanBook:
    """All that is planned for some metrics around some periods."""
    names = {name for span in spans for name in names_within(Period.parse(span))}
    if not names or not metrics:
        return PlanBook(config)
    rows = store.plans(
        connection, [config.account_id], metric=sorted(metrics), period=sorted(names)
    )
    return PlanBook.of(config, rows)


def _coarse_first(row: Wanted) -> tuple[int, int]:
    """Totals before parts, long periods before short ones."""
    period = Period.parse(row["period"])
    return (-(period.last - period.first).days, bool(row["team"]) + 2 * bool(row["seller"]))
