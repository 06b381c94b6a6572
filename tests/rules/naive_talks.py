"""Attempts, talks, waiting words of the client, what people did: at an instant, by looking back."""

import re
from functools import lru_cache
from typing import Any

from tests.rules.naive_card import amounts
from tests.rules.naive_deal import before, kind, places
from tests.rules.naive_past import Change, Past, settled
from tests.rules.naive_tasks import tasks_of, traces

HALF_HOUR, ONE_ROW, EVER = 1800, 600, 1 << 40


@lru_cache(maxsize=500)
def heard(past: Past) -> list[dict[str, Any]]:
    return [call for call in past.calls() if call["started_at"] >= past.lived_from]


@lru_cache(maxsize=500)
def written(past: Past) -> list[tuple[int, str, str]]:
    return [one for one in past.messages() if one[0] >= past.lived_from]


@lru_cache(maxsize=500)
def sent(past: Past) -> list[int]:
    """Messages of ours; whose one is may be told later."""
    return [
        at for at, way, who in written(past) if is_ours(way) and (not who or past.is_human(who))
    ]


def is_ours(direction: str) -> bool:
    return direction not in {"in", "closed"}


@lru_cache(maxsize=500)
def tried(past: Past) -> list[int]:
    """Attempts: people's outgoing calls, and messages."""
    dials = [
        call["started_at"]
        for call in heard(past)
        if call.get("direction") == "out" and past.is_human(call["author"])
    ]
    return sorted([*dials, *sent(past)])


@lru_cache(maxsize=500)
def spoken(past: Past) -> list[int]:
    """Answered calls, and meetings that stand closed with a result."""
    found = [
        call["started_at"]
        for call in heard(past)
        if call.get("answered") and int(call.get("seconds") or 0) >= 10
    ]
    for task in tasks_of(past).values():
        closed, names = task.closed(EVER), f"{task.kind(EVER)} {task.kind_name(EVER) or ''}"
        if closed is None or not task.later_result(EVER) or task.is_deleted(EVER):
            continue
        if re.search("встреч|визит|meeting|visit", names.casefold()):
            by = closed.author or task.responsible(EVER)
            found += [closed.at] if past.is_human(by) else []
    return sorted(found)


def until(instants: list[int], at: int) -> list[int]:
    return [one for one in instants if one <= at]


def rows(instants: list[int]) -> int:
    """Dials within ten minutes of one another are one attempt."""
    return sum(n == 0 or one - instants[n - 1] > ONE_ROW for n, one in enumerate(instants))


@lru_cache(maxsize=500)
def talks(past: Past) -> list[int]:
    """Also what the client wrote."""
    return sorted([*spoken(past), *(at for at, way, _ in written(past) if way == "in")])


def last_contact(past: Past, at: int) -> int | None:
    return max(until([*talks(past), *sent(past)], at), default=None)


def since_talk(past: Past, at: int) -> list[int]:
    """Attempts after the last talk (the call of a talk is none of them)."""
    last = max(until(talks(past), at), default=-1)
    return [one for one in until(tried(past), at) if one > last]


def answered(past: Past, at: int) -> int:
    """When the client was last answered."""
    return max(until([*tried(past), *spoken(past)], at), default=-1)


def missed(past: Past, at: int) -> list[int]:
    """Missed calls since then."""
    found = [
        call["started_at"]
        for call in heard(past)
        if call.get("direction") != "out" and not call.get("answered")
    ]
    return [one for one in until(found, at) if one > answered(past, at)]


def unanswered_since(past: Past, at: int) -> int | None:
    """The first missed call or word of the client; a conversation may be closed without a word."""
    closed = [when for when, way, _ in written(past) if way == "closed" and when <= at]
    since = max([answered(past, at), *closed])
    words = [when for when, way, _ in written(past) if way == "in" and since < when <= at]
    return min([*missed(past, at), *words], default=None)


# --- what people did ------------------------------------------------------------------------------


@lru_cache(maxsize=500)
def notes(past: Past) -> list[int]:
    """Notes of people, and results that they wrote."""
    found = [at for at, _, _ in past.notes() if at >= past.lived_from]
    for task in tasks_of(past).values():
        found += [at for at, who, _ in task.results() if past.is_human(who)]
    return found


@lru_cache(maxsize=500)
def acts(past: Past) -> list[int]:
    """Contacts, attempts, notes; tasks set, closed, moved; changes of stage, field, amount."""
    found = [*talks(past), *tried_by_people(past), *notes(past)]
    changes = [*places(past), *amounts(past)[1:], *fields(past)]
    for task in tasks_of(past).values():
        if task.created_at is not None and past.is_human(task.created_by):
            found.append(task.created_at)
        changes += [turn for turn in task.turns() if not turn.value]
        changes += [move for _, move in task.moves()]
    return found + [c.at for c in changes if past.is_human(c.author)]


def fields(past: Past) -> list[Change]:
    """Changes of custom fields."""
    named = {f for fact in past.deal for n in ("fields", "fields_changed")
             for f in fact.body.get(n) or {}}  # fmt: skip
    return [change for name in named for change in settled(past.field(name))[1:]]


def tried_by_people(past: Past) -> list[int]:
    known = [at for at, way, who in written(past) if is_ours(way) and past.is_human(who)]
    return known + [one for one in tried(past) if one not in sent(past)]


def stage_note(past: Past, at: int) -> int | None:
    """The first trace of people from half an hour before it entered its stage on."""
    since = before(past, at)[-1].at - HALF_HOUR
    return min(
        (t.at for t in traces(past) if since <= t.at <= at and past.is_human(t.author)),
        default=None,
    )


def moves(past: Past) -> list[int]:
    """When it was moved to another stage (not back into the incoming one)."""
    return [change.at for change in places(past)[1:] if kind(past, change.at) != "incoming"]
