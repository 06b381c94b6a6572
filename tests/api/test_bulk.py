"""What a bulk change began, in the list, alone, by filter and in BI tables."""

from service.store.records import BulkChange, DealEdit
from service.store.tables import Violation
from tests.api.conftest import Api, at, violation_row


def test_bulk_is_shown_filtered_and_exported(both: Api) -> None:
    """A deal edited by another author at the same instant, and one outside of the stretch."""
    start = at("2026-11-23T05:00:00Z")
    both.insert(
        BulkChange,
        {"account_id": "romashka", "author": "9", "since": start - 9, "until": start, "deals": 60},
    )
    both.insert(
        DealEdit,
        {"account_id": "romashka", "author": "9", "at": start, "deal": "77"},
        {"account_id": "romashka", "author": "7", "at": start, "deal": "78"},
        {"account_id": "romashka", "author": "9", "at": start + 1, "deal": "79"},
    )
    rows = [
        violation_row(70 + n, rule="deal-no-task", subject_kind="deal", subject_id=deal, deal=deal,
                      since=start + late, held_since=start + late)
        for n, deal, late in ((7, "77", 0), (8, "78", 0), (9, "79", 1))
    ]  # fmt: skip
    both.insert(Violation, *rows)
    client = both.client()
    wanted = f"vio_{77:026d}"

    def ids(query: str) -> set[str]:
        return {row["id"] for row in client.get(f"/v1/violations?{query}").json()["data"]}

    assert ids("bulk=true") == {wanted}
    assert ids("bulk=false") == ids("") - {wanted}
    assert {r["id"] for r in client.get("/v1/violations").json()["data"] if r["bulk"]} == {wanted}
    change = client.get(f"/v1/violations/{wanted}").json()["bulk_change"]
    assert change == {
        "by": {"id": "romashka.9", "name": "Петрова"}, "from": "2026-11-23T04:59:51Z",
        "to": "2026-11-23T05:00:00Z", "deals": 60,
    }  # fmt: skip
    assert client.get(f"/v1/violations/vio_{78:026d}").json()["bulk_change"] is None
    summary = client.get("/v1/violations/summary?by=rule&bulk=true").json()["data"]
    assert [(row["rule"], row["count"]) for row in summary] == [("deal-no-task", 1)]
    odata = client.get("/odata/v4/violations?$filter=bulk eq true&$select=id,bulk")
    assert odata.json()["value"] == [{"id": wanted, "bulk": True}]
    assert client.get("/v1/violations?bulk=yes").status_code == 400
