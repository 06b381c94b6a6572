"""Upkeep: drift is found and seen; what is past its time goes."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Table, func, insert, select, update

from service import metrics
from service.pipeline import verify
from service.pipeline.office import Office
from service.pipeline.upkeep import Upkeep
from service.store import accounts, inbox
from service.store.engine import reading, transaction
from service.store.records import Idempotency
from service.store.summed import RollupMonth
from service.store.tables import Contribution, Inbox, TimelineMark, Violation
from tests import world

VIOLATION = Violation.__table__  # type: ignore[attr-defined]
INBOX = Inbox.__table__  # type: ignore[attr-defined]
CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
MARK = TimelineMark.__table__  # type: ignore[attr-defined]
MONTH = RollupMonth.__table__  # type: ignore[attr-defined]
ANSWERS = Idempotency.__table__  # type: ignore[attr-defined]
DAY = 86400


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-03-20 12:00")
    world.connect_account(made)
    for number in range(1, 8):
        world.tell(made, [world.new_deal(str(number), "2026-03-10 10:00")])
    yield made
    made.close()


def row_of(office: Office) -> accounts.AccountRow:
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    return row


def drift() -> float:
    found = metrics.REGISTRY.get_sample_value("dozor_derive_drift")
    assert found is not None
    return found


def test_patrol_sees_and_mends_what_is_stored_otherwise_than_derived(office: Office) -> None:
    upkeep = Upkeep(office)
    upkeep.patrol()
    assert drift() == 0
    with transaction(office.engine) as connection:
        wrong = update(VIOLATION).where(VIOLATION.c.subject_id == "3").values(severity="info")
        assert connection.execute(wrong).rowcount > 0
    upkeep.patrol()  # the end of the first round
    upkeep.patrol()
    assert drift() == 1
    assert row_of(office).drift == 1
    assert verify.verify(office, world.ACCOUNT) == []
    upkeep.patrol()
    upkeep.patrol()
    assert drift() == 0
    assert row_of(office).drift == 0


@pytest.mark.parametrize(
    ("table", "wrong"),
    [(CONTRIBUTION, {"value": 7}), (MARK, {"facts": 7}), (MARK, {"verdicts": 7})],
    ids=["row", "mark of facts", "mark of verdicts"],
)
def test_a_contribution_is_proven_though_its_mark_says_that_all_is_well(
    office: Office, table: Table, wrong: dict[str, int]
) -> None:
    with transaction(office.engine) as connection:
        mine = table.c.timeline == "deal:3"
        assert connection.execute(update(table).where(mine).values(**wrong)).rowcount > 0
    whats = {drift.what for drift in verify.verify(office, world.ACCOUNT)}
    assert table.name.removeprefix("timeline_") in whats
    verify.mend(office, world.ACCOUNT, ["deal:3"])
    left = {drift.what for drift in verify.verify(office, world.ACCOUNT)}
    assert left <= {"rollup"}  # those are proven and mended apart


def test_once_a_night_sellers_and_sums_are_proven_and_mended(office: Office) -> None:
    upkeep = Upkeep(office)
    with transaction(office.engine) as connection:
        wrong = update(VIOLATION).where(VIOLATION.c.subject_kind == "seller").values(seller="9")
        assert connection.execute(wrong).rowcount > 0
        connection.execute(update(MONTH).values(value=MONTH.c.value + 1))
    upkeep.prove_sums(world.ACCOUNT)
    upkeep.patrol()
    assert drift() == 1
    assert verify.verify(office, world.ACCOUNT) == []
    upkeep.prove_sums(world.ACCOUNT)
    upkeep.patrol()
    assert drift() == 0


@pytest.mark.parametrize(("now", "proven"), [("2026-03-20 03:00", 1), ("2026-03-20 12:00", 0)])
def test_that_happens_at_night_only(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, now: str, proven: int
) -> None:
    made = world.make_office(sqlite_url, now)
    world.connect_account(made)
    seen: list[str] = []

    def noted(_: Office, account: str) -> list[verify.Drift]:
        seen.append(account)
        return []

    monkeypatch.setattr(verify, "sums", noted)
    upkeep = Upkeep(made)
    upkeep.patrol()
    upkeep.patrol()
    assert len(seen) == proven
    made.close()


def test_patrol_goes_round_all_timelines_and_accounts(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.pipeline.upkeep.TIMELINES", 3)
    world.connect_account(office, "vasilek", token="another")
    world.tell(office, [world.new_deal("77", "2026-03-10 10:00")], "vasilek")
    seen: list[tuple[str, str]] = []
    real = verify.sample

    def watched(at: Office, account: str, after: str | None, limit: int) -> object:
        keys, found = real(at, account, after, limit)
        seen.extend((account, key) for key in keys)
        return keys, found

    monkeypatch.setattr(verify, "sample", watched)
    upkeep = Upkeep(office)
    for _ in range(6):
        upkeep.patrol()
    assert len(seen) == len(set(seen)) == 8
    assert {account for account, _ in seen} == {world.ACCOUNT, "vasilek"}


def test_sweep_drops_what_is_past_its_time_and_nothing_else(office: Office) -> None:
    now = office.now()
    with transaction(office.engine) as connection:
        old, young, parked = (inbox.Ids().next(now - days * DAY) for days in (30, 1, 29))
        for row_id in (old, young, parked):
            inbox.put(connection, world.ACCOUNT, row_id, now, "", b"x")
        done = [(old, "done", None, 0), (young, "done", None, 0), (parked, "parked", "empty", 0)]
        inbox.settle(connection, world.ACCOUNT, done)
        for key, age in (("old", 2 * DAY), ("new", 60)):
            values = {"key_id": "k", "path": "/", "key": key, "at": now - age}
            others = {c.name: 0 if c.type.python_type is int else b"" if c.type.python_type is bytes
                      else "" for c in ANSWERS.columns if c.name not in values}  # fmt: skip
            connection.execute(insert(ANSWERS), [others | values])
    Upkeep(office).run()
    with office.engine.connect() as connection:
        left = set(connection.execute(select(INBOX.c.id)).scalars())
        answers = connection.execute(select(func.count()).select_from(ANSWERS)).scalar_one()
    assert left == {young, parked}
    assert answers == 1
