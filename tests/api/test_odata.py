"""OData over raw HTTP: what Power Query and Excel ask, page by page, and what nobody should."""

from base64 import b64encode
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from service.kpi.tables import TABLES
from service.store.tables import Deal
from tests.api.conftest import Api, at, deal_row
from tests.api.test_exports import figures, table

ROOT = "/odata/v4"
MASHUP = (
    "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,"
    "application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7"
)
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


def ask(client: httpx.Client, path: str, **options: str) -> httpx.Response:
    answer = client.get(f"{ROOT}/{path}", params={f"${k}": v for k, v in options.items()})
    assert answer.headers.get_list("odata-version") == ["4.0"]
    return answer


def ids(client: httpx.Client, name: str, **options: str) -> list[str]:
    answer = ask(client, name, **options)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["value"]]


def test_the_documents_name_all_sets_and_each_answers(both: Api) -> None:
    client = both.client()
    client.headers["accept"] = MASHUP
    for path in (ROOT, f"{ROOT}/"):
        listed = client.get(path)
        assert listed.headers["content-type"].startswith("application/json;odata.metadata=minimal")
        assert [row["name"] for row in listed.json()["value"]] == list(TABLES)
    answer = ask(client, "$metadata")
    assert answer.headers["content-type"].startswith("application/xml")
    document = ET.fromstring(answer.text)
    for prop in document.iter(f"{EDM}Property"):
        if prop.get("Type") == "Edm.Decimal":
            assert (prop.get("Precision"), prop.get("Scale")) == ("18", "3")
    for found in document.iter(f"{EDM}EntitySet"):
        assert ask(client, str(found.get("Name"))).status_code == 200
    assert ask(both.client("kpi:read"), "deals").status_code == 403
    told = both.client("kpi:read").get(ROOT).json()["value"]
    assert [row["name"] for row in told] == ["metrics", "kpi_daily", "plans"]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_rows_are_those_of_the_exports_and_of_the_own_accounts(both: Api, name: str) -> None:
    figures(both)
    exported: list[str] = []
    for accounts in (("*",), ("vasilek",)):
        client = both.client(accounts=accounts)
        exported = [row["id"] for row in table(client, name)]
        assert ids(client, name) == exported
        assert ask(client, f"{name}/$count").text == str(len(exported))
        one = ask(client, f"{name}('{exported[-1]}')")
        assert one.json()["id"] == exported[-1]
    foreign = ask(both.client(accounts=("romashka",)), f"{name}('{exported[-1]}')")
    own = name == "violations" or exported[-1].startswith("vasilek")
    assert own
    assert foreign.status_code == 404
    assert foreign.json()["error"]["code"] == "not_found"


