"""Missed calls of clients without an open deal: the first one of each row, and what answered it.

Of a client with an open deal the deal says it (`dealsteps`), whatever timeline holds the call.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind
from service.domain.homes import STRANGER
from service.domain.instant import FOREVER, Instant
from service.domain.story import Call, LeadState, Story, World
from service.domain.told import Told, touches

Stretch = tuple[Instant, Instant]
_WAITING = {"new", "in_work"}


def note_missed(story: Story, told: Told, lent: Sequence[Fact], world: World) -> None:
    """Mark the first missed call of each row, and say when it was answered.

    An attempt, a talk, a message of ours and a deal that is opened answer; so does the end of an
    inquiry.
    """
    if story.kind not in {"contact", "lead", "call"} or not any(map(_is_missed, story.calls)):
        return
    elsewhere = [*_open_deals(lent, world), *_sorted_inquiry(story.lead)]
    answers = sorted([*_answers(told, world), *(start for start, _ in elsewhere)])
    stranger = story.kind == "call" or story.id.startswith(STRANGER)
    until: Instant | None = -1  # when the row before was answered
    calls: list[Call] = []
    for call in story.calls:
        at = call.started_at
        first = _is_missed(call) and until is not None and until < at
        if first and not any(start <= at < end for start, end in elsewhere):
            until = next((answer for answer in answers if answer >= at), None)
            calls.append(replace(call, waits=True, returned_at=until, stranger=stranger))
        else:
            calls.append(call)
    story.calls = calls


def _is_missed(call: Call) -> bool:
    return not call.outgoing and not call.answered


def _answers(told: Told, world: World) -> list[Instant]:
    """Attempts and talks; what we wrote counts before it is known who wrote it."""
    messages = told.messages(lend=True)
    found = [touch.at for touch in touches(told.calls(lend=True), messages, (), world)]
    return found + [m.at for m in messages if m.direction == "out" and not m.author]


def _open_deals(lent: Iterable[Fact], world: World) -> list[Stretch]:
    """When each deal of the client is open."""
    deals: dict[str, list[Fact]] = {}
    for fact in lent:
        if fact.kind is Kind.DEAL:
            deals.setdefault(fact.id, []).append(fact)
    return [stretch for versions in deals.values() for stretch in _open(versions, world)]


def _open(versions: Sequence[Fact], world: World) -> list[Stretch]:
    created = [fact.body["created_at"] for fact in versions if fact.body.get("created_at")]
    start = min(versions[0].at, *created)
    pipeline, stage, gone = "", "", False
    since: Instant | None = None
    found: list[Stretch] = []
    for number, fact in enumerate(versions):
        body = fact.body
        pipeline, stage = body.get("pipeline") or pipeline, body.get("stage") or stage
        gone = not body.get("restored") and (gone or bool(body.get("deleted")))
        is_open = not gone and world.stage_kind(pipeline, stage) is StageKind.OPEN
        if is_open and since is None:
            since = fact.at if number else start
        elif not is_open and since is not None:
            found.append((since, fact.at))
            since = None
    return found if since is None else [*found, (since, FOREVER)]


def _sorted_inquiry(states: Sequence[LeadState]) -> list[Stretch]:
    """From when on an inquiry is a deal, or nobody's."""
    return [(s.at, FOREVER) for s in states if s.state not in _WAITING or s.deleted][:1]
