"""The API over what the pipeline itself derived from facts (checklist 35, 38)."""

from tests.api.conftest import Start, at
from tests.world import connect_account, make_office, new_deal, new_task, task, tell


def test_a_task_is_upcoming_open_and_resolved_to_the_second(start: Start, sqlite_url: str) -> None:
    office = make_office(sqlite_url)
    connect_account(office)
    tell(
        office,
        [
            new_deal("1", "2026-03-02 10:00", name="Окна", amount=500),
            new_task("9", "2026-03-02 10:00", "2026-03-03 10:00"),
            task("9", "2026-03-03 10:40", is_open=False),
        ],
    )
    api = start.on(office)
    client = api.client()
    rows = client.get("/v1/violations?status=all&rule=task-overdue").json()["data"]
    (found,) = rows
    assert (found["breach_at"], found["resolved_at"]) == (
        "2026-03-03T07:00:00Z",
        "2026-03-03T07:40:00Z",
    )
    for moment, status in (
        ("2026-03-03T06:59:59Z", "upcoming"),
        ("2026-03-03T07:00:00Z", "open"),
        ("2026-03-03T07:39:59Z", "open"),
        ("2026-03-03T07:40:00Z", "resolved"),
    ):
        query = {"as_of": moment, "status": "all", "rule": "task-overdue"}
        assert client.get("/v1/violations", params=query).json()["data"][0]["status"] == status
    proof = client.get(f"/v1/violations/{found['id']}").json()["why"]
    values = {value["name"]: value["value"] for value in proof["values"]}
    assert values["task.due_at"] == "2026-03-03T07:00:00Z"
    assert values["task.is_open"] is True
    timeline = client.get("/v1/deals/romashka.1/timeline").json()["data"]
    kinds = [(entry["kind"], entry["at"]) for entry in timeline]
    assert ("task_done", "2026-03-03T07:40:00Z") in kinds
    assert ("violation_opened", "2026-03-03T07:00:00Z") in kinds
    due = [e["after"]["due_at"] for e in timeline if e["kind"] == "task_set"]
    assert due == [values["task.due_at"]]
    deal = client.get("/v1/deals/romashka.1").json()
    assert (deal["name"], deal["amount"]["amount"], deal["open_tasks"]) == ("Окна", 500, 0)
    assert client.get("/v1/tasks/romashka.9").json()["status"] == "done"


def test_a_stuck_deal_explains_its_working_days(start: Start, sqlite_url: str) -> None:
    office = make_office(sqlite_url)
    connect_account(office)
    tell(office, [new_deal("1", "2026-03-02 12:00", stage="20")])
    api = start.on(office)
    api.clock.set("2026-03-20T09:00:00Z")
    client = api.client()
    (found,) = client.get("/v1/violations?rule=deal-stuck").json()["data"]
    assert at(found["breach_at"]) == at("2026-03-10T09:00:00Z")
    clock = client.get(f"/v1/violations/{found['id']}").json()["why"]["clock"]
    assert (clock["for"], clock["counted_seconds"]) == ("5wd", 5 * 8 * 3600)
    assert [piece["from"] for piece in clock["skipped"]] == [
        "2026-03-06T21:00:00Z",
        "2026-03-07T21:00:00Z",
        "2026-03-08T21:00:00Z",
    ]
