"""Every figure of the catalogue against a second way of counting, on random departments."""

import random
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import select

from service.domain.facts import Fact
from service.kpi import query as kpi
from service.kpi.bi_rows import Origin, rows_of
from service.kpi.compare import shifted
from service.kpi.metrics import METRICS
from service.kpi.question import Question
from service.kpi.tables import TABLES
from service.pipeline.office import Office
from service.store import accounts
from service.store.bi.reader import Reading
from service.store.bi.scene import Scene
from service.store.engine import reading
from service.store.tables import Contribution
from tests import world
from tests.kpi.oracle import deals, inflow
from tests.kpi.oracle.facts import (
    MONEY,
    Department,
    Rows,
    day_of,
    grouped,
    midnight,
    nearest,
    read,
    share,
)
from tests.kpi.oracle.making import DIRECTORY, DOCUMENT, END, make, moment

FIRST, LAST = date(2026, 2, 5), date(2026, 4, 12)
ASKED: list[tuple[str | None, tuple[str, ...]]] = [
    ("month", ()), ("month", ("seller",)), ("month", ("team", "pipeline")), ("month", ("source",)),
    ("month", ("stage",)), ("month", ("reason", "seller")), ("month", ("weekday",)),
    ("week", ()), ("week", ("pipeline",)), ("day", ("team",)), ("quarter", ("stage", "account")),
    ("quarter", ("seller", "weekday")), ("year", ("source",)), ("year", ("pipeline", "reason")),
    (None, ("seller", "pipeline", "stage", "source")), (None, ()),
]  # fmt: skip
SUMS = inflow.SUMS | deals.SUMS
RATIOS = inflow.RATIOS | deals.RATIOS
LEVELS = inflow.LEVELS | deals.LEVELS
PERCENTILES = inflow.PERCENTILES | deals.PERCENTILES
FLOWS = [*SUMS, *RATIOS, *PERCENTILES]
LEVELLED: tuple[tuple[str, ...], ...] = (
    (), ("seller",), ("source",), ("stage",), ("team", "stage"), ("pipeline",), ("account",),
)  # fmt: skip
STANDS = {  # ranked or counted as the deal stands: a win that was undone later is none
    "won_without_amount",
    "median_check",
    "cycle",
    "cycle_unknown",
    "time_in_stage",
}
ENDS = [date(2026, 2, 28), date(2026, 3, 15), date(2026, 4, 12)]


class Lived:
    """A department in the database, and its facts."""

    def __init__(self, office: Office, facts: list[Fact]) -> None:
        self.office = office
        self.facts = facts

    def table(self, slugs: list[str], **more: Any) -> kpi.Table:
        question = Question(
            tuple(METRICS[s] for s in slugs), more.pop("dimensions", ()),
            more.pop("first", FIRST), more.pop("last", LAST), more.pop("grain", None),
            more.pop("filters", ()),
            more.pop("as_of", END), **more,
        )  # fmt: skip
        with reading(self.office.engine) as connection:
            configs = {world.ACCOUNT: self.office.config(connection, world.ACCOUNT)}
            return kpi.answer(connection, configs, question)

    def rows(self, slugs: list[str], **more: Any) -> list[dict[str, Any]]:
        return self.table(slugs, **more).rows


def live(url: str, seed: int, deals: int = 45) -> Iterator[Lived]:
    office = world.make_office(url, "2026-04-10 13:00")
    world.connect_account(
        office, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01 00:00"
    )
    facts = make(seed, deals)
    world.tell(office, facts)
    yield Lived(office, facts)
    office.close()


@pytest.fixture(scope="module", params=[1, 2])
def lived(
    request: pytest.FixtureRequest, tmp_path_factory: Any, sqlite_template: Any
) -> Iterator[Lived]:
    path = tmp_path_factory.mktemp("catalogue") / "dozor.db"
    shutil.copy(sqlite_template, path)
    yield from live(f"sqlite:///{path}", request.param)


def key(row: dict[str, Any], dimensions: tuple[str, ...]) -> tuple[Any, ...]:
    return (row.get("period"), *(row[d] for d in dimensions), row["currency"] or MONEY)


def rounded(metric: str, value: Fraction | None) -> float | int | None:
    if value is None:
        return None
    if METRICS[metric].unit == "money":
        half = int(abs(value) + Fraction(1, 2))  # away from zero
        return half if value >= 0 else -half
    return float(round(value, 6))


