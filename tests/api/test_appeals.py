"""Comments, appeals and their decisions, with the whole history."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting

import pytest

from service.pipeline.office import Office
from service.store import appeals
from service.store.engine import reading, transaction
from service.store.reads.violations import Question, violations
from service.store.remarks import Author
from tests.api.conftest import Api, Start
from tests.world import ACCOUNT, connect_account, make_office, new_deal, new_task, task, tell


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = make_office(database_url)
    connect_account(made)
    tell(made, [
        new_deal("1", "2026-03-02 10:00"),
        new_task("9", "2026-03-02 10:00", "2026-03-03 10:00"),
        new_task("8", "2026-03-02 10:00", "2026-03-03 10:00"),
        task("8", "2026-03-03 11:00", is_open=False),
    ])  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def api(office: Office, start: Start) -> Api:
    made = start(office.engine)
    made.clock.set("2026-03-03T09:00:00Z")
    return made


def overdue(api: Api, status: str = "open") -> str:
    rows = api.client().get(f"/v1/violations?rule=task-overdue&status={status}").json()["data"]
    (row,) = rows
    return f"/v1/violations/{row['id']}"


def test_a_granted_appeal_is_counted_apart_and_keeps_its_history(api: Api) -> None:
    seller, head = api.client("violations:write"), api.client("rules:write", "violations:write")
    path = overdue(api)
    assert seller.post(f"{path}/comments", json={"text": "клиент в отпуске"}).status_code == 200
    disputed = seller.post(f"{path}/appeal", json={"reason": "срок согласован"}).json()
    assert (disputed["appeal"]["state"], disputed["status"]) == ("open", "open")
    assert disputed["muted"] is False
    again = seller.post(f"{path}/appeal", json={"reason": "ещё раз"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    refused = seller.post(f"{path}/appeal/decision", json={"granted": True})
    assert refused.status_code == 403
    decided = head.post(f"{path}/appeal/decision", json={"granted": True, "comment": "верно"})
    found = decided.json()
    assert (found["appeal"]["state"], found["appeal"]["decision"]) == ("granted", "верно")
    assert found["muted"] is True
    assert [line["action"] for line in found["history"]] == [
        "comment", "appeal", "granted", "mute",
    ]  # fmt: skip
    assert head.post(f"{path}/appeal/decision", json={"granted": False}).status_code == 409


def test_a_denied_appeal_changes_nothing_else(api: Api) -> None:
    head = api.client("rules:write", "violations:write")
    path = overdue(api)
    assert head.post(f"{path}/appeal/decision", json={"granted": False}).status_code == 409
    head.post(f"{path}/appeal", json={"reason": "не моя задача"})
    found = head.post(f"{path}/appeal/decision", json={"granted": False}).json()
    assert (found["appeal"]["state"], found["muted"], found["status"]) == ("denied", False, "open")


def test_what_is_over_can_still_be_disputed(api: Api) -> None:
    head = api.client("rules:write", "violations:write")
    path = overdue(api, "resolved")
    found = head.post(f"{path}/appeal", json={"reason": "CRM лежала"}).json()
    assert (found["status"], found["appeal"]["state"]) == ("resolved", "open")
    decided = head.post(f"{path}/appeal/decision", json={"granted": True}).json()
    assert [line["action"] for line in decided["history"]] == ["appeal", "granted"]


@pytest.mark.parametrize(
    ("place", "body", "pointer"),
    [
        ("comments", {"text": "  "}, "#/text"),
        ("appeal", {"reason": " "}, "#/reason"),
        ("appeal/decision", {"granted": "perhaps"}, "#/granted"),
    ],
)
def test_empty_words_are_refused(api: Api, place: str, body: object, pointer: str) -> None:
    client = api.client("rules:write", "violations:write")
    answer = client.post(f"{overdue(api)}/{place}", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_of_two_who_dispute_at_once_the_second_is_refused(office: Office) -> None:
    with reading(office.engine) as connection:
        asked = Question([ACCOUNT], office.now())
        row = violations(connection, asked, [], after_row=None, limit=1)[0]

    def dispute(who: str) -> str:
        with transaction(office.engine) as connection:
            try:
                appeals.appeal(connection, row, Author(who), "согласовано", office.now())
            except appeals.AppealRefused as refused:
                return str(refused)
        return ""

    with ThreadPoolExecutor(1) as other:
        with transaction(office.engine) as connection:
            appeals.appeal(connection, row, Author("first"), "согласовано", office.now())
            second = other.submit(dispute, "second")
            with pytest.raises(StillWaiting):
                second.result(timeout=0.3)
        assert "An appeal against this violation is open" in second.result(timeout=30)
