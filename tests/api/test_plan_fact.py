"""Plan against fact over the running service, against a second, plain way of counting."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import select

from service.domain.facts import Fact
from service.kpi.metrics import METRICS
from service.store.tables import Contribution
from tests.api.conftest import Api, Start
from tests.world import ACCOUNT, connect_account, deal, make_office, new_deal, tell

NOON = "2026-03-20T09:00:00Z"  # Friday, 12:00 in Moscow: 2 of 8 hours have passed
WORKING = [date(2026, 3, n) for n in range(1, 32) if date(2026, 3, n).weekday() < 5 and n != 9]
LATE = {"2025-09": 1, "2025-10": 2, "2025-11": 3, "2025-12": 4, "2026-01": 5, "2026-02": 6}
PLANS = {"7": 10, "9": 6}
WHOLE = 20


def won(number: str, born: str, at: str, seller: str, amount: int) -> list[Fact]:
    return [
        new_deal(number, born, responsible=seller, amount=amount),
        deal(number, at, stage="142", pipeline="31", author=seller),
    ]


def history() -> list[Fact]:
    """2 sales early in each of six months and 1 to 6 late ones; in March two of 7, one of 9."""
    facts: list[Fact] = []
    for month, late in LATE.items():
        for n in range(2 + late):
            day = 5 if n < 2 else 27
            born, at = f"{month}-{day:02d} 10:00", f"{month}-{day:02d} 15:00"
            facts += won(f"{month}-{n}", born, at, "7", 100_00)
    facts += won("m1", "2026-03-02 10:00", "2026-03-03 12:00", "7", 300_00)
    facts += won("m2", "2026-03-02 10:00", "2026-03-20 11:00", "7", 500_00)
    facts += won("m3", "2026-03-02 10:00", "2026-03-19 12:00", "9", 150_00)
    facts += won("m4", "2026-03-02 10:00", "2026-03-20 13:00", "9", 1_00)  # an hour ahead
    facts += [new_deal("m5", "2026-03-10 10:00", responsible="12")]
    return facts


@pytest.fixture
def lived(database_url: str, start: Start) -> Api:
    office = make_office(database_url)
    connect_account(office, connected="2025-09-01 00:00")
    tell(office, history())
    api = start.on(office)
    api.clock.set(NOON)
    rows = [{"account": ACCOUNT, "metric": "deals_won", "period": "2026-03", "value": WHOLE}]
    rows += [rows[0] | {"seller": f"romashka.{s}", "value": v} for s, v in PLANS.items()]
    client = api.client()
    assert client.put("/v1/plans", json={"rows": rows}).json()["created"] == 3
    return api


def counted(api: Api, metric: str, seller: str | None = None) -> int:
    """March's figure by adding up what happened by noon."""
    table = Contribution.__table__  # type: ignore[attr-defined]
    with api.engine.connect() as connection:
        rows = connection.execute(select(table).where(table.c.metric == metric))
        return sum(
            row.value
            for row in rows
            if 20260301 <= row.day <= 20260320
            and row.at <= api.clock.instant
            and seller in (None, row.seller)
        )


def planned_by_now(plan: int) -> Fraction:
    """Finished days and a quarter of today, days by cumulative rounding."""
    found, before = Fraction(0), 0
    for n, day in enumerate(WORKING, 1):
        upto = (2 * plan * n + len(WORKING)) // (2 * len(WORKING))
        if day < date(2026, 3, 20):
            found += upto - before
        elif day == date(2026, 3, 20):
            found += Fraction(upto - before, 4)
        before = upto
    return found


