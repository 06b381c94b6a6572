"""Activity, tasks, order and load against a second way of counting, on random departments."""

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import select

from service.kpi import query as kpi
from service.kpi.addends import Addends
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.question import Question
from service.kpi.terms import scaled
from service.pipeline.office import Office
from service.store import tables
from service.store.engine import reading
from tests import world
from tests.kpi.oracle import activity, order, tasks
from tests.kpi.oracle.activity import Counted
from tests.kpi.oracle.bureau import DIRECTORY, DOCUMENT, FIRST, LAST, Book, Window, at, bureau

Lived = tuple[Book, Office, list[dict[str, Any]]]
SCALE = {
    "minutes_per_sale": Fraction(1, 60), "overdue_hours": Fraction(1, 3600),
    "violation_hours": Fraction(1, 3600), "overload_hours": Fraction(1, 3600),
    "hygiene_index": Fraction(100),
}  # fmt: skip
WHOLE = {"average_talk"}
COUNTED = (
    "calls", "dials", "talk_seconds", "talks", "reach_rate", "average_talk", "missed_calls",
    "missed_unreturned", "talk_documented", "touches_per_sale", "calls_per_deal",
    "minutes_per_sale", "proposals", "proposals_per_sale", "notes", "meetings", "active_days",
    "selling_time_share", "tasks_set", "tasks_set_by_robot", "tasks_done", "tasks_on_time",
    "tasks_on_time_first_deadline", "tasks_quality", "tasks_quality_with_result",
    "tasks_quality_with_text", "postponement_rate", "tasks_overdue", "overdue_hours",
    "deals_without_task", "deals_without_task_share", "next_step_coverage", "hygiene_index",
    "violations_opened", "violations_open", "violation_hours", "overload_hours", "deals_stuck",
    "deals_stuck_value", "reassignments", "reassignments_to", "card_completeness", "load",
    "deals_per_seller", "deals_open",
)  # fmt: skip


@pytest.fixture(scope="module", params=[1])
def lived(
    request: pytest.FixtureRequest, tmp_path_factory: Any, sqlite_template: Any
) -> Iterator[Lived]:
    import shutil

    path = tmp_path_factory.mktemp("bureau") / "dozor.db"
    shutil.copy(sqlite_template, path)
    yield from live(f"sqlite:///{path}", request.param)


