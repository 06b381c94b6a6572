"""Figures made of figures against a second way of counting, on random departments."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from service.domain.facts import Fact
from service.kpi import query as kpi
from service.kpi.metrics import METRICS
from service.store import plans
from service.store.engine import transaction
from tests import world
from tests.kpi import test_catalogue, test_oracle_order
from tests.kpi.oracle import deals, derived
from tests.kpi.oracle.derived import Span
from tests.kpi.oracle.facts import Department, read
from tests.kpi.oracle.making import END
from tests.kpi.test_catalogue import Lived, key, live

PLANS = {"7": 900_000, "9": 250_000, "12": 100_000}
SPANS = [
    (date(2026, 2, 5), date(2026, 2, 28), "month"), (date(2026, 3, 1), date(2026, 3, 29), None),
    (date(2026, 4, 6), date(2026, 4, 12), "week"), (date(2026, 2, 1), date(2026, 4, 30), None),
]  # fmt: skip
Way = Callable[[list[Fact], tuple[str, ...], Span], dict[Any, Any]]


def at_end(way: Callable[[Department, tuple[str, ...], Span], dict[Any, Any]]) -> Way:
    return lambda facts, dims, span: way(read(facts, span.seen), dims, span)


WAYS: dict[str, tuple[Way, list[tuple[str, ...]]]] = {
    "loss_reasons": (
        at_end(derived.loss_reasons),
        [(), ("reason",), ("seller", "reason"), ("pipeline", "stage", "reason"), ("team",)],
    ),
    "deals_open_avg": (
        at_end(derived.open_average),
        [(), ("seller",), ("pipeline", "stage"), ("source", "team")],
    ),
    "pipeline_weighted": (
        derived.weighted, [(), ("team",), ("pipeline", "stage"), ("source",)],
    ),
    "sales_velocity": (at_end(derived.velocity), [(), ("seller",), ("pipeline",)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def lived(tmp_path_factory: Any, sqlite_template: Any) -> Any:
    path = tmp_path_factory.mktemp("derived") / "dozor.db"
    path.write_bytes(sqlite_template.read_bytes())
    for one in live(f"sqlite:///{path}", 5, deals=150):
        planned(one)
        yield one


def planned(lived: Lived) -> None:
    """Plans of receipts of March and April by seller."""
    with transaction(lived.office.engine) as connection:
        plans.hold(connection, world.ACCOUNT)
        for seller, value in PLANS.items():
            for month in ("2026-03", "2026-04"):
                row = {
                    "account_id": world.ACCOUNT, "metric": "receipts", "period": month, "team": "",
                    "seller": seller, "value": value, "currency": "RUB", "status": "approved",
                    "locked": False,
                }  # fmt: skip
                plans.put(connection, row, "tests", "", END)


def shown(table: kpi.Table, slug: str, dims: tuple[str, ...]) -> dict[Any, Any]:
    found = {key(row, dims)[1:]: row["values"][slug] for row in table.rows}
    return {k: v for k, v in found.items() if v}


def near(found: dict[Any, Any], wanted: dict[Any, Any]) -> bool:
    """The same keys, the same values but for the rounding of factors (of money: of a kopeck)."""
    known = {k: float(v) for k, v in wanted.items() if v}
    is_whole = all(isinstance(value, int) for value in found.values())
    return bool(found == pytest.approx(known, rel=2e-5, abs=1 if is_whole else 2e-6))


@pytest.mark.parametrize(("first", "last", "grain"), SPANS)
def test_derived_figures_are_the_oracles_own(
    lived: Lived, first: date, last: date, grain: Any
) -> None:
    span = Span(first, last, END)
    for slug, (way, asked) in WAYS.items():
        for dims in asked:
            more = {"first": first, "last": last, "grain": grain, "dimensions": dims}
            table = lived.table([slug, "receipts"], **more)
            assert near(shown(table, slug, dims), way(lived.facts, dims, span)), (slug, dims)
            if slug != "loss_reasons":
                totals = kpi.Table(table.totals, [])
                assert near(shown(totals, slug, ()), way(lived.facts, (), span)), (slug, dims)


@pytest.mark.parametrize("last", [date(2026, 3, 12), date(2026, 4, 10)])
def test_coverage_is_the_oracles_own(lived: Lived, last: date) -> None:
    first, span = last.replace(day=1), Span(last.replace(day=1), last, END)
    whole = sum(PLANS.values())
    # Seller 9 moves on 18 March, after 11 of its 21 working days.
    stayed = round(PLANS["9"] * 11 / 21) if last.month == 3 else 0
    teams = {"1": PLANS["7"] + stayed, "2": PLANS["12"] + PLANS["9"] - stayed}
    sellers = {f"romashka.{seller}": value for seller, value in PLANS.items()}
    for dims, of in (
        ((), {None: whole}), (("seller",), sellers), (("team",), teams),
        (("account",), {world.ACCOUNT: whole}),
    ):  # fmt: skip
        table = lived.table(["coverage"], first=first, last=last, dimensions=dims)
        assert near(shown(table, "coverage", dims), derived.coverage(lived.facts, dims, span, of))


def test_chances_are_of_stages_and_of_pipelines(lived: Lived) -> None:
    """The department has stages with enough closed deals, and such that have not."""
    counted = derived.odds(lived.facts, date(2026, 4, 1))
    enough = {closed >= derived.ENOUGH for _, closed in counted.values()}
    assert enough == {True, False}


def test_every_figure_is_known_to_an_oracle() -> None:
    """No figure of the catalogue is counted in one way only; there are no exceptions."""
    known = {*test_catalogue.FLOWS, *test_catalogue.LEVELS, *deals.AGES}
    known |= {*test_oracle_order.COUNTED, *test_oracle_order.HALVES, *test_oracle_order.SPREADS}
    known |= {*WAYS, "coverage"}
    assert set(METRICS) - known == set()