def lines(api: Api, **query: str) -> list[dict[str, Any]]:
    told = {"period": "2026-03", "metrics": "deals_won", "account": ACCOUNT} | query
    answer = api.client().get("/v1/plan-fact", params=told)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_plan_fact_equals_counting_by_hand(lived: Api) -> None:
    elapsed = Fraction(13 * 4 + 1, 4)  # working days: 13 are over, and a quarter of today
    found = {row["seller"] and row["seller"]["id"]: row for row in lines(lived, by="seller")}
    for seller, plan in PLANS.items():
        row, fact = found[f"romashka.{seller}"], counted(lived, "deals_won", seller)
        expected = planned_by_now(plan)
        assert fact == {"7": 2, "9": 1}[seller]
        assert (row["plan"], row["fact"], row["gap"]) == (plan, fact, fact - plan)
        assert row["gap_expected"] == pytest.approx(fact - row["expected"], abs=0.011)
        assert row["percent"] == round(fact / plan, 6)
        assert row["expected"] == round(float(expected), 2)
        assert row["pace"] == round(float(fact / expected), 6)
        assert row["run_rate"] == round(float(fact * 21 / elapsed), 2)
        assert row["needed_per_day"] == round(float((plan - fact) / (21 - elapsed)), 2)
        assert row["working_days"] == {"all": 21, "passed": 13, "left": 7.75}
        assert row["status"] == "far_behind"
        assert row["plan_version"] == 1
    assert (found[None]["plan"], found[None]["fact"]) == (4, 0)  # not distributed
    created = lines(lived, metrics="deals_created", by="seller")
    assert {(row["seller"]["id"], row["status"]) for row in created} >= {("romashka.12", "no_plan")}
    (whole,) = lines(lived)
    assert whole["plan"] == WHOLE
    assert whole["expected"] == round(float(sum(map(planned_by_now, (10, 6, 4)))), 2)
    teams = lines(lived, by="team")
    for rows in (teams, list(found.values())):
        assert sum(row["plan"] or 0 for row in rows) == WHOLE
        assert sum(row["fact"] or 0 for row in rows) == whole["fact"] == 3
        assert abs(sum(row["expected"] or 0 for row in rows) - whole["expected"]) < 0.02
    days = [date(2026, 3, 1) + timedelta(n) for n in range(31)]
    by_day = [lines(lived, period=day.isoformat())[0]["plan"] for day in days]
    assert sum(by_day) == WHOLE
    assert {day for day, value in zip(days, by_day, strict=True) if value} <= set(WORKING)


def test_money_in_major_units_and_periods_out_of_range(lived: Api) -> None:
    (minor,) = lines(lived, metrics="receipts")
    (major,) = lines(lived, metrics="receipts", money="major")
    assert (minor["fact"], major["fact"]) == (95_000, 950.0)
    assert major["run_rate"] == pytest.approx(minor["run_rate"] / 100, abs=1e-4)
    assert major["forecast"]["mid"] == major["run_rate"]
    assert major["percent"] is minor["percent"] is None
    assert lines(lived, money="major") == lines(lived)  # a count is a count
    client = lived.client()
    for path in ("plan-fact", "plan-fact/gap", "plans/export.csv", "plans"):
        for period in ("0001-01", "9999", "2026-13", "2026-1"):
            refused = client.get(f"/v1/{path}", params={"period": period})
            assert refused.json()["errors"][0]["parameter"] == "period", (path, period)


def test_statuses_in_their_order(lived: Api) -> None:
    client = lived.client()

    def status(value: int, now: str = NOON) -> str:
        lived.clock.set(now)
        row = {"account": ACCOUNT, "metric": "calls", "period": "2026-03", "value": value}
        return str(client.put("/v1/plans", json={"rows": [row]}).status_code)

    assert status(5) == "200"
    assert lines(lived, metrics="calls")[0]["status"] == "far_behind"
    lived.clock.set("2026-03-03T14:00:00Z")  # one working day is over
    assert lines(lived, metrics="calls,deals_won")[0]["status"] == "too_early"
    lived.clock.set("2026-04-01T09:00:00Z")
    found = {row["metric"]: row for row in lines(lived, metrics="calls,deals_won")}
    assert found["deals_won"]["status"] == found["calls"]["status"] == "missed"
    assert found["deals_won"]["needed_per_day"] is None
    lived.clock.set(NOON)
    (month,) = lines(lived, period="2026-02")
    assert (month["plan"], month["status"]) == (None, "no_plan")
    row = {"account": ACCOUNT, "metric": "deals_won", "period": "2026-02", "value": 8}
    client.put("/v1/plans", json={"rows": [row]})
    assert lines(lived, period="2026-02")[0]["status"] == "done"
    assert lines(lived, period="2026-04")[0]["working_days"]["passed"] == 0


