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
from tests.kpi.oracle.activity import Counted, Where
from tests.kpi.oracle.bureau import (
    DIRECTORY,
    DOCUMENT,
    FIRST,
    LAST,
    Book,
    Window,
    at,
    bureau,
    team_of,
    worked,
)

Lived = tuple[Book, Office, list[dict[str, Any]]]
SCALE = {
    "minutes_per_sale": Fraction(1, 60), "minutes_per_sale_cohort": Fraction(1, 60),
    "overdue_hours": Fraction(1, 3600),
    "violation_hours": Fraction(1, 3600), "overload_hours": Fraction(1, 3600),
    "hygiene_index": Fraction(100), "hygiene_kept": Fraction(1, 36_000),
    "hygiene_weight": Fraction(1, 36_000), "hygiene_index_weighted": Fraction(100),
    "hygiene_kept_by_amount": Fraction(1, 36_000), "hygiene_weight_by_amount": Fraction(1, 36_000),
    "covered_deal_hours": Fraction(1, 3600),
    "open_deal_hours": Fraction(1, 3600), "card_filled_hours": Fraction(1, 3600),
    "card_required_hours": Fraction(1, 3600),
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
    "hygiene_index_weighted",
    "violations_opened", "violations_open", "violation_hours", "overload_hours", "deals_stuck",
    "deals_stuck_value", "reassignments", "reassignments_to", "card_completeness", "load",
    "deals_per_seller", "deals_open", "calls_in", "calls_answered", "calls_missed", "messages_in",
    "messages_out", "meeting_time", "became_overdue", "card_completeness_avg", "tasks_overdue_avg",
    "deals_without_task_avg", "deals_stuck_avg", "tasks_set_by_author", "calls_per_deal_cohort",
    "minutes_per_sale_cohort", "proposals_per_sale_cohort",
)  # fmt: skip
HALVES = {  # counted with a ratio: above or below its line
    "calls_reached": ("reach_rate", 0),
    "calls_out": ("reach_rate", 1),
    "talks_time": ("average_talk", 0),
    "calls_unreturned": ("missed_unreturned", 0),
    "talks_documented": ("talk_documented", 0),
    "talks_long": ("talk_documented", 1),
    "calls_lived": ("calls_per_deal_cohort", 0),
    "talk_seconds_won": ("minutes_per_sale_cohort", 0),
    "proposals_won": ("proposals_per_sale_cohort", 0),
    "touches_won": ("touches_per_sale", 0),
    "selling_time": ("selling_time_share", 0),
    "working_time": ("selling_time_share", 1),
    "tasks_due_done": ("tasks_on_time", 0),
    "tasks_due": ("tasks_on_time", 1),
    "tasks_due_first": ("tasks_quality", 1),
    "tasks_due_first_done": ("tasks_on_time_first_deadline", 0),
    "tasks_well_done": ("tasks_quality", 0),
    "postponements": ("postponement_rate", 0),
    "tasks_with_result": ("tasks_quality_with_result", 0),
    "tasks_with_text": ("tasks_quality_with_text", 0),
    "covered_deal_hours": ("next_step_coverage", 0),
    "open_deal_hours": ("next_step_coverage", 1),
    "hygiene_kept": ("hygiene_index", 0),
    "hygiene_weight": ("hygiene_index", 1),
    "hygiene_kept_by_amount": ("hygiene_index_weighted", 0),
    "hygiene_weight_by_amount": ("hygiene_index_weighted", 1),
    "card_filled": ("card_completeness", 0),
    "card_required": ("card_completeness", 1),
    "card_filled_hours": ("card_completeness_avg", 0),
    "card_required_hours": ("card_completeness_avg", 1),
    "load_weight": ("load", 0),
    "load_limit": ("load", 1),
    "sellers_present": ("deals_per_seller", 1),
}
SPREADS = ("time_to_fix", "violations_age", "load_spread")
DIMENSIONS: tuple[tuple[str, ...], ...] = (
    (), ("seller",), ("team",), ("pipeline",), ("seller", "stage"), ("weekday",),
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


def ask(
    office: Office, window: Window, grain: str | None, by: tuple[str, ...], slugs: list[str]
) -> Any:
    question = Question(
        tuple(METRICS[slug] for slug in slugs), by, window.first, window.last, grain, (),  # type: ignore[arg-type]
        window.seen, window.seen >= at(30, 0),
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        return kpi.answer(connection, configs, question)


def tallied(book: Book, rows: list[dict[str, Any]], window: Window) -> Counted:
    """All that is counted, the halves of ratios as figures of their own."""
    found: Counted = {}
    for counted in (
        activity.count(book, window), tasks.count(book, rows, window),
        order.count(book, rows, window),
    ):  # fmt: skip
        for slug, cells in counted.items():
            for where, cell in cells.items():
                known = found.setdefault(slug, {}).setdefault(where, [0, 0])
                known[0] += cell[0]
                known[1] += cell[1]
    for slug, (whole, half) in HALVES.items():
        found[slug] = {where: [cell[half], 0] for where, cell in found.get(whole, {}).items()}
    return found


def by_team(book: Book, rows: list[dict[str, Any]], window: Window) -> Counted:
    """The same piece by piece, as nobody moves within one; of levels only where they are told."""
    found: Counted = {}
    pieces = window.pieces()
    for piece in pieces:
        is_last = piece is [p for p in pieces if p.start <= max(window.moment, window.start)][-1]
        for slug, cells in tallied(book, rows, piece).items():
            metric = METRICS[slug]
            told = [m.kind for m in parts(metric)] if metric.kind == "ratio" else [metric.kind]
            if set(told) == {"level"} and not is_last:
                continue
            for where, cell in cells.items():
                own = where._replace(team=team_of(where.seller, piece.first))
                known = found.setdefault(slug, {}).setdefault(own, [0, 0])
                known[0] += cell[0]
                known[1] += cell[1]
    whole = tallied(book, rows, window)  # what is short is so in the whole window
    return found | {slug: whole.get(slug, {}) for slug in whole if slug.startswith("hygiene_")}


def is_cut_by(metric: Metric, by: tuple[str, ...]) -> bool:
    """Whether a figure has these dimensions (levels have no days of the week)."""
    if "weekday" in by and any(m.kind not in {"sum", "ratio"} for m in (metric, *parts(metric))):
        return False
    return set(by) <= set(metric.dimensions)


def parts(metric: Metric) -> list[Metric]:
    return [METRICS[name] for name in metric.components]


def group_of(where: Where, by: tuple[str, ...]) -> tuple[str | None, ...]:
    """The values of dimensions."""
    told = {
        "seller": f"romashka.{where.seller}" if where.seller else None,
        "team": where.team,
        "pipeline": f"romashka.{where.pipeline}" if where.pipeline else None,
        "stage": f"romashka.{where.pipeline}.{where.stage}" if where.stage else None,
        "weekday": where.weekday or None,
    }
    return tuple(told[name] for name in by)


def gathered(
    cells: dict[Where, list[int]], by: tuple[str, ...]
) -> dict[tuple[str | None, ...], list[list[int]]]:
    found: dict[tuple[str | None, ...], list[list[int]]] = {}
    for where, cell in cells.items():
        found.setdefault(group_of(where, by), []).append(cell)
    return found


def expected(metric: Metric, cells: list[list[int]], n: int, whole: int) -> float | None:
    above, below = sum(c[0] for c in cells), sum(c[1] for c in cells)
    scale = SCALE.get(metric.slug, Fraction(1))
    if metric.slug.startswith("hygiene_index") and n < 5:
        return None
    if metric.slug.endswith("_avg") and metric.kind == "derived":
        return float(Fraction(above, whole)) if above else 0.0
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
    counted, teams = tallied(book, rows, window), by_team(book, rows, window)
    whole = worked("", window.start, window.end)
    wrong: list[Any] = []
    for by in DIMENSIONS if number % 5 == 0 else DIMENSIONS[:2]:
        slugs = [s for s in (*COUNTED, *HALVES) if is_cut_by(METRICS[s], by)]
        if window.seen < at(30, 0):  # of a deal's whole life so far, not of what was known then
            slugs = [s for s in slugs if s not in {"calls_lived", "calls_per_deal_cohort"}]
        table = ask(office, window, grain, by, slugs)
        told = teams if by == ("team",) else counted
        opened = gathered(told["deals_open"], by)
        for slug in slugs:
            metric, cells = METRICS[slug], gathered(told.get(slug, {}), by)
            for row in table.rows:
                group = tuple(row[name] for name in by)
                n = sum(cell[0] for cell in opened.get(group, []))
                wanted = expected(metric, cells.get(group, []), n, whole)
                if not close(row["values"][slug], wanted):
                    wrong.append((slug, by, group, row["values"][slug], wanted))
            n = sum(cell[0] for cells_of in opened.values() for cell in cells_of)
            wanted = expected(metric, [c for own in cells.values() for c in own], n, whole)
            said = table.totals[0]["values"][slug]
            if not close(said, wanted):
                wrong.append((slug, by, "total", said, wanted))
            known = {tuple(row[name] for name in by) for row in table.rows}
            lacking = {g for g, own in cells.items() if g not in known and any(c[0] for c in own)}
            wrong += [(slug, by, group, "no row") for group in lacking]
    assert wrong[:9] == []


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
    (row,) = values_of(office, window, SPREADS)
    ranked = {
        "time_to_fix": order.fixes(rows, window), "violations_age": order.ages(rows, window),
    }  # fmt: skip
    for slug, values in ranked.items():
        n = row["notes"][slug]["count"]
        assert n == len(values) > 0
        for name, percent in ((slug, 50), ("p90", 90)):
            told = row["values"].get(name, row["notes"][slug].get(name))
            wanted = values[-(-percent * n // 100) - 1] / 3600 if n >= 5 else None
            assert close(told, wanted), (slug, name)
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
    timed = ("overdue_hours", "open_deal_hours", "covered_deal_hours", "hygiene_kept",
             "hygiene_kept_by_amount")  # fmt: skip
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


OPENED = list(
    dict.fromkeys(
        part
        for slug in COUNTED
        if METRICS[slug].kind != "derived"
        for part in components(METRICS[slug])
    )
)


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
