"""Dozor's verdicts and figures against the department's own bookkeeping, on weeks of misbehaviour.

The department's changes become real amoCRM hook bodies (and what only REST tells), go through the
adapter and the whole pipeline; what is stored is compared with a second way of counting.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from service.clock import Clock
from service.crm import ADAPTERS
from service.crm.amocrm import common
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
)
from service.domain.facts import Fact, Kind, Rank
from service.domain.period import to_day
from service.domain.ports import Connection, RawHook
from service.pipeline import verify
from service.pipeline.office import Office
from service.portal import department, figures, truth
from service.portal.amocrm.hooks import HookWriter
from service.portal.amocrm.log import message_id
from service.portal.book import Book, Change, Deal, Message
from service.portal.office import Office as Portal
from service.store import tables
from service.store.summed import RollupDay
from tests import world

END = datetime(2026, 3, 16, 6, tzinfo=UTC)
START = END - timedelta(days=14)
PORTAL = Connection("romashka", "https://demo.example", "Europe/Moscow", "RUB")


def instant(moment: datetime) -> int:
    return int(moment.timestamp())


class Wire:
    """Turns changes into the facts that hooks and fetches bring."""

    def __init__(self, book: Book) -> None:
        portal = Portal(
            kind="amocrm", book=book, clock=Clock(END, 1e-9), account_id=31_000_001,
            subdomain="demo", token="t", zone=ZoneInfo("Europe/Moscow"), limits=False,
        )  # fmt: skip
        self._writer = HookWriter(portal)
        self.facts: list[Fact] = []

    def __call__(self, change: Change) -> None:
        for _, body in self._writer.write(change):
            raw = RawHook(body, "", instant(change.at))
            self.facts += ADAPTERS["amocrm"].decode(raw, PORTAL).facts
        deal = change.after
        if isinstance(deal, Message) and deal.author:  # events name who wrote
            key, home = message_id(deal), {"deal": str(deal.deal_id)}
            who = str(deal.author)
            told = common.message(home, key, "out", instant(change.at), who, Rank.HISTORY)
            self.facts.append(told)
        if isinstance(deal, Deal):
            at = instant(deal.updated_at)
            image = rest_image(deal)
            self.facts.append(Fact(Kind.DEAL, str(deal.id), at, image, Rank.FETCHED, at))


def rest_image(deal: Deal) -> dict[str, Any]:
    """What fetching a lead with its contacts and loss reason tells."""
    return {
        "name": deal.name, "amount": deal.amount * 100, "currency": "RUB",
        "pipeline": deal.pipeline_id, "stage": deal.stage_id,
        "responsible": str(deal.responsible), "created_at": instant(deal.created_at),
        "created_by": str(deal.created_by), "author": str(deal.updated_by),
        "loss_reason": str(deal.loss_reason_id) if deal.loss_reason_id else None,
        "contacts": [str(contact) for contact in deal.contact_ids],
        "fields": {str(number): value for number, value in deal.fields},
    }  # fmt: skip


def directory(book: Book) -> Directory:
    return Directory(
        timezone="Europe/Moscow", currency="RUB", telephony=True, complete_users=True,
        sellers=tuple(Seller(id=str(u.id), name=u.name) for u in book.users.values()),
        pipelines=tuple(
            Pipeline(
                id=p.id, name=p.name,
                stages=tuple(
                    Stage(id=s.id, name=s.name, sort=s.sort, kind=StageKind(s.kind))
                    for s in p.stages
                ),
            )
            for p in book.pipelines.values()
        ),
        loss_reasons=tuple(LossReason(id=str(k), name=v) for k, v in book.loss_reasons.items()),
        fields=tuple(
            CustomField(id=str(k), name=book.field_names[k], required=places)
            for k, places in book.required.items()
        ),
    )  # fmt: skip


@pytest.fixture(params=[1, 2, 3])
def lived(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[tuple[Book, Office]]:
    book = Book()
    wire = Wire(book)
    book.listeners.append(wire)
    department.populate(book, kind="amocrm", seed=request.param, deals=100, start=START, end=END)
    for at, action in department.live(book, kind="amocrm", seed=request.param, start=END):
        if at > END + timedelta(days=2):
            break
        action()
    office = world.make_office(sqlite_url, "2026-03-18 09:00")
    world.connect_account(office, directory=directory(book), connected="2026-02-01 00:00")
    for start in range(0, len(wire.facts), 400):
        world.tell(office, wire.facts[start : start + 400])
    yield book, office
    office.close()


def stored_intervals(office: Office) -> set[tuple[Any, ...]]:
    table = tables.Violation.__table__  # type: ignore[attr-defined]
    with office.engine.connect() as connection:
        rows = connection.execute(select(table)).mappings().all()
    return {
        (
            r["rule"],
            r["subject_kind"],
            r["subject_id"],
            r["breach_at"],
            r["resolved_at"],
            r["seller"],
        )
        for r in rows
    }


def test_every_violation_is_the_departments_own(lived: tuple[Book, Office]) -> None:
    book, office = lived
    expected = {
        (v.rule, v.kind, v.subject, instant(v.breach_at),
         instant(v.resolved_at) if v.resolved_at else None, str(v.seller))
        for v in truth.intervals(book)
    }  # fmt: skip
    found = {row for row in stored_intervals(office) if row[0] in truth.SEVERITY}
    assert found - expected == set()
    assert expected - found == set()
    rules = {rule for rule, *_ in expected}
    assert rules == set(truth.SEVERITY)


def test_every_figure_by_seller_and_day_is_the_departments_own(lived: tuple[Book, Office]) -> None:
    book, office = lived
    expected = {
        (metric, to_day(day), str(seller or ""), value)
        for day, cells in figures.by_day(book, datetime(2030, 1, 1, tzinfo=UTC)).items()
        for (metric, seller), value in cells.items()
        if value
    }
    table = RollupDay.__table__  # type: ignore[attr-defined]
    sums: dict[tuple[str, int, str], int] = defaultdict(int)
    with office.engine.connect() as connection:
        for row in connection.execute(select(table)):
            if row.metric in figures.SUMS:
                sums[row.metric, row.day, row.seller] += row.value
    found = {(*key, value) for key, value in sums.items() if value}
    assert found - expected == set()
    assert expected - found == set()
    assert {metric for metric, *_ in expected} >= set(figures.SUMS)


def test_levels_at_day_ends_are_the_departments_own(lived: tuple[Book, Office]) -> None:
    book, office = lived
    table = RollupDay.__table__  # type: ignore[attr-defined]
    with office.engine.connect() as connection:
        rows = connection.execute(select(table)).all()
    for on in (date(2026, 3, 4), date(2026, 3, 10), date(2026, 3, 16)):
        found: dict[tuple[str, str], int] = defaultdict(int)
        for row in rows:
            if row.metric in figures.LEVELS and row.day <= to_day(on):
                found[row.metric, row.seller] += row.value
        at = figures.day_end(on) - timedelta(seconds=1)
        expected = {(m, str(s or "")): v for (m, s), v in figures.levels(book, at).items() if v}
        assert {key: value for key, value in found.items() if value} == expected


def test_derived_equals_recomputed(lived: tuple[Book, Office]) -> None:
    _, office = lived
    assert verify.verify(office, world.ACCOUNT) == []
