"""What is true of a deal, a task, a call, an inquiry at an instant: a second way, nothing shared.

Of the service only what a fact is, and the settings as they are written. Each attribute that
conditions may use (`service.rules.attributes`) is looked up among the raw facts by looking back
from the instant; nothing is folded, nothing is fast. Words as in rules.md 1.2 to 1.4.
"""

from collections.abc import Callable
from typing import Any

from tests.rules import naive_card as card
from tests.rules import naive_deal as deal
from tests.rules import naive_talks as talks
from tests.rules.naive_past import Past, last_of
from tests.rules.naive_tasks import CALL, LEAD, TASK, is_active, tasks_of, trace_of


def responsible_known(past: Past, at: int) -> bool:
    who = deal.responsible(past, at)
    return past.is_human(who) if past.plain.complete_users else bool(who)


def waits_in_absence(past: Past, at: int) -> int | None:
    if deal.absence(past, at) is None:
        return None
    waiting = (deal.due_in_absence(past, at), talks.unanswered_since(past, at))
    return min((one for one in waiting if one is not None), default=None)


def asks_note(past: Past, at: int) -> bool:
    listed = past.plain.own.get(deal.pipeline(past, at), {}).get("commented", ())
    return deal.stage(past, at) in listed


DEAL: dict[str, Callable[[Past, int], Any]] = {
    "deal.is_open": lambda p, at: deal.kind(p, at) == "open",
    "deal.is_won": lambda p, at: deal.kind(p, at) == "won",
    "deal.is_lost": lambda p, at: deal.kind(p, at) == "lost",
    "deal.pipeline": deal.pipeline,
    "deal.stage": deal.stage,
    "deal.stage_no": lambda p, at: deal.number(p, deal.before(p, at)[-1].value),
    "deal.stages": lambda p, at: len(p.plain.open_stages.get(deal.pipeline(p, at), ())),
    "deal.is_late": lambda p, at: card.is_late(p, deal.before(p, at)[-1].value),
    "deal.is_hot": lambda p, at: card.is_hot(
        p, deal.before(p, at)[-1].value, card.amount(p, at), card.tags(p, at)
    ),
    "deal.tags": card.tags,
    "deal.amount": card.amount,
    "deal.amount_peak_late": card.peak,
    "deal.currency": lambda p, at: card.last_told(p, "currency", at) or "",
    "deal.name": lambda p, at: card.last_told(p, "name", at) or "",
    "deal.name_is_default": card.name_is_default,
    "deal.created_at": lambda p, _: deal.born(p),
    "deal.created_by_human": lambda p, _: p.is_human(last_of(p.deal, "created_by")),
    "deal.closed_at": deal.closed_at,
    "deal.stage_entered_at": lambda p, at: deal.before(p, at)[-1].at,
    "deal.previous_stage_no": deal.previous_no,
    "deal.last_move": deal.last_move,
    "deal.skipped_stages": deal.skipped,
    "deal.stage_asks_note": asks_note,
    "deal.stage_note_at": talks.stage_note,
    "deal.reopened_at": lambda p, at: max(deal.reopenings(p, at), default=None),
    "deal.reopens": lambda p, at: len(deal.reopenings(p, at)),
    "deal.responsible": lambda p, at: deal.responsible(p, at) or None,
    "deal.handovers_recent": lambda p, at: len(deal.handed(p, at)),
    "deal.responsible_since": lambda p, at: max(
        (c.at for c in deal.owners(p) if c.at <= at), default=None
    ),
    "deal.responsible_known": responsible_known,
    "deal.responsible_active": lambda p, at: is_active(p, deal.responsible(p, at), at),
    "deal.absent_since": lambda p, at: away[0] if (away := deal.absence(p, at)) else None,
    "deal.due_in_absence_at": deal.due_in_absence,
    "deal.waits_in_absence_at": waits_in_absence,
    "deal.source": card.source,
    "deal.loss_reason": deal.loss_reason,
    "deal.loss_is_other": deal.says_other,
    "deal.last_attempt_at": lambda p, at: max(talks.until(talks.tried(p), at), default=None),
    "deal.handover_stages": deal.handover_stages,
    "deal.loss_is_spam": lambda p, at: deal.loss_reason(p, at) in p.plain.spam,
    "deal.was_hot_at_close": card.was_hot,
    "deal.expected_close_on": card.close_day_ends,
    "deal.close_date_pushes": card.pushes,
    "deal.has_contact": lambda p, at: card.is_filled(p, "contact", at),
    "deal.has_company": lambda p, at: card.is_filled(p, "company", at),
    "deal.client_known": lambda p, at: bool(card.contacts(p, at)),
    "deal.has_phone": lambda p, at: card.reach(p, "has_phone", at),
    "deal.has_email": lambda p, at: card.reach(p, "has_email", at),
    "deal.missing_fields": lambda p, at: tuple(
        token for token in card.required(p, at) if not card.is_filled(p, token, at)
    ),
    "deal.junk_fields": lambda p, at: tuple(
        token for token in card.required(p, at) if card.is_junk(p, token, at)
    ),
    "deal.open_tasks": lambda p, at: len(deal.open_tasks(p, at)),
    "deal.next_due_at": lambda p, at: min((d for d, _ in deal.dues(p, at)), default=None),
    "deal.next_due_set_at": lambda p, at: found[0][1] if (found := deal.dues(p, at)) else None,
    "deal.last_due_at": lambda p, at: max((d for d, _ in deal.dues(p, at)), default=None),
    "deal.last_task_closed_at": lambda p, at: max(
        (c.at for c in deal.closings(p, at)), default=None
    ),
    "deal.first_attempt_at": lambda p, at: min(talks.until(talks.tried(p), at), default=None),
    "deal.first_talk_at": lambda p, at: min(talks.until(talks.talks(p), at), default=None),
    "deal.last_contact_at": talks.last_contact,
    "deal.last_talk_at": lambda p, at: max(talks.until(talks.talks(p), at), default=None),
    "deal.last_activity_at": lambda p, at: max(talks.until(talks.acts(p), at), default=None),
    "deal.attempts": lambda p, at: talks.rows(talks.until(talks.tried(p), at)),
    "deal.talks": lambda p, at: len(talks.until(talks.talks(p), at)),
    "deal.attempts_since_talk": lambda p, at: talks.rows(talks.since_talk(p, at)),
    "deal.first_attempt_since_talk_at": lambda p, at: min(talks.since_talk(p, at), default=None),
    "deal.missed_call_at": lambda p, at: min(talks.missed(p, at), default=None),
    "deal.unanswered_since": talks.unanswered_since,
    "deal.notes": lambda p, at: len(talks.until(talks.notes(p), at)),
}

