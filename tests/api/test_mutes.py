"""Mutes of a scope over HTTP: made, ended, listed; violations, filter and summary heed them."""

from typing import Any

import pytest
from sqlalchemy import update

from service.store.engine import reading, transaction
from service.store.records import Audit
from service.store.tables import Violation
from tests.api.conftest import Api, at
from tests.api.test_conventions import check_problem
from tests.api.test_violations import ids_of

BODY = {
    "account": "romashka", "rule": "task-overdue", "until": "2026-11-24T06:00:00Z",
    "reason": "чистим базу",
}  # fmt: skip


def scopes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


def test_violations_in_the_scope_are_muted_until_it_ends(both: Api) -> None:
    client = both.client("violations:read", "violations:write")
    made = client.post("/v1/mutes", json=BODY | {"seller": "romashka.7", "stage": "romashka.31.10"})
    assert made.status_code == 201
    mute = made.json()
    assert made.headers["location"] == f"/v1/mutes/{mute['id']}"
    assert mute | {"id": "", "by": ""} == {
        "id": "", "account": "romashka",
        "rule": {"id": "task-overdue", "title": "Просрочена задача"}, "deal": None,
        "seller": {"id": "romashka.7", "name": "Иванов"},
        "pipeline": {"id": "romashka.31", "name": "Продажи"},
        "stage": {"id": "romashka.31.10", "name": "Новая", "kind": "open"},
        "at": "2026-11-23T07:00:00Z", "until": "2026-11-24T06:00:00Z", "reason": "чистим базу",
        "by": "", "state": "active", "ended_at": None, "ended_by": None,
    }  # fmt: skip
    assert ids_of(client.get("/v1/violations?muted=true")) == [1]
    assert ids_of(client.get("/v1/violations?muted=false")) == [2, 6, 5]
    assert ids_of(client.get("/v1/violations?muted=true&as_of=2026-11-24T06:00:00Z")) == []
    assert ids_of(client.get("/v1/violations?muted=true&as_of=2026-11-23T06:59:59Z")) == []
    (row,) = client.get("/v1/violations/summary?muted=true&by=rule").json()["data"]
    assert (row["rule"], row["count"]) == ("task-overdue", 1)
    shown = client.get(f"/v1/violations/vio_{1:026d}").json()
    assert (shown["muted"], shown["mute"]["id"]) == (True, mute["id"])
    assert shown["mute"]["reason"] == "чистим базу"
    both.clock.set("2026-11-23T08:00:00Z")
    ended = client.delete(f"/v1/mutes/{mute['id']}").json()
    assert (ended["state"], ended["ended_at"]) == ("ended", "2026-11-23T08:00:00Z")
    assert ended["ended_by"] == mute["by"]
    assert ended["until"] == mute["until"]
    assert ids_of(client.get("/v1/violations?muted=true")) == []
    both.clock.set("2026-11-23T09:00:00Z")
    assert client.delete(f"/v1/mutes/{mute['id']}").json() == ended
    assert client.get(f"/v1/mutes/{mute['id']}").json() == ended


def test_its_own_mute_is_ended_apart_from_a_wider_one(both: Api) -> None:
    client = both.client("violations:read", "violations:write")
    path = f"/v1/violations/vio_{1:026d}/mute"
    own = {"until": "2026-11-23T20:00:00Z", "reason": "клиент в отпуске"}
    wide = client.post("/v1/mutes", json=BODY).json()
    assert client.post(path, json=own).json()["mute"]["id"] is None
    assert client.delete(path).json()["mute"]["id"] == wide["id"]
    assert client.delete(path).json()["muted"] is True


def test_muted_seconds_are_counted_up_to_the_instant_asked_for(both: Api) -> None:
    table: Any = Violation.__table__  # type: ignore[attr-defined]
    pieces = [[at("2026-11-23T06:10:00Z"), at("2026-11-23T06:20:00Z")],
              [at("2026-11-23T06:50:00Z"), at("2026-11-23T08:00:00Z")]]  # fmt: skip
    with transaction(both.engine) as connection:
        mine = (table.c.account_id == "romashka") & (table.c.id == f"vio_{1:026d}")
        connection.execute(update(table).where(mine).values(muted=pieces))
    client = both.client("violations:read")
    path = f"/v1/violations/vio_{1:026d}"
    answer = client.get(path)
    assert answer.json()["muted_seconds"] == 1200
    both.clock.set("2026-11-23T07:00:05Z")
    assert client.get(path).json()["muted_seconds"] == 1205
    (row,) = client.get("/v1/violations?rule=task-overdue&account=romashka").json()["data"]
    assert row["muted_seconds"] == 1205
    later = client.get("/v1/violations?account=romashka&as_of=2026-11-25T00:00:00Z").json()["data"]
    found = {one["rule"]["id"]: one["muted_seconds"] for one in later}
    assert found["task-overdue"] == 4800
    levels = client.get("/v1/violations?subject_kind=seller").json()["data"]
    assert [one["muted_seconds"] for one in levels] == [None]
    tag = client.get(path).headers["etag"]
    both.clock.set("2026-11-23T07:00:09Z")
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304


