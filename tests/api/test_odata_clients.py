"""OData as real clients use it: `python-odata` reflects and walks, and Power BI's own requests."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import requests
from odata import ODataService

from service.kpi.tables import TABLES
from service.store.tables import Deal
from tests.api.conftest import Api, deal_row
from tests.api.test_exports import figures, table

ROOT = "/odata/v4"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
MASHUP = {
    "odata-maxversion": "4.0",
    "maxdataserviceversion": "3.0",
    "user-agent": "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)",
    "accept-encoding": "gzip, deflate",
    "accept": "application/json;odata.metadata=minimal;q=1.0,"
    "application/json;odata=minimalmetadata;q=0.9,application/atomsvc+xml;q=0.8,"
    "application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7",
}


def test_a_client_library_reflects_filters_and_walks(both: Api) -> None:
    figures(both)
    both.insert(Deal, *(deal_row(f"w{n:02}", amount=n * 100) for n in range(7)))
    session = requests.Session()
    session.auth = ("anyone", both.key())
    session.headers["prefer"] = "odata.maxpagesize=3"
    service = ODataService(f"{both.url}{ROOT}", session=session, reflect_entities=True)
    assert set(service.entities) == set(TABLES)
    deals = service.entities["deals"]
    found = list(service.query(deals).order_by(deals.id.asc()))
    client = both.client()
    told = table(client, "deals")
    assert [row.id for row in found] == [row["id"] for row in told]  # over all pages
    assert [row.amount for row in found] == [float(row["amount"]) for row in told]
    assert found[0].created_at is not None
    query = service.query(deals).filter((deals.amount > 2) & deals.name.contains("w"))
    assert [row.id for row in query] == [f"romashka.w{n:02}" for n in range(3, 7)]
    one = service.query(deals).get("romashka.1")
    assert one.name == "Окна, ул. Мира 5"
    daily = service.entities["kpi_daily"]
    rows = list(service.query(daily).filter(daily.metric == "receipts"))
    assert {row.account_id for row in rows} == {"romashka", "vasilek"}
    session.close()


def test_what_power_bi_asks_is_answered_as_it_wants(both: Api) -> None:
    """Service document, metadata, preview, count, folded filter, walk; each also by HEAD."""
    figures(both)
    client = both.anonymous()
    client.headers.update(MASHUP)
    first = client.get(ROOT)
    assert (first.status_code, first.headers["www-authenticate"][:5]) == (401, "Basic")
    client.auth = httpx.BasicAuth("anyone", both.key())
    document = ask(client, ROOT)
    sets = {one["name"]: one["url"] for one in document["value"]}
    assert sets == {name: name for name in TABLES}
    types = metadata(client)
    for name in sets:
        page = ask(client, f"{ROOT}/{name}?$top=1000")
        assert page["value"], name
        for row in page["value"]:
            check_row(types[name], row)
        count = client.get(f"{ROOT}/{name}/$count")
        assert min(int(count.text), 1000) == len(page["value"])
        assert count.headers["content-type"].startswith("text/plain")
    since = "2020-02-03T04%3A05%3A06Z"
    for query in (
        f"$filter=updated_at%20ge%20{since}&$select=id,updated_at&$top=1000",
        f"%24filter=created_at%20ge%20{since}%20and%20created_at%20lt%202027-01-01T00%3A00%3A00%2B01%3A00",
        "$skip=1&$top=1&$orderby=id&$count=true",
        "$top=0",
    ):
        page = ask(client, f"{ROOT}/deals?{query}")
        assert (page["value"] == []) == (query == "$top=0")
    client.headers["prefer"] = "odata.maxpagesize=2"
    walked: list[str] = []
    address = f"{ROOT}/deals?$select=id"
    while address:
        page = ask(client, address)
        walked += [row["id"] for row in page["value"]]
        address = page.get("@odata.nextLink", "")
        assert not address or address.startswith(f"{both.url}{ROOT}/deals?")
    assert walked == [row["id"] for row in table(both.client(), "deals")]
    missing = client.get(f"{ROOT}/nothing")
    assert (missing.status_code, set(missing.json())) == (404, {"error"})


EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"
GRAMMAR: dict[str, tuple[list[str], set[str], set[str]]] = {  # children in order, attributes
    f"{EDMX}Edmx": ([f"{EDMX}DataServices"], {"Version"}, set()),
    f"{EDMX}DataServices": ([f"{EDM}Schema"], set(), set()),
    f"{EDM}Schema": ([f"{EDM}EntityType", f"{EDM}EntityContainer"], {"Namespace"}, {"Alias"}),
    f"{EDM}EntityType": ([f"{EDM}Key", f"{EDM}Property"], {"Name"}, set()),
    f"{EDM}Key": ([f"{EDM}PropertyRef"], set(), set()),
    f"{EDM}PropertyRef": ([], {"Name"}, {"Alias"}),
    f"{EDM}Property": (
        [f"{EDM}Annotation"], {"Name", "Type"}, {"Nullable", "Precision", "Scale", "MaxLength"},
    ),
    f"{EDM}Annotation": ([], {"Term", "String"}, set()),
    f"{EDM}EntityContainer": ([f"{EDM}EntitySet"], {"Name"}, set()),
    f"{EDM}EntitySet": ([], {"Name", "EntityType"}, set()),
}  # fmt: skip


def ask(client: httpx.Client, path: str) -> dict[str, Any]:
    """An answer with what Power Query insists on; HEAD says the same."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers.get_list("odata-version") == ["4.0"]
    kind = "application/json;odata.metadata=minimal;charset=utf-8"
    assert answer.headers["content-type"].replace("; ", ";") == kind
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]
    found: dict[str, Any] = answer.json()
    assert found["@odata.context"].startswith(f"{client.base_url}".rstrip("/") + ROOT)
    return found


