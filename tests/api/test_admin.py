"""The inbox, account settings, rules."""

from typing import Any

import yaml
from sqlalchemy import select

from service.store import accounts, health
from service.store.engine import reading, transaction
from service.store.records import Audit
from service.store.tables import Inbox
from tests.api.conftest import Api, at
from tests.api.test_conventions import check_problem

SETTINGS = "/v1/accounts/romashka/settings"


def audit(api: Api) -> list[Any]:
    table = Audit.__table__  # type: ignore[attr-defined]
    with reading(api.engine) as connection:
        query = select(table).where(table.c.what.not_like("key.%")).order_by(table.c.id)
        return list(connection.execute(query).all())


# --- inbox ----------------------------------------------------------------------------------------


def hooks(api: Api) -> None:
    row = {"account_id": "romashka", "received_at": at("2026-11-23T06:00:00Z"), "facts": 0,
           "content_type": "application/x-www-form-urlencoded", "reason": None}  # fmt: skip
    states = ("pending", "done", "parked", "dropped")
    api.insert(
        Inbox,
        *(
            row | {"id": (1_795_417_200_000_000 + n) << 10, "state": state,
                   "body": b"leads[add]\xff" + bytes([65 + n]),
                   "reason": "not_a_form" if state == "parked" else None}
            for n, state in enumerate(states)
        ),
    )  # fmt: skip


def test_inbox_lists_by_state(both: Api) -> None:
    hooks(both)
    client = both.client()
    listed = client.get("/v1/inbox?count=true").json()
    assert listed["total"] == 4
    assert [row["state"] for row in listed["data"]] == ["dropped", "parked", "done", "pending"]
    (parked,) = client.get("/v1/inbox?state=parked&account=romashka").json()["data"]
    assert parked.pop("id").startswith("inb_")
    assert parked == {
        "account": "romashka", "received_at": "2026-11-23T06:00:00Z", "state": "parked",
        "reason": "not_a_form", "size": 12, "facts": 0,
    }  # fmt: skip
    assert client.get("/v1/inbox?account=vasilek").json()["data"] == []
    check_problem(client.get("/v1/inbox?state=parkd"), 400, "unknown_name")
    pages, address = [], "/v1/inbox?limit=1"
    while address:
        page = client.get(address).json()
        pages += page["data"]
        address = page["next"]
    assert [row["id"] for row in pages] == [row["id"] for row in listed["data"]]


def test_inbox_row_with_its_body(both: Api) -> None:
    hooks(both)
    client = both.client()
    (parked,) = client.get("/v1/inbox?state=parked").json()["data"]
    row = client.get(f"/v1/inbox/{parked['id']}").json()
    assert row["body"] == "leads[add]\\xffC"
    assert row["content_type"] == "application/x-www-form-urlencoded"


def test_replay_and_drop(both: Api) -> None:
    hooks(both)
    client = both.client()
    by_state = {row["state"]: row["id"] for row in client.get("/v1/inbox").json()["data"]}
    replayed = client.post(f"/v1/inbox/{by_state['parked']}/replay")
    assert (replayed.status_code, replayed.json()["state"]) == (202, "pending")
    dropped = client.post(f"/v1/inbox/{by_state['pending']}/drop")
    assert (dropped.status_code, dropped.content) == (204, b"")
    assert client.get(f"/v1/inbox/{by_state['pending']}").json()["state"] == "dropped"
    check_problem(client.post(f"/v1/inbox/{by_state['done']}/drop"), 409, "conflict")
    check_problem(client.post(f"/v1/inbox/inb_{7:026d}/replay"), 404, "not_found")
    assert [row.what for row in audit(both)] == ["inbox.replayed", "inbox.dropped"]


# --- settings -------------------------------------------------------------------------------------


def test_settings_as_json_and_yaml(both: Api) -> None:
    client = both.client()
    shown = client.get(SETTINGS).json()
    assert shown["work"]["week"] == "mon-fri 10:00-18:00"
    text = client.get(SETTINGS, headers={"accept": "application/yaml"})
    assert text.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(text.text) == shown
    put = client.put(SETTINGS, json=shown)
    assert put.status_code == 200, put.text
    assert put.json() == shown
    assert audit(both) == []


