"""`Idempotency-Key` (checklist 50)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from service.api.deps import CallDep, json_answer
from service.api.problems import problem
from service.api.router import Router
from service.store.engine import reading, transaction
from service.store.idempotency import prune
from service.store.records import Idempotency, Remark
from tests.api.conftest import Api
from tests.api.test_conventions import check_problem

ROWS = Idempotency.__table__  # type: ignore[attr-defined]
PATH = f"/v1/violations/vio_{1:026d}/mute"
BODY = {"until": "2026-11-24T06:00:00Z", "reason": "отпуск"}


def said(api: Api) -> int:
    with reading(api.engine) as connection:
        table = Remark.__table__  # type: ignore[attr-defined]
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def test_the_same_key_does_the_work_once(both: Api) -> None:
    client = both.client()
    headers = {"idempotency-key": "one"}
    first = client.post(PATH, json=BODY, headers=headers)
    both.clock.set("2026-11-23T07:30:00Z")
    second = client.post(PATH, json=BODY, headers={"idempotency-key": '"one"'})
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert said(both) == 1
    other = client.post(PATH, json=BODY | {"reason": "другое"}, headers=headers)
    check_problem(other, 422, "idempotency_mismatch")
    stranger = both.client().post(PATH, json=BODY, headers=headers)
    assert "idempotency-replayed" not in stranger.headers


def test_a_day_later_the_key_is_free(api: Api) -> None:
    client = api.client()
    headers = {"idempotency-key": "one"}
    client.post(PATH, json=BODY | {"until": "2026-12-24T06:00:00Z"}, headers=headers)
    api.clock.set("2026-11-24T07:00:00Z")
    again = client.post(PATH, json=BODY | {"until": "2026-12-25T06:00:00Z"}, headers=headers)
    assert again.status_code == 200
    api.clock.set("2026-11-26T07:00:00Z")
    with transaction(api.engine) as connection:
        assert prune(connection, api.clock.instant) == 1


def test_refusals_are_kept_too(api: Api) -> None:
    client = api.client()
    headers = {"idempotency-key": "bad"}
    body = BODY | {"until": "2026-11-22T06:00:00Z"}
    first = client.post(PATH, json=body, headers=headers)
    second = client.post(PATH, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (400, 400)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["", "x" * 256, "with blank", '""'])
def test_odd_keys_are_refused(api: Api, key: str) -> None:
    answer = api.client().post(PATH, json=BODY, headers={"idempotency-key": key})
    document = check_problem(answer, 400, "invalid_header")
    assert document["errors"][0]["header"] == "Idempotency-Key"


class Slow:
    """An endpoint that waits, and one that fails."""

    def __init__(self, api: Api) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.calls = 0
        router = Router(prefix="/v1")

        @router.post("/slow")
        def slow(call: CallDep) -> Any:
            self.calls += 1
            self.entered.set()
            assert self.go.wait(20)
            return json_answer({"n": self.calls}, 201, {"location": "/v1/slow/1"})

        @router.post("/failing")
        def failing(call: CallDep) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("boom")
            raise (
                problem("unavailable", "Not now.") if self.calls == 2 else problem("conflict", "x")
            )

        api.app.router.routes[:0] = router.routes


def test_two_at_once_make_one_object(both: Api) -> None:
    slow = Slow(both)
    client = both.client()
    headers = {"idempotency-key": "race"}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/slow", headers=headers)
        assert slow.entered.wait(20)
        running = client.post("/v1/slow", headers=headers)
        slow.go.set()
    check_problem(running, 409, "idempotency_running")
    assert running.headers["retry-after"] == "1"
    assert first.result().status_code == 201
    replay = client.post("/v1/slow", headers=headers)
    assert (replay.status_code, replay.headers["location"]) == (201, "/v1/slow/1")
    assert slow.calls == 1


def test_faults_of_ours_are_not_kept(api: Api) -> None:
    slow = Slow(api)
    client = api.client()
    headers = {"idempotency-key": "again"}
    statuses = [client.post("/v1/failing", headers=headers).status_code for _ in range(4)]
    assert statuses == [500, 503, 409, 409]
    assert slow.calls == 3


def test_a_first_request_that_died_blocks_for_a_minute_only(api: Api) -> None:
    client = api.client()
    key_id = client.get("/v1/me").json()["key"]["id"]
    api.insert(
        Idempotency,
        {"key_id": key_id, "path": PATH, "key": "dead", "body_hash": "x",
         "at": api.clock.instant, "status": None, "content_type": "", "answer": b"",
         "location": ""},
    )  # fmt: skip
    headers = {"idempotency-key": "dead"}
    blocked = client.post(PATH, json=BODY, headers=headers)
    check_problem(blocked, 422, "idempotency_mismatch")
    api.clock.instant += 60
    assert client.post(PATH, json=BODY, headers=headers).status_code == 200
