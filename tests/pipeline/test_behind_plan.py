"""The rule seller-behind-plan over plans of ratios and of figures of several parts."""

from typing import Any

import pytest
from sqlalchemy import select

from service.domain.facts import Fact
from service.pipeline import verify
from service.pipeline.office import Office
from service.store import plans, tables
from service.store.engine import reading, transaction
from tests import world

RULE = "seller-behind-plan"


def closed(deal: str, day: int, stage: str) -> list[Fact]:
    at = f"2026-03-{day:02d} 12:00"
    return [
        world.new_deal(deal, "2026-03-02 10:00"),
        world.deal(deal, at, stage=stage, pipeline="31", author="7"),
    ]


def called(number: int, day: int, minute: int) -> Fact:
    return world.call(f"c{number}", f"2026-03-{day:02d} 12:{minute:02d}", 0, answered=False)


CONVERSION = [f for n in range(6) for f in closed(str(n), 4, "142" if n == 0 else "143")]
BETTER = [f for n in range(6, 11) for f in closed(str(n), 12, "142")]
DIALS = [world.new_deal("1", "2026-03-02 10:00"), called(1, 3, 0), called(2, 3, 5)]
MORE = [called(n, 12, 11 * (n - 10)) for n in range(10, 15)]


def judged(office: Office) -> list[tuple[int, int | None]]:
    table = tables.Violation.__table__  # type: ignore[attr-defined]
    query = select(table).where(table.c.rule == RULE).order_by(table.c.breach_at)
    with office.engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return [(row["breach_at"], row["resolved_at"]) for row in rows]


def planned(office: Office, metric: str, value: int) -> None:
    row: dict[str, Any] = {
        "account_id": world.ACCOUNT, "metric": metric, "period": "2026-03", "team": "",
        "seller": "7", "value": value, "currency": "", "status": "approved", "locked": False,
    }  # fmt: skip
    with transaction(office.engine) as connection:
        plans.hold(connection, world.ACCOUNT)
        plans.put(connection, row, "tests", "", world.moment("2026-03-01 12:00"))


@pytest.mark.parametrize(("metric", "plan", "first", "second"), [
    ("conversion", 50, CONVERSION, BETTER),  # 1 of 6, then 6 of 11
    ("dials", 12, DIALS, MORE),  # one attempt, as the second call came after 5 minutes; then six
])  # fmt: skip
def test_a_seller_is_behind_until_he_has_caught_up(
    sqlite_url: str, metric: str, plan: int, first: list[Fact], second: list[Fact]
) -> None:
    office = world.make_office(sqlite_url, "2026-03-31 12:00")
    rules = {RULE: {"params": {"metric": metric}}}
    world.connect_account(office, document={"rules": rules}, connected="2026-03-01 00:00")
    planned(office, metric, plan)
    world.tell(office, first)
    breach = world.moment("2026-03-10 18:00")  # the third day from the fourth working one on
    assert judged(office)[:1] == [(breach, world.moment("2026-04-01 18:00"))]  # no plan of April
    world.tell(office, second)
    assert judged(office)[:1] == [(breach, world.moment("2026-03-12 18:00"))]
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()


def test_a_figure_without_a_pace_is_refused(sqlite_url: str) -> None:
    office = world.make_office(sqlite_url)
    rules = {RULE: {"params": {"metric": "lead_quality"}}}
    world.connect_account(office, document={"rules": rules})
    with reading(office.engine) as connection:
        config = office.config(connection, world.ACCOUNT)
    (problem,) = office.book.problems(config)
    assert problem.startswith("rules.seller-behind-plan.params.metric: no plan of 'lead_quality'")
    office.close()
