"""Tags, 304 and If-Match (checklist 9, 10)."""

import pytest
from sqlalchemy import event

from service.store.tables import Violation
from tests.api.conftest import Api, violation_row
from tests.api.test_conventions import check_problem, get_paths


def test_every_get_has_a_tag_and_answers_304(api: Api) -> None:
    client = api.client()
    for path in get_paths(api):
        answer = client.get(path)
        untagged = path.startswith(("/v1/exports/", "/v1/changes"))  # streams and feeds
        if answer.status_code != 200 or untagged:
            continue
        tag = answer.headers["etag"]
        assert tag.startswith('W/"')
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Authorization, Accept, Accept-Encoding"
        for header in (tag, f'"x", {tag}', "*"):
            again = client.get(path, headers={"if-none-match": header})
            assert again.status_code == 304, path
            assert again.content == b""
            assert again.headers["etag"] == tag
        assert client.head(path, headers={"if-none-match": tag}).status_code == 304
        assert client.get(path, headers={"if-none-match": 'W/"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/kpis/query?metrics=receipts,conversion,median_check&dimensions=seller",
        "/v1/kpis/query?metrics=violations_opened,open_deal_hours&grain=day&totals=true",
        "/v1/kpis/receipts/subjects?limit=5",
    ],
)
def test_an_unchanged_figure_is_answered_without_a_query_of_figures(both: Api, path: str) -> None:
    client = both.client()
    path += "&from=2026-10-01&to=2026-11-30"
    said: list[str] = []
    event.listen(both.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    tag = client.get(path).headers["etag"]
    figures = ("contribution", "rollup", "violation", "deal", "task")
    assert any(name in statement for statement in said for name in figures)
    said.clear()
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304
    assert said
    assert not [s for s in said if any(f" {name}" in s for name in figures)]
    both.touch()
    assert client.get(path, headers={"if-none-match": tag}).status_code == 200


def test_a_change_makes_a_new_tag(api: Api) -> None:
    client = api.client()
    for path in ("/v1/deals", "/v1/violations", "/v1/tasks", "/v1/sellers", "/v1/rules"):
        tag = client.get(path).headers["etag"]
        api.touch()
        answer = client.get(path, headers={"if-none-match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag


def test_a_breach_without_any_hook_makes_a_new_tag(both: Api) -> None:
    both.insert(
        Violation,
        violation_row(7, subject_id="x", breach_at="2026-11-23T07:10:00Z",
                      resolved_at="2026-11-23T07:20:00Z"),
    )  # fmt: skip
    client = both.client()
    tags = [client.get("/v1/violations").headers["etag"]]
    for moment, same in (
        ("2026-11-23T07:09:59Z", True),
        ("2026-11-23T07:10:00Z", False),
        ("2026-11-23T07:19:59Z", True),
        ("2026-11-23T07:20:00Z", False),
        ("2026-11-24T00:00:00Z", True),
        ("2026-11-25T06:00:00Z", False),
    ):
        both.clock.set(moment)
        tag = client.get("/v1/violations").headers["etag"]
        assert (tag == tags[-1]) is same, moment
        tags.append(tag)


def test_a_named_instant_does_not_move_with_the_clock(api: Api) -> None:
    client = api.client()
    path = "/v1/violations?as_of=2026-11-24T00:00:00Z"
    tag = client.get(path).headers["etag"]
    api.clock.set("2026-11-26T00:00:00Z")
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304


def test_key_query_and_language_make_the_tag(api: Api) -> None:
    client = api.client()
    base = client.get("/v1/violations").headers["etag"]
    assert client.get("/v1/violations?lang=en").headers["etag"] != base
    assert client.get("/v1/violations?limit=5").headers["etag"] != base
    other = api.client(accounts=("romashka",))
    assert other.get("/v1/violations").headers["etag"] != base


def test_stale_settings_are_not_overwritten(api: Api) -> None:
    client = api.client()
    path = "/v1/accounts/romashka/settings"
    tag = client.get(path).headers["etag"]
    first = client.put(path, json={"limits": {"open_deals": 30}}, headers={"if-match": tag})
    assert first.status_code == 200
    stale = client.put(path, json={"limits": {"open_deals": 10}}, headers={"if-match": tag})
    check_problem(stale, 412, "precondition_failed")
    assert client.get(path).json()["limits"] == {"open_deals": 30}
    now = first.headers["etag"]
    assert now == client.get(path).headers["etag"] == stale.headers["etag"]
    assert client.put(path, json={}, headers={"if-match": now}).status_code == 200
