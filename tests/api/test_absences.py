"""Absences over HTTP: entered, listed, taken back; workload, calendars and judging follow."""

from typing import Any

import pytest

from service.store import accounts
from service.store.engine import reading
from service.store.records import Audit
from tests.api.conftest import Api
from tests.api.test_conventions import check_problem

BODY = {
    "account": "romashka", "seller": "romashka.9", "from": "2026-11-23", "to": "2026-11-27",
    "kind": "vacation", "deputy": "romashka.7",
}  # fmt: skip


def version(api: Api) -> int:
    with reading(api.engine) as connection:
        row = accounts.account(connection, "romashka")
    assert row is not None
    return row.config_version


def of_nine(api: Api, moment: str) -> tuple[bool, str | None, str | None]:
    rows = api.client().get("/v1/workload", params={"as_of": moment}).json()["data"]
    (row,) = [row for row in rows if row["seller"]["id"] == "romashka.9"]
    return row["absent"], row["absent_until"], row["deputy"] and row["deputy"]["id"]


def test_entered_it_shows_in_the_workload_and_all_is_judged_again(both: Api) -> None:
    client = both.client("rules:write", "crm:read")
    before = version(both)
    made = client.post("/v1/absences", json=BODY)
    assert made.status_code == 201
    absence = made.json()
    assert made.headers["location"] == f"/v1/absences/{absence['id']}"
    assert absence | {"id": "", "by": ""} == {
        "id": "", "account": "romashka", "seller": {"id": "romashka.9", "name": "Петрова"},
        "from": "2026-11-23", "to": "2026-11-27", "kind": "vacation",
        "origin": "api",
        "deputy": {"id": "romashka.7", "name": "Иванов"}, "by": "",
        "at": "2026-11-23T07:00:00Z", "removed_by": None, "removed_at": None,
    }  # fmt: skip
    assert version(both) > before
    away = (True, "2026-11-27T21:00:00Z", "romashka.7")
    assert of_nine(both, "2026-11-22T21:00:00Z") == away  # midnight in Moscow
    assert of_nine(both, "2026-11-27T20:59:59Z") == away
    assert of_nine(both, "2026-11-27T21:00:00Z") == (False, None, None)
    before = version(both)
    both.clock.set("2026-11-23T08:00:00Z")
    removed = client.delete(f"/v1/absences/{absence['id']}").json()
    assert (removed["removed_at"], removed["removed_by"]) == (
        "2026-11-23T08:00:00Z", absence["by"],
    )  # fmt: skip
    assert version(both) > before
    assert of_nine(both, "2026-11-25T08:00:00Z") == (False, None, None)
    before = version(both)
    assert client.delete(f"/v1/absences/{absence['id']}").json() == removed
    assert version(both) == before
    assert client.get(f"/v1/absences/{absence['id']}").json() == removed


def test_list_is_paged_the_latest_days_first_and_filtered(both: Api) -> None:
    client = both.client("rules:write", "crm:read")
    made = [
        client.post("/v1/absences", json=BODY | change).json()["id"]
        for change in (
            {"to": "2026-11-25"}, {"to": "2026-12-25"}, {"seller": "romashka.12"},
            {"account": "vasilek", "seller": "vasilek.7", "deputy": None, "to": "2026-11-24"},
        )
    ]  # fmt: skip

    def listed(query: str = "") -> list[str]:
        answer = client.get(f"/v1/absences?{query}")
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    order = [made[1], made[2], made[0], made[3]]
    assert listed() == order
    first = client.get("/v1/absences?limit=3&count=true").json()
    assert ([row["id"] for row in first["data"]], first["total"]) == (order[:3], 4)
    assert [row["id"] for row in client.get(first["next"]).json()["data"]] == order[3:]
    assert listed("seller=romashka.9") == [made[1], made[0]]
    assert listed("account=vasilek") == [made[3]]
    client.delete(f"/v1/absences/{made[1]}")
    assert listed("seller=romashka.9") == [made[0]]
    assert listed("removed=true") == [made[1]]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"account": "nobody"}, "invalid_body", "#/account"),
    ({"seller": "romashka.404"}, "invalid_body", "#/seller"),
    ({"seller": "vasilek.7"}, "invalid_body", "#/seller"),
    ({"deputy": "romashka.404"}, "invalid_body", "#/deputy"),
    ({"deputy": "romashka.9"}, "invalid_body", "#/deputy"),
    ({"from": "2026-11-31"}, "invalid_body", "#/from"),
    ({"to": "23.11.2026"}, "invalid_body", "#/to"),
    ({"to": "2026-11-22"}, "invalid_body", "#/to"),
    ({"to": "2036-11-22"}, "invalid_body", "#/to"),
    ({"kind": "holiday"}, "unknown_name", "#/kind"),
    ({"form": "2026-11-22"}, "unknown_field", "#/form"),
]


