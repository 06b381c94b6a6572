"""What calls, notes and messages add to the figures (kpis.md 4).

Kept are the sums that everybody asks for, and the exceptions from them: a talk is an answered call
that was not short, an attempt is an outgoing call or message that followed no other one soon. So a
call that went as calls go costs no more than before.
"""

from collections.abc import Iterator
from itertools import pairwise

from service.domain.config import Config
from service.domain.dealsteps import ONE_ATTEMPT_SECONDS
from service.domain.instant import Instant
from service.domain.span import Span
from service.domain.steps import call_parts
from service.domain.story import Call, MessageSeen, Story, deal_is_judged
from service.domain.told import TALK_MIN_SECONDS
from service.kpi.contribution import Contribution, place_at, state_at

LONG_SECONDS = 30  # a talk that long has to be documented
DOCUMENTED_WITHIN = Span(1, "wh")
RETURNED_WITHIN = Span(30, "wm")  # the norm of the rule call-missed-not-returned


def of_calls(story: Story, config: Config) -> Iterator[Contribution]:
    """Each call for whoever talked, at its start; a missed one for the responsible as well."""
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return
    redialled = _redialled(story, config)
    for call in story.calls:
        place = place_at(story, call.started_at)
        parts = call_parts(call) | _exceptions(call, config)
        if ("call", call.id) in redialled:
            parts["redials"] = 1
        for metric, value in parts.items():
            if value:
                yield _row(metric, call, call.author, place, value)
        if not (call.outgoing or call.answered):
            yield from _missed(story, call, place, config)


def _row(
    metric: str, call: Call, seller: str, place: tuple[str, str, str], value: int
) -> Contribution:
    return Contribution(metric, "call", call.id, "call", call.started_at, seller, *place, value)


def _exceptions(call: Call, config: Config) -> dict[str, int]:
    if not call.answered:
        return {} if call.outgoing else {"calls_missed_in": 1}
    if call.seconds >= LONG_SECONDS:
        return {} if _is_documented(call, config) else {"bare_talks": 1}
    is_short = call.seconds < TALK_MIN_SECONDS
    return {
        "brief_talks": 1,
        "short_talks": int(is_short),
        "short_talk_seconds": call.seconds if is_short else 0,
    }


def _is_documented(call: Call, config: Config) -> bool:
    """Whether the talker left a trace within a working hour after the end."""
    if call.trace_at is None:
        return False
    return call.trace_at <= config.calendar(call.author).add(call.ended_at, DOCUMENTED_WITHIN)


def _redialled(story: Story, config: Config) -> frozenset[tuple[str, str]]:
    """What is no attempt: a robot's call, what came within ten minutes of the attempt before."""
    dialled = [call for call in story.calls if call.outgoing]
    found = {("call", call.id) for call in dialled if not config.is_human(call.author)}
    tried = [(c.started_at, "call", c.id) for c in dialled if config.is_human(c.author)]
    tried += [(m.at, "message", m.id) for m in story.messages if _is_written(m, config)]
    found |= {
        (kind, subject)
        for (before, _, _), (at, kind, subject) in pairwise(sorted(tried))
        if at - before <= ONE_ATTEMPT_SECONDS
    }
    return frozenset(found)


def _is_written(message: MessageSeen, config: Config) -> bool:
    return message.direction == "out" and config.is_human(message.author)


def _missed(
    story: Story, call: Call, place: tuple[str, str, str], config: Config
) -> Iterator[Contribution]:
    """A missed call, and whether nobody called back within the norm (known once that is over)."""
    deal = state_at(story.deal, call.started_at) or (story.deal[0] if story.deal else None)
    seller = deal.responsible if deal else ""
    yield _row("missed_calls", call, seller, place, 1)
    over = config.calendar(seller or None).add(call.started_at, RETURNED_WITHIN)
    if not _is_returned(story, call.started_at, over, config):
        age = over - call.started_at
        yield _row("calls_unreturned", call, seller, place, 1)._replace(age=age)


def _is_returned(story: Story, start: Instant, over: Instant, config: Config) -> bool:
    """An attempt or a talk with the client after a missed call, in time."""
    touched = [touch.at for touch in story.touches]
    if not story.deal:
        touched += [
            call.started_at
            for call in story.calls
            if (call.outgoing and config.is_human(call.author))
            or (call.answered and call.seconds >= TALK_MIN_SECONDS)
        ]
        touched += [message.at for message in story.messages if _is_written(message, config)]
    return any(start < at <= over for at in touched)


def of_notes(story: Story, config: Config) -> Iterator[Contribution]:
    """Each note that a person wrote, for its author."""
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return
    for note in story.notes:
        place = place_at(story, note.at)
        yield Contribution("notes", "note", note.id, "note", note.at, note.author, *place, 1)


def of_messages(story: Story, config: Config) -> Iterator[Contribution]:
    """Messages of clients for the responsible then, those that people wrote for their author."""
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return
    redialled = _redialled(story, config) if story.messages else frozenset()
    for message in story.messages:
        if message.direction == "in":
            deal = state_at(story.deal, message.at) or (story.deal[0] if story.deal else None)
            metric, seller = "messages_in", deal.responsible if deal else ""
        elif _is_written(message, config):
            metric, seller = "messages_out", message.author
        else:
            continue
        place = place_at(story, message.at)
        row = Contribution(metric, "message", message.id, "message", message.at, seller, *place, 1)
        yield row
        if ("message", message.id) in redialled:
            yield row._replace(metric="redials")