def test_the_interval_comes_from_six_closed_months(lived: Api) -> None:
    """At this share of a month 2 sales were there, in the end 3 to 8: so 2 now become 3 to 8."""
    found = {row["seller"] and row["seller"]["id"]: row for row in lines(lived, by="seller")}
    told = found["romashka.7"]["forecast"]
    rate = found["romashka.7"]["run_rate"]
    assert told == {
        "low": 3.0, "mid": rate, "high": 8.0, "method": "run_rate", "pipeline": None,
        "coverage": None, "coverage_months": 0,  # no month has six before it
        "commitments": 0,
    }  # fmt: skip
    assert found["romashka.9"]["forecast"]["low"] is None  # no month before
    earlier = lines(lived, period="2026-02", as_of="2026-02-20T09:00:00Z")[0]["forecast"]
    assert (earlier["low"], earlier["high"]) == (None, None)  # five closed months


def test_the_pipeline_weighs_by_how_right_it_was(lived: Api) -> None:
    """Nearly all deals were won within 70 working hours: so will be the one in work."""
    (line,) = lines(lived, metrics="deals_won", forecast="combined")
    told = line["forecast"]
    assert (line["fact"], told["pipeline"], told["method"]) == (3, 5.0, "combined")
    # of September nobody could tell how likely a deal is: five months known, equal weights
    assert told["mid"] == round((line["run_rate"] + 5) / 2, 2)
    assert told["low"] is told["high"] is told["coverage"] is None
    assert lines(lived, metrics="calls", forecast="combined")[0]["forecast"]["pipeline"] is None
    lived.clock.set("2026-04-20T09:00:00Z")  # 13 of 22 working days and 2 of 8 hours
    (line,) = lines(lived, period="2026-04", metrics="deals_won", forecast="combined")
    share = Fraction(13 * 8 + 2, 22 * 8)
    months = [(4, 2 + 3)] + [(2 + LATE[m], 2) for m in sorted(LATE, reverse=True)[:5]]
    rate = 2 / share  # then, in each of them
    wrong_rate = sum((rate - final) ** 2 for final, _ in months)
    wrong_ahead = sum(Fraction(ahead - final) ** 2 for final, ahead in months)
    ahead = Fraction(31, 34)
    mid = ahead * wrong_rate / (wrong_rate + wrong_ahead)  # the run rate says 0
    ratios = [final / ((rate + ahead) / 2) for final, ahead in months]
    told = line["forecast"]
    assert (line["fact"], told["pipeline"]) == (0, 0.91)
    assert (told["low"], told["mid"], told["high"]) == tuple(
        round(float(mid * by), 2) for by in (min(ratios), 1, max(ratios))
    )


def test_without_a_closed_deal_the_pipeline_says_nothing(lived: Api) -> None:
    """A portal's first month: the deals in work are not worth nothing, they are unknown."""
    query = {"period": "2025-09", "metrics": "deals_won", "as_of": "2025-09-15T09:00:00Z"}
    (plain,) = lines(lived, **query)
    (line,) = lines(lived, forecast="combined", **query)
    assert line["run_rate"] > 0
    assert line["forecast"] == plain["forecast"]
    assert (line["forecast"]["mid"], line["forecast"]["method"]) == (line["run_rate"], "run_rate")


def test_a_week_across_two_months_shows_both_parts(lived: Api) -> None:
    client = lived.client()
    rows = [
        {"account": ACCOUNT, "metric": "calls", "period": period, "value": value}
        for period, value in (("2026-03", 210), ("2026-04", 44))
    ]
    assert client.put("/v1/plans", json={"rows": rows}).status_code == 200
    (week,) = lines(lived, period="2026-W14", metrics="calls")  # Monday, 30 March to 5 April
    parts = [{"period": "2026-03", "plan": 20}, {"period": "2026-04", "plan": 6}]
    assert (week["plan"], week["plan_by_month"]) == (26, parts)
    query = {"period": "2026-W14", "metrics": "calls", "format": "csv", "dialect": "excel_ru"}
    head, line = client.get("/v1/plan-fact", params=query).text.lstrip("\ufeff").splitlines()[:2]
    told = dict(zip(head.split(";"), line.split(";"), strict=True))
    assert told["plan_by_month"] == "2026-03: 20, 2026-04: 6"
    for period in ("2026-W13", "2026-03", "2026-Q1"):
        assert lines(lived, period=period, metrics="calls")[0]["plan_by_month"] is None
    body = {"account": ACCOUNT, "metric": "calls", "period": "2026-04", "value": 44, "by": ["week"]}
    first, second, *_, last = client.post("/v1/plans/decompose", json=body).json()["data"]
    assert (first["period"], first["value"]) == ("2026-W14", 6)
    assert (first["from"], first["to"]) == ("2026-04-01", "2026-04-05")  # no plan of a whole week
    assert (second["from"], second["to"]) == ("2026-04-06", "2026-04-12")
    assert (last["period"], last["from"], last["to"]) == ("2026-W18", "2026-04-27", "2026-04-30")


