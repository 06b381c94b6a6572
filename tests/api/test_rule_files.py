"""Rules of an account over HTTP: put, read, versions, the way back, progress."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.pipeline import rejudge, trial, verify
from service.pipeline.office import Office
from service.store.records import Audit
from tests.api.conftest import Api, Start
from tests.api.test_conventions import check_problem
from tests.world import ACCOUNT, Standing, connect_account, make_office, moment, new_deal, tell

FILE = """
# ours
rules:
  - id: deal-no-task
    on: deal
    form: state
    when: deal.is_open && deal.open_tasks == 0
    for: 2wh
    severity: critical
    title: {ru: "Без шага", en: "No step"}
    advice: {ru: "Поставьте задачу", en: "Set a task"}
  - id: my-rule
    on: deal
    form: state
    when: deal.is_open && deal.amount == 0
    for: 1wh
    severity: info
    title: {ru: "Без суммы: {deal}", en: "No amount: {deal}"}
    advice: {ru: "Впишите сумму", en: "Write the amount"}
"""
YAML = {"content-type": "application/yaml"}
RULES = f"/v1/rules?account={ACCOUNT}"


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """Two accounts; the first has a deal without a task since 10:00 of the day before."""
    made = make_office(database_url, "2026-03-11 12:00")
    connect_account(made)
    connect_account(made, "vasilek", token="other")
    tell(made, [new_deal("1", "2026-03-10 10:00")])
    yield made
    made.close()


@pytest.fixture
def api(office: Office, start: Start) -> Api:
    made = start(office.engine)
    made.app.state.services.try_rules = partial(trial.tried, office)
    go_to(office, made, "2026-03-11 12:00")
    return made


def go_to(office: Office, api: Api, at: str) -> None:
    api.clock.instant = moment(at)
    office.clock = Standing(datetime.fromtimestamp(moment(at), UTC))


def settle(office: Office) -> None:
    while rejudge.rejudge(office, ACCOUNT):
        pass
    rejudge.judge_dirty(office, ACCOUNT)


def put(client: httpx.Client, text: str = FILE, url: str = RULES, **headers: str) -> httpx.Response:
    return client.put(url, content=text.encode(), headers=YAML | headers)


def of_rule(client: httpx.Client, rule: str) -> list[tuple[Any, ...]]:
    found = client.get(f"/v1/violations?rule={rule}&status=all&sort=breach_at").json()["data"]
    return [(row["breach_at"], row["resolved_at"], row["resolution"]) for row in found]


def test_put_is_in_force_from_now_on_and_judged_behind(api: Api, office: Office) -> None:
    client = api.client()
    before = client.get(f"/v1/accounts/{ACCOUNT}/health").json()["judging"]
    assert before["state"] == "idle"
    answer = put(client)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "account": ACCOUNT, "version": 1, "changed": ["deal-no-task", "my-rule"],
    }  # fmt: skip
    running = client.get(f"/v1/accounts/{ACCOUNT}/health").json()["judging"]
    assert running == {
        "state": "running", "done": 0, "total": None, "version": before["version"] + 1,
    }  # fmt: skip
    settle(office)
    done = client.get(f"/v1/accounts/{ACCOUNT}/health").json()["judging"]
    assert (done["state"], done["done"], done["total"]) == ("idle", 1, 1)
    assert of_rule(client, "deal-no-task") == [
        ("2026-03-10T08:00:00Z", "2026-03-11T09:00:00Z", "rule_changed"),
        ("2026-03-11T11:00:00Z", None, None),
    ]
    assert of_rule(client, "my-rule") == [("2026-03-10T08:00:00Z", None, None)]
    assert verify.verify(office, ACCOUNT) == []


def test_rules_are_shown_as_the_account_has_them(api: Api) -> None:
    client = api.client()
    put(client)
    own = {row["id"]: row for row in client.get(RULES).json()["data"]}
    assert own["my-rule"]["source"] == "account"
    assert own["my-rule"]["effective_from"] is None
    changed = own["deal-no-task"]
    assert (changed["source"], changed["for"], changed["severity"]) == (
        "account",
        "2wh",
        "critical",
    )
    assert changed["effective_from"] == "2026-03-11T09:00:00Z"
    other = {row["id"]: row for row in client.get("/v1/rules?account=vasilek").json()["data"]}
    assert "my-rule" not in other
    assert (other["deal-no-task"]["source"], other["deal-no-task"]["for"]) == ("builtin", "1wh")
    everywhere = {row["id"]: row for row in client.get("/v1/rules").json()["data"]}
    assert everywhere["my-rule"]["source"] == "account"
    assert everywhere["deal-no-task"]["source"] == "builtin"
    assert client.get("/v1/rules?account=nobody").json()["data"] == []
    assert client.get("/v1/rules/my-rule?lang=en").json()["title"] == "No amount"
    check_problem(client.get("/v1/rules/my-rule?account=vasilek"), 404, "not_found")
    stranger = api.client(accounts=("vasilek",))
    check_problem(stranger.get("/v1/rules/my-rule"), 404, "not_found")
    refused = stranger.get("/v1/violations?rule=my-rule")
    check_problem(refused, 400, "unknown_name")


def test_file_has_a_tag_and_if_match_is_honoured(api: Api) -> None:
    client = api.client()
    url = f"/v1/rules/file?account={ACCOUNT}"
    empty = client.get(url)
    assert (empty.text, empty.headers["content-type"]) == ("rules: []\n", "application/yaml")
    made = put(client, **{"if-match": empty.headers["etag"]})
    assert made.status_code == 200
    told = client.get(url)
    assert (told.text, told.headers["etag"]) == (FILE, made.headers["etag"])
    assert client.get(url, headers={"if-none-match": told.headers["etag"]}).status_code == 304
    stale = put(client, FILE.replace("2wh", "3wh"), **{"if-match": empty.headers["etag"]})
    check_problem(stale, 412, "precondition_failed")
    assert api.client(accounts=(ACCOUNT,)).get("/v1/rules/file").text == FILE
    check_problem(client.get("/v1/rules/file"), 400, "invalid_parameter")
    check_problem(client.get("/v1/rules/file?account=nobody"), 404, "not_found")


def test_versions_and_the_way_back(api: Api, office: Office) -> None:
    client = api.client()
    put(client, url=f"{RULES}&reason=norms")
    go_to(office, api, "2026-03-12 12:00")
    put(client, FILE.replace("2wh", "3wh"), url=f"{RULES}&effective_from=2026-03-12T08:00:00Z")
    assert put(client, FILE.replace("2wh", "3wh")).json()["version"] == 2
    go_to(office, api, "2026-03-13 12:00")
    body = {"account": ACCOUNT, "version": 1}
    keyed = {"idempotency-key": "once"}
    back = client.post("/v1/rules/rollback", json=body, headers=keyed)
    assert back.json() == {"account": ACCOUNT, "version": 3, "changed": ["deal-no-task"]}
    again = client.post("/v1/rules/rollback", json=body, headers=keyed)
    assert again.json() == back.json()
    found = client.get(f"/v1/rules/versions?account={ACCOUNT}").json()["data"]
    assert [
        (v["version"], v["at"], v["reason"], v["effective_from"], v["changed"]) for v in found
    ] == [
        (1, "2026-03-11T09:00:00Z", "norms", None, ["deal-no-task", "my-rule"]),
        (2, "2026-03-12T09:00:00Z", "", "2026-03-12T08:00:00Z", ["deal-no-task"]),
        (3, "2026-03-13T09:00:00Z", "back to 1", None, ["deal-no-task"]),
    ]
    assert {v["author"][:4] for v in found} == {"key_"}
    settle(office)
    assert [row[1:] for row in of_rule(client, "deal-no-task")] == [
        ("2026-03-11T09:00:00Z", "rule_changed"), ("2026-03-12T08:00:00Z", "rule_changed"),
        ("2026-03-13T09:00:00Z", "rule_changed"), (None, None),
    ]  # fmt: skip
    assert verify.verify(office, ACCOUNT) == []
    wrong = client.post("/v1/rules/rollback", json={**body, "version": 9})
    assert "there are: 1, 2, 3" in check_problem(wrong, 400, "invalid_body")["detail"]
    with office.engine.connect() as connection:
        audit = Audit.__table__  # type: ignore[attr-defined]
        said = connection.execute(select(audit.c.what).order_by(audit.c.id)).scalars()
        assert [what for what in said if what.startswith("rules.")] == [
            "rules.saved", "rules.saved", "rules.rolled_back",
        ]  # fmt: skip


def test_violation_of_a_rule_that_is_gone_is_shown(api: Api, office: Office) -> None:
    client = api.client()
    put(client)
    settle(office)
    go_to(office, api, "2026-03-12 12:00")
    assert put(client, "rules: []").json()["changed"] == ["deal-no-task", "my-rule"]
    settle(office)
    assert "my-rule" not in {row["id"] for row in client.get(RULES).json()["data"]}
    (row,) = client.get("/v1/violations?rule=my-rule&status=all").json()["data"]
    assert row["rule"]["title"] == "Без суммы"
    assert row["resolution"] == "rule_changed"
    why = client.get(f"/v1/violations/{row['id']}").json()["why"]
    assert why["text"].startswith("Без суммы: Сделка 1.")
    assert why["when"] == "deal.is_open && deal.amount == 0"
    summary = client.get("/v1/violations/summary?by=rule&status=resolved").json()["data"]
    assert "Без суммы" in {line["rule_name"] for line in summary}


def test_every_fault_is_told_with_its_place(api: Api) -> None:
    client = api.client()
    wrong = FILE.replace("deal.open_tasks", "deal.opn_tasks").replace(
        "deal.amount == 0", "deal.closed_at > 3"
    )
    document = check_problem(put(client, wrong), 400, "invalid_body")
    assert [(e["pointer"], e["did_you_mean"]) for e in document["errors"]] == [
        ("#/rules/0/when", ["deal.open_tasks"]), ("#/rules/1/when", []),
    ]  # fmt: skip
    assert document["errors"][0]["detail"].startswith("line 7, column 5: deal-no-task: ")
    assert "deal.closed_at != null" in document["errors"][1]["detail"]
    both = wrong.replace("severity: critical", "severity: grave")
    found = client.post("/v1/rules/validate", content=both.encode(), headers=YAML).json()
    assert [(e["path"], e["line"]) for e in found["errors"]] == [
        ("rules.0.severity", 9), ("rules.1.when", 15),
    ]  # fmt: skip
    kind = FILE.replace("id: my-rule", "id: task-overdue")
    assert "another id" in check_problem(put(client, kind), 400, "invalid_body")["detail"]
    late = put(client, url=f"{RULES}&effective_from=2026-04-01T00:00:00Z")
    check_problem(late, 400, "invalid_parameter")
    assert client.get(f"/v1/rules/versions?account={ACCOUNT}").json()["data"] == []


def test_settings_of_the_account_see_its_rules(api: Api) -> None:
    client = api.client()
    url = f"/v1/accounts/{ACCOUNT}/settings"
    body = {"rules": {"my-rule": {"for": "5wh"}}}
    check_problem(client.put(url, json=body), 400, "invalid_body")
    put(client)
    assert client.put(url, json=body).status_code == 200
    refused = check_problem(put(client, "rules: []"), 400, "invalid_body")
    assert "rules.my-rule: there is no such rule" in refused["detail"]


def test_try_compares_with_what_is_in_force(api: Api, office: Office) -> None:
    client = api.client()
    put(client)
    settle(office)
    tried = client.post(f"/v1/rules/try?account={ACCOUNT}", content=FILE.encode(), headers=YAML)
    assert tried.json()["changed"] == []
    none = client.post(f"/v1/rules/try?account={ACCOUNT}", content=b"rules: []", headers=YAML)
    assert none.json()["changed"] == ["deal-no-task", "my-rule"]
    assert [row["rule"] for row in none.json()["closes"]] == ["my-rule"]


def test_scopes_and_accounts(api: Api) -> None:
    check_problem(put(api.client("violations:read")), 403, "scope_missing")
    check_problem(put(api.client("rules:write", accounts=("vasilek",))), 404, "not_found")
    reader = api.client("violations:read")
    assert reader.get(f"/v1/rules/file?account={ACCOUNT}").status_code == 200
    body = {"account": ACCOUNT, "version": 1}
    check_problem(reader.post("/v1/rules/rollback", json=body), 403, "scope_missing")


def test_json_will_do(api: Api) -> None:
    client = api.client()
    answer = client.put(RULES, json={"rules": []})
    assert answer.status_code == 200, answer.text
    assert client.get(f"/v1/rules/file?account={ACCOUNT}").json() == {"rules": []}