def live(url: str, seed: int) -> Iterator[Lived]:
    office = world.make_office(url, "2026-03-31 12:00")
    world.connect_account(office, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01")
    facts = bureau(seed)
    world.tell(office, facts)
    table = tables.Violation.__table__  # type: ignore[attr-defined]
    with office.engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    yield Book.of(facts), office, rows
    office.close()


def windows() -> list[tuple[str | None, Window]]:
    late = at(30, 0)
    found: list[tuple[str | None, Window]] = [(None, Window(FIRST, LAST, late))]
    days = [FIRST + timedelta(days=n) for n in range(14)]
    found += [("day", Window(on, on, late)) for on in days]
    half = at(8, 245)  # a Tuesday afternoon
    found.append((None, Window(FIRST, LAST, half)))
    found.append(("week", Window(FIRST + timedelta(days=7), LAST, half)))
    return found


def ask(office: Office, window: Window, grain: str | None, by: tuple[str, ...]) -> Any:
    metrics = tuple(METRICS[slug] for slug in COUNTED)
    question = Question(
        metrics, by, window.first, window.last, grain, (), window.seen,  # type: ignore[arg-type]
        window.seen >= at(30, 0),
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        return kpi.answer(connection, configs, question)


def expected(metric: Metric, cells: list[list[int]], n: int) -> float | None:
    above, below = sum(c[0] for c in cells), sum(c[1] for c in cells)
    scale = SCALE.get(metric.slug, Fraction(1))
    if metric.slug == "hygiene_index" and n < 5:
        return None
    if metric.kind != "ratio":
        return float(above * scale)
    if below <= 0:
        return None
    value = above * scale / below
    return float(int(value + Fraction(1, 2))) if metric.slug in WHOLE else float(value)


def close(found: Any, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return bool(abs(found - wanted) < 2e-6 * max(1.0, abs(wanted)))


@pytest.mark.parametrize("number", range(len(windows())))
def test_figures_are_what_the_facts_say(lived: Lived, number: int) -> None:
    book, office, rows = lived
    grain, window = windows()[number]
    counted: Counted = {}
    for found in (
        activity.count(book, window), tasks.count(book, rows, window),
        order.count(book, rows, window),
    ):  # fmt: skip
        for slug, sellers in found.items():
            for seller, cell in sellers.items():
                known = counted.setdefault(slug, {}).setdefault(seller, [0, 0])
                known[0] += cell[0]
                known[1] += cell[1]
    by_seller = ask(office, window, grain, ("seller",))
    whole = ask(office, window, grain, ())
    wrong: list[Any] = []
    for slug in COUNTED:
        metric, cells = METRICS[slug], counted.get(slug, {})
        opened = {s: c[0] for s, c in counted.get("deals_open", {}).items()}
        wanted = expected(metric, list(cells.values()), sum(opened.values()))
        places = (whole.rows, whole.totals, by_seller.totals)
        said = [place[0]["values"][slug] for place in places]
        wrong += [(slug, None, value, wanted) for value in said if not close(value, wanted)]
        for row in by_seller.rows:
            seller = (row["seller"] or "").removeprefix("romashka.")
            own = [cells[seller]] if seller in cells else []
            wanted = expected(metric, own, opened.get(seller, 0))
            if not close(row["values"][slug], wanted):
                wrong.append((slug, seller, row["values"][slug], wanted))
    assert wrong == []


def values_of(
    office: Office, window: Window, slugs: tuple[str, ...], by: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    question = Question(
        tuple(METRICS[slug] for slug in slugs), by, window.first, window.last, None, (),
        window.seen, window.seen >= at(30, 0),
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        return kpi.answer(connection, configs, question).rows


@pytest.mark.parametrize("number", [0, 2, 3, 15])
def test_percentiles_and_spreads_are_what_the_facts_say(lived: Lived, number: int) -> None:
    book, office, rows = lived
    window = windows()[number][1]
    (row,) = values_of(office, window, ("time_to_fix", "load_spread"))
    fixes, n = order.fixes(rows, window), row["notes"]["time_to_fix"]["count"]
    assert n == len(fixes)
    for name, percent in (("time_to_fix", 50), ("p90", 90)):
        told = row["values"].get(name, row["notes"]["time_to_fix"].get(name))
        wanted = fixes[-(-percent * n // 100) - 1] / 3600 if n >= 5 else None
        assert close(told, wanted)
    assert close(row["values"]["load_spread"], order.spread(book, window))


ADDED = ("violations_opened", "violations_open", "violation_hours")


def test_sums_by_rule_severity_and_team_are_the_whole(lived: Lived) -> None:
    _, office, rows = lived
    window = windows()[0][1]
    (whole,) = values_of(office, window, ADDED)
    for by in (("rule",), ("severity",), ("rule", "severity", "team"), ("pipeline", "stage")):
        parts = values_of(office, window, ADDED, by)
        for slug in ADDED:
            assert close(sum(p["values"][slug] for p in parts), whole["values"][slug]), (slug, by)
    by_rule = values_of(office, window, ADDED, ("rule",))
    assert {row["rule"] for row in by_rule} == {
        r["rule"]
        for r in rows
        if r["resolved_at"] != r["breach_at"]
        if r["breach_at"] < window.end and (r["resolved_at"] or 1 << 60) >= window.start
    }
    timed = ("overdue_hours", "open_deal_hours", "covered_deal_hours", "hygiene_kept")
    (whole,) = values_of(office, window, timed)
    for by in (("team",), ("pipeline",), ("seller", "pipeline")):
        parts = values_of(office, window, timed, by)
        for slug in timed:
            assert close(sum(p["values"][slug] for p in parts), whole["values"][slug]), (slug, by)


@pytest.mark.parametrize("number", [0, 15])
def test_figures_on_either_database_are_what_the_facts_say(database_url: str, number: int) -> None:
    for lived in live(database_url, 3):
        test_figures_are_what_the_facts_say(lived, number)
        test_figures_open_into_what_they_are_made_of(lived, number)


def components(metric: Metric) -> list[Metric]:
    if metric.kind != "ratio":
        return [metric]
    return [METRICS[name] for name in (metric.numerator, *metric.denominator)]


OPENED = list(dict.fromkeys(part for slug in COUNTED for part in components(METRICS[slug])))


@pytest.mark.parametrize("number", [3, 16])
def test_figures_open_into_what_they_are_made_of(lived: Lived, number: int) -> None:
    _, office, _ = lived
    _, window = windows()[number]
    question = Question(
        tuple(OPENED), (), window.first, window.last, None, (), window.seen,
        window.seen >= at(30, 0),
    )  # fmt: skip
    with reading(office.engine) as connection:
        config = office.config(connection, world.ACCOUNT)
        told = kpi.answer(connection, {world.ACCOUNT: config}, question).rows[0]["values"]
        for metric in OPENED:
            opened = Addends(connection, config, question, (), metric)
            total = sum(value for value, _ in opened.totals().values())
            rows, after = [], None
            while page := opened.rows(after, 7):
                rows += page
                last = page[-1]
                after = [last["at"], last["metric"], last["subject_id"], last["key"]]
            assert len({(r["at"], r["subject_id"], r["key"]) for r in rows}) == len(rows)
            assert sum(row["value"] for row in rows) == total
            assert close(scaled(metric, total), told[metric.slug]), metric.slug