def test_settings_from_yaml_are_kept_with_author(both: Api) -> None:
    document = """
    account: romashka
    work: {week: "mon-fri 9:00-18:00", exceptions: {2026-12-31: "10:00-15:00", 2027-01-11: off}}
    teams: {"Отдел 1": [7, 9]}
    sellers: {7: {limit: 30, absent: [{from: 2026-12-01, to: 2026-12-14, deputy: 9}]}}
    rules: {deal-stuck: {for: {default: 5wd, "КП": 3wd}}, card-incomplete: off}
    """
    client = both.client()
    put = client.put(SETTINGS, content=document.encode(), headers={"content-type": "text/yaml"})
    assert put.status_code == 200, put.text
    assert put.json()["sellers"]["7"]["limit"] == 30
    assert put.json()["work"]["exceptions"]["2027-01-11"] == "off"
    assert client.get("/v1/sellers/romashka.7").json()["open_deals_limit"] == 30
    with reading(both.engine) as connection:
        history = accounts.settings_history(connection, "romashka")
        row = accounts.account(connection, "romashka")
    key_id = client.get("/v1/me").json()["key"]["id"]
    assert [(v["version"], v["author"]) for v in history] == [(1, "tests"), (2, key_id)]
    assert row is not None
    assert row.config_version > row.judged_version
    (noted,) = audit(both)
    assert (noted.what, noted.who, noted.account_id) == ("settings.saved", key_id, "romashka")
    assert noted.after["sellers"]["7"]["limit"] == 30


def test_wrong_settings_name_the_place(both: Api) -> None:
    client = both.client()
    cases: list[tuple[Any, str, str]] = [
        ({"limitz": {}}, "#/limitz", "unknown_field"),
        ({"sellers": {"7": {"limit": -1}}}, "#/sellers/7/limit", "invalid_body"),
        ({"sellers": {"7": {"lmit": 1}}}, "#/sellers/7/lmit", "unknown_field"),
        ({"sellers": {"Иваноф": {}}}, "#/sellers/Иваноф", "invalid_body"),
        ({"timezone": "Mars/Base"}, "#/timezone", "invalid_body"),
        ({"work": {"week": "пн-пт"}}, "#/work/week", "invalid_body"),
        ({"rules": {"deal-stack": {}}}, "#/rules/deal-stack", "invalid_body"),
        ({"rules": {"deal-stuck": {"for": "soon"}}}, "#/rules/deal-stuck/for", "invalid_body"),
        ({"rules": {"deal-stuck": {"for": {"default": "1wd", "Нет": "1wd"}}}},
         "#/rules/deal-stuck/for/Нет", "invalid_body"),
        ({"account": "vasilek"}, "#/account", "invalid_body"),
        ([], "#", "invalid_body"),
    ]  # fmt: skip
    for body, pointer, code in cases:
        answer = client.put(SETTINGS, json=body)
        document = check_problem(answer, 400, code)
        assert document["errors"][0]["pointer"].startswith(pointer), document
    both_wrong = client.put(SETTINGS, json={"limitz": {}, "sellers": {"7": {"limit": "x"}}})
    assert len(check_problem(both_wrong, 400, "invalid_body")["errors"]) == 2
    assert client.get(SETTINGS).json()["limits"] == {}
    kept = {"limits": {"open_deals": 41}}
    assert client.put(SETTINGS, json=kept).status_code == 200
    for kind, body in (
        ("application/json", b"null"),
        ("text/yaml", b"# nothing"),
        ("text/yaml", b""),
    ):
        nothing = client.put(SETTINGS, content=body, headers={"content-type": kind})
        check_problem(nothing, 400, "invalid_body")
    assert client.get(SETTINGS).json()["limits"] == kept["limits"]
    near = client.put(SETTINGS, json={"limitz": {}}).json()["errors"][0]
    assert near["did_you_mean"] == ["limits"]


def test_yaml_that_could_hurt_is_refused(api: Api) -> None:
    client = api.client()
    bombs = [
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        b"[" * 5000,
        b"a: b: c",
        b"\xff\xfe",
        b"!!python/object/apply:os.system ['true']",
        b'a: "\\u0000"',
    ]
    for bomb in bombs:
        answer = client.put(SETTINGS, content=bomb, headers={"content-type": "application/yaml"})
        assert answer.status_code == 400, bomb
        rules = client.post(
            "/v1/rules/validate", content=bomb, headers={"content-type": "application/yaml"}
        )
        assert rules.status_code in (200, 400), bomb
        assert rules.status_code == 400 or rules.json()["valid"] is False
    large = client.post(
        "/v1/rules/validate",
        content=b"#" * 300_000,
        headers={"content-type": "application/yaml"},
    )
    check_problem(large, 413, "too_large")


# --- rules ----------------------------------------------------------------------------------------


def test_rules_in_force(both: Api) -> None:
    client = both.client()
    rows = client.get("/v1/rules").json()["data"]
    assert {row["id"] for row in rows} >= {"task-overdue", "deal-stuck", "seller-too-many-deals"}
    overdue = client.get("/v1/rules/task-overdue").json()
    assert overdue.pop("version")
    assert overdue == {
        "id": "task-overdue", "on": "task", "form": "state",
        "when": "task.is_open && task.due_at != null", "since": ["task.due_at"], "for": "0m",
        "params": {}, "params_by_stage": [], "level": None, "above": None, "share": None,
        "counts": None, "below": None, "row": None, "join": "0m", "severity": "warning",
        "critical_when": None, "info_when": None, "needs": [], "notice": False, "silences": [],
        "to": "head", "title": "Просрочена задача",
        "advice": "Закройте с результатом или договоритесь с клиентом о новом сроке",
        "enabled": True, "source": "builtin", "effective_from": None, "state": "ok",
        "last_error": None, "open_count": 2,
    }  # fmt: skip
    check_problem(client.get("/v1/rules/task-overdu"), 404, "not_found")
    english = client.get("/v1/rules/task-overdue?lang=en").json()
    assert english["advice"] == "Close it with a result, or agree a new date with the client"


