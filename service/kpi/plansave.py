"""Saving a decomposition: the parts, and the totals above them inside what was split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.domain.period import Period
from service.kpi.planning import Piece, Splitter
from service.kpi.plantree import WHOLE, PlanBook, Scope, days_of, is_holding, scope_of
from service.kpi.planwrite import Writer


def wanted(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Pieces as rows to write."""
    return [
        {"team": piece.scope[0], "seller": piece.scope[1], "period": piece.period.name,
         "value": piece.value}
        for piece in pieces
    ]  # fmt: skip


def save(writer: Writer, splitter: Splitter, pieces: Sequence[Piece]) -> None:
    """Write the parts; totals above them inside what was split follow.

    Days are stored only where a reading of the month would give others.

    Raises:
        Refused: see `Writer.write`.
    """
    common = {
        "account_id": splitter.config.account_id, "metric": splitter.metric.slug, "status": None,
        "locked": False,
        "currency": splitter.config.currency if splitter.metric.unit == "money" else "",
    }  # fmt: skip
    pieces = _as_totals(splitter, pieces)
    rows = [{**common, **row} for row in wanted(pieces)]
    if splitter.metric.kind != "sum" or not rows:
        writer.write(rows)
        return
    days = [row for row in rows if len(row["period"]) == 10]
    whole = [row for row in rows if len(row["period"]) != 10]
    whole += [{**common, **row} for row in _month_sums(pieces)]
    kept = [_keeps_lock(splitter.book, row) for row in whole]
    writer.write(kept + [{**common, **row} for row in _totals(splitter, kept)])
    differing = _differing(writer.book, days)
    if differing:
        writer.write([_keeps_lock(splitter.book, row) for row in differing])


def _keeps_lock(book: PlanBook, row: dict[str, Any]) -> dict[str, Any]:
    known = book.row(row["metric"], row["period"], scope_of(row))
    return {**row, "locked": bool(known and known["locked"])}


def _month_sums(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Months that days are parts of (a week alone is no month)."""
    sums: dict[tuple[Scope, Period], list[int]] = {}
    for piece in pieces:
        if piece.period.grain == "day":
            month = Period.around(piece.period.first, "month")
            sums.setdefault((piece.scope, month), []).append(piece.value)
    return wanted([
        Piece(scope, month, sum(values))
        for (scope, month), values in sums.items()
        if len(values) == len(days_of(month))
    ])  # fmt: skip


def _totals(splitter: Splitter, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Totals that are set inside the split scope: the sum of their new parts."""
    written = {(scope_of(row), row["period"]) for row in rows}
    found = []
    for (slug, name, team, seller), known in splitter.book.rows.items():
        scope, span = (team, seller), Period.parse(name)
        inside = splitter.is_inside(scope, splitter.scope)
        if slug != splitter.metric.slug or seller or not inside or (scope, name) in written:
            continue
        parts = [
            row["value"]
            for row in rows
            if row["period"] == name and splitter.is_inside(scope_of(row), scope)
        ]
        covered = any(is_holding(Period.parse(row["period"]), span) for row in rows)
        if parts or covered:
            value = None
            if parts and span.grain == "month":
                value = sum(parts) - (splitter.elsewhere(team, span) if team else 0)
            found.append({"team": team, "seller": seller, "period": name, "value": value,
                          "locked": bool(known["locked"])})  # fmt: skip
    return found


def _differing(book: PlanBook, days: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The days of those scopes whose days a reading of the month would give otherwise."""
    by_scope: dict[Scope, list[dict[str, Any]]] = {}
    for row in days:
        by_scope.setdefault(scope_of(row), []).append(row)
    found = []
    for scope, rows in by_scope.items():
        totals = [
            book.total(row["metric"], Period.parse(row["period"]), scope) or 0 for row in rows
        ]
        if totals != [row["value"] for row in rows]:
            found += rows
    return found


def _as_totals(splitter: Splitter, pieces: Sequence[Piece]) -> list[Piece]:
    """Sellers without a team are what the account's total holds beyond its teams."""
    sums: dict[Period, int] = {}
    for piece in pieces:
        sums[piece.period] = sums.get(piece.period, 0) + piece.value
    return [
        replace(piece, value=sums[piece.period])
        if splitter.down and splitter.metric.kind == "sum" and piece.scope == WHOLE
        else piece
        for piece in pieces
    ]
