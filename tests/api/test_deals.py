"""Deals, tasks, the timeline of a deal."""

from typing import Any

from service.domain.facts import Fact, Kind, Rank
from service.store.tables import Deal, DealContact, FactRow
from tests.api.conftest import Api, at, deal_row
from tests.api.test_conventions import check_problem


def test_a_deal_as_it_is_now(both: Api) -> None:
    client = both.client("crm:read")
    row = client.get("/v1/deals/romashka.1").json()
    assert row == {
        "id": "romashka.1", "account": "romashka", "crm_id": "1", "name": "Окна, ул. Мира 5",
        "url": "https://romashka.amocrm.ru/leads/detail/1",
        "pipeline": {"id": "romashka.31", "name": "Продажи"},
        "stage": {"id": "romashka.31.10", "name": "Новая", "kind": "open"}, "status": "open",
        "seller": {"id": "romashka.7", "name": "Иванов"}, "team": {"id": "1", "name": "Отдел 1"},
        "source": "site", "amount": {"amount": 12_500_000, "currency": "RUB"},
        "created_at": "2026-11-02T08:15:00Z", "updated_at": "2026-11-20T12:00:00Z",
        "stage_since": "2026-11-02T08:15:00Z", "closed_at": None, "loss_reason": None,
        "open_tasks": 1, "next_task_at": None, "last_touch_at": None, "violations_open": 2,
        "deleted": False, "contact": {"has_phone": False, "has_email": False},
    }  # fmt: skip
    assert client.get("/v1/deals/romashka.3").json()["deleted"] is True
    check_problem(client.get("/v1/deals/romashka.99"), 404, "not_found")


CASES: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["romashka.1", "romashka.2", "vasilek.1"]),
    ({"account": "romashka"}, ["romashka.1", "romashka.2"]),
    ({"status": "won,lost"}, ["romashka.2"]),
    ({"status[ne]": "won"}, ["romashka.1", "vasilek.1"]),
    ({"pipeline": "vasilek.0"}, ["vasilek.1"]),
    ({"stage": "romashka.31.142"}, ["romashka.2"]),
    ({"stage": "romashka.31"}, []),
    ({"seller": "romashka.7,vasilek.7"}, ["romashka.1", "vasilek.1"]),
    ({"team": "1"}, ["romashka.1", "romashka.2"]),
    ({"team[ne]": "1"}, ["vasilek.1"]),
    ({"source": "site"}, ["romashka.1"]),
    ({"source[null]": "true"}, ["romashka.2", "vasilek.1"]),
    ({"amount[gte]": "500"}, ["romashka.1", "romashka.2"]),
    ({"amount[gt]": "500"}, ["romashka.1"]),
    ({"amount": "100"}, ["vasilek.1"]),
    ({"closed_at[null]": "false"}, ["romashka.2"]),
    ({"closed_at[gte]": "2026-11-10T12:00:00+03:00"}, ["romashka.2"]),
    ({"closed_at[gt]": "2026-11-10T09:00:00Z"}, []),
    ({"has_violations": "true"}, ["romashka.1", "vasilek.1"]),
    ({"has_violations": "false"}, ["romashka.2"]),
    ({"sort": "-amount"}, ["romashka.1", "romashka.2", "vasilek.1"]),
    ({"sort": "amount"}, ["vasilek.1", "romashka.2", "romashka.1"]),
]


def test_filters_of_deals(both: Api) -> None:
    client = both.client("crm:read")
    for query, expected in CASES:
        answer = client.get("/v1/deals", params=query)
        assert answer.status_code == 200, answer.text
        assert [row["id"] for row in answer.json()["data"]] == expected, query