def test_a_changed_rule_tells_since_when(both: Api) -> None:
    client = both.client(accounts=("romashka",))
    body = {"rules": {"task-overdue": {"severity": "critical"}, "deal-stuck": "off"}}
    assert client.put(SETTINGS, json=body).status_code == 200
    overdue = client.get("/v1/rules/task-overdue").json()
    assert (overdue["severity"], overdue["effective_from"]) == ("critical", "2026-11-23T07:00:00Z")
    assert client.get("/v1/rules/deal-stuck").json()["enabled"] is False
    double = client.get("/v1/rules/deal-duplicate").json()
    assert double["critical_when"] == "deal.same_client_other_seller"
    own = {"deal-duplicate": {"severity": "info"}, "deal-ghosted": {"params": {"attempts": 9}}}
    assert client.put(SETTINGS, json={"rules": own}).status_code == 200
    assert client.get("/v1/rules/deal-duplicate").json()["critical_when"] is None
    assert client.get("/v1/rules/deal-ghosted").json()["params"] == {"attempts": 9}
    staged = {
        "deal-ghosted": {"params": {"attempts": {"default": 4, "31/20": 9}}},
        "deal-stuck": {"for": {"default": "4wd", "31/20": "9wd"}},
    }
    assert client.put(SETTINGS, json={"rules": staged}).status_code == 200
    ghosted = client.get("/v1/rules/deal-ghosted").json()
    assert ghosted["params"] == {"attempts": 4}
    assert ghosted["params_by_stage"] == [
        {"pipeline": "31", "stage": "20", "params": {"attempts": 9}}
    ]
    assert client.get("/v1/rules/deal-stuck").json()["for"] == "4wd, 31/20: 9wd"
    full = client.get("/v1/rules/seller-nearly-full").json()
    assert (full["form"], full["level"], full["share"]) == ("level", "deals_open", 80)
    everywhere = both.client().get("/v1/rules/deal-stuck").json()
    assert everywhere["enabled"] is True


def test_a_failing_rule_is_visible(both: Api) -> None:
    with transaction(both.engine) as connection:
        health.note(connection, "vasilek", "deal-stuck", "deal:1", "no such key", 1)
    seen = both.client().get("/v1/rules/deal-stuck").json()
    assert (seen["state"], seen["last_error"]) == ("failing", "no such key")
    other = both.client(accounts=("romashka",)).get("/v1/rules/deal-stuck").json()
    assert (other["state"], other["last_error"]) == ("ok", None)


GOOD = """
rules:
  - id: my-rule
    on: task
    form: state
    when: task.is_open && task.due_at != null
    since: task.due_at
    severity: info
    title: {ru: "а", en: "a"}
    advice: {ru: "б", en: "b"}
"""


def test_validate_tells_line_column_and_the_near_name(api: Api) -> None:
    client = api.client("rules:write")

    def verdict(text: str, kind: str = "application/yaml") -> Any:
        answer = client.post(
            "/v1/rules/validate", content=text.encode(), headers={"content-type": kind}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert verdict(GOOD) == {"valid": True, "errors": []}
    wrong = verdict(GOOD.replace("task.is_open", "task.is_opn"))
    assert wrong["valid"] is False
    (fault,) = wrong["errors"]
    assert (fault["line"], fault["code"]) == (6, "unknown_name")
    assert fault["did_you_mean"] == ["task.is_open"]
    empty = verdict("{}")["errors"][0]
    assert (empty["path"], empty["code"]) == ("rules", "invalid_rule")
    several = verdict(GOOD.replace("severity: info", "severity: inof").replace("on: task", "no: x"))
    assert {(f["line"], f["path"], f["code"]) for f in several["errors"]} == {
        (3, "rules.0.on", "invalid_rule"),
        (8, "rules.0.severity", "unknown_name"),
        (4, "rules.0.no", "unknown_field"),
    }
    unknown = verdict(GOOD.replace("since:", "sinse:"))["errors"][0]
    assert unknown["line"] == 7
    assert verdict("rules: []")["valid"] is True
    assert verdict('{"rules": []}', "application/json")["valid"] is True
    broken = verdict("rules:\n  - {")["errors"][0]
    assert (broken["line"], broken["code"]) == (3, "invalid_rule")
