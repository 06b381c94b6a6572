"""What conditions may ask of a deal (rules.md 1.4). Deleted and excluded ones are not asked of."""

import re
from datetime import date, timedelta

from service.domain.card import missing_fields
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.period import day_start, local_date, local_day, to_day
from service.domain.story import DealState, TaskState
from service.domain.words import OTHER_REASONS, letters
from service.rules.attribute import Attribute, plain, seller_active

DEFAULT_CLOSE_DAYS = 7
_DEFAULT_NAME = re.compile(
    r"(новая сделка|новая заявка|заявка с сайта|сделка|заявка|лид|deal|new deal|lead)?"
    r"\s*([#№]\s*\d+|\d{4,})?|[\d\s()+-]{7,}",
    re.IGNORECASE,
)


def _junk_fields(state: DealState, config: Config) -> tuple[str, ...]:
    """Required fields whose value means nothing: dots, one repeated character, a listed word."""
    asked = config.required(state.pipeline, state.stage)
    if not asked:
        return ()
    found = []
    for token in asked:
        if token == "budget":  # noqa: S105 - the name of a field
            junk = 0 < state.amount <= 100
        else:
            value = ((state.fields or {}).get(token) or "").strip()
            junk = bool(value) and _is_junk(value, token, config)
        if junk:
            found.append(token)
    return tuple(found)


def _is_junk(value: str, token: str, config: Config) -> bool:
    lowered = value.casefold()
    said = {character for character in lowered if character.isalnum()}
    if len(said) <= 1 and len(value) > 1:
        return True  # "---", "....", "111", "ааа"
    if not said or lowered in config.standards.junk:
        return True
    return lowered == config.field_name(token).casefold()


def _name_is_default(state: DealState, _: Config) -> bool:
    return _DEFAULT_NAME.fullmatch(state.name.strip()) is not None or letters(state.name) == 0


def _late(state: DealState, config: Config) -> bool:
    return config.standards.is_late(state.pipeline, state.stage)


def _hot(state: DealState, config: Config) -> bool:
    return config.standards.is_hot(state.pipeline, state.stage, state.amount, state.tags)


def _was_hot(state: DealState, config: Config) -> bool:
    if not state.is_closed or state.previous_stage is None:
        return False
    amount = max(state.amount, state.amount_peak_late)
    pipeline = state.previous_pipeline or state.pipeline
    return config.standards.is_hot(pipeline, state.previous_stage, amount, state.tags)


def _previous_no(state: DealState, config: Config) -> int | None:
    if state.previous_stage is None:
        return None
    return config.stage_no(state.previous_pipeline or "", state.previous_stage) or None


def _last_move(state: DealState, config: Config) -> str:
    before = _previous_no(state, config)
    now = config.stage_no(state.pipeline, state.stage)
    if before is None or not now or state.previous_pipeline != state.pipeline:
        return "none"
    return "back" if now < before else "forward"


def _skipped(state: DealState, config: Config) -> tuple[str, ...]:
    mandatory = config.standards.mandatory.get(state.pipeline, ())
    if not mandatory or len(state.visited) < 2:
        return ()
    now = config.stage_no(state.pipeline, state.stage)
    entry = config.stage_no(state.pipeline, state.visited[0])
    return tuple(
        stage
        for stage in mandatory
        if entry < config.stage_no(state.pipeline, stage) < now and stage not in state.visited
    )


def _asks_note(state: DealState, config: Config) -> bool:
    return (state.pipeline, state.stage) in config.standards.commented


def _close_day_end(state: DealState, config: Config) -> Instant | None:
    """The midnight after the expected closing date, in the account's zone."""
    if state.expected_close_on is None:
        return None
    following = date.fromisoformat(state.expected_close_on) + timedelta(days=1)
    return day_start(to_day(following), config.timezone)


def _loss_is_spam(state: DealState, config: Config) -> bool:
    return state.loss_reason in config.spam_reasons


def _loss_is_other(state: DealState, config: Config) -> bool:
    reason = state.loss_reason or ""
    return reason in config.other_reasons or reason.strip().casefold() in OTHER_REASONS


