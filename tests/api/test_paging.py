"""Walks over many pages (checklist 16-20)."""

import base64
import random
from typing import Any

import httpx
from sqlalchemy import delete, update

from service.store.tables import Deal, Violation
from tests.api.conftest import Api, at, deal_row, violation_row
from tests.api.test_conventions import check_problem

DEALS = Deal.__table__  # type: ignore[attr-defined]
VIOLATIONS = Violation.__table__  # type: ignore[attr-defined]


def walk(client: httpx.Client, address: str, during: Any = None) -> list[dict[str, Any]]:
    """All rows, following `next`; `during(page number)` is called between the pages."""
    found, number, following = [], 0, address
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        found += document["data"]
        link = answer.headers.get("link")
        following = document["next"]
        assert (link is None) == (following is None) == (document["next_cursor"] is None)
        if link:
            assert link == f'<{following}>; rel="next"'
        number += 1
        if during and following:
            during(number)
    return found


def many_deals(api: Api, count: int, seed: int = 1) -> list[str]:
    """Deals with few different amounts and instants, so that ties are the rule."""
    dice = random.Random(seed)
    ids = [f"d{n}" for n in range(count)]
    api.insert(
        Deal,
        *(
            deal_row(
                name, amount=dice.randrange(5), created_at=dice.choice([None, 10, 20, 30]),
                updated_at=dice.randrange(50), closed_at=dice.choice([None, 1, 2]),
                account=dice.choice(["romashka", "vasilek"]),
            )
            for name in ids
        ),
    )  # fmt: skip
    return ids


def test_old_rows_come_once_while_others_come_and_go(both: Api) -> None:
    ids = many_deals(both, 1500)
    both.seconds.value += 61
    client = both.client("crm:read")
    gone: set[str] = set()
    dice = random.Random(7)

    def disturb(number: int) -> None:
        new = [deal_row(f"n{number}-{k}", created_at=dice.randrange(40)) for k in range(20)]
        both.insert(Deal, *new)
        doomed = dice.sample(ids, 5)
        gone.update(doomed)
        with both.engine.begin() as connection:
            connection.execute(delete(DEALS).where(DEALS.c.id.in_(doomed)))

    rows = walk(client, "/v1/deals?limit=100", disturb)
    seen = [row["crm_id"] for row in rows]
    assert len(seen) == len({row["id"] for row in rows})
    assert set(ids) - gone <= set(seen)


def test_sorts_lose_and_double_nothing(both: Api) -> None:
    many_deals(both, 300)
    client = both.client("crm:read")
    for sort in ("-amount", "amount,created_at", "-closed_at,amount", "created_at", "updated_at"):
        both.seconds.value += 61
        rows = walk(client, f"/v1/deals?limit=17&sort={sort}&count=true")
        assert len({row["id"] for row in rows}) == len(rows) == 303
        name = sort.split(",")[0].removeprefix("-")
        values = [row[name]["amount"] if name == "amount" else row[name] for row in rows]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known))
        assert known == sorted(known, reverse=sort.startswith("-"))


def test_total_is_the_length_of_the_walk(api: Api) -> None:
    many_deals(api, 45)
    client = api.client("crm:read")
    first = client.get("/v1/deals?limit=10&count=true&amount[gte]=2").json()
    assert first["total"] == len(walk(client, "/v1/deals?limit=10&amount[gte]=2"))
    last = client.get("/v1/deals?limit=1000").json()
    assert (last["next"], last["next_cursor"]) == (None, None)