def told_by(rows: list[dict[str, Any]], slug: str, dims: tuple[str, ...]) -> dict[Any, Any]:
    """What is not nothing, by key."""
    found = {key(row, dims): row["values"][slug] for row in rows}
    return {k: v for k, v in found.items() if v}


def of_sums(told: Department, rows: Rows, grain: Any, dims: Any, **span: date) -> dict[Any, int]:
    first, last = span.get("first", FIRST), span.get("last", LAST)
    found = grouped(rows(told), grain, dims, first, last, span.get("seen_on"))
    return {k: sum(v) for k, v in found.items() if sum(v)}


def of_ratio(
    told: Department, slug: str, parts: tuple[Rows, Rows], grain: Any, dims: Any, **span: date
) -> dict[Any, Any]:
    first, last = span.get("first", FIRST), span.get("last", LAST)
    up, down = (grouped(rows(told), grain, dims, first, last) for rows in parts)
    found = {k: rounded(slug, share(up.get(k, []), v)) for k, v in down.items()}
    return {k: v for k, v in found.items() if v}


def of_values(told: Department, rows: Rows, grain: Any, dims: Any, **span: date) -> dict[Any, Any]:
    first, last = span.get("first", FIRST), span.get("last", LAST)
    found = grouped(rows(told), grain, dims, first, last, span.get("seen_on"))
    return {k: nearest(v, 50) for k, v in found.items() if nearest(v, 50)}


def agree(
    told: Department, rows: list[dict[str, Any]], slugs: list[str], grain: Any, dims: Any,
    **span: date,
) -> None:  # fmt: skip
    """Fail where an answer's rows are not the oracle's."""
    for slug in slugs:
        if slug in SUMS:
            expected = of_sums(told, SUMS[slug], grain, dims, **span)
        elif slug in RATIOS:
            expected = of_ratio(told, slug, RATIOS[slug], grain, dims, **span)
        else:
            expected = of_values(told, PERCENTILES[slug], grain, dims, **span)
        assert told_by(rows, slug, dims) == expected, (slug, grain, dims)


def test_every_figure_is_the_oracles_own(lived: Lived) -> None:
    told = read(lived.facts, END)
    for number, (grain, dims) in enumerate(ASKED):
        table = lived.table(FLOWS, grain=grain, dimensions=dims, live=number % 2 == 0)
        agree(told, table.rows, FLOWS, grain, dims)
        agree(told, table.totals, FLOWS, None, ())


def test_levels_and_ages_are_the_oracles_own(lived: Lived) -> None:
    slugs = [*LEVELS, "open_aging"]
    for on in ENDS:
        at = min(END, midnight(on) + 86_399)
        told = read(lived.facts, at)
        span = {"first": date.min, "last": date.max, "seen_on": min(on, day_of(END))}
        for dims in LEVELLED:
            rows = lived.rows(slugs, dimensions=dims, first=on, last=on)
            for slug, make_rows in LEVELS.items():
                expected = of_sums(told, make_rows, None, dims, **span)
                assert told_by(rows, slug, dims) == expected, (slug, on, dims)
            ages = of_values(told, deals.ages, None, dims, **span)
            assert told_by(rows, "open_aging", dims) == ages, (on, dims)
            counts = {
                key(r, dims): r["notes"]["open_aging"]["count"] for r in rows
                if r["notes"]["open_aging"]["count"]
            }  # fmt: skip
            assert counts == {
                k: len(v) for k, v in grouped(deals.ages(told), None, dims, **span).items()
            }


def test_figures_on_postgresql_are_the_oracles_own(database_url: str) -> None:
    if database_url.startswith("postgresql"):  # all others of this page are on SQLite
        for lived in live(database_url, 1):
            test_every_figure_is_the_oracles_own(lived)
            test_levels_and_ages_are_the_oracles_own(lived)


