"""The drill-down of a figure: its addends, page by page; their sum is the figure."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from service.api.conditional import fresh
from service.api.deps import Call
from service.api.names import Names, full_id, visible_names
from service.api.paging import Walk
from service.domain.instant import iso
from service.kpi.drill import Opened, rows_of, sums_of
from service.kpi.question import own_filters
from service.kpi.terms import scaled
from service.rules.words import rule_name
from service.store.handles import Connection
from service.store.reads.subjects import deal_names, task_titles

Row = dict[str, Any]


def answer_subjects(call: Call, walk: Walk, opened: Opened) -> Response:
    """A page of contributions, newest first, with the sum of all of them."""
    with call.read() as connection:
        fresh(call, connection, walk.as_of // 60)
        names = visible_names(call, connection)
        rows, total = _read(connection, names, walk, opened)
        pairs = [(row["account_id"], row["subject_id"]) for row in rows]
        titles = {"task": task_titles(connection, pairs), "deal": deal_names(connection, pairs)}
    by_currency = [
        {"currency": k or None, "sum": scaled(opened.unit, value), "count": n}
        for k, (value, n) in sorted(total.items())
    ]
    whole = scaled(opened.unit, sum(value for value, _ in total.values()))
    meta = {
        "sum": whole if len(total) <= 1 else None,
        "count": sum(n for _, n in total.values()),
        "by_currency": by_currency,
    }
    scene = _Scene(call, opened, names, titles)
    return walk.answer(rows, _position, scene.show, None, meta=meta)


def _read(
    connection: Connection, names: Mapping[str, Names], walk: Walk, opened: Opened
) -> tuple[list[Row], dict[str, tuple[int, int]]]:
    """At most one row more than a page, and the sums by currency; account by account."""
    rows: list[Row] = []
    total: dict[str, tuple[int, int]] = {}
    begin = walk.after[0] if walk.after else ""
    for account, found in sorted(names.items()):
        own = own_filters(found.config, opened.question)
        if own is None:
            continue
        for currency, (value, n) in sums_of(connection, found.config, opened, own).items():
            before, count = total.get(currency, (0, 0))
            total[currency] = (before + value, count + n)
        missing = walk.limit + 1 - len(rows)
        if account < begin or missing <= 0:
            continue
        after = walk.after[1:] if walk.after and account == begin else None
        rows += rows_of(connection, found.config, opened, own, after, missing)
    return rows, total


def _position(row: Row) -> list[Any]:
    told = [row[name] for name in ("account_id", "at", "metric", "subject_id", "key")]
    return [*told, row.get("day", 0)]


class _Scene:
    """Addends on the wire."""

    def __init__(
        self,
        call: Call,
        opened: Opened,
        names: Mapping[str, Names],
        titles: Mapping[str, Mapping[tuple[str, str], str]],
    ) -> None:
        self._call = call
        self._unit = opened.unit
        self._names = names
        self._titles = titles

    def show(self, row: Row) -> dict[str, Any]:
        """One addend, in the unit of its figure."""
        account, kind, subject = row["account_id"], row["subject_kind"], row["subject_id"]
        names = self._names[account]
        timeline, _, owner = row["timeline"].partition(":")
        deal = subject if kind == "deal" else owner if timeline == "deal" else ""
        title = self._titles.get(kind, {}).get((account, subject))
        if kind == "seller":
            title = names.config.seller_name(subject)
        rule = row.get("rule") or None
        return {
            "subject": {
                "kind": kind or None,
                "id": full_id(account, subject) if subject else None,
                "name": title,
                "url": names.url("deal", deal),
            },
            "metric": row["metric"],
            "at": iso(row["at"]),
            "until": iso(row.get("until")),
            "seller": names.seller(row["seller"]),
            "rule": rule,
            "rule_name": rule and rule_name(names.book.models.get(rule), rule, self._call.lang),
            "severity": row.get("severity") or None,
            "value": scaled(self._unit, row["value"]),
            "currency": row["currency"] or None,
        }
