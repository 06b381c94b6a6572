"""Conventions of api.md 1 over real HTTP (checklist 1-15)."""

import gzip
import json
from typing import Any

import httpx
import pytest

from service.api.router import Route
from tests.api.conftest import Api, Start, connect


class _Ids(dict[str, str]):
    """Ids for the places in a route; those that are not known here name nothing that exists."""

    def __missing__(self, name: str) -> str:
        return f"{name}_1"


PATHS = _Ids(
    violation_id=f"vio_{1:026d}", account_id="romashka", seller_id="romashka.7",
    pipeline_id="romashka.31", deal_id="romashka.1", task_id="romashka.9001",
    rule_id="task-overdue", slug="deals_won",
)  # fmt: skip


def get_paths(api: Api, prefix: str = "/v1/") -> list[str]:
    """The address of every GET route, with ids filled in."""
    return [
        route.path.replace(":path}", "}").format_map(PATHS)
        for route in api.app.routes
        if isinstance(route, Route) and "GET" in route.verbs and route.path.startswith(prefix)
    ]


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:dozor:problem:{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    for fault in document["errors"]:
        given = [fault[name] for name in ("parameter", "pointer", "header")]
        assert sum(value is not None for value in given) == 1
    return document


def test_no_trailing_slash_and_no_redirect(api: Api) -> None:
    client = api.client()
    for path in ("/v1/deals/", "/v1/nothing", "/v1/deals/romashka.1/x", "/v1"):
        check_problem(client.get(path), 404, "not_found")
    for path in ("/nothing", "/", "/deals"):
        check_problem(api.anonymous().get(path), 404, "not_found")
    check_problem(api.anonymous().get("/v1/nothing"), 401, "unauthenticated")


def test_later_endpoints_are_not_there(api: Api) -> None:
    client = api.client()
    for path in ("/v1/silences", "/v1/exports/calls.csv"):
        check_problem(client.get(path), 404, "not_found")
    assert client.get("/odata/v4/calls").status_code == 404


def test_unknown_and_repeated_parameters_are_refused_everywhere(api: Api) -> None:
    client = api.client()
    for path in [*get_paths(api), "/healthz", "/version"]:
        answer = client.get(path, params={"selller": "1"})
        document = check_problem(answer, 400, "unknown_parameter")
        assert document["errors"][0]["parameter"] == "selller"
    listed = client.get("/v1/deals", params={"selller": "1"}).json()
    assert listed["errors"][0]["did_you_mean"][0] == "seller"
    answer = client.get("/v1/deals?limit=5&limit=6")
    check_problem(answer, 400, "duplicate_parameter")


def test_all_faults_of_an_address_are_told_at_once(api: Api) -> None:
    answer = api.client().get("/v1/deals?limit=0&selller=1&created_at[gte]=2026-11-23T10:00:00")
    document = check_problem(answer, 400, "invalid_parameter")
    assert {fault["parameter"] for fault in document["errors"]} == {
        "limit",
        "selller",
        "created_at[gte]",
    }


def test_all_faults_of_a_body_are_told_at_once(api: Api) -> None:
    answer = api.client().post(
        f"/v1/violations/vio_{1:026d}/mute", json={"untill": "x", "reason": 5}
    )
    document = check_problem(answer, 400, "invalid_body")
    faults = {fault["pointer"]: fault for fault in document["errors"]}
    assert set(faults) == {"#/until", "#/reason", "#/untill"}
    assert faults["#/untill"]["code"] == "unknown_field"
    assert faults["#/untill"]["did_you_mean"] == ["until"]
    assert "required" in faults["#/until"]["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "bad_json"),
        (b"\xff\xfe", {}, 400, "bad_json"),
        (b'{"comment": NaN}', {}, 400, "bad_json"),
        (b"[" * 100_000, {}, 400, "bad_json"),
        (b'{"comment": ' + b"[" * 50 + b"]" * 50 + b"}", {}, 400, "bad_json"),
        (b'{"comment": "a\\u0000b"}', {}, 400, "invalid_body"),
        (b'{"comment": 99999999999999999999}', {}, 400, "invalid_body"),
        (b"[]", {}, 400, "invalid_body"),
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"comment=1", {"content-type": "application/x-www-form-urlencoded"}, 415,
         "unsupported_media_type"),
        (b'{"comment": "' + b"x" * 2 * 1024 * 1024 + b'"}', {}, 413, "too_large"),
    ],
)  # fmt: skip
def test_bad_bodies(api: Api, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    answer = api.client().post(
        f"/v1/violations/vio_{1:026d}/ack",
        content=body,
        headers={"content-type": "application/json"} | headers,
    )
    check_problem(answer, status, code)


def test_a_missing_body(api: Api) -> None:
    client = api.client()
    path = f"/v1/violations/vio_{1:026d}"
    json_type = {"content-type": "application/json"}
    check_problem(client.post(f"{path}/mute", headers=json_type), 400, "invalid_body")
    check_problem(client.post(f"{path}/mute"), 415, "unsupported_media_type")
    assert client.post(f"{path}/ack").status_code == 200


def test_only_the_fields_asked_for(api: Api) -> None:
    client = api.client()
    rows = client.get("/v1/deals?fields=id,seller.name,stage&account=romashka").json()["data"]
    assert rows[0] == {
        "id": "romashka.1",
        "seller": {"name": "Иванов"},
        "stage": {"id": "romashka.31.10", "name": "Новая", "kind": "open"},
    }
    teams = client.get("/v1/teams?fields=name,sellers.id").json()["data"]
    assert teams[2] == {"name": "Отдел 5", "sellers": [{"id": "vasilek.7"}]}
    violations = client.get("/v1/violations?fields=deal.id&rule=seller-too-many-deals")
    assert violations.json()["data"] == [{"deal": None}]
    for name in ("nme", "seller.nme", "name.x", "seller.", ".id", "seller.name.x"):
        answer = client.get("/v1/deals", params={"fields": name})
        check_problem(answer, 400, "unknown_name")
    near = client.get("/v1/deals?fields=seler").json()["errors"][0]
    assert (near["parameter"], near["did_you_mean"][0]) == ("fields", "seller")


def test_large_body_without_a_length_is_cut_off(api: Api) -> None:
    def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 65_536

    answer = api.client().post(
        f"/v1/violations/vio_{1:026d}/ack",
        content=pieces(),
        headers={"content-type": "application/json"},
    )
    check_problem(answer, 413, "too_large")


def test_instants_need_a_zone(api: Api) -> None:
    client = api.client()
    naive = client.get("/v1/violations?as_of=2026-11-23T10:00:00")
    assert "no time zone" in check_problem(naive, 400, "invalid_parameter")["detail"]
    blank = client.get("/v1/violations?as_of=2026-11-23T10:00:00+03:00")
    assert "%2B" in check_problem(blank, 400, "invalid_parameter")["detail"]
    encoded = client.get("/v1/violations?as_of=2026-11-23T10:00:00%2B03:00")
    plain = client.get("/v1/violations?as_of=2026-11-23T07:00:00Z")
    assert encoded.json()["data"] == plain.json()["data"]
    for text in ("2026-11-23", "now", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00"):
        check_problem(client.get(f"/v1/violations?as_of={text}"), 400, "invalid_parameter")


def test_head_equals_get_on_every_route(api: Api) -> None:
    client = api.client()
    drop = {"date", "ratelimit", "x-request-id", "transfer-encoding"}  # a stream has no length
    for path in [*get_paths(api), "/healthz", "/readyz", "/version", "/openapi.json"]:
        got, headed = client.get(path), client.head(path)
        assert headed.status_code == got.status_code, path
        assert headed.content == b""
        # a workbook holds the second in which it was written: another length, once it is packed
        own = drop | ({"content-length"} if path.endswith(".xlsx") else set())
        assert {k: v for k, v in headed.headers.items() if k not in own} == {
            k: v for k, v in got.headers.items() if k not in own
        }, path


def test_options_needs_no_key_and_names_the_methods(api: Api) -> None:
    anonymous = api.anonymous()
    for path in get_paths(api, "/"):
        answer = anonymous.options(path)
        assert answer.status_code == 204
        assert {"GET", "HEAD", "OPTIONS"} <= set(answer.headers["allow"].split(", "))
    settings = anonymous.options("/v1/accounts/romashka/settings")
    assert settings.headers["allow"] == "GET, HEAD, OPTIONS, PUT"


def test_wrong_method_names_the_right_ones(api: Api) -> None:
    answer = api.client().post("/v1/deals", json={})
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    hook = api.anonymous().get("/hooks/amocrm/some-token")
    check_problem(hook, 405, "method_not_allowed")
    assert "some-token" not in hook.text


def test_gzip_only_when_asked(api: Api) -> None:
    client = api.client()
    plain = client.get("/v1/violations", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.content) > 1024
    with client.stream("GET", "/v1/violations", headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    small = client.get("/v1/me", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_request_ids(api: Api) -> None:
    client = api.client()
    own = client.get("/v1/me", headers={"x-request-id": "my.request_1"})
    assert own.headers["x-request-id"] == "my.request_1"
    for bad in (b"short", b"x" * 1000, b"with blank in it", "кириллица".encode()):
        answer = client.get("/v1/me", headers={b"x-request-id": bad})
        assert len(answer.headers["x-request-id"]) == 32


def test_cors_is_off_by_default(api: Api) -> None:
    answer = api.client().get("/v1/me", headers={"origin": "https://bi.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = api.anonymous().options("/v1/me", headers={"origin": "https://bi.example"})
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_cors_only_for_the_exact_origin(sqlite_engine: Any, start: Start) -> None:
    connect(sqlite_engine)
    api = start(sqlite_engine, cors_origins="https://bi.example https://other.example")
    client = api.client()
    good = client.get("/v1/me", headers={"origin": "https://bi.example"})
    assert good.headers["access-control-allow-origin"] == "https://bi.example"
    assert "ETag" in good.headers["access-control-expose-headers"]
    for origin in ("https://bi.example.evil.com", "http://bi.example", "null"):
        bad = client.get("/v1/me", headers={"origin": origin})
        assert "access-control-allow-origin" not in bad.headers
    preflight = api.anonymous().options(
        "/v1/me",
        headers={"origin": "https://bi.example", "access-control-request-headers": "authorization"},
    )
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    hook = api.anonymous().post("/hooks/amocrm/x", headers={"origin": "https://bi.example"})
    assert "access-control-allow-origin" not in hook.headers


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "abc", "1.5", "", "9" * 30])
def test_limit_is_bounded(api: Api, limit: str) -> None:
    answer = api.client().get("/v1/deals", params={"limit": limit})
    check_problem(answer, 400, "invalid_parameter")


def test_long_and_odd_addresses_are_refused_not_failed(api: Api) -> None:
    client = api.client()
    check_problem(client.get("/v1/deals?seller=" + "a" * 9000), 413, "too_large")
    check_problem(client.get("/v1/deals?seller=a%00b"), 400, "invalid_parameter")
    check_problem(client.get("/v1/deals?amount[gte]=" + "9" * 25), 400, "invalid_parameter")
    check_problem(client.get("/v1/deals?seller=a,,b"), 400, "invalid_parameter")
    many = ",".join(f"romashka.{n}" for n in range(201))
    check_problem(client.get("/v1/deals", params={"seller": many}), 400, "invalid_parameter")
    for odd in ("romashka.%00", "romashka", "romashka.", "%F0%9F%92%A9", "x" * 300):
        for kind in ("deals", "tasks", "sellers", "pipelines", "violations", "rules", "inbox"):
            check_problem(client.get(f"/v1/{kind}/{odd}"), 404, "not_found")
    check_problem(client.get("/v1/inbox/inb_ZZZZZZZZZZZZZZZZZZZZZZZZZZ"), 404, "not_found")


def test_language_changes_titles_not_codes(api: Api) -> None:
    client = api.client()
    russian = client.get("/v1/violations").json()["data"]
    english = client.get("/v1/violations?lang=en").json()["data"]
    assert [row["rule"]["id"] for row in russian] == [row["rule"]["id"] for row in english]
    assert "Просрочена задача" in {row["rule"]["title"] for row in russian}
    assert "Task overdue" in {row["rule"]["title"] for row in english}
    check_problem(client.get("/v1/violations?lang=de"), 400, "unknown_name")


def test_an_unforeseen_error_says_nothing_of_the_inside(api: Api, lines: Any) -> None:
    def broken() -> dict[str, str]:
        raise RuntimeError("secret inside /srv/x.py SELECT")

    api.app.state.services.ready = broken
    answer = api.anonymous().get("/readyz")
    document = check_problem(answer, 500, "internal")
    assert "secret" not in json.dumps(document)
    assert "request_failed" in lines.getvalue()


def test_no_field_is_missing_and_instants_end_in_z(api: Api) -> None:
    client = api.client()

    def walk(value: Any, name: str = "") -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, key)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, name)
        elif name.endswith("_at") and value is not None:
            assert value.endswith("Z"), (name, value)
            assert len(value) == 20
        elif name in ("id", "crm_id"):
            assert isinstance(value, str)

    for path in (one for one in get_paths(api) if "/exports/" not in one):  # files
        answer = client.get(path)
        is_json = answer.headers["content-type"].startswith("application/json")
        if answer.status_code == 200 and is_json:  # exports are files
            document = answer.json()
            walk(document)
            rows = document.get("data", [])
            assert all(set(row) == set(rows[0]) for row in rows)
