"""Keys, scopes, accounts (checklist 21-28)."""

import base64
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.api.router import Route
from service.errors import ConfigError
from service.store.engine import reading, transaction
from service.store.keys import (
    SCOPES,
    create_key,
    find_key,
    is_well_formed,
    keys,
    new_secret,
    revoke_key,
)
from service.store.records import Audit
from tests.api.conftest import Api, at
from tests.api.test_conventions import PATHS, check_problem, get_paths

FREE = {  # routes that decide by themselves, and the scopes of which one is enough
    "/v1/me": set(SCOPES),
    "/v1/changes": {"crm:read", "kpi:read", "violations:read"},
}


def test_form_of_keys() -> None:
    assert is_well_formed("dzr_7Gm2kQxVbN4cRtYw9ZpLs3HdJf6KaE8u48qevp")
    assert not is_well_formed("dzr_7Gm2kQxVbN4cRtYw9ZpLs3HdJf6KaE8u48qevq")
    assert not is_well_formed("dzr_8Gm2kQxVbN4cRtYw9ZpLs3HdJf6KaE8u48qevp")
    assert not is_well_formed("")
    made = {new_secret() for _ in range(200)}
    assert len(made) == 200
    assert all(is_well_formed(secret) and len(secret) == 42 for secret in made)


def test_all_wrong_keys_look_alike(api: Api) -> None:
    revoked, expired = api.key(), api.key(expires_at=at("2026-11-23T08:00:00Z"))
    with transaction(api.engine) as connection:
        row = find_key(connection, revoked)
        assert row is not None
        revoke_key(connection, row.id, api.clock.instant)
    api.clock.set("2026-11-23T08:00:00Z")
    good = api.key()
    wrong = [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer x"},
        {"authorization": f"Token {good}"},
        {"authorization": f"Bearer {good[:-1]}"},
        {"authorization": f"Bearer {new_secret()}"},
        {"authorization": f"Bearer {revoked}"},
        {"authorization": f"Bearer {expired}"},
        {"authorization": "Basic " + base64.b64encode(f"{good}:".encode()).decode()},
        {"authorization": "Basic %%%"},
    ]
    bodies = set()
    for headers in wrong:
        answer = httpx.get(f"{api.url}/v1/deals", headers=headers)
        document = check_problem(answer, 401, "unauthenticated")
        document.pop("request_id")
        bodies.add(json.dumps(document))
        assert answer.headers["www-authenticate"] == 'Bearer realm="Dozor"'
    assert len(bodies) == 1
    odata = httpx.get(f"{api.url}/odata/v4")
    assert odata.headers["www-authenticate"].startswith('Basic realm="Dozor"')


def test_basic_with_the_key_as_password(api: Api) -> None:
    secret = api.key("crm:read")
    assert httpx.get(f"{api.url}/v1/deals", auth=("anybody", secret)).status_code == 200
    assert httpx.get(f"{api.url}/v1/deals", auth=("", secret)).status_code == 200


def test_a_key_in_an_address_is_refused_and_noted(api: Api, lines: Any) -> None:
    secret = api.key("crm:read")
    client = api.anonymous(secret)
    for path in [*get_paths(api, "/"), "/nothing"]:
        answer = client.get(path, params={"x": secret})
        if path.startswith("/odata"):  # it says errors in its own form
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "key_in_query")
        else:
            check_problem(answer, 400, "key_in_query")
        assert secret not in answer.text
    for name in ("key", "api_key", "APIKEY", "token", "access_token"):
        check_problem(client.get("/v1/deals", params={name: "1"}), 400, "key_in_query")
    check_problem(client.get(f"/v1/deals/{secret}"), 400, "key_in_query")
    with reading(api.engine) as connection:
        table = Audit.__table__  # type: ignore[attr-defined]
        noted = connection.execute(select(table).where(table.c.what == "key.exposed")).all()
    assert noted
    assert all(secret not in str(row) for row in noted)
    assert secret not in lines.getvalue()


def test_every_route_asks_for_its_scope(api: Api) -> None:
    """All routes x all scopes: 403 exactly where the scope lacks, naming it."""
    clients = {scope: api.client(scope) for scope in SCOPES}
    keyed = [r for r in api.app.routes if isinstance(r, Route) and r.path.startswith("/v1/")]
    assert len(keyed) > 20
    for route in keyed:
        for method in sorted(route.verbs):
            for scope, client in clients.items():
                api.seconds.value += 61
                path = route.path.format_map(PATHS)
                answer = client.request(method, path, headers={"content-type": "text/none"})
                if scope not in ("admin", *FREE.get(route.path, SCOPES)):
                    document = check_problem(answer, 403, "scope_missing")
                    assert document["required_scope"] in FREE[route.path]
                    continue
                needed = set(route.scopes) - {scope}
                if needed and scope != "admin":
                    document = check_problem(answer, 403, "scope_missing")
                    assert document["required_scope"] in needed
                else:
                    assert answer.status_code not in (401, 403), (method, path, scope)


def test_routes_under_v1_name_a_scope(api: Api) -> None:
    free = [
        route.path
        for route in api.app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/") and not route.scopes
    ]
    assert sorted(free) == sorted(FREE)


def test_scope_is_decided_before_the_body_and_the_object(api: Api) -> None:
    client = api.client("crm:read")
    answer = client.post("/v1/violations/vio_nothing/ack", content=b"{")
    check_problem(answer, 403, "scope_missing")
    put = client.put("/v1/accounts/romashka/settings", json={"currency": "USD"})
    check_problem(put, 403, "scope_missing")
    shown = api.client().get("/v1/accounts/romashka/settings").json()
    assert shown["currency"] is None


