"""The drill-down of a figure: its addends, page by page; their sum is the figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from service.api.deps import Call
from service.api.names import Names, full_id, visible_names
from service.api.paging import Walk
from service.api.rule_texts import rule_name
from service.domain.instant import iso
from service.kpi.addends import Addends
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.question import Question, own_filters
from service.kpi.terms import scaled
from service.store.handles import Connection
from service.store.reads.subjects import deal_names, task_titles

Row = dict[str, Any]


def answer_subjects(call: Call, walk: Walk, question: Question, part: str | None) -> Response:
    """A page of addends, newest first, with the sum of all of them."""
    figures = _figures(question.metrics[0], part)
    with call.read() as connection:
        names = visible_names(call, connection)
        rows, total = _read(connection, names, walk, question, figures)
        pairs = [(row["account_id"], row["subject_id"]) for row in rows]
        titles = {"task": task_titles(connection, pairs), "deal": deal_names(connection, pairs)}
    unit = figures[0]
    by_currency = [
        {"currency": k or None, "sum": scaled(unit, v)} for k, v in sorted(total.items())
    ]
    whole = scaled(unit, sum(total.values())) if len(total) <= 1 else None
    meta = {"sum": whole, "by_currency": by_currency}
    scene = _Scene(call, names, titles)
    return walk.answer(rows, _position, scene.show, None, meta=meta)


def _read(
    connection: Connection,
    names: Mapping[str, Names],
    walk: Walk,
    question: Question,
    figures: Sequence[Metric],
) -> tuple[list[Row], dict[str, int]]:
    """At most one row more than a page, and the sums by currency; account by account."""
    rows: list[Row] = []
    total: dict[str, int] = {}
    begin = walk.after[0] if walk.after else ""
    for account, found in sorted(names.items()):
        own = own_filters(found.config, question)
        if own is None:
            continue
        opened = [Addends(connection, found.config, question, own, metric) for metric in figures]
        for one in opened:
            for currency, value in one.total().items():
                total[currency] = total.get(currency, 0) + value
        missing = walk.limit + 1 - len(rows)
        if account < begin or missing <= 0:
            continue
        after = walk.after[1:] if walk.after and account == begin else None
        behind = [row for one in opened for row in one.rows(after, missing)]
        rows += sorted(behind, key=lambda row: (-row["at"], *_position(row)[2:]))[:missing]
    return rows, total


def _figures(metric: Metric, part: str | None) -> list[Metric]:
    """The figures whose addends are shown: of a ratio those above or below the line."""
    if metric.kind != "ratio":
        return [metric]
    if part == "num":
        return [METRICS[metric.numerator]]
    return [METRICS[name] for name in metric.denominator]


def _position(row: Row) -> list[Any]:
    return [row["account_id"], row["at"], row["metric"], row["subject_id"], row["key"]]


class _Scene:
    """Addends on the wire."""

    def __init__(
        self,
        call: Call,
        names: Mapping[str, Names],
        titles: Mapping[str, Mapping[tuple[str, str], str]],
    ) -> None:
        self._call = call
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
            "value": scaled(METRICS[row["metric"]], row["value"]),
            "currency": row["currency"] or None,
        }
