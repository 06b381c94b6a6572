"""A figure opens into what it is made of: the listed values give the figure (kpis.md 1.14)."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from service.kpi import query as kpi
from service.kpi.drill import choices, open_figure, rows_of, sums_of
from service.kpi.metrics import METRICS
from service.kpi.question import Question, own_filters
from service.kpi.terms import divided, scaled
from service.pipeline.office import Office
from service.store.engine import reading
from tests import world
from tests.kpi.oracle.facts import nearest
from tests.kpi.oracle.making import DIRECTORY, DOCUMENT, END, make

FIRST, LAST = date(2026, 2, 20), date(2026, 4, 12)
POSITION = ("at", "metric", "subject_id", "key", "day")
CUTS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("all", (), {}),
    ("now", (), {"live": True}),
    ("a seller", (("seller", "eq", ("romashka.7",)),), {"restate": True}),
    ("a stage", (("stage", "eq", ("romashka.31.20",)),), {"strict": True}),
    ("not a source", (("source", "ne", ("site",)),), {"within": 20 * 86_400}),
    ("a team that a seller leaves", (("team", "eq", ("1",)),), {}),
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Office]:
    path = tmp_path_factory.mktemp("drill") / "dozor.db"
    path.write_bytes(sqlite_template.read_bytes())
    made = world.make_office(f"sqlite:///{path}", "2026-04-10 13:00")
    world.connect_account(
        made, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01 00:00"
    )
    world.tell(made, make(5, currencies=["RUB"]))
    yield made
    made.close()


def opened(office: Office, question: Question, part: str | None) -> list[dict[str, Any]]:
    """All rows, page by page; their sums are told right."""
    what = open_figure(question, part)
    assert what is not None
    rows: list[dict[str, Any]] = []
    with reading(office.engine) as connection:
        config = office.config(connection, world.ACCOUNT)
        filters = own_filters(config, what.question)
        assert filters is not None
        after = None
        while page := rows_of(connection, config, what, filters, after, 40):
            rows += page
            after = [page[-1].get(name, 0) for name in POSITION]
        told = sums_of(connection, config, what, filters)
    assert sum(value for value, _ in told.values()) == sum(row["value"] for row in rows)
    assert sum(n for _, n in told.values()) == len(rows)
    return rows


@pytest.mark.parametrize("slug", sorted(METRICS))
def test_what_is_listed_gives_the_figure(office: Office, slug: str) -> None:
    metric = METRICS[slug]
    for name, filters, more in CUTS:
        question = Question((metric,), (), FIRST, LAST, None, filters, END, **more)
        with reading(office.engine) as connection:
            configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
            (row,) = kpi.answer(connection, configs, question).rows
        value = row["values"][slug]
        if metric.kind == "ratio":
            above, below = (sum(r["value"] for r in opened(office, question, end))
                            for end in ("num", "den"))  # fmt: skip
            if metric.least is None or value is not None:
                assert value == divided(metric, above, below), name
            ends = (METRICS[metric.numerator], METRICS[metric.denominator[0]])
            told = tuple(map(scaled, ends, (above, below)))
            assert row["sums"][slug] == told, name
        elif metric.kind == "percentile":
            values = [r["value"] for r in opened(office, question, None)]
            ranked = nearest(values, metric.percents[0])
            assert value == (None if ranked is None else scaled(metric, ranked)), name
            assert row["notes"][slug]["count"] == len(values)
        elif metric.kind == "derived":
            assert open_figure(question, None) is None
            for factor in choices(metric):
                opened(office, question, factor)
        else:
            whole = sum(r["value"] for r in opened(office, question, None))
            unknown = value is None and metric.missing == "null"  # the department has no chats
            assert whole == 0 if unknown else value == scaled(metric, whole), name