def test_a_walk_comes_to_the_count(both: Api) -> None:
    both.insert(
        Deal,
        *(deal_row(f"w{n}", amount=n % 3, closed_at=None if n % 2 else 1_760_000_000 + n)
          for n in range(23)),
    )  # fmt: skip
    client = both.client()
    for order in ("id", "amount desc,name", "closed_at desc", "created_date,closed_at"):
        client.headers["prefer"] = "odata.maxpagesize=5"
        answer = ask(client, "deals", orderby=order, count="true", filter="amount lt 100000")
        found: list[str] = []
        while True:
            page = answer.json()
            assert answer.headers["preference-applied"] == "odata.maxpagesize=5"
            found += [row["id"] for row in page["value"]]
            if "@odata.nextLink" not in page:
                break
            assert page["@odata.nextLink"].startswith(f"{both.url}{ROOT}/deals?")
            answer = client.get(page["@odata.nextLink"])
        assert len(found) == len(set(found)) == page["@odata.count"] == 25
        del client.headers["prefer"]
        assert found == ids(client, "deals", orderby=order, filter="amount lt 100000")
    client.headers["prefer"] = "odata.maxpagesize=5"
    first = ask(client, "deals", top="7", skip="2").json()
    rest = client.get(first["@odata.nextLink"]).json()
    assert (len(first["value"]), len(rest["value"])) == (5, 2)
    assert "@odata.nextLink" not in rest
    forged = first["@odata.nextLink"].replace("top=7", "top=9")
    assert client.get(forged).json()["error"]["code"] == "cursor_invalid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name eq 'it''s'", ["q"]),
        ("amount eq 19.99", ["q"]),
        ("19.99 eq amount", ["q"]),
        ("amount gt 19.98 and amount lt 20", ["q"]),
        ("closed_at eq null and status ne 'open'", []),
        ("closed_at ne null", ["2"]),
        ("not (source eq 'site')", ["2", "q"]),
        ("source ne 'site'", ["2", "q"]),
        ("status in ('won','lost')", ["2"]),
        ("contains(tolower(name),'окна')", ["1"]),
        ("startswith(name,'it') or endswith(name,'5')", ["1", "q"]),
        ("created_date eq 2026-11-01", ["q"]),
        ("created_at ge 2026-10-31T21:30:00.0000000Z and created_at lt 2026-11-01T03:00:00%2B03:00"
         .replace("%2B", "+"), ["q"]),
        ("year(created_date) eq 2026 and month(created_at) eq 10", ["q"]),
        ("date(created_at) eq 2026-10-31", ["q"]),
        ("stage_name eq 'нет такой'", []),
        ("violations_open gt 0", ["1"]),
        ("pipeline_id eq 'vasilek.0'", []),
    ],
)  # fmt: skip
def test_filters(both: Api, text: str, expected: list[str]) -> None:
    both.insert(
        Deal, deal_row("q", name="it's", amount=1999, created_at=at("2026-10-31T21:30:00Z"))
    )
    found = ids(both.client(accounts=("romashka",)), "deals", filter=text)
    assert [one.removeprefix("romashka.") for one in found] == expected


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"top": "0"}, 200), ({"top": "-1"}, 400), ({"skip": "1000000000"}, 200),
        ({"select": "nope"}, 400), ({"orderby": "nope"}, 400), ({"format": "atom"}, 406),
        ({"format": "json"}, 200), ({"expand": "seller"}, 400), ({"search": "a"}, 501),
        ({"apply": "a"}, 501), ({"filter": "1 eq 1 or"}, 400), ({"filter": "') or 1=1--"}, 400),
        ({"filter": "(" * 2000}, 400), ({"filter": "name eq '\u0000'"}, 400),
        ({"filter": "sleep(1) eq 1"}, 400), ({"filter": "amount add 1 eq 2"}, 501),
        ({"filter": "amount eq 'a'"}, 400), ({"filter": "name"}, 400),
        ({"filter": "nope eq 1"}, 400),
        ({"filter": "amount eq 999999999999999999"}, 200), ({"filter": ""}, 400),
        ({"filter": "created_at gt 9999-99-99T00:00:00Z"}, 400), ({"count": "maybe"}, 400),
        ({"filter": " or ".join(["amount eq 1"] * 200)}, 400), ({"skiptoken": "c1.e30.0"}, 400),
        ({"orderby": "url"}, 501), ({"filter": "open_tasks eq 5000000000"}, 200),
    ],
)  # fmt: skip
def test_whatever_is_asked_is_never_500(both: Api, options: dict[str, str], status: int) -> None:
    answer = ask(both.client(accounts=("romashka",)), "deals", **options)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert set(answer.json()["error"]) == {"code", "message", "target", "details"}
    else:
        assert len(answer.json()["value"]) <= 2


def test_headers_and_keys(api: Api) -> None:
    secret = api.key()
    client = api.anonymous()
    refused = client.get(f"{ROOT}/deals")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert refused.json()["error"]["code"] == "unauthenticated"
    client.headers["authorization"] = "Basic " + b64encode(f"anyone:{secret}".encode()).decode()
    answer = client.get(f"{ROOT}/deals?%24top=1&%24select=id,amount&foo=bar")
    context = f"{api.url}{ROOT}/$metadata#deals(id,amount)"
    row: dict[str, Any] = {"id": "romashka.1", "amount": 125000.0}
    assert answer.json() == {"@odata.context": context, "value": [row]}
    assert '"amount":125000.00' in answer.text
    texts = client.get(
        f"{ROOT}/deals?$top=1", headers={"accept": "application/json;IEEE754Compatible=true"}
    )
    assert texts.json()["value"][0]["amount"] == "125000.00"
    assert client.get(f"{ROOT}/deals", headers={"OData-MaxVersion": "3.0"}).status_code == 400
    assert client.post(f"{ROOT}/deals").status_code == 405
    assert client.get(f"{ROOT}/nothing").status_code == 404