def test_the_gap_is_explained_and_sums_to_the_difference(lived: Api) -> None:
    client = lived.client()

    def gaps(**query: str) -> list[dict[str, Any]]:
        told = {"period": "2026-03", "against": "previous_period"} | query
        rows: list[dict[str, Any]] = client.get("/v1/plan-fact/gap", params=told).json()["data"]
        for row in rows:
            assert sum(e["amount"] for e in row["effects"]) == row["difference"], row
        return rows

    (whole,) = gaps()
    assert whole["after"] == {
        "receipts": 950_00, "inquiries": 5, "sales_per_inquiry": 0.6, "average_check": 316_67,
    }  # fmt: skip
    # 14 working days of February end on the 19th: two sales of 100.00 from two inquiries
    assert whole["compared"] == {"from": "2026-02-01", "to": "2026-02-19"}
    assert (whole["before"]["receipts"], whole["difference"]) == (200_00, 750_00)
    assert [e["factor"] for e in whole["effects"]] == [
        "inquiries", "sales_per_inquiry", "average_check",
    ]  # fmt: skip
    for by in ("seller", "team"):
        assert sum(row["difference"] for row in gaps(by=by)) == whole["difference"]
    (plain,) = gaps(against="plan")
    assert (plain["difference"], plain["separable"]) == (950_00, False)
    rows = [
        {"account": ACCOUNT, "metric": metric, "period": "2026-03", "value": value}
        for metric, value in (("receipts", 4000_00), ("inquiries", 10), ("average_check", 500_00))
    ]
    client.put("/v1/plans", json={"rows": rows})
    (planned,) = gaps(against="plan")
    assert planned["separable"]
    assert planned["difference"] == 950_00 - 4000_00
    # receipts and sales are both planned, so the check is their ratio, not the norm: 4000 / 20
    assert planned["before"]["average_check"] == 200_00
    assert planned["before"]["sales_per_inquiry"] == 2.0
    assert sum(row["difference"] for row in gaps(against="plan", by="seller")) == -3050_00
    assert client.get("/v1/plan-fact/gap").json()["errors"][0]["parameter"] == "period"


def test_the_funnel_backwards_rounds_each_figure_once(lived: Api) -> None:
    client = lived.client()
    body: dict[str, Any] = {
        "account": ACCOUNT, "period": "2026-03", "goal": 1_000_001, "currency": "RUB",
        "average_check": 50_000, "conversion": 0.25, "lead_to_deal": 0.5,
        "attempts_per_inquiry": 3,
    }  # fmt: skip
    found = client.post("/v1/plans/backwards", json=body).json()
    names = ("deals_won", "deals", "inquiries", "attempts")
    assert [found[name] for name in names] == [21, 81, 161, 481]
    assert [found["per_working_day"][name] for name in names] == [1, 4, 8, 23]
    assert found["working_days"] == 21
    even = client.post("/v1/plans/backwards", json=body | {"goal": 1_000_000}).json()
    assert [even[name] for name in names] == [20, 80, 160, 480]
    short = {name: body[name] for name in ("account", "period", "goal")}
    told = client.post("/v1/plans/backwards", json=short).json()
    # 20 December - 19 March: 4 late of December, 2 + 5, 2 + 6, and m1, m3: 21 sales
    assert told["rates"]["average_check"]["n"] == 21
    assert told["rates"]["average_check"]["value"] == round((19 * 10_000 + 45_000) / 21, 6)
    assert told["rates"]["conversion"] == {"value": 1.0, "n": 21, "from": "trailing_90_days"}
    assert told["attempts"] is None  # nobody has called
    assert told["lag"] == {"median_cycle_seconds": 5 * 3600, "n": 22}
    nobody = client.post("/v1/plans/backwards", json=short | {"seller": "romashka.12"}).json()
    assert nobody["errors"][0]["pointer"] == "#/average_check"


