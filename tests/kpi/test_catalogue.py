"""Every figure of the catalogue against a second way of counting, on random departments."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from service.domain.facts import Fact
from service.kpi import query as kpi
from service.kpi.metrics import METRICS
from service.kpi.question import Question
from service.pipeline.office import Office
from service.store.engine import reading
from tests import world
from tests.kpi.oracle import deals, inflow
from tests.kpi.oracle.facts import END, Rows, grouped, make, nearest, read, share

FIRST, LAST = date(2026, 2, 5), date(2026, 4, 12)
DIMENSIONS: tuple[tuple[str, ...], ...] = (
    (), ("seller",), ("team",), ("source",), ("stage",), ("reason", "seller"),
)  # fmt: skip
ASKED = [("month", dims) for dims in DIMENSIONS] + [
    ("week", ()), (None, ("seller",)), ("day", ("team",)), ("quarter", ("stage",)),
    (None, ()), ("year", ("source",)),
]  # fmt: skip
SUMS = inflow.SUMS | deals.SUMS
RATIOS = inflow.RATIOS | deals.RATIOS
LEVELS = inflow.LEVELS | deals.LEVELS
PERCENTILES = inflow.PERCENTILES | deals.PERCENTILES
ENDS = [date(2026, 2, 28), date(2026, 3, 15), date(2026, 4, 12)]


class Lived:
    """A department in the database, and its facts."""

    def __init__(self, office: Office, facts: list[Fact]) -> None:
        self.office = office
        self.facts = facts

    def rows(self, slugs: list[str], **more: Any) -> list[dict[str, Any]]:
        question = Question(
            tuple(METRICS[s] for s in slugs), more.pop("dimensions", ()),
            more.pop("first", FIRST), more.pop("last", LAST), more.pop("grain", None), (),
            more.pop("as_of", END), **more,
        )  # fmt: skip
        with reading(self.office.engine) as connection:
            configs = {world.ACCOUNT: self.office.config(connection, world.ACCOUNT)}
            return kpi.answer(connection, configs, question).rows


@pytest.fixture(params=[1, 2])
def lived(request: pytest.FixtureRequest, database_url: str) -> Iterator[Lived]:
    office = world.make_office(database_url, "2026-04-10 12:00")
    world.connect_account(office, connected="2026-02-01 00:00")
    facts = make(request.param)
    world.tell(office, facts)
    yield Lived(office, facts)
    office.close()


def key(row: dict[str, Any], dimensions: tuple[str, ...]) -> tuple[Any, ...]:
    return (row.get("period"), *(row[d] for d in dimensions))


def rounded(metric: str, value: Fraction | None) -> float | int | None:
    if value is None:
        return None
    if METRICS[metric].unit == "money":
        half = int(abs(value) + Fraction(1, 2))  # away from zero
        return half if value >= 0 else -half
    return float(round(value, 6))


def test_every_figure_is_the_oracles_own(lived: Lived) -> None:
    told = read(lived.facts, END)
    slugs = [*SUMS, *RATIOS, *PERCENTILES]
    for number, (grain, dims) in enumerate(ASKED):
        live = number % 2 == 0
        shown: dict[str, dict[Any, Any]] = {slug: {} for slug in slugs}
        for row in lived.rows(slugs, grain=grain, dimensions=dims, live=live):
            for slug in slugs:
                shown[slug][key(row, dims)] = row["values"][slug]
        compare(told, shown, grain, dims)


def compare(told: Any, shown: dict[str, dict[Any, Any]], grain: Any, dims: Any) -> None:
    def values(rows: Rows) -> dict[Any, list[int]]:
        return grouped(rows(told), grain, dims, FIRST, LAST)

    for slug, rows in SUMS.items():
        expected = {k: sum(v) for k, v in values(rows).items() if sum(v)}
        assert {k: v for k, v in shown[slug].items() if v} == expected, (slug, grain, dims)
    for slug, (above, below) in RATIOS.items():
        if METRICS[slug].unit == "ratio" or "currency" not in dims:
            up, down = values(above), values(below)
            shares = {k: rounded(slug, share(up.get(k, []), v)) for k, v in down.items()}
            known = {k: v for k, v in shares.items() if v is not None}
            assert {k: v for k, v in shown[slug].items() if v is not None} == known, (
                slug, grain, dims,
            )  # fmt: skip
    for slug, rows in PERCENTILES.items():
        middle = {k: nearest(v, 50) for k, v in values(rows).items()}
        expected = {k: v for k, v in middle.items() if v is not None}
        assert {k: v for k, v in shown[slug].items() if v is not None} == expected, (
            slug, grain, dims,
        )  # fmt: skip


def test_levels_and_ages_are_the_oracles_own(lived: Lived) -> None:
    slugs = [*LEVELS, "open_aging"]
    for on in ENDS:
        at = min(END, world.moment(f"{on.isoformat()} 23:59:59"))
        told = read(lived.facts, at)
        for dims in ((), ("seller",), ("source",), ("stage",), ("team", "stage")):
            rows = lived.rows(slugs, dimensions=dims, first=on, last=on)
            for slug, make_rows in LEVELS.items():
                groups = grouped(make_rows(told), None, dims, date.min, date.max)
                expected = {k: sum(v) for k, v in groups.items() if sum(v)}
                found = {key(r, dims): r["values"][slug] for r in rows if r["values"][slug]}
                assert found == expected, (slug, on, dims)
            groups = grouped(deals.ages(told), None, dims, date.min, date.max)
            expected_ages = {k: nearest(v, 50) for k, v in groups.items() if len(v) >= 5}
            ages = {key(r, dims): r["values"]["open_aging"] for r in rows}
            assert {k: v for k, v in ages.items() if v is not None} == expected_ages, (on, dims)
            assert {key(r, dims): r["notes"]["open_aging"]["count"] for r in rows
                    if r["notes"]["open_aging"]["count"]} == {
                k: len(v) for k, v in groups.items()
            }  # fmt: skip


def test_variants_are_the_oracles_own(lived: Lived) -> None:
    told = read(lived.facts, END)
    for dims in ((), ("seller",), ("stage",)):
        for slug, rows in deals.RESTATED.items():
            sums = {k: sum(v) for k, v in grouped(
                rows(told), "month", dims, FIRST, LAST).items() if sum(v)}  # fmt: skip
            found = lived.rows([slug], grain="month", dimensions=dims, restate=True)
            assert {key(r, dims): r["values"][slug] for r in found if r["values"][slug]} == sums
        for table, more in (
            (deals.WITHIN, {"within": 20 * 86_400}),
            (deals.STRICT, {"strict": True}),
        ):
            for slug, (above, below) in table.items():
                up = grouped(above(told), "month", dims, FIRST, LAST)
                down = grouped(below(told), "month", dims, FIRST, LAST)
                expected_shares = {
                    k: rounded(slug, share(up.get(k, []), v)) for k, v in down.items()
                }
                found = lived.rows([slug], grain="month", dimensions=dims, **more)
                shown = {key(r, dims): r["values"][slug] for r in found}
                assert {k: v for k, v in shown.items() if v is not None} == expected_shares


def test_so_far_is_what_was_so_then(lived: Lived) -> None:
    """Cohorts of an earlier instant know nothing of what came later."""
    slugs = ["conversion_cohort", "cohort_mature", "stage_conversion", "conversion",
             "conversion_inquiry_sale", "lead_to_deal", "lead_quality"]  # fmt: skip
    for clock in ("2026-02-20 12:00", "2026-03-10 15:00", "2026-04-01 00:00"):
        at = world.moment(clock)
        told = read(lived.facts, at)
        (row,) = lived.rows(slugs, as_of=at)
        for slug in slugs:
            above, below = RATIOS[slug]
            up = grouped(above(told), None, (), FIRST, LAST).get((None,), [])
            down = grouped(below(told), None, (), FIRST, LAST).get((None,), [])
            assert row["values"][slug] == rounded(slug, share(up, down)), (slug, clock)
