"""Directory, history, changes and fetching, over real HTTP, against both simulated portals.

What the adapter reads is compared with the journal of the simulated department.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.clock import Clock
from service.crm import ADAPTERS
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.history import Change as Told
from service.domain.history import settle
from service.domain.ports import Connection, CrmClient, HookState, Page
from service.errors import SourceRefused, SourceUnavailable
from service.portal import department
from service.portal.amocrm.log import message_id
from service.portal.book import Book, Call, Deal, Note, Task
from service.portal.office import CrmKind
from service.portal.server import PortalServer
from tests.crm.kit import END, START, MakeClient, Played, Sleeps, connect, facts_of, patient


def instant(moment: datetime) -> int:
    return int(moment.timestamp())


@dataclass
class Read:
    """A whole backfill."""

    played: Played
    client: CrmClient
    pages: list[Page]

    @property
    def facts(self) -> list[Fact]:
        return facts_of(self.pages)

    def of(self, kind: Kind) -> dict[str, list[Fact]]:
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in sorted(self.facts, key=lambda f: (f.at, f.rank)):
            if fact.kind is kind:
                found[fact.id].append(fact)
        return found


@pytest.fixture(scope="session")
def read(played: Played) -> Iterator[Read]:
    client = connect(played.crm, played.server.base_url)
    yield Read(played, client, list(client.backfill(None, None)))
    client.close()


def values(versions: Iterable[Fact], name: str, start: int) -> list[tuple[int, Any]]:
    """(instant, value) of an attribute as the domain settles it; the first one from `start` on."""
    told = [Told(f.at, f.body[name], f.body.get("author")) for f in versions if name in f.body]
    changes = settle([Told(max(start, c.at) if n else start, c.value, c.author)
                      for n, c in enumerate(told)])  # fmt: skip
    return [(change.at, change.value) for change in changes]


def journal(played: Played, kind: type[Any], entity: int, name: str) -> list[tuple[int, Any]]:
    """(instant, value) of an attribute of a simulated entity, from the journal."""
    found: list[tuple[int, Any]] = []
    for change in played.book.journal:
        if isinstance(change.after, kind) and change.after.id == entity:
            value = getattr(change.after, name)
            if not found or found[-1][1] != value:
                found.append((instant(change.at), value))
    return found


def alive(played: Played) -> list[Deal]:
    return [deal for deal in played.book.deals.values() if deal.deleted_at is None]


def test_directory_is_the_departments(read: Read) -> None:
    found, book = read.client.read_directory(), read.played.book
    assert found.complete_users
    assert {seller.id for seller in found.sellers} == {str(user) for user in book.users}
    assert found.currency == "RUB"
    (pipeline,) = found.pipelines
    expected = book.pipelines[pipeline.id]
    assert [(s.id, s.name) for s in pipeline.stages] == [(s.id, s.name) for s in expected.stages]
    kinds = {stage.id: stage.kind for stage in pipeline.stages}
    assert all(kinds[stage.id] == StageKind(stage.kind) for stage in expected.stages)


@pytest.mark.parametrize("played", ["amocrm"], indirect=True)
def test_directory_of_amocrm_has_reasons_zone_and_required_fields(read: Read) -> None:
    found, book = read.client.read_directory(), read.played.book
    assert (found.external_id, found.subdomain) == ("31000001", "demo")
    assert found.timezone == "Europe/Moscow"
    assert {reason.id: reason.name for reason in found.loss_reasons} == {
        str(number): name for number, name in book.loss_reasons.items()
    }
    required = {field.id: set(field.required) for field in found.fields if field.required}
    assert required == {str(n): set(pairs) for n, pairs in book.required.items()}


def test_backfill_knows_every_deal_as_it_is(read: Read) -> None:
    deals = read.of(Kind.DEAL)
    assert alive(read.played)
    for deal in alive(read.played):
        image = deals[str(deal.id)][-1]
        assert image.rank is Rank.FETCHED
        assert image.at == instant(deal.updated_at)
        assert image.body["stage"] == deal.stage_id
        assert image.body["amount"] == deal.amount * 100
        assert image.body["responsible"] == str(deal.responsible)
        assert image.body["created_at"] == instant(deal.created_at)
        assert image.body["contacts"] == [str(contact) for contact in deal.contact_ids]
        assert sorted(image.body["fields"].values()) == sorted(v for _, v in deal.fields)


def test_backfill_tells_each_stage_change_at_its_instant(read: Read) -> None:
    deals = read.of(Kind.DEAL)
    moved = 0
    for deal in alive(read.played):
        told = values(deals[str(deal.id)], "stage", instant(deal.created_at))
        expected = journal(read.played, Deal, deal.id, "stage_id")
        moved += len(expected) > 1
        assert told == expected
    assert moved > 10


def test_backfill_tells_each_completion_and_deadline_at_its_instant(read: Read) -> None:
    tasks = read.of(Kind.TASK)
    done = 0
    for task in read.played.book.tasks.values():
        if task.deleted_at is not None:
            continue
        key = str(task.id) if read.played.crm == "amocrm" else f"t{task.id}"
        versions = tasks[key]
        closed = [fact.at for fact in versions if fact.body.get("is_open") is False]
        done += bool(closed)
        assert (min(closed) if closed else None) == (
            instant(task.done_at) if task.done_at is not None else None
        )
        expected = journal(read.played, Task, task.id, "due_at")
        due = [(at, instant(value)) for at, value in expected]
        assert values(versions, "due_at", instant(task.created_at)) == due
        assert versions[-1].body["deal"] == (str(task.deal_id) if task.deal_id else None)
    assert done > 10


def test_backfill_has_every_call_and_note(read: Read) -> None:
    calls, notes = read.of(Kind.CALL), read.of(Kind.NOTE)
    gone = {deal.id for deal in read.played.book.deals.values() if deal.deleted_at is not None}
    told: list[Call | Note] = [*read.played.book.calls.values(), *read.played.book.notes.values()]
    assert len(told) > 20
    for entity in told:
        if entity.deal_id in gone and isinstance(entity, Note):
            continue
        if isinstance(entity, Note):
            body = notes[str(entity.id)][-1].body
            assert body["created_at"] == instant(entity.created_at)
            assert body["text"] == entity.text
        else:
            body = calls[f"c{entity.id}"][-1].body
            assert body["started_at"] == instant(entity.started_at)
            assert (body["answered"], body["seconds"]) == (entity.answered, entity.seconds)
            assert body["direction"] == entity.direction
        assert body["author"] == str(entity.author)
        assert body.get("deal") == (str(entity.deal_id) if entity.deal_id else None)


def test_backfill_has_every_message_and_who_wrote_it(read: Read) -> None:
    amo = read.played.crm == "amocrm"
    expected = {
        (message_id(m) if amo else f"a{m.id}", str(m.deal_id), m.direction, instant(m.sent_at),
         str(m.author) if m.author else None)
        for m in read.played.book.messages.values()
    }  # fmt: skip
    told = {
        (f.id, f.body["deal"], f.body["direction"], f.body["created_at"], f.body.get("author"))
        for f in read.facts if f.kind is Kind.MESSAGE
    }  # fmt: skip
    assert len(expected) > 20
    assert told == expected


def test_backfill_resumes_from_any_page(read: Read) -> None:
    whole = {(f.kind, f.id, f.at, f.rank, f.digest()) for f in read.facts}
    for number in range(0, len(read.pages) - 1, 2):
        before = facts_of(read.pages[: number + 1])
        after = facts_of(list(read.client.backfill(None, read.pages[number].cursor)))
        assert {(f.kind, f.id, f.at, f.rank, f.digest()) for f in before + after} == whole


def test_changes_after_reading_all_bring_only_the_newest(read: Read) -> None:
    first = list(read.client.changes(None))
    assert all(page.cursor is not None for page in first)
    again = facts_of(list(read.client.changes(first[-1].cursor)))
    deals = {fact.id for fact in again if fact.kind is Kind.DEAL and fact.rank is Rank.FETCHED}
    newest = max(instant(deal.updated_at) for deal in alive(read.played))
    late = {str(deal.id) for deal in alive(read.played) if instant(deal.updated_at) > newest - 3600}
    assert deals
    assert deals <= late


def test_fetch_tells_touched_deals_with_their_persons(read: Read) -> None:
    deals = [deal for deal in alive(read.played) if deal.contact_ids][:3]
    found = read.client.fetch([Touched(Kind.DEAL, str(deal.id)) for deal in deals])
    images = {f.id: f for f in found if f.kind is Kind.DEAL and f.rank is Rank.FETCHED}
    assert set(images) == {str(deal.id) for deal in deals}
    persons = {fact.id: fact.body for fact in found if fact.kind is Kind.CONTACT}
    for deal in deals:
        for number in deal.contact_ids:
            contact = read.played.book.contacts[number]
            assert persons[str(number)]["has_phone"] == bool(contact.phone)
            assert persons[str(number)]["has_email"] == bool(contact.email)


def test_fetch_of_a_hundred_and_more_asks_for_all_of_them(read: Read) -> None:
    tasks = [task for task in read.played.book.tasks.values() if task.deleted_at is None]
    prefix = "" if read.played.crm == "amocrm" else "t"
    ids = {f"{prefix}{task.id}" for task in tasks}
    assert len(ids) > 100
    found = read.client.fetch([Touched(Kind.TASK, task) for task in sorted(ids)])
    assert {fact.id for fact in found if fact.rank is Rank.FETCHED} == ids


def test_fetch_of_a_deal_that_is_gone_tells_a_deletion(read: Read) -> None:
    (fact,) = read.client.fetch([Touched(Kind.DEAL, "999999")])
    assert (fact.kind, fact.id, fact.at, fact.body) == (Kind.DEAL, "999999", 0, {"deleted": True})


def test_fetch_of_a_call_tells_how_it_ended(read: Read) -> None:
    calls = list(read.played.book.calls.values())[:4]
    found = read.client.fetch([Touched(Kind.CALL, f"c{call.id}") for call in calls])
    told = {fact.id: fact.body["answered"] for fact in found}
    assert told == {f"c{call.id}": call.answered for call in calls}


def test_subscription_is_made_or_explained(read: Read) -> None:
    url = "http://127.0.0.1:1/hooks/x"
    if read.played.crm == "bitrix24":
        with pytest.raises(SourceRefused, match="Outgoing webhook"):
            read.client.subscribe(url)
        return
    read.client.subscribe(url)
    read.client.subscribe(url)
    assert read.client.hook_state(url) is HookState.ON


def test_check_finds_a_good_connection_good(read: Read) -> None:
    assert [finding for finding in read.client.check() if not finding.ok] == []


def test_wrong_token_is_refused_with_advice(played: Played, sleeps: Sleeps) -> None:
    base = played.server.base_url
    wrong = Connection("a", base, "UTC", "RUB", secrets={"user": "1", "token": "wrong"})
    client = ADAPTERS[played.crm].client(wrong, patient(base, sleeps))
    with pytest.raises(SourceRefused, match="--token") as caught:
        client.read_directory()
    assert "wrong" not in str(caught.value).replace("expired or wrong", "")
    client.close()


def test_portal_in_trouble_is_unavailable_after_three_tries(
    played: Played, crm_client: MakeClient, sleeps: Sleeps
) -> None:
    client = crm_client(played.crm, played.server.base_url)
    played.server.office.faults.status = 502
    try:
        with pytest.raises(SourceUnavailable):
            client.fetch([Touched(Kind.DEAL, "1")])
    finally:
        played.server.office.faults.status = 0
    assert len(sleeps.seconds) == 2


def test_history_is_older_than_the_clock(read: Read) -> None:
    assert all(fact.at <= instant(END + timedelta(seconds=1)) for fact in read.facts)


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24"])
def test_deal_with_more_comments_than_a_page_is_read_whole(crm: CrmKind) -> None:
    book = Book()
    department.populate(book, kind=crm, seed=3, deals=4, start=START, end=END)
    deal = next(deal for deal in book.deals.values() if deal.deleted_at is None)
    for number in range(120):
        book.note(Note(90_000 + number, deal.id, f"Заметка {number}", END, deal.responsible))
    token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
    server = PortalServer(crm, book, Clock(END), token=token, limits=False).start()
    client = connect(crm, server.base_url)
    notes = {f.id for f in facts_of(list(client.backfill(None, None))) if f.kind is Kind.NOTE}
    client.close()
    server.stop()
    assert {str(90_000 + number) for number in range(120)} <= notes