def test_figures_show_plans_of_every_grain(lived: Api) -> None:
    client = lived.client()
    query = {"metrics": "deals_won", "from": "2026-03-01", "to": "2026-03-31", "include": "plan"}
    (whole,) = client.get("/v1/kpis/query", params=query).json()["data"]
    assert (whole["deals_won__plan"], whole["deals_won__percent"]) == (20, 0.15)
    for grain in ("day", "week", "month"):
        rows = client.get("/v1/kpis/query", params=query | {"grain": grain}).json()["data"]
        assert sum(row["deals_won__plan"] for row in rows) == 20
    rows = client.get("/v1/kpis/query", params=query | {"dimensions": "seller"}).json()["data"]
    plans = {row["seller"]: row["deals_won__plan"] for row in rows}
    assert plans["romashka.7"] == 10
    assert plans["romashka.9"] == 6
    rows = client.get("/v1/kpis/query", params=query | {"dimensions": "team"}).json()["data"]
    assert {row["team"]: row["deals_won__plan"] for row in rows}["1"] == 16


def test_a_ratio_keeps_to_its_plan_by_its_parts(lived: Api) -> None:
    """Two thirds of a plan of 1 % are 66.666667 of it, not 66.6667."""
    client = lived.client()
    ratios = [m for m in METRICS.values() if m.plannable and m.kind == "ratio"]
    names = [m.slug for m in ratios if not m.cohort]  # of those this world tells of the future
    rows = [
        {"account": ACCOUNT, "metric": name, "period": "2026-03", "value": 1}
        | ({"currency": "RUB"} if METRICS[name].unit == "money" else {})
        for name in names
    ]
    answer = client.put("/v1/plans", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    query = {"metrics": ",".join(names), "from": "2026-03-01", "to": "2026-03-31",
             "include": "plan,parts"}  # fmt: skip
    (row,) = client.get("/v1/kpis/query", params=query).json()["data"]
    told = {line["metric"]: line for line in lines(lived, metrics=",".join(names))}
    uneven = []
    for name in names:
        plan, above, below = row[f"{name}__plan"], row[f"{name}__num"], row[f"{name}__den"]
        if row[name] is None or not plan:
            assert row[f"{name}__percent"] is None
            continue
        whole = (
            Fraction(str(above))
            / Fraction(str(below))
            * METRICS[name].scale
            * METRICS[name].plan_scale
        )
        exact = float(round(whole / plan, 6))
        assert row[f"{name}__percent"] == told[name]["percent"] == exact, name
        uneven += [name] if round(row[name] * METRICS[name].plan_scale / plan, 6) != exact else []
    assert uneven  # else the test says nothing


def test_past_shares_and_last_years_seasons(lived: Api) -> None:
    """33 sales of 7 in the closed months, none of the others; a year later the months repeat."""
    client = lived.client()
    body: dict[str, Any] = {
        "account": ACCOUNT, "metric": "deals_won", "period": "2026-03", "value": 90,
        "by": ["seller"], "weights": "past",
    }  # fmt: skip

    def split(**more: Any) -> dict[str, int]:
        answer = client.post("/v1/plans/decompose", json=body | more)
        assert answer.status_code == 200, answer.text
        return {row["seller"] or row["period"]: row["value"] for row in answer.json()["data"]}

    april = split(period="2026-04")
    assert april == {"romashka.7": 90, "romashka.9": 0, "romashka.12": 0}  # 21 of them
    # of the running March 6 and 4 are frozen, the other 80 go by the past
    assert split() == {"romashka.7": 86, "romashka.9": 4, "romashka.12": 0}
    few = split(period="2025-12", value=90)  # 3 + 4 + 5 sales before: fewer than 20, so by hours
    assert few == {"romashka.7": 30, "romashka.9": 30, "romashka.12": 30}
    quarter = {"period": "2026-Q4", "by": ["month"], "weights": "hours", "value": 150}
    assert split(**quarter, seasonality="last_year") != split(**quarter)
    seasons = split(**quarter, seasonality="last_year")
    # last year 4, 5, 6 sales; hours: October 23 -> 22 days, November 18 -> 20, December 22 -> 22
    shares = [Fraction(4, 23) * 22, Fraction(5, 19) * 20, Fraction(6, 22) * 22]
    assert sum(seasons.values()) == 150
    for value, share in zip(seasons.values(), shares, strict=True):
        assert abs(value - 150 * share / sum(shares)) < 3