def test_open_violations_are_those_of_the_first_page(both: Api) -> None:
    both.insert(
        Violation,
        *(
            violation_row(100 + n, subject_id=f"s{n}", breach_at=at("2026-11-01T00:00:00Z") + n % 7)
            for n in range(60)
        ),
    )
    client = both.client("violations:read")
    expected = {row["id"] for row in client.get("/v1/violations?limit=1000").json()["data"]}

    def pass_time(number: int) -> None:
        both.clock.instant += 60
        with both.engine.begin() as connection:
            gone = [f"vio_{159 - number:026d}", f"vio_{159 - 2 * number:026d}"]
            connection.execute(
                update(VIOLATIONS)
                .where(VIOLATIONS.c.id.in_(gone))
                .values(resolved_at=both.clock.instant)
            )
        both.insert(
            Violation,
            violation_row(900 + number, subject_id="n", breach_at=both.clock.instant - 30),
        )

    rows = walk(client, "/v1/violations?limit=10", pass_time)
    assert {row["id"] for row in rows} == expected
    assert {row["status"] for row in rows} == {"open"}


def test_sorting_violations_by_every_field(both: Api) -> None:
    dice = random.Random(3)
    both.insert(
        Violation,
        *(
            violation_row(
                200 + n, subject_id=f"s{n}", severity=dice.choice(["info", "warning", "critical"]),
                amount=dice.randrange(4), currency=dice.choice(["", "RUB"]),
                breach_at=dice.randrange(100), resolved_at=dice.choice([None, 500, 600]),
            )
            for n in range(80)
        ),
    )  # fmt: skip
    client = both.client("violations:read")
    base = "/v1/violations?status=all&limit=9"
    whole = {row["id"] for row in walk(client, base)}
    assert len(whole) == 86
    for sort in ("severity,-amount", "-severity", "amount", "-amount", "resolved_at",
                 "-resolved_at,severity"):  # fmt: skip
        rows = walk(client, f"{base}&sort={sort}")
        assert [row["id"] for row in rows] != []
        assert {row["id"] for row in rows} == whole
        assert len(rows) == len(whole)


def test_foreign_and_forged_cursors_are_refused(api: Api) -> None:
    many_deals(api, 30)
    client, other = api.client("crm:read"), api.client("crm:read")
    cursor = client.get("/v1/deals?limit=5&sort=-amount").json()["next_cursor"]
    query = {"limit": "5", "sort": "-amount", "cursor": cursor}
    assert client.get("/v1/deals", params=query).status_code == 200
    assert client.get("/v1/deals", params=query | {"limit": "9"}).status_code == 200
    check_problem(
        client.get("/v1/deals", params=query | {"sort": "amount"}), 400, "cursor_mismatch"
    )
    check_problem(
        client.get("/v1/deals", params=query | {"seller": "romashka.7"}), 400, "cursor_mismatch"
    )
    check_problem(client.get("/v1/tasks", params={"cursor": cursor}), 400, "cursor_mismatch")
    check_problem(other.get("/v1/deals", params=query), 400, "cursor_mismatch")
    for place in (0, 5, len(cursor) // 2, len(cursor) - 1):
        forged = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        answer = client.get("/v1/deals", params=query | {"cursor": forged})
        check_problem(answer, 400, "cursor_invalid")
    for text in ("", "c1.", "c1.e30.x", base64.b64encode(b"{}").decode(), "ю"):
        answer = client.get("/v1/deals", params=query | {"cursor": text})
        check_problem(answer, 400, "cursor_invalid")
    api.clock.set("2026-11-24T07:00:00Z")
    check_problem(client.get("/v1/deals", params=query), 400, "cursor_invalid")


def test_next_is_an_address_of_the_public_url(start: Any, sqlite_engine: Any) -> None:
    api = start(sqlite_engine, public_url="https://dozor.example")
    from tests.api.conftest import connect

    connect(sqlite_engine)
    many_deals(api, 3)
    answer = api.client("crm:read").get("/v1/deals?limit=1&amount[gte]=0").json()
    assert answer["next"].startswith("https://dozor.example/v1/deals?limit=1&amount%5Bgte%5D=0&")


def test_short_lists_are_paged_too(api: Api) -> None:
    client = api.client()
    for path in ("/v1/sellers", "/v1/pipelines", "/v1/accounts", "/v1/teams", "/v1/rules"):
        whole = client.get(path, params={"count": "true"}).json()
        rows = walk(client, f"{path}?limit=1")
        assert rows == whole["data"]
        assert whole["total"] == len(rows) > 1