def test_tasks(both: Api) -> None:
    client = both.client("crm:read")
    both.clock.set("2026-11-23T10:40:00Z")
    assert client.get("/v1/tasks/romashka.9001").json() == {
        "id": "romashka.9001", "account": "romashka", "crm_id": "9001",
        "deal": {"id": "romashka.1", "name": "Окна, ул. Мира 5",
                 "url": "https://romashka.amocrm.ru/leads/detail/1"},
        "seller": {"id": "romashka.7", "name": "Иванов"}, "kind": "1", "title": "Перезвонить",
        "due_at": "2026-11-23T10:00:00Z", "due_date": "2026-11-23", "all_day": False,
        "created_at": "2026-11-20T12:00:00Z", "done_at": None, "has_result": False,
        "status": "open", "overdue": True, "overdue_seconds": 2400, "moves": 0,
    }  # fmt: skip
    cases: list[tuple[dict[str, str], list[str]]] = [
        ({}, ["romashka.9001", "romashka.9002", "vasilek.t15"]),
        ({"status": "done"}, ["romashka.9002"]),
        ({"overdue": "true"}, ["romashka.9001", "vasilek.t15"]),
        ({"overdue": "false"}, ["romashka.9002"]),
        ({"deal": "romashka.1"}, ["romashka.9001", "romashka.9002"]),
        ({"seller": "vasilek.7"}, ["vasilek.t15"]),
        ({"done_at[null]": "false"}, ["romashka.9002"]),
        ({"due_at[gt]": "2026-11-23T10:00:00Z"}, []),
        ({"team": "5"}, ["vasilek.t15"]),
    ]
    for query, expected in cases:
        rows = client.get("/v1/tasks", params=query).json()["data"]
        assert [row["id"] for row in rows] == expected, query
    both.clock.set("2026-11-23T09:59:59Z")
    assert client.get("/v1/tasks?overdue=true").json()["data"] == []
    check_problem(client.get("/v1/tasks/romashka.1"), 404, "not_found")


def fact_row(kind: Kind, subject: str, moment: str, rank: Rank = Rank.HOOK, **body: Any) -> Any:
    fact = Fact(kind, subject, at(moment), body, rank)
    return {
        "account_id": "romashka", "timeline": "deal:5" if kind is not Kind.CONTACT else "",
        "kind": str(kind), "id": subject, "at": fact.at, "rank": int(rank),
        "digest": fact.digest(), "seen_at": 0, "body": fact.packed(),
    }  # fmt: skip


def test_timeline_of_a_deal(both: Api) -> None:
    both.insert(Deal, deal_row("5"))
    both.insert(
        FactRow,
        fact_row(Kind.DEAL, "5", "2026-11-02T09:00:00Z", name="Окна", pipeline="31", stage="10",
                 responsible="7", amount=100, currency="RUB", author="7",
                 created_at=at("2026-11-02T08:00:00Z")),
        fact_row(Kind.DEAL, "5", "2026-11-03T09:00:00Z", stage="20", author="9", amount=200),
        fact_row(Kind.DEAL, "5", "2026-11-03T09:00:00Z", Rank.FETCHED, stage="20"),
        fact_row(Kind.DEAL, "5", "2026-11-04T09:00:00Z", responsible="9", author="0"),
        fact_row(Kind.DEAL, "5", "2026-11-05T09:00:00Z", stage="143", loss_reason="1"),
        fact_row(Kind.DEAL, "5", "2026-11-06T09:00:00Z", stage="20"),
        fact_row(Kind.DEAL, "5", "2026-11-07T09:00:00Z", Rank.FETCHED, stage="142"),
        fact_row(Kind.TASK, "8", "2026-11-02T10:00:00Z", text="Звонок", is_open=True,
                 due_at=at("2026-11-02T15:00:00Z"), author="7"),
        fact_row(Kind.TASK, "8", "2026-11-02T14:00:00Z", due_at=at("2026-11-03T15:00:00Z")),
        fact_row(Kind.TASK, "8", "2026-11-03T14:00:00Z", is_open=False, result="Договорились"),
        fact_row(Kind.CALL, "c1", "2026-11-02T11:05:00Z", direction="out", answered=True,
                 seconds=60, started_at=at("2026-11-02T11:00:00Z"), author="7"),
        fact_row(Kind.NOTE, "n1", "2026-11-02T12:00:00Z", text="Ждёт КП", author="7"),
        fact_row(Kind.NOTE, "n2", "2026-11-02T12:00:00Z", text="стёрто", deleted=True),
        fact_row(Kind.MESSAGE, "m1", "2026-11-08T13:00:00Z", direction="in"),
        fact_row(Kind.MESSAGE, "m2", "2026-11-08T14:00:00Z", direction="out", author="7")
        | {"timeline": "contact:77"},
        fact_row(Kind.CALL, "c2", "2026-11-08T14:00:00Z") | {"timeline": "contact:77"},
    )  # fmt: skip
    both.insert(DealContact, {"account_id": "romashka", "contact_id": "77", "deal_id": "5"})
    client = both.client("crm:read")
    rows = client.get("/v1/deals/romashka.5/timeline").json()["data"]
    assert [(row["at"][8:13], row["kind"]) for row in rows] == [
        ("02T08", "created"), ("02T10", "task_set"), ("02T11", "call"), ("02T12", "note"),
        ("02T14", "task_moved"), ("03T09", "stage_changed"), ("03T09", "amount_changed"),
        ("03T14", "task_done"), ("04T09", "seller_changed"), ("05T09", "stage_changed"),
        ("05T09", "lost"), ("06T09", "stage_changed"), ("06T09", "reopened"),
        ("07T09", "stage_changed"), ("07T09", "won"), ("08T13", "message"), ("08T14", "message"),
    ]  # fmt: skip
    written, sent = rows[-2:]
    assert written["after"] == {"id": "romashka.m1", "direction": "in"}
    assert (written["actor"], sent["actor"]["id"]) == (None, "romashka.7")
    changed = next(row for row in rows if row["kind"] == "stage_changed")
    assert changed["actor"] == {"id": "romashka.9", "name": "Петрова"}
    assert (changed["before"]["name"], changed["after"]["name"]) == ("Новая", "КП")
    assert [row["source"] for row in rows if row["kind"] == "won"] == ["fetch"]
    moved = next(row for row in rows if row["kind"] == "seller_changed")
    assert (moved["actor"], moved["before"]["id"]) == (None, "romashka.7")
    paged, address = [], "/v1/deals/romashka.5/timeline?limit=4&count=true"
    while address:
        page = client.get(address).json()
        assert page["total"] == len(rows)
        paged += page["data"]
        address = page["next"]
    assert paged == rows