def test_list_is_paged_newest_first_and_filtered(both: Api) -> None:
    client = both.client("violations:read", "violations:write")
    made = []
    wanted: tuple[dict[str, Any], ...] = (
        {"rule": "task-overdue"}, {"rule": None, "seller": "romashka.9"},
        {"deal": "romashka.1"}, {"account": "vasilek"},
    )  # fmt: skip
    for minute, scope in enumerate(wanted):
        both.clock.set(f"2026-11-23T07:0{minute}:00Z")
        made.append(client.post("/v1/mutes", json=BODY | scope).json()["id"])
    newest = made[::-1]
    client.delete(f"/v1/mutes/{made[0]}")
    first = client.get("/v1/mutes?limit=3&count=true").json()
    assert [row["id"] for row in first["data"]] == newest[:3]
    assert first["total"] == 4
    assert scopes(client.get(first["next"])) == newest[3:]
    for query, expected in (
        ("state=active", newest[:3]), ("state=ended", newest[3:]),
        ("account=vasilek", newest[:1]), ("seller=romashka.9", [made[1]]),
        ("deal=romashka.1", [made[2]]), ("rule=task-overdue", [made[3], made[2], made[0]]),
        ("rule=task-overdue&account=romashka&state=active", [made[2]]),
    ):  # fmt: skip
        assert scopes(client.get(f"/v1/mutes?{query}")) == expected, query
    tag = client.get("/v1/mutes").headers["etag"]
    assert client.get("/v1/mutes", headers={"if-none-match": tag}).status_code == 304
    both.clock.set("2026-11-24T06:00:00Z")
    assert client.get("/v1/mutes", headers={"if-none-match": tag}).status_code == 200
    assert scopes(client.get("/v1/mutes?state=active")) == []
    check_problem(client.get("/v1/mutes?rule=task-overdu"), 400, "unknown_name")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"rule": "task-overdu"}, "unknown_name", "#/rule"),
    ({"account": "nobody"}, "invalid_body", "#/account"),
    ({"seller": "romashka.999"}, "invalid_body", "#/seller"),
    ({"seller": "vasilek.7"}, "invalid_body", "#/seller"),
    ({"deal": "romashka.404"}, "invalid_body", "#/deal"),
    ({"pipeline": "romashka.404"}, "invalid_body", "#/pipeline"),
    ({"stage": "romashka.31.404"}, "invalid_body", "#/stage"),
    ({"rule": None}, "invalid_body", "#"),
    ({"until": "2026-11-23T07:00:00Z"}, "invalid_body", "#/until"),
    ({"until": "2027-02-21T07:00:01Z"}, "invalid_body", "#/until"),
    ({"until": "2026-11-24"}, "invalid_body", "#/until"),
    ({"reason": "  "}, "invalid_body", "#/reason"),
    ({"ruel": "x"}, "unknown_field", "#/ruel"),
]


@pytest.mark.parametrize(("change", "code", "pointer"), REFUSED)
def test_what_means_nothing_is_refused_by_name(
    api: Api, change: dict[str, Any], code: str, pointer: str
) -> None:
    answer = api.client().post("/v1/mutes", json=BODY | change)
    fault = check_problem(answer, 400, code)["errors"][0]
    assert fault["pointer"] == pointer
    if code == "unknown_name":
        assert "task-overdue" in fault["did_you_mean"]
    assert scopes(api.client().get("/v1/mutes")) == []


def test_who_may_what_once_and_with_a_trace(api: Api) -> None:
    reader, stranger = api.client("violations:read"), api.client(accounts=("vasilek",))
    assert reader.post("/v1/mutes", json=BODY).status_code == 403
    check_problem(stranger.post("/v1/mutes", json=BODY), 400, "invalid_body")
    writer = api.client("violations:read", "violations:write")
    once = [
        writer.post("/v1/mutes", json=BODY, headers={"idempotency-key": "k1"}) for _ in range(2)
    ]
    assert once[0].json() == once[1].json()
    assert len(scopes(writer.get("/v1/mutes"))) == 1
    path = once[0].headers["location"]
    assert stranger.get(path).status_code == 404
    assert stranger.delete(path).status_code == 404
    assert reader.delete(path).status_code == 403
    assert writer.delete(path, headers={"if-match": 'W/"x"'}).status_code == 412
    assert writer.delete(path).status_code == 200
    with reading(api.engine) as connection:
        table: Any = Audit.__table__  # type: ignore[attr-defined]
        lines = [row.what for row in connection.execute(table.select().order_by(table.c.id))]
    assert [what for what in lines if what.startswith("mute.")] == ["mute.created", "mute.ended"]