@pytest.mark.parametrize(("change", "code", "pointer"), REFUSED)
def test_what_means_nothing_is_refused_by_name(
    api: Api, change: dict[str, Any], code: str, pointer: str
) -> None:
    answer = api.client().post("/v1/absences", json=BODY | change)
    assert check_problem(answer, 400, code)["errors"][0]["pointer"] == pointer
    assert api.client().get("/v1/absences").json()["data"] == []


def test_who_may_what_once_and_with_a_trace(api: Api) -> None:
    reader, stranger = api.client("crm:read"), api.client(accounts=("vasilek",))
    assert reader.post("/v1/absences", json=BODY).status_code == 403
    check_problem(stranger.post("/v1/absences", json=BODY), 400, "invalid_body")
    writer = api.client("rules:write", "crm:read")
    once = [
        writer.post("/v1/absences", json=BODY, headers={"idempotency-key": "k1"}) for _ in range(2)
    ]
    assert once[0].json() == once[1].json()
    path = once[0].headers["location"]
    assert stranger.get(path).status_code == 404
    assert stranger.delete(path).status_code == 404
    assert reader.delete(path).status_code == 403
    assert writer.delete(path, headers={"if-match": 'W/"x"'}).status_code == 412
    assert writer.delete(path).status_code == 200
    with reading(api.engine) as connection:
        table: Any = Audit.__table__  # type: ignore[attr-defined]
        lines = [row.what for row in connection.execute(table.select().order_by(table.c.id))]
    assert [what for what in lines if what.startswith("absence.")] == [
        "absence.entered", "absence.removed",
    ]  # fmt: skip


def test_those_of_the_settings_are_listed_with_their_origin_and_changed_there(both: Api) -> None:
    admin, client = both.client("admin"), both.client("rules:write", "crm:read")
    settings = "/v1/accounts/romashka/settings"
    away = {"from": "2026-12-01", "to": "2026-12-14", "deputy": 7}
    for second, extra in (("00", {}), ("05", {"currency": "RUB"})):
        both.clock.set(f"2026-11-23T07:00:{second}Z")
        body = {"sellers": {"Петрова": {"absent": [away]}}} | extra
        assert admin.put(settings, json=body).status_code == 200
    entered = client.post("/v1/absences", json=BODY).json()
    assert entered["origin"] == "api"
    listed = client.get("/v1/absences").json()["data"]
    assert [row["origin"] for row in listed] == ["settings", "api"]
    written = listed[0]
    assert written | {"id": "", "by": ""} == {
        "id": "", "account": "romashka", "seller": {"id": "romashka.9", "name": "Петрова"},
        "from": "2026-12-01", "to": "2026-12-14", "kind": "other", "origin": "settings",
        "deputy": {"id": "romashka.7", "name": "Иванов"}, "by": "",
        "at": "2026-11-23T07:00:00Z", "removed_by": None, "removed_at": None,
    }  # fmt: skip
    path = f"/v1/absences/{written['id']}"
    assert client.get(path).json() == written
    assert "settings document" in check_problem(client.delete(path), 409, "conflict")["detail"]
    by_origin = {
        origin: [row["id"] for row in client.get(f"/v1/absences?origin={origin}").json()["data"]]
        for origin in ("api", "settings", "crm")
    }
    assert by_origin == {"api": [entered["id"]], "settings": [written["id"]], "crm": []}
    assert client.get("/v1/absences?origin=api&origin[ne]=api").json()["data"] == []
    assert client.get("/v1/absences?removed=true").json()["data"] == []
    assert both.client(accounts=("vasilek",)).get(path).status_code == 404
