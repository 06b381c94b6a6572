"""The alert policy: claimed events in, messages out. Pure.

Critical and warning leave as messages; info does not (it is seen in the lists). Breaches older than
the connection or than the rule's arrival, or found more than a day late, go into one digest and
never alert singly. Events of one tick are grouped by rule and seller. Quiet hours hold a message
until their end. A muted violation is claimed and its message suppressed; so is one that a graver
rule speaks for (`inhibited`), and one that lies before an absence of its seller was entered or
taken back (`after_the_fact`). Resolutions go to whoever was told of the breach. What one bulk
change began is one message, whatever the rule and seller; its resolutions are not told singly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from hashlib import sha256
from typing import Any, Literal

from service.alerts import texts
from service.domain.account import Receiver
from service.domain.bulk import Stretch
from service.domain.calendar import parse_hours
from service.domain.config import Config
from service.domain.instant import Instant, to_datetime
from service.domain.period import at_clock
from service.errors import ConfigError

LATE_SECONDS = 24 * 3600
MIDNIGHT = 24 * 60
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A violation that has opened or has been resolved, with the words for people."""

    kind: Literal["opened", "resolved"]
    row: Row
    title: Mapping[str, str]  # by language
    advice: Mapping[str, str]
    seller: str
    deal: str
    url: str | None
    muted: bool = False
    told: frozenset[str] = field(default_factory=frozenset)  # receivers told of the opening
    inhibited: bool = False  # a graver rule speaks for it
    ops: bool = False  # of the connection: told to ops, not to the head
    bulk: Stretch | None = None  # the bulk change that began it
    arrived: Instant = 0  # when the rule came to the account; 0 = it was always there

    @property
    def id(self) -> str:
        """The violation's id."""
        return str(self.row["id"])


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for one receiver. `not_before`: held until then; `suppressed`: kept, never sent."""

    receiver: str
    channel: str
    kind: str
    key: str
    text: str
    violations: tuple[str, ...]
    not_before: Instant
    suppressed: str = ""
    reason: str = ""


def plan(events: Sequence[Event], config: Config, now: Instant) -> list[Outgoing]:
    """The messages that these events make."""
    return [
        message
        for name, receiver in sorted(config.document.alerts.receivers.items())
        for message in _for_receiver(name, receiver, events, config, now)
    ]


def _for_receiver(
    name: str, receiver: Receiver, events: Sequence[Event], config: Config, now: Instant
) -> list[Outgoing]:
    lang = receiver.lang or config.lang
    wanted = [event for event in events if _concerns(name, receiver, event, config)]
    muted = [event for event in wanted if event.muted]
    inhibited = [event for event in wanted if event.inhibited and not event.muted]
    loud = [event for event in wanted if not event.muted and not event.inhibited]
    late = [event for event in loud if is_after_the_fact(event, config)]
    loud = [event for event in loud if not is_after_the_fact(event, config)]
    old = [event for event in loud if is_old(event, config, now)]
    fresh = [event for event in loud if not is_old(event, config, now)]
    over = [event for event in fresh if event.bulk and event.kind == "resolved"]
    groups: dict[tuple[str, str, str], list[Event]] = {}
    bulks: dict[Stretch, list[Event]] = {}
    for event in fresh:
        if event.bulk is None:
            key = (event.kind, str(event.row["rule"]), event.seller)
            groups.setdefault(key, []).append(event)
        elif event.kind == "opened":
            bulks.setdefault(event.bulk, []).append(event)
    hold = quiet_until(config, now)
    quiet = "quiet_hours" if hold > now else ""
    made = [
        _message(name, kind, group, texts.group(group, config, lang), hold, reason=quiet)
        for (kind, _, _), group in groups.items()
    ]
    made += [
        _message(
            name, "opened", group, texts.bulk(group, stretch, config, lang), hold, reason=quiet
        )
        for stretch, group in bulks.items()
    ]
    if old:
        opened = [event for event in old if event.kind == "opened"]
        if opened:
            text = texts.digest(opened, lang)
            made.append(_message(name, "digest", opened, text, hold, reason=quiet))
    hushed = (("muted", muted), ("inhibited", inhibited), ("after_the_fact", late), ("bulk", over))
    for reason, group in hushed:
        if group:
            text = texts.group(group, config, lang)
            made.append(_message(name, group[0].kind, group, text, now, suppressed=reason))
    return made


def _message(
    name: str,
    kind: str,
    events: Sequence[Event],
    text: str,
    hold: Instant,
    suppressed: str = "",
    reason: str = "",
) -> Outgoing:
    ids = tuple(sorted(event.id for event in events))
    told = "\x00".join([name, kind, *(f"{e.kind}:{e.id}" for e in events)])
    key = f"{kind}:{sha256(told.encode()).hexdigest()[:32]}"
    return Outgoing(name, "telegram", kind, key, text, ids, hold, suppressed, reason)


def _concerns(name: str, receiver: Receiver, event: Event, config: Config) -> bool:
    row = event.row
    if receiver.telegram is None or (event.ops and not receiver.ops):
        return False
    if event.kind == "resolved":
        return config.document.alerts.resolved and name in event.told
    if not receiver.hears_of(row["rule"]):
        return False
    if row["severity"] not in receiver.severities:
        return False
    if receiver.sellers is None:
        return True
    where = f"alerts.receivers.{name}.sellers"
    return row["owner"] in config.known_of(config.seller_id, receiver.sellers, where)


def is_old(event: Event, config: Config, now: Instant) -> bool:
    """Whether a breach never alerts singly.

    It is older than connection or rule, was found more than a day late, or lies after the fact.
    """
    if event.kind != "opened":
        return False
    before = is_before(event.row["breach_at"], event.arrived, config, now)
    return before or is_after_the_fact(event, config)


def is_before(breach: Instant, arrived: Instant, config: Config, now: Instant) -> bool:
    """Whether a breach is older than connection or rule, or was found more than a day late."""
    if breach < config.connected_at or now - breach > LATE_SECONDS:
        return True
    return 0 < arrived >= breach


def is_after_the_fact(event: Event, config: Config) -> bool:
    """Whether an absence that covers the breach was entered or taken back only after it."""
    if event.kind != "opened" or not config.leaves:
        return False
    told_later, row = config.standards.absence_told_later, event.row
    people = {str(row["seller"]), str(row["owner"])}
    if row["subject_kind"] == "team":
        people.update(config.memberships.members(str(row["subject_id"]), row["breach_at"]))
    return any(told_later(seller, row["breach_at"]) for seller in people)


def quiet_until(config: Config, now: Instant) -> Instant:
    """When messages may leave: now, or the end of the quiet hours that `now` lies in."""
    quiet = config.document.alerts.quiet
    if not quiet:
        return now
    start, end = quiet_minutes(quiet)
    local = to_datetime(now).astimezone(config.timezone)
    minute = local.hour * 60 + local.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return now
    on = local.date() + timedelta(days=1 if start > end and minute >= start else 0)
    if end == MIDNIGHT:
        on, end = on + timedelta(days=1), 0
    return at_clock(on, time(end // 60, end % 60), config.timezone)


def quiet_minutes(text: str) -> tuple[int, int]:
    """`20:00-09:00` as minutes from midnight; it may run over midnight.

    Raises:
        ConfigError: names `alerts.quiet`.
    """
    first, _, last = text.partition("-")
    try:
        start = parse_hours(f"{first}-24:00", "alerts.quiet")[0][0]
        end = parse_hours(f"00:00-{last}", "alerts.quiet")[0][1]
    except (ConfigError, IndexError):
        raise ConfigError(
            f"alerts.quiet: {text!r} is none; write for example 20:00-09:00"
        ) from None
    return start, end
