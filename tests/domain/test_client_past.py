"""What a client said long before a deal is about an earlier one; what it was born of is its own."""

from typing import Any

from service.domain.facts import Fact, Kind
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.domain.story import Context, DealState
from service.domain.timeline import fold
from service.domain.worlds import world_of
from tests import world

BORN = "2026-03-02 12:00"


def lent(kind: Kind, at: str, **body: Any) -> Fact:
    """Something on the client's own timeline."""
    there = {"contact": "5", "created_at": world.moment(at), "started_at": world.moment(at)}
    return Fact(kind, f"{kind}{at}", world.moment(at), there | body)


def lived(*facts: Fact, **body: Any) -> DealState:
    """A deal of noon on Monday, as it was at once."""
    config = resolve(world.ACCOUNT, "amocrm", world.DIRECTORY, parse_document({}))
    deal = world.new_deal("1", BORN, contacts=["5"], **body)
    return fold("deal:1", [deal], world_of(config), Context(list(facts))).deal[0]


def call(at: str, direction: str, *, answered: bool) -> Fact:
    told = {"direction": direction, "answered": answered, "seconds": 60, "author": "7"}
    return lent(Kind.CALL, at, **told)


def test_calls_notes_and_messages_of_last_autumn_are_no_part_of_a_new_deal() -> None:
    state = lived(
        call("2025-10-01 12:00", "out", answered=True),
        call("2025-10-02 12:00", "in", answered=False),
        lent(Kind.NOTE, "2025-10-01 12:05", text="договорились о замере", author="7"),
        lent(Kind.MESSAGE, "2025-10-03 12:00", direction="in"),
        lent(Kind.MESSAGE, "2025-10-03 13:00", direction="out", author="7"),
    )
    assert (state.attempts, state.talks, state.notes) == (0, 0, 0)
    assert state.first_attempt_at is state.first_talk_at is state.last_activity_at is None
    assert state.missed_call_at is state.unanswered_since is state.last_contact_at is None


def test_the_call_that_a_deal_was_born_of_is_its_first_touch() -> None:
    day_before, earlier = "2026-03-01 12:00", "2026-03-01 11:59"
    state = lived(call(day_before, "in", answered=True))
    assert (state.talks, state.first_talk_at) == (1, world.moment(day_before))
    wrote = lent(Kind.MESSAGE, "2026-03-02 11:00", direction="out", author="7")
    state = lived(call(day_before, "in", answered=True), wrote)
    assert state.last_talk_at == world.moment(day_before)
    assert state.last_contact_at == world.moment("2026-03-02 11:00")
    assert lived(call(earlier, "in", answered=True)).talks == 0


def test_what_was_done_with_the_inquiry_belongs_to_the_deal_that_came_of_it() -> None:
    attempt, asked = call("2026-02-24 12:00", "out", answered=False), "2026-02-24 10:00"
    assert lived(attempt).attempts == 0
    assert lived(attempt, inquired_at=world.moment(asked)).attempts == 1
    inquiry = Fact(Kind.LEAD, "a", world.moment(asked), {"created_at": world.moment(asked)})
    assert lived(attempt, inquiry, inquiry="a").attempts == 1