@pytest.mark.parametrize("grain", ["day", "week", "month", "quarter", "year"])
def test_levels_of_each_grain_are_those_of_its_ends(lived: Lived, grain: Any) -> None:
    slugs = [*LEVELS]
    table = lived.table(slugs, grain=grain, dimensions=("pipeline",))
    span = {"first": date.min, "last": date.max}
    ends = {row["period"]: row["period_end"] for row in table.rows}
    for start, end in list(ends.items())[::3] + list(ends.items())[-1:]:
        told = read(lived.facts, min(END, midnight(end + timedelta(days=1)) - 1))
        rows = [row | {"period": None} for row in table.rows if row["period"] == start]
        for slug, make_rows in LEVELS.items():
            expected = of_sums(told, make_rows, None, ("pipeline",), **span)
            assert told_by(rows, slug, ("pipeline",)) == expected, (slug, grain, end)
    for slug, make_rows in LEVELS.items():
        expected = of_sums(read(lived.facts, END), make_rows, None, (), **span)
        assert told_by(table.totals, slug, ()) == expected, (slug, grain)


def test_variants_are_the_oracles_own(lived: Lived) -> None:
    told = read(lived.facts, END)
    for dims in ((), ("seller",), ("stage",), ("pipeline", "source")):
        for slug, rows in deals.RESTATED.items():
            found = lived.rows([slug, "receipts"], grain="month", dimensions=dims, restate=True)
            assert told_by(found, slug, dims) == of_sums(told, rows, "month", dims)
        for table, more in (
            (deals.WITHIN, {"within": 20 * 86_400}),
            (deals.STRICT, {"strict": True}),
        ):
            for slug, parts in table.items():
                found = lived.rows([slug], grain="month", dimensions=dims, **more)
                expected = of_ratio(told, slug, parts, "month", dims)
                assert told_by(found, slug, dims) == expected


@pytest.mark.parametrize("clock", ["2026-02-20 12:00", "2026-03-10 15:00", "2026-04-01 00:00"])
def test_so_far_is_what_was_so_then(lived: Lived, clock: str) -> None:
    """An earlier instant knows nothing of what came later; what `STANDS` stands as it does now."""
    at = moment(clock)
    told = read(lived.facts, at)
    slugs = [slug for slug in FLOWS if slug not in STANDS]
    for grain, dims in ((None, ()), ("month", ("pipeline", "source"))):
        agree(told, lived.rows(slugs, as_of=at, grain=grain, dimensions=dims), slugs, grain, dims)


