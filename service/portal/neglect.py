"""More of what the department says of its deals: first stages, age, money, attempts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from service.portal.book import Deal
from service.portal.worktime import ZONE, after_days, after_work

if TYPE_CHECKING:
    from service.portal.truth import History

Check = Callable[[Deal, datetime], bool]
Deadline = Callable[[Deal, datetime, datetime], datetime]  # deal, held since, now
HOUR = 3600


class _Deal:
    """One deal's history, asked for what was so at an instant."""

    def __init__(self, history: "History", deal_id: int) -> None:
        self.history = history
        self.calls = sorted(history.calls_of[deal_id], key=lambda call: call.started_at)
        self.messages = sorted(history.messages_of[deal_id], key=lambda message: message.sent_at)
        self.images = history.deals[deal_id]
        self.born = self.images[0][1].created_at

    def kind(self, deal: Deal) -> str:
        return self.history.stage_kind(deal)

    def is_open(self, deal: Deal, _at: datetime) -> bool:
        return self.kind(deal) == "open" and deal.deleted_at is None

    def place(self, deal: Deal) -> tuple[int, int]:
        """Number of the stage, and how many there are."""
        stages = [
            s for s in self.history.book.pipelines[deal.pipeline_id].stages if s.kind == "open"
        ]
        numbers = [s.id for s in sorted(stages, key=lambda s: s.sort)]
        return numbers.index(deal.stage_id) + 1, len(numbers)

    def talks(self, at: datetime) -> list[datetime]:
        """Talks on the telephone, and what the client wrote."""
        found = [c.started_at for c in self.calls if c.answered and c.seconds >= 10]
        found += [m.sent_at for m in self.messages if m.direction == "in"]
        return [when for when in found if when <= at]

    def sent(self, at: datetime) -> list[datetime]:
        """What we wrote."""
        return [m.sent_at for m in self.messages if m.direction == "out" and m.sent_at <= at]

    def attempts(self, at: datetime) -> int:
        """Dials and letters, those within ten minutes of the one before left out."""
        found = [c.started_at for c in self.calls if c.started_at <= at and c.direction == "out"]
        found = sorted([*found, *self.sent(at)])
        return bool(found) + sum(b - a > timedelta(minutes=10) for a, b in pairwise(found))

    def tried(self, at: datetime) -> bool:
        return bool(self.talks(at)) or self.attempts(at) >= 3

    def waits_since(self, at: datetime) -> datetime | None:
        """The client's first missed call or letter after which nobody called, talked or wrote."""
        calls = [(c.started_at, c.direction == "out" or c.answered) for c in self.calls]
        letters = [(m.sent_at, m.direction == "out") for m in self.messages]
        since: datetime | None = None
        for when, answers in sorted([*calls, *letters]):
            if when <= at:
                since = None if answers else since or when
        return since

    def waits(self, deal: Deal, at: datetime) -> bool:
        return self.is_open(deal, at) and self.waits_since(at) is not None

    def counted_from(self, at: datetime) -> datetime:
        """Creation, or the last reopening."""
        found = self.born
        for (_, before), (when, after) in pairwise(self.images):
            closed = self.kind(before) in ("won", "lost")
            if when <= at and closed and self.kind(after) == "open":
                found = when
        return found

    def first_stage(self, deal: Deal, at: datetime) -> bool:
        return self.is_open(deal, at) and self.place(deal)[0] == 1

    def lacks_money(self, deal: Deal, at: datetime) -> bool:
        if not self.is_open(deal, at) or deal.amount:
            return False
        number, count = self.place(deal)
        return number * 2 > count

    def lost_untried(self, deal: Deal, at: datetime) -> bool:
        return self.kind(deal) == "lost" and not self.tried(at) and not self.is_spam(deal)

    def is_spam(self, deal: Deal) -> bool:
        name = self.history.book.loss_reasons.get(deal.loss_reason_id or 0, "").lower()
        return any(word in name for word in ("спам", "дубль", "нецелев", "тест"))


def more_checks(history: "History", deal_id: int) -> list[tuple[str, Check, Deadline]]:
    """(rule, whether it is broken at an instant, when it runs out)."""
    it = _Deal(history, deal_id)
    return [
        ("deal-left-in-first-stage", it.first_stage,
         lambda d, _held, _at: after_days(d.stage_entered_at, 1)),
        ("deal-too-old", it.is_open, lambda _d, _held, at: _days(it.counted_from(at), 90)),
        ("deal-no-amount", it.lacks_money, lambda _d, held, _at: after_work(held, HOUR)),
        ("deal-won-without-amount", lambda d, _: it.kind(d) == "won" and not d.amount,
         lambda d, held, _at: after_work(max(d.closed_at or held, held), HOUR)),
        ("deal-too-few-attempts", lambda d, at: it.is_open(d, at) and not it.tried(at),
         lambda _d, _held, _at: after_days(it.born, 1)),
        ("deal-lost-untouched", it.lost_untried,
         lambda d, held, _at: after_work(d.closed_at or held, HOUR)),
        ("deal-no-contact", it.is_open,
         lambda _d, _held, at: _days(max([*it.talks(at), *it.sent(at), it.born]), 7)),
        ("deal-client-waits", it.waits,
         lambda _d, held, at: after_work(it.waits_since(at) or held, HOUR)),
    ]  # fmt: skip


def _days(start: datetime, count: int) -> datetime:
    """The same wall-clock time so many calendar days later."""
    return (start.astimezone(ZONE) + timedelta(days=count)).astimezone(start.tzinfo)
