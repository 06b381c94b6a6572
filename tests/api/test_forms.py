"""CSV of figures, bulk limits, the end of long queries, addresses behind a proxy."""

import asyncio
import csv
import io
import threading
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from service.api import deps
from service.api.forwarded import Forwarded
from service.store import rollups
from service.store.engine import reading, transaction
from service.store.reads.faults import is_too_long, is_unavailable
from service.store.tables import Deal
from tests.api.conftest import Api, deal_row
from tests.api.test_conventions import check_problem
from tests.api.test_exports import figures

KPIS = "/v1/kpis/query?metrics=receipts,deals_won&dimensions=seller&from=2026-11-01&to=2026-11-30"
PLAN_FACT = "/v1/plan-fact?period=2026-11&by=seller"
SUMMARY = "/v1/violations/summary?by=rule,seller"


def summed(api: Api) -> None:
    """Figures, with the rollups that queries read."""
    figures(api)
    with transaction(api.engine) as connection:
        for account in ("romashka", "vasilek"):
            rollups.rebuild(connection, account)


def rows_of(answer: httpx.Response, mark: str = ",") -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    content = answer.content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline=""), delimiter=mark))


@pytest.mark.parametrize("path", [KPIS, PLAN_FACT, SUMMARY])
def test_csv_holds_what_json_does(both: Api, path: str) -> None:
    summed(both)
    client = both.client()
    told = client.get(path).json()["data"]
    rows = rows_of(client.get(f"{path}&format=csv"))
    assert len(rows) == len(told) > 0
    for row, should in zip(rows, told, strict=True):
        for name, value in should.items():
            if isinstance(value, dict):
                for inner, content in value.items():
                    assert row[f"{name}_{inner}"] == _text(content)
            elif name not in ("seller", "team") or not path.startswith("/v1/plan"):
                assert row[name] == _text(value)
    assert all(set(row) == set(rows[0]) for row in rows)


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_russian_excel_and_the_post_form(api: Api) -> None:
    summed(api)
    client = api.client(accounts=("romashka",))
    body = {"metrics": ["receipts"], "grain": "day", "from": "2026-11-10", "to": "2026-11-10",
            "money": "major"}  # fmt: skip
    answer = client.post("/v1/kpis/query?format=csv&dialect=excel_ru", json=body)
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = rows_of(answer, ";")
    assert rows[0]["period"] == "10.11.2026"
    assert rows[0]["receipts"] == "2000,0"
    oldest = rows_of(client.get(f"{SUMMARY}&format=csv&dialect=excel_ru"), ";")
    assert oldest[0]["oldest_breach_at"] == "20.11.2026 09:00:00"
    nothing = rows_of(client.get(f"{SUMMARY}&format=csv&account=nobody"))
    assert nothing == []
    assert client.get(f"{SUMMARY}&account=nobody&format=csv").text.startswith("rule,seller,count")


