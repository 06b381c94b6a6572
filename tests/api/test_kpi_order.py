"""Figures of activity, tasks, order and load over HTTP: each one opens into what it is made of."""

from typing import Any

import pytest

from service.kpi.figures import activity, order, tasks
from service.kpi.metric import Metric
from tests.api.conftest import Api, Start
from tests.kpi.test_order import lived

SHOWN = {
    "talks", "missed_unreturned", "messages_in", "selling_time_share", "active_days",
    "tasks_quality", "next_step_coverage", "tasks_overdue_avg", "hygiene_index", "violations_open",
    "time_to_fix", "card_completeness", "load", "load_spread", "reassignments",
}  # fmt: skip
FIGURES = [m for m in (*activity.FIGURES, *tasks.FIGURES, *order.FIGURES) if m.slug in SHOWN]
"""One of each kind; tests/kpi/test_drill.py opens them all."""
SPAN = {"from": "2026-03-02", "to": "2026-03-06"}


@pytest.fixture
def api(start: Start, sqlite_url: str) -> Api:
    office = lived(sqlite_url)
    api = start.on(office)
    api.clock.set("2026-03-20T09:00:00Z")
    return api


def opened(api: Api, slug: str, **asked: str) -> dict[str, Any]:
    client, path = api.client(), f"/v1/kpis/{slug}/subjects"
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] | None = {}
    meta: dict[str, Any] = {}
    while cursor is not None:
        answer = client.get(path, params=SPAN | {"limit": "20"} | asked | cursor)
        assert answer.status_code == 200, (slug, asked, answer.text)
        page = answer.json()
        meta, rows = page["meta"], rows + page["data"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert len(rows) == meta["count"]
    assert sum(row["value"] for row in rows) == pytest.approx(meta["sum"], abs=1e-5)
    return meta | {"rows": rows}


def test_every_figure_opens_into_what_it_is_made_of(api: Api) -> None:
    told: dict[str, Any] = {}
    for start in range(0, len(FIGURES), 15):
        slugs = ",".join(metric.slug for metric in FIGURES[start : start + 15])
        query = SPAN | {"metrics": slugs, "include": "parts"}
        (row,) = api.client().get("/v1/kpis/query", params=query).json()["data"]
        told |= row
    for metric in FIGURES:
        check(api, metric, told)


def check(api: Api, metric: Metric, told: dict[str, Any]) -> None:
    slug = metric.slug
    if metric.kind == "ratio":
        parts = [opened(api, slug, part=part) for part in ("num", "den")]
        for part, meta in zip(("num", "den"), parts, strict=True):
            assert meta["sum"] == pytest.approx(told[f"{slug}__{part}"], abs=1e-5), (slug, part)
    elif metric.kind == "derived":
        for factor in metric.factors:
            opened(api, slug, part=factor)
    elif metric.kind == "percentile":
        assert opened(api, slug)["count"] == told[f"{slug}__count"]
    elif told[slug] is None:
        assert (metric.needs, opened(api, slug)["sum"]) == ("messages", 0), slug
    else:
        assert opened(api, slug)["sum"] == pytest.approx(told[slug], abs=1e-5), slug


def test_time_opens_into_pieces(api: Api) -> None:
    (piece,) = opened(api, "overdue_hours")["rows"]
    assert (piece["at"], piece["until"], piece["value"]) == (
        "2026-03-03T09:00:00Z", "2026-03-03T11:00:00Z", 2.0,
    )  # fmt: skip
    assert piece["subject"]["id"] == "romashka.91"
    found = opened(api, "violation_hours", rule="deal-no-task")
    assert (found["sum"], {row["rule"] for row in found["rows"]}) == (22.0, {"deal-no-task"})
    talks = opened(api, "talks")["rows"]
    assert [(row["subject"]["id"], row["value"]) for row in talks] == [("romashka.c1", 1)]


@pytest.mark.parametrize(
    ("metric", "asked", "named"),
    [
        ("load", {"dimensions": "pipeline"}, "dimensions"),
        ("violation_hours", {"dimensions": "source"}, "dimensions"),
        ("calls", {"dimensions": "rule"}, "dimensions"),
        ("overdue_hours", {"stage": "romashka.31.10"}, "filters"),
    ],
)
def test_a_dimension_that_a_figure_does_not_have_is_refused(
    api: Api, metric: str, asked: dict[str, str], named: str
) -> None:
    answer = api.client().get("/v1/kpis/query", params=SPAN | {"metrics": metric} | asked)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == named