def _reopened_past_month(state: DealState, config: Config) -> bool:
    """The month in which it was closed was over when it was reopened."""
    if state.closed_before is None or state.reopened_at is None:
        return False
    closed, opened = (local_day(at, config.timezone) // 100
                      for at in (state.closed_before, state.reopened_at))  # fmt: skip
    return closed < opened


def _close_date_is_default(state: DealState, config: Config) -> bool:
    """Bitrix24 writes a week from the creation itself; nobody has said anything."""
    if config.crm != "bitrix24" or config.close_date_field is not None:
        return False
    if state.close_date_changed or state.expected_close_on is None or state.created_at is None:
        return False
    default = local_date(state.created_at, config.timezone) + timedelta(days=DEFAULT_CLOSE_DAYS)
    return state.expected_close_on == default.isoformat()


def _responsible_known(state: DealState, config: Config) -> bool:
    if not config.directory.complete_users:
        return bool(state.responsible)
    return config.is_human(state.responsible)


def _responsible_active(state: DealState, config: Config) -> bool:
    return seller_active(state.responsible, state.at, config)


def _absent_since(state: DealState, config: Config) -> Instant | None:
    absence = config.standards.absence_at(state.responsible, state.at)
    return absence.start if absence else None


def _due_in_absence(state: DealState, config: Config) -> Instant | None:
    absence = config.standards.absence_at(state.responsible, state.at)
    if absence is None:
        return None
    inside = [due for due in state.dues if absence.start <= due < absence.end]
    return min(inside, default=None)


def _waits_in_absence(state: DealState, config: Config) -> Instant | None:
    if _absent_since(state, config) is None:
        return None
    known = (_due_in_absence(state, config), state.unanswered_since)
    return min((at for at in known if at is not None), default=None)


def _made_by_human(state: DealState | TaskState, config: Config) -> bool:
    return config.is_human(state.created_by)


