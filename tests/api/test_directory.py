"""Accounts, sellers, pipelines, teams."""

from sqlalchemy import update

from service.domain.named import parse_document
from service.store import accounts, budgets
from service.store import facts as fact_store
from service.store.engine import transaction
from service.store.tables import Account, Inbox
from tests.api.conftest import Api, at
from tests.api.test_conventions import check_problem


def test_accounts_tell_how_far_behind_they_are(both: Api) -> None:
    client = both.client("crm:read")
    quiet = client.get("/v1/accounts/romashka").json()
    assert quiet == {
        "id": "romashka", "name": "Ромашка", "crm": "amocrm",
        "base_url": "https://romashka.amocrm.ru", "timezone": "Europe/Moscow", "currency": "RUB",
        "status": "active", "last_event_at": None, "data_through": "2026-11-23T07:00:00Z",
        "lag_seconds": 0, "pending": 0,
    }  # fmt: skip
    row = {"account_id": "romashka", "received_at": at("2026-11-23T06:59:30Z"), "state": "pending",
           "content_type": "", "body": b"x", "facts": 0}  # fmt: skip
    both.insert(Inbox, row | {"id": 1}, row | {"id": 2, "received_at": at(NOW)})
    busy = client.get("/v1/accounts/romashka").json()
    assert (busy["pending"], busy["lag_seconds"]) == (2, 30)
    assert busy["data_through"] == "2026-11-23T06:59:30Z"
    listed = client.get("/v1/accounts").json()["data"]
    assert [(a["id"], a["pending"]) for a in listed] == [("romashka", 2), ("vasilek", 0)]


def test_health_tells_what_was_lost_and_what_waits(both: Api) -> None:
    client = both.client("crm:read")
    body = {"received_at": at("2026-11-23T06:59:30Z"), "content_type": "", "body": b"x", "facts": 0}
    both.insert(Inbox, {"account_id": "romashka", "id": 1, "state": "parked"} | body)
    with transaction(both.engine) as connection:
        accounts.change(
            connection, "romashka", hooks_received=950, synced_at=at("2026-11-23T06:55:00Z"),
            backfill_state="done", sync_error="https://romashka.amocrm.ru does not answer",
            down_since=at("2026-11-23T06:50:00Z"), down_until=at("2026-11-23T07:01:00Z"),
            down_reason="https://romashka.amocrm.ru does not answer",
            hook_state="off", access_ends_at=at("2027-01-01T00:00:00Z"),
        )  # fmt: skip
        row = accounts.account(connection, "romashka")
        assert row is not None
        pause = (at("2026-11-23T07:00:00Z") + 30) * 1_000_000
        key = budgets.portal_key(row.crm, row.base_url)
        budgets.pause(connection, key, pause, 1_000_000)
        accounts.count(connection, "romashka", hooks_lost=49)
        accounts.count(connection, "romashka", hooks_lost=1, hooks_received=50)
        fact_store.touch(connection, "romashka", [("deal", "1"), ("deal", "2")], 0)
    assert client.get("/v1/accounts/romashka/health").json() == {
        "account": "romashka", "status": "active", "error": None, "backfill": "done",
        "hooks_received": 1000, "hooks_lost": 50, "last_event_at": None,
        "reconciled_at": "2026-11-23T06:55:00Z",
        "reconcile_error": "https://romashka.amocrm.ru does not answer",
        "lag_seconds": 0, "pending": 2, "parked": 1, "waiting_to_be_fetched": 2,
        "drift": 0, "portal": "down", "portal_down_since": "2026-11-23T06:50:00Z",
        "portal_next_try_at": "2026-11-23T07:01:00Z",
        "portal_error": "https://romashka.amocrm.ru does not answer",
        "hook": "off", "limit_left": 0.0, "limit_paused_until": "2026-11-23T07:00:30Z",
        "access_ends_at": "2027-01-01T00:00:00Z",
        "judging": {"state": "running", "done": 0, "total": None, "version": 2},
    }  # fmt: skip
    with transaction(both.engine) as connection:
        accounts.change(connection, "romashka", backfill_state="running")
    assert client.get("/v1/accounts/romashka/health").json()["reconciled_at"] is None
    check_problem(client.get("/v1/accounts/nobody/health"), 404, "not_found")
    assert 'dozor_hooks_lost{account="romashka"} 50.0' in client.get("/metrics").text


def test_fields_and_their_meaning(both: Api) -> None:
    client = both.client("crm:read")
    with transaction(both.engine) as connection:
        accounts.save_settings(
            connection, "romashka", parse_document({"fields": {"source": "ИНН"}}), "tests",
            both.clock.instant,
        )  # fmt: skip
    told = client.get("/v1/accounts/romashka/fields").json()
    assert [one["meaning"] for one in told["meanings"]] == ["source", "budget", "loss_reason"]
    assert (told["meanings"][0]["field"], told["meanings"][0]["name"]) == ("501", "ИНН")
    assert told["meanings"][1]["field"] is None
    [field] = [one for one in told["fields"] if one["id"] == "501"]
    assert field["name"] == "ИНН"
    assert all(stage.startswith("romashka.") for stage in field["required_stages"])
    check_problem(client.get("/v1/accounts/nobody/fields"), 404, "not_found")


NOW = "2026-11-23T07:00:00Z"


