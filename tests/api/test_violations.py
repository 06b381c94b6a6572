"""Violations over HTTP, on SQLite and PostgreSQL (api.md 3.4, checklist 35-39)."""

from typing import Any

from service.store.records import Alert
from service.store.tables import Announcement, Violation
from tests.api.conftest import Api, at, violation_row
from tests.api.test_exports import moved


def ids_of(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [int(row["id"].removeprefix("vio_")) for row in answer.json()["data"]]


def test_open_ones_are_listed_by_breach(both: Api) -> None:
    client = both.client("violations:read")
    assert ids_of(client.get("/v1/violations")) == [2, 1, 6, 5]
    answer = client.get("/v1/violations", params={"subject": "task:romashka.9001"})
    (row,) = answer.json()["data"]
    assert row == {
        "id": "vio_00000000000000000000000001",
        "account": "romashka",
        "rule": {"id": "task-overdue", "version": "a1b2c3", "title": "Просрочена задача"},
        "severity": "warning",
        "status": "open",
        "subject": {"kind": "task", "id": "romashka.9001", "name": "Перезвонить",
                    "url": "https://romashka.amocrm.ru/leads/detail/1"},
        "deal": {"id": "romashka.1", "name": "Окна, ул. Мира 5",
                 "url": "https://romashka.amocrm.ru/leads/detail/1"},
        "seller": {"id": "romashka.7", "name": "Иванов"},
        "owner": {"id": "romashka.7", "name": "Иванов"},
        "team": {"id": "1", "name": "Отдел 1"},
        "pipeline": {"id": "romashka.31", "name": "Продажи"},
        "amount": {"amount": 12_500_000, "currency": "RUB"},
        "since": "2026-11-23T06:00:00Z",
        "held_since": "2026-11-20T12:00:00Z",
        "breach_at": "2026-11-23T06:00:00Z",
        "resolved_at": None,
        "resolution": None,
        "ack": None,
        "mute": None,
        "muted": False,
        "muted_seconds": 0,
        "bulk": False,
        "alerted_at": None,
    }  # fmt: skip


def test_teams_are_those_of_the_breach(both: Api) -> None:
    moved(both)
    client = both.client()
    rows = client.get("/v1/violations?status=all").json()["data"]
    teams = {int(row["id"].removeprefix("vio_")): row["team"]["id"] for row in rows}
    assert teams == {1: "Юг", 2: "Север", 3: "Север", 4: "Юг", 5: "Юг", 6: "5"}
    for query, expected in (
        ({"team": "Север"}, [2, 3]), ({"team[ne]": "Север"}, [1, 6, 5, 4]), ({"team": "1"}, []),
    ):  # fmt: skip
        answer = client.get("/v1/violations", params={"status": "all"} | query)
        assert ids_of(answer) == expected
    summary = client.get("/v1/violations/summary?status=all&by=team").json()["data"]
    assert sorted((r["team_name"], r["currency"], r["count"]) for r in summary if r["amount"]) == [
        ("Отдел 5", "USD", 1), ("Север", "RUB", 2), ("Юг", "RUB", 2),
    ]  # fmt: skip
    known = {row["id"]: row["sellers"] for row in client.get("/v1/teams").json()["data"]}
    assert sorted(seller["id"] for seller in known["Юг"]) == ["romashka.12", "romashka.7"]
    assert client.get("/v1/sellers/romashka.7").json()["team"]["id"] == "Юг"
    assert client.get("/v1/deals/romashka.1").json()["team"]["id"] == "Юг"
    deals = client.get("/v1/deals?team=Север").json()["data"]
    assert {row["seller"]["id"] for row in deals} == {"romashka.9"}


CASES: list[tuple[dict[str, str], list[int]]] = [
    ({"status": "upcoming"}, [4]),
    ({"status": "upcoming", "until": "2026-11-24T00:00:00Z"}, []),
    ({"status": "resolved"}, [3]),
    ({"status": "all"}, [2, 3, 1, 6, 5, 4]),
    ({"status": "resolved,upcoming"}, [3, 4]),
    ({"account": "vasilek"}, [6]),
    ({"account[ne]": "vasilek"}, [2, 1, 5]),
    ({"account": "nobody"}, []),
    ({"rule": "task-overdue"}, [1, 6]),
    ({"rule[ne]": "task-overdue"}, [2, 5]),
    ({"severity": "critical"}, [2]),
    ({"seller": "romashka.9"}, [2]),
    ({"seller": "romashka.9,romashka.12"}, [2, 5]),
    ({"seller": "vasilek.9"}, []),
    ({"seller[ne]": "romashka.9"}, [1, 6, 5]),
    ({"team": "1"}, [2, 1]),
    ({"team": "1,5"}, [2, 1, 6]),
    ({"team": "nobody"}, []),
    ({"pipeline": "romashka.31"}, [2, 1]),
    ({"subject": "deal:romashka.1"}, [2]),
    ({"subject_kind": "seller"}, [5]),
    ({"breach_at[gte]": "2026-11-23T06:30:00Z"}, [5]),
    ({"breach_at[lt]": "2026-11-23T06:00:00Z"}, [2]),
    ({"status": "all", "resolved_at[null]": "false"}, [3]),
    ({"acked": "true"}, []),
    ({"muted": "false"}, [2, 1, 6, 5]),
    ({"sort": "-severity"}, [2, 1, 5, 6]),
    ({"sort": "amount"}, [6, 1, 2, 5]),
    ({"sort": "-amount,breach_at"}, [2, 1, 6, 5]),
    ({"as_of": "2026-11-22T00:00:00Z"}, [2, 3]),
    ({"as_of": "2026-11-26T00:00:00Z"}, [2, 1, 6, 5, 4]),
]


def test_filters_and_instants(both: Api) -> None:
    client = both.client("violations:read")
    for query, expected in CASES:
        assert ids_of(client.get("/v1/violations", params=query)) == expected, query


def test_due_task_is_upcoming_until_its_second(both: Api) -> None:
    both.insert(
        Violation,
        violation_row(7, subject_id="9007", breach_at="2026-11-23T10:00:00Z",
                      resolved_at="2026-11-23T10:40:00Z", resolution="fixed"),
    )  # fmt: skip
    client = both.client("violations:read")

    def status(moment: str) -> str:
        query = {"subject": "task:romashka.9007", "as_of": moment, "status": "all"}
        return str(client.get("/v1/violations", params=query).json()["data"][0]["status"])

    assert status("2026-11-23T09:59:59Z") == "upcoming"
    assert status("2026-11-23T10:00:00Z") == "open"
    assert status("2026-11-23T10:39:59Z") == "open"
    assert status("2026-11-23T10:40:00Z") == "resolved"


def test_upcoming_and_still_open_make_the_future(both: Api) -> None:
    both.insert(
        Violation,
        violation_row(7, subject_id="9007", breach_at="2026-11-23T08:00:00Z"),
        violation_row(8, subject_id="9008", resolved_at="2026-11-24T00:00:00Z"),
    )
    client = both.client("violations:read")
    later = "2026-11-25T06:00:00Z"
    soon = ids_of(client.get("/v1/violations", params={"status": "upcoming", "until": later}))
    now = client.get("/v1/violations").json()["data"]
    lasting = [int(r["id"][4:]) for r in now if not r["resolved_at"] or r["resolved_at"] > later]
    future = ids_of(client.get("/v1/violations", params={"as_of": later}))
    assert sorted(soon + lasting) == sorted(future)


def test_summary_adds_up_to_the_list(both: Api) -> None:
    client = both.client("violations:read")
    for query in (
        {},
        {"status": "all"},
        {"seller": "romashka.9"},
        {"as_of": "2026-11-26T00:00:00Z"},
    ):
        for by in ("rule", "severity", "seller,rule", "team", "pipeline,account,rule"):
            rows = client.get("/v1/violations/summary", params={**query, "by": by}).json()["data"]
            listed = client.get("/v1/violations", params={**query, "count": "true"}).json()
            assert sum(row["count"] for row in rows) == listed["total"]
    by_rule = client.get("/v1/violations/summary", params={"by": "rule,seller"}).json()["data"]
    assert by_rule[0] == {
        "rule": "deal-stuck", "rule_name": "Сделка застряла на этапе", "seller": "romashka.9",
        "seller_name": "Петрова", "count": 1, "amount": 12_500_000, "currency": "RUB",
        "oldest_breach_at": "2026-11-20T06:00:00Z",
    }  # fmt: skip


def test_summary_keeps_currencies_apart(both: Api) -> None:
    client = both.client("violations:read")
    rows = client.get("/v1/violations/summary", params={"by": "rule"}).json()["data"]
    overdue = [row for row in rows if row["rule"] == "task-overdue"]
    assert {(row["currency"], row["amount"]) for row in overdue} == {
        ("RUB", 12_500_000),
        ("USD", 100),
    }


def test_one_violation_shows_its_proof(both: Api) -> None:
    both.insert(
        Violation,
        violation_row(9, rule="deal-stuck", subject_kind="deal", subject_id="1",
                      since="2026-11-02T09:00:00Z", breach_at="2026-11-10T09:00:00Z",
                      values={"attributes": {"deal.is_open": True,
                                             "deal.stage_entered_at": at("2026-11-02T09:00:00Z")},
                              "for": "5wd", "text": {}}),
    )  # fmt: skip
    client = both.client("violations:read")
    document = client.get(f"/v1/violations/vio_{9:026d}").json()
    why = document["why"]
    assert why["when"] == "deal.is_open"
    assert {(v["name"], v["value"]) for v in why["values"]} == {
        ("deal.is_open", True),
        ("deal.stage_entered_at", "2026-11-02T09:00:00Z"),
    }
    assert {(v["title"], v["text"]) for v in why["values"]} == {
        ("сделка открыта", "да"),
        ("на этапе с", "02.11.2026 12:00"),
    }
    assert why["story"][0] == ("Окна, ул. Мира 5: 13 раб. дн. на этапе «Новая», норма 5 раб. дн.")
    assert "Что это показало: сделка открыта: да; на этапе с: 02.11.2026 12:00." in why["story"]
    assert why["clock"]["for"] == "5wd"
    # 2 November 12:00 to 10 November 12:00 in Moscow, 8 h a day, 4 November and a weekend off
    assert why["clock"]["counted_seconds"] == 5 * 8 * 3600
    assert len(why["clock"]["skipped"]) == 3
    assert "5 раб. дн." in why["text"]
    assert "10.11.2026 12:00" in why["text"]
    english = client.get(f"/v1/violations/vio_{9:026d}", params={"lang": "en"}).json()
    assert "norm 5 working days" in english["why"]["text"]
    assert english["rule"]["id"] == document["rule"]["id"]


def test_disproved_one_stays_readable_as_void(both: Api) -> None:
    row = violation_row(77)
    said = {k: v for k, v in row.items() if k != "account_id"}
    both.insert(
        Announcement,
        {"account_id": "romashka", "violation_id": row["id"], "event": "opened",
         "at": at("2026-11-23T06:00:01Z"), "rule": row["rule"], "subject_kind": "task",
         "subject_id": "9001", "breach_at": row["breach_at"], "violation": said},
    )  # fmt: skip
    client = both.client()
    answer = client.get(f"/v1/violations/{row['id']}")
    assert answer.json()["status"] == "void"
    assert 77 not in ids_of(client.get("/v1/violations?status=all"))
    refused = client.post(f"/v1/violations/{row['id']}/ack", json={"comment": ""})
    assert refused.status_code == 409


def test_alerting_says_sent_or_why_not(both: Api) -> None:
    claimed = at("2026-11-23T06:00:01Z")
    for number, state, reason in ((1, "sent", ""), (2, "suppressed", "muted")):
        row = violation_row(number)
        both.insert(
            Announcement,
            {"account_id": "romashka", "violation_id": row["id"], "event": "opened", "at": claimed,
             "rule": row["rule"], "subject_kind": "task", "subject_id": "9001",
             "breach_at": row["breach_at"], "violation": {}},
        )  # fmt: skip
        both.insert(
            Alert,
            {"account_id": "romashka", "id": f"alr_{number}", "key": f"k{number}",
             "receiver": "head", "channel": "telegram", "kind": "opened", "state": state,
             "reason": reason, "text": "", "body": b"", "violations": [row["id"]],
             "event_at": 0, "created_at": claimed,
             "sent_at": claimed + 2 if state == "sent" else None,
             "next_try_at": None, "attempts": 1},
        )  # fmt: skip
    client = both.client("violations:read")
    first = client.get(f"/v1/violations/vio_{1:026d}").json()
    second = client.get(f"/v1/violations/vio_{2:026d}").json()
    assert (first["alerting"], first["alerted_at"]) == ("sent", "2026-11-23T06:00:03Z")
    assert (second["alerting"], second["alerted_at"]) == ("muted", None)
    assert client.get(f"/v1/violations/vio_{4:026d}").json()["alerting"] is None


def test_first_acknowledgement_stays(both: Api) -> None:
    first, second = both.client(), both.client("violations:write", "violations:read")
    path = f"/v1/violations/vio_{1:026d}"
    acked = first.post(f"{path}/ack", json={"comment": "звоню"})
    assert acked.status_code == 200
    both.clock.set("2026-11-23T07:05:00Z")
    again = second.post(f"{path}/ack", json={"comment": "и я"})
    assert again.json()["ack"] == acked.json()["ack"]
    assert again.json()["ack"]["comment"] == "звоню"
    assert ids_of(first.get("/v1/violations?acked=true")) == [1]
    both.clock.set("2026-11-23T07:06:00Z")
    assert second.delete(f"{path}/ack").json()["ack"] is None
    assert ids_of(first.get("/v1/violations?acked=true")) == []


def test_acknowledgement_survives_another_id(both: Api) -> None:
    client = both.client()
    client.post(f"/v1/violations/vio_{1:026d}/ack", json={"comment": "мой"})
    with both.engine.begin() as connection:
        table = Violation.__table__  # type: ignore[attr-defined]
        connection.execute(
            table.update().where(table.c.id == f"vio_{1:026d}").values(id=f"vio_{99:026d}")
        )
    assert client.get(f"/v1/violations/vio_{99:026d}").json()["ack"]["comment"] == "мой"
    assert ids_of(client.get("/v1/violations?acked=true")) == [99]


def test_muted_ones_stay_listed_and_mutes_end(both: Api) -> None:
    client = both.client()
    path = f"/v1/violations/vio_{1:026d}/mute"
    body = {"until": "2026-11-24T06:00:00Z", "reason": "клиент в отпуске"}
    muted = client.post(path, json=body).json()
    assert muted["muted"] is True
    assert muted["mute"]["reason"] == "клиент в отпуске"
    assert ids_of(client.get("/v1/violations?muted=true")) == [1]
    assert 1 in ids_of(client.get("/v1/violations"))
    later = client.get("/v1/violations?muted=true&as_of=2026-11-24T06:00:00Z")
    assert ids_of(later) == []
    both.clock.set("2026-11-23T08:00:00Z")
    assert client.delete(path).json()["mute"] is None


MUTES: list[tuple[dict[str, str], str]] = [
    ({"until": "2026-11-22T06:00:00Z", "reason": "x"}, "#/until"),
    ({"until": "2027-11-22T06:00:00Z", "reason": "x"}, "#/until"),
    ({"until": "2026-11-24T06:00:00", "reason": "x"}, "#/until"),
    ({"until": "tomorrow", "reason": "x"}, "#/until"),
    ({"until": "2026-11-24T06:00:00Z", "reason": ""}, "#/reason"),
    ({"until": "2026-11-24T06:00:00Z", "reason": "  "}, "#/reason"),
    ({"until": "2026-11-24T06:00:00Z"}, "#/reason"),
]


def test_mute_refuses(both: Api) -> None:
    client = both.client()
    for body, pointer in MUTES:
        answer = client.post(f"/v1/violations/vio_{1:026d}/mute", json=body)
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_resolved_one_takes_no_acknowledgement(both: Api) -> None:
    answer = both.client().post(f"/v1/violations/vio_{3:026d}/ack", json={"comment": "поздно"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_resolved")


def test_stale_if_match_changes_nothing(both: Api) -> None:
    client = both.client()
    path = f"/v1/violations/vio_{1:026d}"
    tag = client.get(path).headers["etag"]
    client.post(f"{path}/ack", json={"comment": "a"})
    stale = client.delete(f"{path}/ack", headers={"if-match": tag})
    assert stale.status_code == 412
    assert client.get(path).json()["ack"]["comment"] == "a"
    fresh = client.delete(f"{path}/ack", headers={"if-match": client.get(path).headers["etag"]})
    assert fresh.status_code == 200


def test_unknown_names_are_refused_with_near_ones(both: Api) -> None:
    client = both.client("violations:read")
    for query, near in (
        ({"rule": "task-overdu"}, "task-overdue"),
        ({"severity": "critcal"}, "critical"),
        ({"status": "opn"}, "open"),
        ({"subject_kind": "deel"}, "deal"),
        ({"sort": "amont"}, "amount"),
    ):
        answer = client.get("/v1/violations", params=query)
        assert answer.status_code == 400
        assert answer.json()["code"] == "unknown_name"
        assert near in answer.json()["errors"][0]["did_you_mean"]
    answer = client.get("/v1/violations/summary", params={"by": "sellers"})
    assert answer.json()["errors"][0]["did_you_mean"] == ["seller"]
    assert client.get("/v1/violations/summary?by=rule,seller,team,account").status_code == 400
