"""`POST /v1/rules/try`: what a rule file would change, over HTTP."""

from collections.abc import Iterator
from functools import partial

import pytest

from service.pipeline import trial
from service.pipeline.office import Office
from tests.api.conftest import Api, Start
from tests.world import connect_account, make_office, new_deal, tell

CHANGE = """
rules:
  - id: deal-no-task
    on: deal
    form: state
    when: deal.is_open && deal.open_tasks == 0
    for: 10wm
    severity: warning
    name: {ru: "Без шага", en: "No step"}
    title: {ru: "Без шага", en: "No step"}
    advice: {ru: "Поставьте задачу", en: "Set a task"}
"""
YAML = {"content-type": "application/yaml"}


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = make_office(database_url, "2026-03-10 12:30")
    connect_account(made)
    tell(made, [new_deal("1", "2026-03-10 12:00")])
    yield made
    made.close()


@pytest.fixture
def api(office: Office, start: Start) -> Api:
    made = start(office.engine)
    made.app.state.services.try_rules = partial(trial.tried, office)
    return made


def test_it_tells_what_would_open_and_stores_nothing(api: Api) -> None:
    client = api.client("rules:write", "violations:read")
    before = client.get("/v1/violations?status=all").json()["data"]
    answer = client.post("/v1/rules/try?account=romashka", content=CHANGE.encode(), headers=YAML)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["changed"], found["timelines"], found["closes"]) == (["deal-no-task"], 1, [])
    assert found["opens"] == [
        {"rule": "deal-no-task", "subject": "deal:1", "deal": "1",
         "seller": {"id": "7", "name": "Иванов"}, "breach_at": "2026-03-10T09:10:00Z"},
    ]  # fmt: skip
    assert client.get("/v1/violations?status=all").json()["data"] == before


def test_a_wrong_file_is_refused_with_its_place(api: Api) -> None:
    client = api.client("rules:write")
    wrong = CHANGE.replace("deal.open_tasks", "deal.opn_tasks").encode()
    answer = client.post("/v1/rules/try?account=romashka", content=wrong, headers=YAML)
    assert answer.status_code == 400
    assert "line 6" in answer.text
    assert "deal.open_tasks" in answer.text


def test_only_accounts_that_the_key_sees(api: Api) -> None:
    client = api.client("rules:write")
    answer = client.post("/v1/rules/try?account=other", content=CHANGE.encode(), headers=YAML)
    assert answer.status_code == 404
    refused = api.client("violations:read").post(
        "/v1/rules/try?account=romashka", content=CHANGE.encode(), headers=YAML
    )
    assert refused.status_code == 403