DEAL: tuple[Attribute, ...] = (
    Attribute("deal.is_open", "bool", "open, not incoming", lambda s, _: s.kind is StageKind.OPEN),
    Attribute("deal.is_won", "bool", "in a won stage", lambda s, _: s.kind is StageKind.WON),
    Attribute("deal.is_lost", "bool", "in a lost stage", lambda s, _: s.kind is StageKind.LOST),
    plain("deal.pipeline", "text", "pipeline id"),
    plain("deal.stage", "text", "stage id"),
    Attribute(
        "deal.stage_no",
        "int",
        "number among the pipeline's open stages, from 1",
        lambda s, c: c.stage_no(s.pipeline, s.stage),
    ),
    Attribute(
        "deal.stages",
        "int",
        "how many open stages the pipeline has",
        lambda s, c: c.stage_count(s.pipeline),
    ),
    Attribute("deal.is_late", "bool", "in the upper half of the open stages", _late),
    Attribute("deal.is_hot", "bool", "late with an amount, large, or tagged so", _hot),
    plain("deal.tags", "list", "tags"),
    plain("deal.amount", "int", "minor units"),
    plain("deal.amount_peak_late", "int", "highest amount in late stages, minor units"),
    plain("deal.currency", "text", "currency"),
    plain("deal.name", "text", "title"),
    Attribute("deal.name_is_default", "bool", "the title names no client", _name_is_default),
    plain("deal.created_at", "instant", "acceptance where known, else creation", "born_at"),
    plain("deal.inquired_at", "instant", "when its inquiry came, where known, else created"),
    Attribute("deal.created_by_human", "bool", "made by a listed user", _made_by_human),
    plain("deal.closed_at", "instant", "entered a final stage"),
    plain("deal.stage_entered_at", "instant", "entered the stage"),
    Attribute("deal.previous_stage_no", "int?", "number of the stage before", _previous_no),
    Attribute("deal.last_move", "text", "forward, back or none (corrections left out)", _last_move),
    Attribute("deal.skipped_stages", "list", "mandatory stages that were left out", _skipped),
    Attribute("deal.stage_asks_note", "bool", "the stage is listed under `commented`", _asks_note),
    plain("deal.stage_note_at", "instant", "first trace from 30 min before the stage on"),
    plain("deal.reopened_at", "instant", "last reopening"),
    plain("deal.reopens", "int", "how often it was reopened"),
    plain("deal.won_before", "bool", "was won before it was reopened"),
    Attribute(
        "deal.reopened_past_month",
        "bool",
        "was closed in a month that was over when it was reopened",
        _reopened_past_month,
    ),
    Attribute("deal.responsible", "text?", "seller", lambda s, _: s.responsible or None),
    plain("deal.handovers_recent", "int", "changes of the responsible in the last 14 days"),
    Attribute(
        "deal.handover_stages",
        "list",
        "titles of the stages in which these were made",
        lambda s, c: tuple(c.stage_name(*place) or place[1] for place in s.handover_places),
    ),
    plain("deal.responsible_since", "instant", "last hand-over"),
    Attribute(
        "deal.responsible_known", "bool", "the responsible is a listed user", _responsible_known
    ),
    Attribute("deal.responsible_active", "bool", "the responsible works here", _responsible_active),
    Attribute("deal.absent_since", "instant", "the responsible is away since", _absent_since),
    Attribute(
        "deal.due_in_absence_at", "instant", "first deadline while he is away", _due_in_absence
    ),
    Attribute(
        "deal.waits_in_absence_at",
        "instant",
        "first deadline or unanswered word of the client while he is away",
        _waits_in_absence,
    ),
    Attribute("deal.source", "text?", "source", lambda s, _: s.source or None),
    Attribute("deal.loss_reason", "text?", "loss reason", lambda s, _: s.loss_reason or None),
    Attribute("deal.loss_is_spam", "bool", "lost as not our client", _loss_is_spam),
    Attribute("deal.loss_is_other", "bool", 'the loss reason is "Other"', _loss_is_other),
    Attribute("deal.was_hot_at_close", "bool", "was hot when it was closed", _was_hot),
    Attribute(
        "deal.expected_close_on", "instant", "end of the expected closing day", _close_day_end
    ),
    plain("deal.close_date_pushes", "int", "how often the closing date was pushed"),
    Attribute(
        "deal.close_date_is_default",
        "bool",
        "Bitrix24's own: a week from the creation, changed by nobody",
        _close_date_is_default,
    ),
    Attribute(
        "deal.has_contact",
        "bool",
        "a person is linked (or the CRM has not told)",
        lambda s, _: s.contacts is None or bool(s.contacts),
    ),
    Attribute("deal.has_company", "bool", "a company is linked", lambda s, _: bool(s.company)),
    Attribute(
        "deal.client_known", "bool", "the CRM has told of persons", lambda s, _: bool(s.contacts)
    ),
    plain("deal.has_phone", "bool", "some phone is known"),
    plain("deal.has_email", "bool", "some e-mail is known"),
    Attribute("deal.missing_fields", "list", "required but empty", missing_fields),
    Attribute("deal.junk_fields", "list", "required, filled with nothing", _junk_fields),
    plain("deal.open_tasks", "int", "open tasks"),
    plain("deal.next_due_at", "instant", "nearest deadline"),
    plain("deal.next_due_set_at", "instant", "when the nearest deadline was set"),
    plain("deal.last_due_at", "instant", "latest deadline"),
    plain("deal.last_task_closed_at", "instant", "last completion of a task"),
    plain("deal.first_attempt_at", "instant", "first attempt"),
    plain("deal.first_talk_at", "instant", "first talk"),
    plain("deal.last_attempt_at", "instant", "last attempt"),
    plain("deal.last_contact_at", "instant", "last contact"),
    plain("deal.last_talk_at", "instant", "last talk"),
    plain("deal.last_activity_at", "instant", "last human activity"),
    plain("deal.attempts", "int", "attempts so far (dials within 10 min are one)"),
    plain("deal.talks", "int", "talks so far"),
    plain("deal.attempts_since_talk", "int", "attempts since the last talk"),
    plain("deal.first_attempt_since_talk_at", "instant", "the first of them"),
    plain("deal.missed_call_at", "instant", "first missed call of the unanswered row"),
    plain(
        "deal.unanswered_since",
        "instant",
        "first missed call or message of the client that nobody has answered",
    ),
    plain("deal.notes", "int", "human notes so far"),
    plain("deal.same_client_open_deals", "int", "older open deals of the client, same pipeline"),
    plain("deal.same_client_other_seller", "bool", "another seller has one of them"),
    plain("deal.same_client_first", "text", "the oldest of them"),
)
