"""Every operation of the document: its example runs; for a key of another account it finds nothing.

The walk is one table (`ORDER` first, all others after it, endings last), so an operation that
nobody thought of runs too, and fails if it needs what no example gives.
"""

import re
from functools import partial
from typing import Any

import httpx

from service.api import openapi
from service.api.examples import EXAMPLES
from service.pipeline import proposing, trial
from service.store.records import Alert
from service.store.tables import Inbox
from tests.api.conftest import Api, at
from tests.api.test_conventions import PATHS
from tests.api.test_exports import table
from tests.api.test_forms import summed
from tests.api.test_schema import answer_fits
from tests.world import make_office

ORDER = (  # what others need, in the order in which it makes sense
    "put_plans", "approve_plans", "close_plans", "reopen_plans", "put_rules", "rollback_rules",
    "create_absence", "create_mute", "create", "dispute_violation", "decide_appeal",
)  # fmt: skip
LAST = ("drop_inbox", "remove_subscription")
OWN = re.compile(r"romashka|(vio|alr|inb|abs|mut|sub)_")
MADE = {"create_absence": "absence_id", "create_mute": "mute_id", "create": "subscription_id"}
OUTSIDE = {  # not in the sandbox of tests, or of no account
    "test",  # calls the subscriber
    "hook_amocrm", "hook_bitrix24", "replay",
}  # fmt: skip


OF_OPERATION = {"propose_norm": {"rule_id": "deal-stuck"}}  # one that has a norm


def prepared(api: Api) -> dict[str, str]:
    """A department with something of everything; ids for the places in paths."""
    summed(api)
    ids = dict(PATHS)
    hook = {"account_id": "romashka", "received_at": at("2026-11-23T06:00:00Z"), "facts": 0,
            "content_type": "text/plain", "reason": "not_a_form", "state": "parked",
            "body": b"x"}  # fmt: skip
    api.insert(Inbox, *(hook | {"id": (1_795_417_200_000_000 + n) << 10} for n in range(2)))
    told = {"account_id": "romashka", "id": "alr_1", "key": "k", "receiver": "head",
            "state": "sent", "channel": "telegram", "kind": "opened", "reason": "",
            "text": "", "body": b"", "violations": [f"vio_{1:026d}"], "event_at": 0,
            "created_at": 1, "sent_at": 2, "next_try_at": None, "attempts": 1}  # fmt: skip
    api.insert(Alert, told)
    parked = api.client().get("/v1/inbox").json()["data"]
    return ids | {"alert_id": "alr_1", "inbox_id": parked[0]["id"]}


def operations(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation), those first that others need, removals last."""
    found = [
        (method, path, operation)
        for path, under in openapi.build(api.app)["paths"].items()
        for method, operation in under.items()
        if operation["operationId"] not in OUTSIDE
    ]

    def place(one: tuple[str, str, dict[str, Any]]) -> tuple[int, int, str]:
        name = one[2]["operationId"]
        if name in ORDER:
            return 0, ORDER.index(name), name
        return 2 if one[0] == "delete" or one[1].endswith("/drop") else 1, 0, name

    return sorted(found, key=place)


def run(
    client: httpx.Client, ids: dict[str, str], method: str, path: str, operation: dict[str, Any]
) -> httpx.Response:
    """The operation with the example that stands in the document itself."""
    query = {
        one["name"]: _told(one["example"])
        for one in operation.get("parameters", [])
        if one["in"] == "query" and "example" in one
    }
    content, headers = None, {}
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in media and "multipart" not in kind:
            content, headers = media["example"], {"content-type": kind}
            break
    address = path.format_map(ids | OF_OPERATION.get(operation["operationId"], {}))
    if isinstance(content, str):
        return client.request(method, address, params=query, content=content, headers=headers)
    return client.request(method, address, params=query, json=content)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_every_example_names_an_operation_and_every_body_has_one(api: Api) -> None:
    known = {op["operationId"]: op for _, _, op in operations(api)}
    assert set(EXAMPLES) <= set(known)
    for name, operation in known.items():
        assert "requestBody" not in operation or name in EXAMPLES, name


def test_every_example_runs(api: Api) -> None:
    """Nothing is refused: what the document shows works, and answers as the document says."""
    ids, client = prepared(api), api.client()
    office = make_office(str(api.engine.url))
    api.app.state.services.try_rules = partial(trial.tried, office)
    api.app.state.services.propose_norms = partial(proposing.proposed, office)
    document = openapi.build(api.app)
    ran, refused = set(), {}
    for method, path, operation in operations(api):
        api.seconds.value += 61
        answer = run(client, ids, method, path, operation)
        name = operation["operationId"]
        if answer.status_code >= 300:
            refused[name] = answer.text
        answer_fits(document, operation, answer)
        if name in MADE and name not in refused:
            ids[MADE[name]] = answer.json()["id"]
        ran.add(name)
    assert refused == {}
    assert len(ran) > 110
    office.close()


def test_for_a_key_of_another_account_nothing_is_there(api: Api) -> None:
    """All operations, all examples: refused as for an unknown name, or nothing foreign is told."""
    ids, owner = prepared(api), api.client()
    for name in ORDER:
        for verb, path, operation in operations(api):
            if operation["operationId"] == name:
                answer = run(owner, ids, verb, path, operation)
                if name in MADE:
                    ids[MADE[name]] = answer.json()["id"]
    before = state(owner, ids)
    foreign = api.client(accounts=("vasilek",))
    asked = 0
    for verb, path, operation in operations(api):
        if not path.startswith("/v1/"):
            continue
        api.seconds.value += 61
        answer = run(foreign, ids, verb, path, operation)
        name = operation["operationId"]
        asked += 1
        if "{" in path and re.search(
            r"romashka|vio_|alr_|inb_|abs_|mut_|sub_", path.format_map(ids)
        ):
            assert answer.status_code in (404, 400), (name, answer.text)
        body = answer.text.replace(f'"instance":"{path.format_map(ids)}"', "")
        if answer.status_code < 300:
            assert "romashka" not in body.replace("romashka.yaml", ""), (name, body[:300])
            assert "Ромашка" not in body, name
    assert asked > 100
    assert state(owner, ids) == before


def state(client: httpx.Client, ids: dict[str, str]) -> list[Any]:
    """What may not have moved."""
    paths = (
        "absences", "mutes", f"subscriptions/{ids['subscription_id']}", "inbox", "alerts",
        "rules/versions?account=romashka", "accounts/romashka/settings",
    )  # fmt: skip
    tables = [table(client, name, account="romashka") for name in ("violations", "plans")]
    return [*tables, *(client.get(f"/v1/{path}").json() for path in paths)]
