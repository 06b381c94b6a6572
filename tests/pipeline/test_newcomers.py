"""A newcomer's limit is smaller up to the end of his last day as one: the judge knows both."""

from sqlalchemy import select

from service.pipeline import verify
from service.store.engine import reading
from service.store.tables import Violation
from tests.world import ACCOUNT, connect_account, make_office, moment, new_deal, tell

V = Violation.__table__  # type: ignore[attr-defined]


def test_over_a_newcomers_limit_until_he_is_one_no_more(database_url: str) -> None:
    office = make_office(database_url)
    document = {
        "team_limits": {"Отдел 1": {"open_deals": 4}},
        "sellers": {"9": {"newcomer_until": "2026-03-20"}},
    }
    connect_account(office, document=document)
    tell(office, [
        new_deal(f"{seller}{n}", f"2026-03-19 1{n}:00", responsible=seller)
        for seller in ("7", "9") for n in range(3)
    ])  # fmt: skip
    with reading(office.engine) as connection:
        query = select(V.c.subject_id, V.c.breach_at, V.c.resolved_at).where(
            V.c.rule == "seller-too-many-deals"
        )
        found = [tuple(row) for row in connection.execute(query)]
    assert found == [("9", moment("2026-03-19 12:00"), moment("2026-03-21 00:00"))]
    assert verify.verify(office, ACCOUNT) == []
    office.close()
