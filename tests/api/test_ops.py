"""Health, version, metrics, OpenAPI, logs (checklist 70-72, 28)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import log
from service.api import openapi
from service.errors import ConfigError
from service.main import create_app
from service.settings import Settings
from service.store.tables import Inbox
from tests.api.conftest import NOW, Api, StandingClock, Start, at, connect
from tests.api.test_conventions import check_problem


def test_health_and_readiness(api: Api) -> None:
    client = api.anonymous()
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "schema": "ok"}},
    )
    api.checks["database"] = "does not answer"
    down = client.get("/readyz")
    assert (down.status_code, down.json()["status"]) == (503, "not_ready")
    assert down.json()["checks"]["database"] == "does not answer"
    assert down.headers["retry-after"].isdigit()
    assert client.get("/healthz").status_code == 200
    api.checks["database"] = "ok"
    api.app.state.services.ending = True
    ending = client.get("/readyz")
    assert (ending.status_code, ending.json()["status"]) == (503, "stopping")


def test_version(api: Api) -> None:
    document = api.anonymous().get("/version").json()
    assert document == {"version": "0.1.0", "commit": None, "api": "v1"}


def test_metrics_parse_and_name_no_object(both: Api, lines: Any) -> None:
    both.insert(
        Inbox,
        {"account_id": "romashka", "id": 1, "received_at": at("2026-11-23T06:59:00Z"),
         "state": "pending", "content_type": "", "body": b"", "facts": 0},
    )  # fmt: skip
    client = both.client("crm:read")
    client.get("/v1/deals/romashka.1")
    both.anonymous().post("/hooks/amocrm/top-secret-token")
    answer = both.anonymous().get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [s for f in text_string_to_metric_families(answer.text) for s in f.samples]
    by_name = {(s.name, s.labels.get("account")): s.value for s in samples}
    assert by_name["dozor_inbox_depth", None] == 1
    assert by_name["dozor_inbox_oldest_seconds", None] == 60
    assert by_name["dozor_pipeline_lag_seconds", "romashka"] == 60
    assert by_name["dozor_pipeline_lag_seconds", "vasilek"] == 0
    routes = {s.labels["route"] for s in samples if s.name == "dozor_http_request_seconds_count"}
    assert "/v1/deals/{deal_id}" in routes
    for word in ("top-secret-token", "romashka.1", "Иванов"):
        assert word not in answer.text
        assert word == "romashka.1" or word not in lines.getvalue()
    wanted = both.anonymous().get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert wanted.headers["content-type"].startswith("application/openmetrics-text")


def test_metrics_with_a_key_only_if_so_set(sqlite_engine: Any, start: Start) -> None:
    connect(sqlite_engine)
    api = start(sqlite_engine, metrics_public=False)
    check_problem(api.anonymous().get("/metrics"), 401, "unauthenticated")
    check_problem(api.client("crm:read").get("/metrics"), 403, "scope_missing")
    assert api.client("metrics:read").get("/metrics").status_code == 200


def test_a_database_that_is_away_is_503(sqlite_engine: Any, start: Start) -> None:
    connect(sqlite_engine)
    api = start(sqlite_engine)
    client = api.client()
    assert client.get("/v1/deals").status_code == 200
    path = Path(str(sqlite_engine.url.database))
    sqlite_engine.dispose()
    hidden = path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = client.get("/v1/deals")
    check_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"].isdigit()
    stranger = api.anonymous("dzr_7Gm2kQxVbN4cRtYw9ZpLs3HdJf6KaE8u48qevp")
    check_problem(stranger.get("/v1/deals"), 503, "unavailable")
    assert api.anonymous().get("/metrics").status_code == 200
    path.rmdir()
    hidden.rename(path)
    assert client.get("/v1/deals").status_code == 200


def test_openapi_is_complete_and_stable(api: Api) -> None:
    served = api.anonymous().get("/openapi.json")
    schema = served.json()
    assert schema["openapi"].startswith("3.1")
    assert served.text == openapi.dump(openapi.build(api.app))
    assert set(schema["paths"]["/hooks/amocrm/{token}"]["post"]["responses"]) == {
        "200",
        "404",
        "413",
        "503",
    }
    ids = [op["operationId"] for path in schema["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"] or "HTTPValidation" not in str(operation)
            if path.startswith("/v1/"):
                assert {"400", "401", "403", "429", "503"} <= set(operation["responses"])
                assert operation["security"] == [{"bearer": []}, {"basic": []}]
    assert not re.search(r"dzr_[0-9A-Za-z]{38}", served.text)
    lists = [
        parameter
        for operations in schema["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["schema"].get("type") == "array"
    ]
    assert lists
    assert all(parameter["explode"] is False for parameter in lists)


def test_a_rule_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, sqlite_engine: Any
) -> None:
    for name, text in (("missing.yaml", None), ("broken.yaml", "rules: [{")):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        settings = Settings(_env_file=None, rules_file=path)
        with pytest.raises(ConfigError, match=name):
            create_app(settings, sqlite_engine, StandingClock(NOW), ready=dict)


def test_secrets_are_masked_in_lines(lines: Any) -> None:
    logger = log.get("test")
    logger.info(
        "event",
        token="abc",
        nested={"client_secret": "s3cret", "list": ["Bearer abcdefghijkl"]},
        url="https://x.example/hooks/amocrm/0123456789?x=1",
        key="dzr_7Gm2kQxVbN4cRtYw9ZpLs3HdJf6KaE8u48qevp",
        signing="whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        database="postgresql://dozor:hunter2@db/x",
        telegram="https://api.telegram.org/bot123:AAbb/sendMessage",
        portal="https://p.example/rest/1/s3cretpart/crm.deal.list",
        empty_token="",
    )
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines()]
    text = json.dumps(line)
    for secret in ("abc", "s3cret", "0123456789", "7Gm2kQ", "AAECAw", "hunter2", "AAbb"):
        assert secret not in text
    assert line["url"] == "https://x.example/hooks/amocrm/***?x=1"
    assert line["event"] == "event"
    assert line["empty_token"] == ""


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("console", "info")
    log.get("test").info("started", port=8080)
    assert "started" in capsys.readouterr().err


def test_one_line_per_request(api: Api, lines: Any) -> None:
    client = api.client("crm:read")
    client.get("/v1/deals?limit=1", headers={"x-request-id": "my-request-1"})
    client.get("/v1/me")  # on the same connection: the line of the first is written by now
    told = [json.loads(text) for text in lines.getvalue().splitlines()]
    (line,) = [entry for entry in told if entry.get("request_id") == "my-request-1"]
    assert (line["route"], line["status"], line["request_id"]) == ("/v1/deals", 200, "my-request-1")
    assert line["key_id"].startswith("key_")
