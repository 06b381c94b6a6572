"""The drill-down of a figure: its contributions, page by page; their sum is the figure."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from service.api.deps import Call
from service.api.names import Names, full_id, visible_names
from service.api.paging import Walk
from service.domain.instant import iso
from service.domain.period import local_day
from service.kpi import sums
from service.kpi.metrics import METRICS, Metric
from service.kpi.question import Question, own_filters
from service.store.handles import Connection
from service.store.reads.subjects import deal_names, task_titles

Row = dict[str, Any]


def answer_subjects(call: Call, walk: Walk, question: Question, part: str | None) -> Response:
    """A page of contributions, newest first, with the sum of all of them."""
    with call.read() as connection:
        names = visible_names(call, connection)
        rows, total = _read(connection, names, walk, question, part)
        pairs = [(row["account_id"], row["subject_id"]) for row in rows]
        titles = {"task": task_titles(connection, pairs), "deal": deal_names(connection, pairs)}
    by_currency = [{"currency": k or None, "sum": v} for k, v in sorted(total.items())]
    meta = {"sum": sum(total.values()) if len(total) <= 1 else None, "by_currency": by_currency}
    return walk.answer(rows, _position, lambda row: _show(row, names, titles), None, meta=meta)


def _read(
    connection: Connection,
    names: Mapping[str, Names],
    walk: Walk,
    question: Question,
    part: str | None,
) -> tuple[list[Row], dict[str, int]]:
    """At most one row more than a page, and the sums by currency; account by account."""
    rows: list[Row] = []
    total: dict[str, int] = {}
    parts = _parts(question.metrics[0], part)
    begin = walk.after[0] if walk.after else ""
    for account, found in sorted(names.items()):
        own = own_filters(found.config, question)
        if own is None:
            continue
        ask = sums.Ask(account, parts, (), own)
        cut = sums.Cut(question.as_of, local_day(question.as_of, found.config.timezone))
        span = (question.first, question.last)
        for currency, value in sums.total(connection, ask, *span, cut).items():
            total[currency] = total.get(currency, 0) + value
        missing = walk.limit + 1 - len(rows)
        if account < begin or missing <= 0:
            continue
        after = walk.after[1:] if walk.after and account == begin else None
        rows += sums.subjects(connection, ask, *span, cut, after, missing)
    return rows, total


def _parts(metric: Metric, part: str | None) -> tuple[str, ...]:
    if metric.kind != "ratio":
        return metric.parts
    if part == "num":
        return METRICS[metric.numerator].parts
    return tuple(p for name in metric.denominator for p in METRICS[name].parts)


def _position(row: Row) -> list[Any]:
    return [row["account_id"], row["at"], row["metric"], row["subject_id"], row["key"]]


def _show(
    row: Row, names: Mapping[str, Names], titles: Mapping[str, Mapping[tuple[str, str], str]]
) -> dict[str, Any]:
    account, kind, subject = row["account_id"], row["subject_kind"], row["subject_id"]
    timeline, _, owner = row["timeline"].partition(":")
    deal = subject if kind == "deal" else owner if timeline == "deal" else ""
    return {
        "subject": {
            "kind": kind,
            "id": full_id(account, subject),
            "name": titles.get(kind, {}).get((account, subject)),
            "url": names[account].url("deal", deal),
        },
        "metric": row["metric"],
        "at": iso(row["at"]),
        "seller": names[account].seller(row["seller"]),
        "value": row["value"],
        "currency": row["currency"] or None,
    }