def test_timeline_tells_each_change_of_a_field_once(both: Api) -> None:
    both.insert(Deal, deal_row("5"))
    born, filled = "2026-11-02T09:00:00Z", "2026-11-03T09:00:00Z"
    both.insert(
        FactRow,
        fact_row(Kind.DEAL, "5", born, Rank.HISTORY, fields_changed={"501": ""}),
        fact_row(Kind.DEAL, "5", filled, Rank.HISTORY, fields_changed={"501": "77"}, author="7"),
        fact_row(Kind.DEAL, "5", filled, fields={"501": "77", "502": "да"}),
        fact_row(Kind.DEAL, "5", "2026-11-04T09:00:00Z", fields={"501": "77", "502": "да"}),
    )
    rows = both.client("crm:read").get("/v1/deals/romashka.5/timeline").json()["data"]
    (changed,) = [row for row in rows if row["kind"] == "field_changed"]
    assert (changed["at"], changed["actor"]["id"]) == (filled, "romashka.7")
    assert changed["before"] == {"field": "fields", "value": {"502": "да"}}
    assert changed["after"] == {"field": "fields", "value": {"501": "77", "502": "да"}}


def test_timeline_tells_violations(both: Api) -> None:
    rows = both.client("crm:read").get("/v1/deals/romashka.1/timeline").json()["data"]
    told = {(row["kind"], row["at"]) for row in rows}
    assert ("violation_opened", "2026-11-23T06:00:00Z") in told
    assert ("violation_resolved", "2026-11-22T10:00:00Z") in told


def test_contact_says_whether_the_client_can_be_reached(both: Api) -> None:
    both.insert(
        DealContact,
        {"account_id": "romashka", "contact_id": "77", "deal_id": "1"},
        {"account_id": "romashka", "contact_id": "78", "deal_id": "1"},
    )
    both.insert(
        FactRow,
        fact_row(Kind.CONTACT, "77", "2026-11-02T09:00:00Z", has_phone=True, has_email=True),
        fact_row(Kind.CONTACT, "77", "2026-11-03T09:00:00Z", has_email=False),
        fact_row(Kind.CONTACT, "78", "2026-11-03T09:00:00Z", has_email=True, deleted=True),
    )
    contact = both.client("crm:read").get("/v1/deals/romashka.1").json()["contact"]
    assert contact == {"has_phone": True, "has_email": False}