OF_DEAL = ("task.on_deal", "task.deal_is_open", "task.deal_closed_at", "task.trace_at")
LEFT_OUT = {
    "deal.inquired_at": "is asked by an account's parameter only (tests of the rule)",
    "deal.won_before": "is asked of the severity only (tests of the rule)",
    "deal.reopened_past_month": "is asked of the severity only (tests of the rule)",
    "deal.close_date_is_default": "is asked of the severity only (tests of the rule)",
    "deal.same_client_open_deals": "comes from the folded presence of other deals",
    "deal.same_client_other_seller": "comes from the folded presence of other deals",
    "deal.same_client_first": "comes from the folded presence of other deals",
    "seller.*": "settings, and levels over all timelines (test_naive_sellers)",
    "team.*": "settings, and levels over all timelines",
    "account.*": "levels over all timelines",
}
"""What is not computed here, and why."""
COMPUTED = {*DEAL, *TASK, *OF_DEAL, *CALL, *LEAD}


def deal_value(past: Past, name: str, at: int) -> Any:
    """An attribute of the deal."""
    return DEAL[name](past, at)


def task_value(past: Past, task_id: str, name: str, at: int) -> Any:
    """An attribute of a task of the deal, and of its deal as the task sees it."""
    task = tasks_of(past)[task_id]
    if name in TASK:
        return TASK[name](task, at)
    if name == "task.trace_at":
        return trace_of(task, at, talks.moves(past) if past.deal else ())
    seen = max(at, past.start) if past.deal else at  # what is before the deal sees its beginning
    if name == "task.on_deal":
        return bool(past.deal)
    if name == "task.deal_is_open":
        return bool(past.deal) and deal.kind(past, seen) not in deal.FINAL
    return deal.closed_at(past, seen) if past.deal else None


def call_value(past: Past, call_id: str, name: str, at: int) -> Any:
    """An attribute of a call of the timeline."""
    call = next(one for one in past.calls(lent=False) if one["id"] == call_id)
    return CALL[name](past, call, at)


def lead_value(past: Past, name: str, at: int) -> Any:
    """An attribute of an inquiry."""
    return LEAD[name](past, at)


def deal_is_judged(past: Past, at: int) -> bool:
    """Not deleted, no test, not of an excluded pipeline."""
    labels = {tag.casefold() for tag in card.tags(past, at)}
    excluded = deal.pipeline(past, at) in past.plain.excluded
    return not deal.is_deleted(past, at) and not excluded and not labels & past.plain.test_tags


def judged(past: Past, kind: str, subject: str, at: int) -> bool:
    """Whether rules look at a deal, a task or a call of the timeline."""
    there = deal_is_judged(past, max(at, past.start))
    return there and (kind != "task" or not tasks_of(past)[subject].is_deleted(at))


def value(past: Past, kind: str, subject: str, name: str, at: int) -> Any:
    """What an attribute of a subject of the timeline says at an instant."""
    if kind == "task":
        return task_value(past, subject, name, at)
    if kind == "call":
        return call_value(past, subject, name, at)
    return (deal_value if kind == "deal" else lead_value)(past, name, at)