def test_sellers_with_team_limit_and_person(both: Api) -> None:
    document = {
        "teams": {"Север": ["Иванов"]},
        "sellers": {"7": {"limit": 30, "person": "ivan"}, "12": {"limit": 0}},
    }
    with transaction(both.engine) as connection:
        accounts.save_settings(
            connection, "romashka", parse_document(document), "tests", both.clock.instant
        )
    client = both.client("crm:read")
    assert client.get("/v1/sellers/romashka.7").json() == {
        "id": "romashka.7", "account": "romashka", "crm_id": "7", "name": "Иванов",
        "team": {"id": "Север", "name": "Север"}, "person": "ivan", "active": True,
        "timezone": None, "open_deals_limit": 30,
    }  # fmt: skip

    def listed(**query: str) -> list[str]:
        return [row["id"] for row in client.get("/v1/sellers", params=query).json()["data"]]

    everybody = ["romashka.12", "romashka.7", "romashka.9", "vasilek.7"]
    assert listed() == everybody
    assert listed(active="true") == everybody
    assert listed(active="false") == []
    assert listed(team="Север,5") == ["romashka.7", "vasilek.7"]
    assert listed(account="vasilek") == ["vasilek.7"]
    assert client.get("/v1/sellers/romashka.12").json()["open_deals_limit"] is None
    assert client.get("/v1/sellers/romashka.9").json()["open_deals_limit"] == 50
    check_problem(client.get("/v1/sellers/romashka.99"), 404, "not_found")


def test_pipelines_with_stages_and_norms(both: Api) -> None:
    document = {"rules": {"deal-stuck": {"for": {"default": "5wd", "КП": "36h", "Договор": "2d"}}}}
    with transaction(both.engine) as connection:
        accounts.save_settings(
            connection, "romashka", parse_document(document), "tests", both.clock.instant
        )
    client = both.client("crm:read")
    pipeline = client.get("/v1/pipelines/romashka.31").json()
    assert (pipeline["name"], pipeline["crm_id"]) == ("Продажи", "31")
    stages = {stage["name"]: stage for stage in pipeline["stages"]}
    assert stages["КП"] == {
        "id": "romashka.31.20", "crm_id": "20", "name": "КП", "sort": 20, "kind": "open",
        "norm_seconds": 36 * 3600,
    }  # fmt: skip
    assert stages["Новая"]["norm_seconds"] == 5 * 8 * 3600
    assert stages["Договор"]["norm_seconds"] == 2 * 86400
    assert (stages["Успешно"]["kind"], stages["Успешно"]["norm_seconds"]) == ("won", None)
    assert [p["id"] for p in client.get("/v1/pipelines").json()["data"]] == [
        "romashka.31",
        "vasilek.0",
    ]
    check_problem(client.get("/v1/pipelines/romashka.99"), 404, "not_found")


def test_teams_of_all_accounts(both: Api) -> None:
    rows = both.client("crm:read").get("/v1/teams").json()["data"]
    assert [(row["id"], row["name"]) for row in rows] == [
        ("1", "Отдел 1"),
        ("2", "Отдел 2"),
        ("5", "Отдел 5"),
    ]
    assert rows[0]["sellers"] == [
        {"id": "romashka.7", "name": "Иванов"},
        {"id": "romashka.9", "name": "Петрова"},
    ]


def test_a_disabled_account_says_so(api: Api) -> None:
    table = Account.__table__  # type: ignore[attr-defined]
    with transaction(api.engine) as connection:
        connection.execute(
            update(table).where(table.c.account_id == "vasilek").values(status="disabled")
        )
    assert api.client().get("/v1/accounts/vasilek").json()["status"] == "disabled"


def test_calendar_tells_each_day_and_that_a_year_without_a_decree_is_provisional(both: Api) -> None:
    with transaction(both.engine) as connection:
        given = parse_document(
            {"work": {"shorten": True, "exceptions": {"2026-12-31": "10:00-15:00",
                                                      "2026-11-24": "off"}}}
        )  # fmt: skip
        accounts.save_settings(connection, "romashka", given, "tests", at(NOW))
    client = both.client("crm:read")
    told = client.get("/v1/accounts/romashka/calendar").json()
    assert (told["year"], told["holidays"], told["provisional"]) == (2026, "RU", False)
    assert (told["timezone"], len(told["days"])) == ("Europe/Moscow", 365)
    assert told["working_days"] == 247
    days = {one.pop("day"): one for one in told["days"]}
    assert days["2026-11-23"] == {"hours": ["10:00-18:00"], "reason": None, "shortened": False}
    assert days["2026-11-03"] == {"hours": ["10:00-17:00"], "reason": None, "shortened": True}
    assert days["2026-12-31"] == {"hours": ["10:00-15:00"], "reason": None, "shortened": False}
    reasons = {day: days[day]["reason"] for day in ("2026-11-24", "2026-11-04", "2026-11-28")}
    assert reasons == {"2026-11-24": "off", "2026-11-04": "holiday", "2026-11-28": "weekend"}
    for year, provisional in ((2000, False), (2027, False), (2035, True), (2100, True)):
        ahead = client.get("/v1/accounts/romashka/calendar", params={"year": str(year)}).json()
        assert (ahead["year"], ahead["provisional"]) == (year, provisional)


def test_calendar_of_a_year_that_is_none(both: Api) -> None:
    client = both.client("crm:read")
    for year in ("1999", "2101", "next"):
        answer = client.get("/v1/accounts/romashka/calendar", params={"year": year})
        document = check_problem(answer, 400, "invalid_parameter")
        assert document["errors"][0]["parameter"] == "year"
    check_problem(client.get("/v1/accounts/nobody/calendar"), 404, "not_found")
    check_problem(
        both.client("kpi:read").get("/v1/accounts/romashka/calendar"), 403, "scope_missing"
    )