def test_accept_chooses_and_format_wins(api: Api) -> None:
    client = api.client()
    for accept, kind in (
        ("text/csv", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/csv;q=0.3, application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/csv;q=x", "application/json"),
    ):
        answer = client.get(SUMMARY, headers={"accept": accept})
        assert answer.headers["content-type"].startswith(kind), accept
        assert "Accept" in answer.headers["vary"]
    answer = client.get(f"{SUMMARY}&format=json", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"
    check_problem(client.get(f"{SUMMARY}&format=xml"), 400, "unknown_name")
    check_problem(client.get("/v1/deals?format=csv"), 400, "unknown_parameter")
    tags = {client.get(f"{SUMMARY}{more}").headers["etag"]
            for more in ("", "&format=csv", "&format=csv&dialect=excel_ru")}  # fmt: skip
    assert len(tags) == 3
    tag = client.get(KPIS + "&format=csv").headers["etag"]
    known = {"if-none-match": tag}
    assert client.get(KPIS + "&format=csv", headers=known).status_code == 304
    assert client.get(KPIS, headers=known).status_code == 200


def test_bulk_has_its_own_limit(api: Api) -> None:
    client = api.client()
    first = client.get("/odata/v4/sellers?$top=1")
    assert first.headers["ratelimit-policy"] == '"bulk";q=1200;w=60'
    assert first.headers["ratelimit"].startswith('"bulk";r=1199')
    export = client.get("/v1/exports/sellers.csv")
    assert export.headers["ratelimit"].startswith('"bulk";r=1198')
    assert client.get("/v1/me").headers["ratelimit"].startswith('"key";r=599')
    limiter = api.app.state.services.bulk
    key = client.get("/v1/me").json()["key"]["id"]
    for _ in range(1198):
        limiter.take(key)
    over = client.get("/odata/v4/sellers?$top=1")
    assert (over.status_code, over.json()["error"]["code"]) == (429, "rate_limited")
    assert over.headers["retry-after"].isdigit()
    assert client.get("/v1/me").status_code == 200
    assert api.client().get("/v1/exports/sellers.csv").status_code == 200


def test_four_run_at_once_and_the_fifth_waits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    held, free = threading.Semaphore(0), threading.Event()
    original = deps.Call.read_long

    def slow(self: deps.Call) -> Any:
        held.release()
        assert free.wait(10)
        return original(self)

    client = api.client()
    found: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(deps.Call, "read_long", slow)
        threads = [
            threading.Thread(
                target=lambda: found.append(client.get("/v1/exports/deals.csv").status_code)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert held.acquire(timeout=10)
        refused = client.get("/odata/v4/deals")
        assert refused.json()["error"]["code"] == "too_many_running"
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert client.get("/v1/deals").status_code == 200
        free.set()
        for thread in threads:
            thread.join(10)
    assert found == [200] * 4
    for _ in range(6):  # all places are free again, also after a refusal
        assert client.get("/v1/exports/deals.csv?columns=x").status_code == 400
    assert client.get("/v1/exports/deals.csv").status_code == 200


def test_a_query_that_takes_too_long_is_stopped(engine: Engine) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000000) "
        "SELECT count(*) FROM n"
    )
    begun = time.monotonic()
    with pytest.raises(Exception, match=r".") as told, reading(engine, 0.2) as connection:
        connection.execute(text(endless))
    assert is_too_long(told.value)
    assert not is_unavailable(told.value)
    assert time.monotonic() - begun < 5
    with reading(engine) as connection:  # the limit is not of the connection
        many = endless.replace("900000000", "300000")
        assert connection.execute(text(many)).scalar() == 300_000


def test_it_is_a_problem_of_the_query(both: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    both.insert(Deal, *(deal_row(f"x{n}", name=f"Сделка {n} " * 9) for n in range(1500)))
    client = both.client()
    monkeypatch.setattr(deps, "QUERY_SECONDS", 0.001)
    query = {"$filter": "contains(tolower(name),'нет такой') or contains(toupper(name),'НЕТ')"}
    answer = client.get("/odata/v4/deals", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "query_timeout")
    assert client.get("/v1/exports/deals.csv").status_code == 200  # files have no such limit


def test_only_trusted_proxies_are_believed(api: Api) -> None:
    secret = api.key()

    async def ask(trusted: str, address: str, headers: dict[str, str]) -> str:
        app: Any = Forwarded(api.app, trusted)
        transport = httpx.ASGITransport(app=app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://inside:8080") as client:
            client.headers["authorization"] = f"Bearer {secret}"
            answer = await client.get("/odata/v4", headers=headers)
        return str(answer.json()["@odata.context"]).removesuffix("/odata/v4/$metadata")

    said = {"x-forwarded-proto": "https", "x-forwarded-host": "dozor.example:8443"}
    port = {"x-forwarded-proto": "https", "x-forwarded-host": "a.b", "x-forwarded-port": "8443"}
    usual = port | {"x-forwarded-port": "443"}
    for trusted, address, headers, expected in (
        ("127.0.0.1", "127.0.0.1", said, "https://dozor.example:8443"),
        ("127.0.0.1", "127.0.0.1", port, "https://a.b:8443"),
        ("127.0.0.1", "127.0.0.1", usual, "https://a.b"),
        ("10.0.0.0/8, ::1", "10.3.2.1", said, "https://dozor.example:8443"),
        ("127.0.0.1", "10.3.2.1", said, "http://inside:8080"),
        ("", "127.0.0.1", said, "http://inside:8080"),
        ("127.0.0.1", "127.0.0.1", {"x-forwarded-host": "evil/x?"}, "http://inside:8080"),
        ("127.0.0.1", "127.0.0.1", {"x-forwarded-proto": "https"}, "https://inside:8080"),
    ):
        assert asyncio.run(ask(trusted, address, headers)) == expected, headers
