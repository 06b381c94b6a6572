"""The change feed: replaying it gives the tables, nothing is missed, places are safe to keep."""

import json
import threading
import time
from dataclasses import fields
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from service.domain.facts import Fact
from service.store import plans, revisions, rollups
from service.store.engine import reading, transaction
from service.store.served import Gone
from service.store.tables import Contribution, Deal
from tests.api.conftest import Api, Start, at, deal_row
from tests.api.test_exports import CORRECTIONS, contribution, figures, table
from tests.world import connect_account, make_office, new_deal, new_task, tell

TABLES = {"deal": "deals", "task": "tasks", "violation": "violations", "plan": "plans"}
TABLES |= {"seller": "sellers"}


def ask(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/v1/changes", params=query)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)  # type: ignore[no-any-return]


class Copy:
    """A warehouse: merges by id, deletes, remembers where it is."""

    def __init__(self, client: httpx.Client, limit: int = 3, **query: Any) -> None:
        self.client = client
        self.query = {"limit": limit, **query}
        self.rows: dict[str, dict[str, Any]] = {}
        self.days: dict[str, list[Any]] = {}
        self.told: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        fresh: list[dict[str, Any]] = []
        while True:
            page = ask(self.client, **self.query)
            fresh += page["data"]
            assert len(page["data"]) <= self.query["limit"]
            self.query["since"] = page["next_cursor"]
            if not page["has_more"]:
                break
        for one in fresh:
            kept = self.rows.setdefault(one["type"], {})
            if one["op"] == "delete":
                kept.pop(one["id"], None)
            else:
                kept[one["id"]] = one["object"]
        self.told += fresh
        return fresh

    def check(self) -> None:
        """The copy equals the exports."""
        for kind, name in TABLES.items():
            should = {row["id"]: row for row in table(self.client, name)}
            assert self.rows.get(kind, {}) == should, kind
        days = [row for one in self.rows.get("kpi_day", {}).values() for row in one["rows"]]
        should_be = {row["id"]: row for row in table(self.client, "kpi_daily")}
        assert {row["id"]: row for row in days} == should_be


def test_days_of_who_is_told_to_be_in_another_team_come_again(both: Api) -> None:
    figures(both)
    both.insert(Contribution, *CORRECTIONS, contribution(8, seller="9"))
    with transaction(both.engine) as connection:
        for account in ("romashka", "vasilek"):
            rollups.rebuild(connection, account)
    client = both.client()
    copy = Copy(client, types="kpi_day")

    def check() -> set[str | None]:
        days = [row for one in copy.rows["kpi_day"].values() for row in one["rows"]]
        rows = {row["id"]: row for row in days}
        assert rows == {row["id"]: row for row in table(client, "kpi_daily")}
        return {row["team_id"] for row in days if row["seller_id"] == "romashka.7"}

    copy.read()
    assert check() == {"1"}
    for day, teams in (("2026-11-14", {"1", "Юг"}), ("2026-11-05", {"Юг"})):
        moved = {
            "1": [9, {"id": 7, "to": day}],
            "Юг": [{"id": 7, "from": f"{day[:-1]}6"}],
            "2": [12],
        }
        answer = client.put("/v1/accounts/romashka/settings", json={"teams": moved})
        assert answer.status_code == 200, answer.text
        told = copy.read()
        assert {one["object"]["seller_id"] for one in told} == {"romashka.7"}
        assert check() == teams
    assert copy.read() == []


def test_the_present_state_comes_first_each_object_once(both: Api) -> None:
    client = both.client()
    copy = Copy(client)
    told = copy.read()
    copy.check()
    names = [(one["type"], one["id"]) for one in told]
    assert len(names) == len(set(names))
    gone = [one for one in told if one["op"] == "delete"]
    assert [one["id"] for one in gone] == ["romashka.3"]  # deleted in the CRM
    assert gone[0]["object"] is None
    assert copy.read() == []
    assert ask(client, since="now")["data"] == []
    answer = client.get("/v1/changes")
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_what_people_do_is_told(both: Api) -> None:
    client = both.client()
    copy = Copy(client)
    copy.read()

    def told() -> list[tuple[str, str, str]]:
        return [(one["type"], one["op"], one["id"]) for one in copy.read()]

    vio = f"vio_{1:026d}"
    client.post(f"/v1/violations/{vio}/ack", json={"comment": "a"})
    assert told() == [("violation", "upsert", vio)]
    assert copy.rows["violation"][vio]["acked"]
    both.clock.instant += 60
    client.delete(f"/v1/violations/{vio}/ack")
    assert told() == [("violation", "upsert", vio)]
    row = {"account": "romashka", "metric": "receipts", "period": "2026-12", "seller": None,
           "team": None, "value": 100, "currency": "RUB"}  # fmt: skip
    client.put("/v1/plans", json={"rows": [row]})
    name = "romashka.receipts.2026-12.."
    assert told() == [("plan", "upsert", name)]
    client.put("/v1/plans", json={"rows": [row | {"value": None}]})
    assert told() == [("plan", "delete", name)]
    client.put("/v1/plans", json={"rows": [row]})
    assert ("plan", "upsert", name) in told()
    scope = {"account": "romashka", "seller": "romashka.7", "until": "2026-11-24T06:00:00Z",
             "reason": "ремонт"}  # fmt: skip
    mute = client.post("/v1/mutes", json=scope)
    assert mute.status_code == 201
    assert ("violation", "upsert", vio) in told()
    assert copy.rows["violation"][vio]["muted"]
    both.clock.instant += 60
    assert client.delete(f"/v1/mutes/{mute.json()['id']}").status_code == 200
    assert ("violation", "upsert", vio) in told()
    assert not copy.rows["violation"][vio]["muted"]
    changed = client.put("/v1/accounts/vasilek/settings", json={"limits": {"open_deals": 5}})
    assert changed.status_code == 200, changed.text
    assert told() == [("seller", "upsert", "vasilek.7")]
    assert copy.rows["seller"]["vasilek.7"]["open_deals_limit"] == 5
    copy.check()


def test_facts_and_time_are_told(engine: Engine, database_url: str, start: Start) -> None:
    office = make_office(database_url)
    connect_account(office)
    api = start(engine)
    api.clock.set("2026-03-20T12:00:00Z")
    copy = Copy(api.client(), limit=5)
    copy.read()
    facts: list[Fact] = [
        new_deal("1", "2026-03-16 10:00", price=5000),
        new_task("9", "2026-03-16 10:00", "2026-03-17 10:00"),
        new_deal("2", "2026-03-16 11:00"),
    ]
    tell(office, facts)
    first = copy.read()
    assert {"deal", "task", "violation", "kpi_day"} <= {one["type"] for one in first}
    copy.check()
    days = [one for one in first if one["type"] == "kpi_day"]
    assert any(one["id"].endswith("20260316.deals_created.7") for one in days)
    # A late fact for a past day moves that day's figure; what a later look disproves goes.
    tell(office, [new_deal("3", "2026-03-02 09:00")])
    late = copy.read()
    assert any(".20260302.deals_created." in one["id"] for one in late)
    tell(office, [Fact(**{**_plain(facts[0]), "at": facts[0].at + 3600, "seen_at": office.now(),
                          "body": {"deleted": True}})])  # fmt: skip
    gone = copy.read()
    assert ("deal", "delete") in {(one["type"], one["op"]) for one in gone}
    copy.check()
    again = Copy(api.client(), limit=50)
    again.read()
    assert {kind: rows for kind, rows in again.rows.items() if rows} == {
        kind: rows for kind, rows in copy.rows.items() if rows
    }
    office.close()


def _plain(fact: Fact) -> dict[str, Any]:
    return {field.name: getattr(fact, field.name) for field in fields(fact)}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lower_number_that_commits_later_is_not_skipped(both: Api) -> None:
    """Writers of one account queue at its row; another account's numbers are its own."""
    client = both.client()
    copy = Copy(client, types="plan,deal")
    copy.read()
    held, free = threading.Event(), threading.Event()
    row = {"metric": "receipts", "period": "2026-12", "team": "", "seller": "", "value": 5,
           "currency": "RUB", "status": "draft", "locked": False}  # fmt: skip

    def slow() -> None:
        with transaction(both.engine) as connection:
            plans.hold(connection, "romashka")
            plans.put(connection, {"account_id": "romashka", **row}, "a", "", 1)
            held.set()
            assert free.wait(10)

    def second() -> None:
        with transaction(both.engine) as connection:
            plans.hold(connection, "romashka")
            later = {**row, "period": "2026-11", "account_id": "romashka"}
            plans.put(connection, later, "a", "", 1)

    writers = [threading.Thread(target=slow), threading.Thread(target=second)]
    writers[0].start()
    assert held.wait(10)
    writers[1].start()
    with transaction(both.engine) as connection:
        plans.hold(connection, "vasilek")
        plans.put(connection, {"account_id": "vasilek", **row}, "a", "", 1)
    assert [one["id"] for one in copy.read()] == ["vasilek.receipts.2026-12.."]
    writers[1].join(0.1)
    assert writers[1].is_alive()  # it waits, so nothing with a higher number is to be seen
    free.set()
    for writer in writers:
        writer.join(10)
    told = [one["id"] for one in copy.read()]
    assert told == ["romashka.receipts.2026-12..", "romashka.receipts.2026-11.."]


def test_eight_writers_and_a_reader(both: Api) -> None:
    client = both.client()
    copy = Copy(client, limit=7, types="plan,violation")

    def write(number: int) -> None:
        for step in range(4):
            with transaction(both.engine) as connection:
                account = ("romashka", "vasilek")[(number + step) % 2]
                plans.hold(connection, account)
                for metric in ("deals_won", "calls"):
                    row = {
                        "account_id": account, "metric": metric, "team": "",
                        "period": f"2026-{1 + number % 4:02d}", "seller": "", "currency": "",
                        "value": None if (number * step) % 3 == 1 else number * 10 + step,
                        "status": "draft", "locked": False,
                    }  # fmt: skip
                    plans.put(connection, row, "a", "", step + 1)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        copy.read()
    copy.read()
    assert copy.rows["plan"] == {row["id"]: row for row in table(client, "plans")}
    assert copy.rows["plan"]


def test_cursors_are_checked(api: Api) -> None:
    client = api.client()
    first = ask(client, limit=2, types="deal")
    cursor = first["next_cursor"]
    assert first["has_more"]
    other = api.client()
    for query, code in (
        ({"since": cursor[:-1] + "x", "types": "deal"}, "cursor_invalid"),
        ({"since": "f1.e30.0", "types": "deal"}, "cursor_invalid"),
        ({"since": cursor}, "cursor_mismatch"),
        ({"since": cursor, "types": "deal", "account": "romashka"}, "cursor_mismatch"),
        ({"types": "deals"}, "unknown_name"),
        ({"wait": "31"}, "invalid_parameter"),
        ({"limit": "0"}, "invalid_parameter"),
    ):
        answer = client.get("/v1/changes", params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    foreign = other.get("/v1/changes", params={"since": cursor, "types": "deal"})
    assert foreign.json()["code"] == "cursor_mismatch"
    api.clock.instant += 31 * 86400
    expired = client.get("/v1/changes", params={"since": cursor, "types": "deal"})
    assert (expired.status_code, expired.json()["code"]) == (410, "cursor_expired")


def test_accounts_and_scopes_hold(both: Api) -> None:
    figures(both)
    mine = ask(both.client(accounts=("vasilek",)), limit=1000)["data"]
    assert mine
    assert {one["account_id"] for one in mine} == {"vasilek"}
    reader = both.client("violations:read")
    assert {one["type"] for one in ask(reader, limit=1000)["data"]} == {"violation"}
    refused = reader.get("/v1/changes?types=violation,deal")
    assert (refused.status_code, refused.json()["required_scope"]) == (403, "crm:read")
    one = ask(both.client(), account="vasilek", limit=1000)["data"]
    assert one == mine


def test_waiting_ends_with_the_change(api: Api) -> None:
    client = api.client()
    cursor = ask(client, since="now")["next_cursor"]
    begun = time.monotonic()
    assert ask(client, since=cursor, wait=1)["data"] == []
    assert 0.9 < time.monotonic() - begun < 5
    found: list[Any] = []
    waiting = threading.Thread(
        target=lambda: found.append(ask(client, since=cursor, wait=20)["data"])
    )
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    api.client().post(f"/v1/violations/vio_{1:026d}/ack", json={"comment": "a"})
    waiting.join(10)
    assert [one["id"] for one in found[0]] == [f"vio_{1:026d}"]


def test_what_is_gone_is_forgotten_after_a_month(engine: Engine, start: Start) -> None:
    from tests.api.conftest import connect

    connect(engine)
    api = start(engine)
    api.insert(Deal, deal_row("1"))
    gone = Gone.__table__  # type: ignore[attr-defined]
    begin = at("2026-11-23T07:00:00Z")

    def left() -> list[str]:
        with reading(engine) as connection:
            return sorted(row.id for row in connection.execute(gone.select()))

    for day in (0, 20, 31, 52):
        with transaction(engine) as connection:
            revision = revisions.take(connection, "romashka")
            revisions.bury(connection, "romashka", "deal", [f"d{day}"], revision)
            revisions.keep_mark(connection, "romashka", begin + day * 86400)
    assert left() == ["d31", "d52"]