@pytest.mark.parametrize(("rule", "grain", "now", "before"), [
    ("previous_period", "month", ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
    ("previous_period", None, ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
    ("previous_period", "week", ("2026-03-09", "2026-03-22"), ("2026-02-23", "2026-03-08")),
    ("previous_period", None, ("2026-03-10", "2026-03-12"), ("2026-03-07", "2026-03-09")),
    ("previous_year", "month", ("2027-03-01", "2027-03-31"), ("2026-03-01", "2026-03-31")),
    # 1 to 10 April has 8 working days: as many of March end on the 12th.
    ("previous_period", "month", ("2026-04-01", "2026-04-30"), ("2026-03-01", "2026-03-12")),
])  # fmt: skip
def test_what_is_compared_with_is_the_oracles_own(
    lived: Lived, rule: str, grain: Any, now: tuple[str, str], before: tuple[str, str]
) -> None:
    first, last = map(date.fromisoformat, now)
    question = Question(tuple(METRICS[s] for s in FLOWS), (), first, last, grain, (), END)
    with reading(lived.office.engine) as connection:
        config = lived.office.config(connection, world.ACCOUNT)
        other = shifted(question, rule, config, END).question
        table = kpi.answer(connection, {world.ACCOUNT: config}, other)
    span = dict(zip(("first", "last"), map(date.fromisoformat, before), strict=True))
    assert (other.first, other.last) == (span["first"], span["last"])
    agree(read(lived.facts, END), table.totals, FLOWS, None, (), **span)


def test_1_sellers_teams_and_days_add_up(lived: Lived) -> None:
    """Sellers = teams = the account for every sum and level; days = the month for every sum."""
    march = {"first": date(2026, 3, 1), "last": date(2026, 3, 31)}
    slugs = [slug for slug, metric in METRICS.items() if metric.kind in {"sum", "level"}]
    ways = {
        dims: added(lived.rows(slugs, dimensions=dims, **march), slugs)
        for dims in ((), ("seller",), ("team",), ("account",))
    }
    for dims, found in ways.items():
        assert found == pytest.approx(ways[()], abs=1e-4), dims
    flows = [slug for slug in slugs if METRICS[slug].kind == "sum"]
    by_day = added(lived.rows(flows, grain="day", **march), flows)
    whole = {place: value for place, value in ways[()].items() if place[0] in flows}
    late = {
        slug for slug in METRICS if slug.startswith("hygiene_")
    }  # a deal open for under an hour of the day is out
    assert {k: v for k, v in by_day.items() if k[0] not in late} == pytest.approx(
        {k: v for k, v in whole.items() if k[0] not in late}, abs=1e-4
    )


def test_a_filter_on_a_team_is_its_row(lived: Lived) -> None:
    """Also while a seller moves, whatever the figure; what is in neither team is in no team."""
    grain: Any = "week"
    slugs = [slug for slug, metric in METRICS.items() if "team" in metric.dimensions]
    rows = lived.rows(slugs, dimensions=("team",), grain=grain)
    for team, told in (("1", ("eq", ("1",))), (None, ("ne", ("1", "2")))):
        alone = {
            (row.get("period"), row["currency"]): row["values"]
            for row in lived.rows(slugs, grain=grain, filters=(("team", *told),))
        }
        own = [row for row in rows if row["team"] == team]
        assert own
        for row in own:
            found = alone[row.get("period"), row["currency"]]
            assert found == pytest.approx(row["values"], abs=1e-5), (team, row.get("period"))


def test_facts_joined_to_who_was_in_which_team_are_figures_by_team(lived: Lived) -> None:
    """The day to join by is that of the row, of a correction that of the win (kpis.md 1.9)."""
    slugs = ["receipts", "deals_won", "deals_lost", "value_lost", "deals_created", "calls"]
    with reading(lived.office.engine) as connection:
        config = lived.office.config(connection, world.ACCOUNT)
        account = accounts.account(connection, world.ACCOUNT)
        assert account is not None
        own = Origin(config, account, [], None)
        refs = {"stays": list(rows_of("stays", own, END, "en", None))}
        scene = Scene([world.ACCOUNT], END, {}, refs, sqlite=True)
        daily, stays = (
            list(Reading(TABLES[name], scene).rows(connection, TABLES[name].columns))
            for name in ("kpi_daily", "seller_team")
        )
    assert len({row["id"] for row in daily}) == len(daily)
    told = [row for row in daily if row["metric"] in slugs]
    late = [row for row in told if row["team_date"] != row["date"]]
    assert late
    found: dict[tuple[str, str | None, str], int] = {}
    for row in told:
        assert team_at(stays, row, "team_date") == row["team_id"]
        where = (row["metric"], row["team_id"], row["currency"] or "")
        found[where] = found.get(where, 0) + row["value"]
    for slug in slugs:
        table = lived.rows([slug], dimensions=("team",), first=date(2000, 1, 1))
        own_rows = {
            (slug, row["team"], row["currency"] or ""): row["values"][slug] for row in table
        }
        assert {k: v for k, v in own_rows.items() if v} == {
            k: v for k, v in found.items() if v and k[0] == slug
        }


def team_at(stays: list[dict[str, Any]], row: dict[str, Any], day: str) -> str | None:
    teams = [
        stay["team_id"]
        for stay in stays
        if stay["seller_id"] == row["seller_id"]
        if stay["first_date"] <= row[day] <= stay["last_date"]
    ]
    assert len(teams) < 2
    return teams[0] if teams else None


def added(rows: list[dict[str, Any]], slugs: list[str]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        for slug in slugs:
            place = (slug, row["currency"])
            found[place] = found.get(place, 0) + (row["values"][slug] or 0)
    return {place: value for place, value in found.items() if value}


def test_2_late_and_repeated_facts_give_the_same_contributions(
    lived: Lived, sqlite_url: str
) -> None:
    office = world.make_office(sqlite_url, "2026-04-10 13:00")
    world.connect_account(
        office, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01 00:00"
    )
    facts = [*lived.facts, *lived.facts[::3]]
    random.Random(7).shuffle(facts)
    for start in range(0, len(facts), 40):
        world.tell(office, facts[start : start + 40])
    table = Contribution.__table__  # type: ignore[attr-defined]
    told = []
    for one in (office, lived.office):
        with reading(one.engine) as connection:
            told.append(sorted(map(tuple, connection.execute(select(table)))))
    assert told[0] == told[1]
    office.close()
