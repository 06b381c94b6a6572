"""All ids of a kind, fifty pages a request: each page of a batch begins where the former ended.

`>ID` of a page refers to the last row of the page before (`$result[p0][49][ID]`, bitrix24.md 2.3);
the page after the end finds no such row, so its filter is empty and it begins anew: pages are taken
only as long as they are full.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from service.crm.bitrix24.invoices import INVOICE, PREFIX
from service.crm.bitrix24.mapping import PLANNED
from service.crm.bitrix24.rest import BATCH, PAGE, Rest, Row, rows_of
from service.domain.facts import Kind


def ids(rest: Rest, kind: Kind) -> Iterator[list[str]] | None:
    """Ids as facts have them: deals `7`, tasks `t7`, to-dos and meetings `a7`, invoices `i7`."""
    if kind is Kind.DEAL:
        return (
            [str(row["ID"]) for row in rows]
            for rows in _pages(rest, "crm.deal.list", "", "ID", {"select": ["ID"]})
        )
    if kind is Kind.PAYMENT:
        return _invoices(rest)
    return _tasks(rest) if kind is Kind.TASK else None


def _invoices(rest: Rest) -> Iterator[list[str]]:
    given = {"entityTypeId": INVOICE, "select": ["id"]}
    for rows in _pages(rest, "crm.item.list", "[items]", "id", given, key="id"):
        yield [f"{PREFIX}{row['id']}" for row in rows]


def _tasks(rest: Rest) -> Iterator[list[str]]:
    for rows in _pages(rest, "tasks.task.list", "[tasks]", "id", {"select": ["ID"]}):
        yield [f"t{row['id']}" for row in rows]
    planned = {"select": ["ID"], "filter": {"@PROVIDER_ID": sorted(PLANNED)}}
    for rows in _pages(rest, "crm.activity.list", "", "ID", planned):
        yield [f"a{row['ID']}" for row in rows]


def _pages(
    rest: Rest, method: str, within: str, name: str, given: dict[str, Any], *, key: str = "ID"
) -> Iterator[Sequence[Row]]:
    """Pages in the order of ids (`key` in filters); ends with the first that is not full."""
    last: object = 0
    size = 1
    while True:
        calls: dict[str, tuple[str, Row]] = {}
        for number in range(size):
            after = f"$result[p{number - 1}]{within}[{PAGE - 1}][{name}]" if number else last
            asked = {**given.get("filter", {}), f">{key}": after}
            calls[f"p{number}"] = (
                method,
                {**given, "filter": asked, "order": {key: "ASC"}, "start": -1},
            )
        results, _ = rest.batch(calls)
        for number in range(size):
            rows = rows_of(results.get(f"p{number}"))
            fresh = [row for row in rows if int(row[name]) > int(str(last))]
            if fresh:
                yield fresh
                last = fresh[-1][name]
            if len(rows) < PAGE or not fresh:
                return
        size = min(BATCH, size * 4)  # a small portal is not asked for fifty pages