def test_nothing_of_another_account_exists(both: Api) -> None:
    client = both.client(accounts=("vasilek",))
    for path in (
        "/v1/deals/romashka.1",
        "/v1/deals/romashka.1/timeline",
        "/v1/tasks/romashka.9001",
        "/v1/sellers/romashka.7",
        "/v1/pipelines/romashka.31",
        "/v1/accounts/romashka",
        "/v1/accounts/romashka/settings",
        f"/v1/violations/vio_{1:026d}",
    ):
        answer = client.get(path)
        made_up = client.get(path.replace("romashka", "nobody").replace("vio_0", "vio_9"))
        first, second = check_problem(answer, 404, "not_found"), made_up.json()
        for document in (first, second):
            document.pop("request_id")
            document.pop("instance")
        assert first == second
    lists = (
        *("deals", "tasks", "sellers", "pipelines", "accounts", "teams", "inbox", "rules"),
        *("violations?status=all", "violations/summary?by=account", "deals?account=romashka"),
        *("deals?seller=romashka.7", "violations?subject=task:romashka.9001"),
    )
    for path in (f"/v1/{name}" for name in lists):
        assert "romashka" not in client.get(path).text
    assert client.get("/v1/deals?count=true").json()["total"] == 1
    assert client.get("/v1/violations?status=all&count=true").json()["total"] == 1
    acked = client.post(f"/v1/violations/vio_{1:026d}/ack", json={"comment": ""})
    check_problem(acked, 404, "not_found")


def test_tags_tell_nothing_of_other_accounts(api: Api) -> None:
    client = api.client("crm:read", accounts=("vasilek",))
    before = client.get("/v1/deals").headers["etag"]
    api.touch("romashka")
    assert client.get("/v1/deals").headers["etag"] == before
    api.touch("vasilek")
    assert client.get("/v1/deals").headers["etag"] != before


def test_a_revoked_key_dies_within_five_seconds(api: Api) -> None:
    secret = api.key("crm:read")
    client = api.anonymous(secret)
    assert client.get("/v1/me").status_code == 200
    with transaction(api.engine) as connection:
        row = find_key(connection, secret)
        assert row is not None
        revoke_key(connection, row.id, api.clock.instant)
    api.seconds.value += 5
    check_problem(client.get("/v1/me"), 401, "unauthenticated")


def test_an_expiry_needs_no_look_at_the_database(api: Api) -> None:
    client = api.anonymous(api.key("crm:read", expires_at=at("2026-11-23T07:00:10Z")))
    assert client.get("/v1/me").status_code == 200
    api.clock.set("2026-11-23T07:00:10Z")
    check_problem(client.get("/v1/me"), 401, "unauthenticated")


def test_use_is_remembered_to_the_minute(api: Api) -> None:
    client = api.client("crm:read")
    client.get("/v1/me")
    api.app.state.services.keys.settle()
    with reading(api.engine) as connection:
        (row,) = keys(connection)
    assert row.last_used_at == at("2026-11-23T07:00:00Z")


def test_many_wrong_keys_close_the_door_for_a_minute(api: Api) -> None:
    good = api.client("crm:read")
    bad = api.anonymous("dzr_wrong")
    for _ in range(20):
        check_problem(bad.get("/v1/me"), 401, "unauthenticated")
    limited = bad.get("/v1/me")
    check_problem(limited, 429, "rate_limited")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    api.seconds.value += 61
    assert good.get("/v1/me").status_code == 200


def test_601_requests_in_a_minute(api: Api) -> None:
    first, second = api.client("crm:read"), api.client("crm:read")
    for _ in range(600):
        assert first.get("/v1/me").status_code == 200
    over = first.get("/v1/me")
    check_problem(over, 429, "rate_limited")
    assert over.headers["retry-after"].isdigit()
    assert over.headers["ratelimit"].startswith('"key";r=0;t=')
    assert over.headers["ratelimit-policy"] == '"key";q=600;w=60'
    assert second.get("/v1/me").status_code == 200
    api.seconds.value += 60
    assert first.get("/v1/me").status_code == 200


def test_creating_a_key_refuses_what_cannot_be_meant(api: Api) -> None:
    now = api.clock.instant
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scope"),
        ({"scopes": ["crm:raed"]}, "did you mean crm:read"),
        ({"accounts": []}, "account"),
        ({"accounts": ["nobody"]}, "nobody"),
        ({"expires_at": now}, "expires"),
    ]
    good: dict[str, Any] = {"name": "n", "scopes": ["crm:read"], "accounts": ["*"], "now": now}
    for change, text in cases:
        with pytest.raises(ConfigError, match=text), transaction(api.engine) as connection:
            create_key(connection, **(good | change))
    with pytest.raises(ConfigError, match="key"), transaction(api.engine) as connection:
        revoke_key(connection, "key_nothing", now)
    with reading(api.engine) as connection:
        assert keys(connection) == []


def test_the_secret_is_stored_nowhere(api: Api) -> None:
    secret = api.key("crm:read")
    with reading(api.engine) as connection:
        rows = connection.exec_driver_sql("select * from api_key").all()
        audit = connection.exec_driver_sql("select * from audit").all()
    assert secret not in str(rows) + str(audit)
    assert secret[:12] in str(rows)


def test_me_tells_who_the_key_is(api: Api) -> None:
    document = api.client("crm:read", accounts=("romashka",)).get("/v1/me").json()
    assert document["key"]["scopes"] == ["crm:read"]
    assert document["key"]["accounts"] == ["romashka"]
    assert document["now"] == "2026-11-23T07:00:00Z"
    assert len(document["key"]["prefix"]) == 12