def metadata(client: httpx.Client) -> dict[str, dict[str, tuple[str, bool]]]:
    """Set -> property -> (type, nullable), read strictly: CSDL 4.0, one key, facets of decimals."""
    answer = client.get(f"{ROOT}/$metadata", headers={"accept": "application/json"})
    assert answer.headers["content-type"].startswith("application/xml")
    document = ET.fromstring(answer.content)
    assert document.attrib == {"Version": "4.0"}
    check_grammar(document)
    (schema,) = document.iter(f"{EDM}Schema")
    types: dict[str, dict[str, tuple[str, bool]]] = {}
    for entity in schema.iter(f"{EDM}EntityType"):
        (key,) = entity.iter(f"{EDM}PropertyRef")
        assert key.attrib == {"Name": "id"}
        known = {}
        for one in entity.iter(f"{EDM}Property"):
            facets = {"Precision": "18", "Scale": "3"}
            if one.attrib["Type"] == "Edm.Decimal":
                assert facets.items() <= one.attrib.items()
            known[one.attrib["Name"]] = (one.attrib["Type"], one.get("Nullable") != "false")
        types[entity.attrib["Name"]] = known
    (container,) = schema.iter(f"{EDM}EntityContainer")
    namespace = schema.attrib["Namespace"]
    return {
        one.attrib["Name"]: types[one.attrib["EntityType"].removeprefix(f"{namespace}.")]
        for one in container.iter(f"{EDM}EntitySet")
    }


def check_grammar(element: ET.Element) -> None:
    """Elements, their order and attributes as the XSD of CSDL 4.0 has those that are used here.

    (The schema itself is not ours to keep.)
    """
    children, needed, allowed = GRAMMAR[element.tag]
    assert needed <= element.attrib.keys() <= needed | allowed, element.attrib
    assert not (element.text or "").strip()
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), (element.tag, [child.tag for child in element])
    names = [child.get("Name") for child in element if "Name" in child.attrib]
    assert len(names) == len(set(names))
    name = element.get("Name")
    assert name is None or re.fullmatch(r"[A-Za-z_]\w{0,127}", name)
    for child in element:
        check_grammar(child)


def check_row(known: dict[str, tuple[str, bool]], row: dict[str, Any]) -> None:
    """Each property is declared, and its value is of the type."""
    kinds: dict[str, Any] = {
        "Edm.String": str, "Edm.Int32": int, "Edm.Boolean": bool, "Edm.Decimal": int | float,
        "Edm.Date": str, "Edm.DateTimeOffset": str,
    }  # fmt: skip
    assert set(row) == set(known)
    for name, value in row.items():
        kind, nullable = known[name]
        assert isinstance(value, kinds[kind]) or (value is None and nullable), (name, value)
        if kind == "Edm.Date" and value is not None:
            assert len(value) == 10
        if kind == "Edm.DateTimeOffset" and value is not None:
            assert value.endswith("Z")
