"""More of what the department says of its deals: first stages, age, money, attempts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from service.portal.book import Deal
from service.portal.worktime import ZONE, after_days, after_work

if TYPE_CHECKING:
    from service.portal.truth import History

Check = Callable[[Deal, datetime], bool]
Deadline = Callable[[Deal, datetime, datetime], datetime]  # deal, held since, now


def more_checks(history: "History", deal_id: int) -> list[tuple[str, Check, Deadline]]:
    """(rule, whether it is broken at an instant, when it runs out)."""
    calls = sorted(history.calls_of[deal_id], key=lambda call: call.started_at)
    images = history.deals[deal_id]
    born = images[0][1].created_at

    def kind(deal: Deal) -> str:
        return history.stage_kind(deal)

    def is_open(deal: Deal) -> bool:
        return kind(deal) == "open" and deal.deleted_at is None

    def place(deal: Deal) -> tuple[int, int]:
        stages = [s for s in history.book.pipelines[deal.pipeline_id].stages if s.kind == "open"]
        numbers = [s.id for s in sorted(stages, key=lambda s: s.sort)]
        return numbers.index(deal.stage_id) + 1, len(numbers)

    def talks(at: datetime) -> list[datetime]:
        return [
            c.started_at for c in calls if c.started_at <= at and c.answered and c.seconds >= 10
        ]

    def attempts(at: datetime) -> int:
        found: list[datetime] = [
            c.started_at for c in calls if c.started_at <= at and c.direction == "out"
        ]
        return sum(
            1
            for index, when in enumerate(found)
            if index == 0 or when - found[index - 1] > timedelta(minutes=10)
        )

    def reopened(at: datetime) -> datetime:
        found = born
        for (_, before), (when, after) in zip(images, images[1:], strict=False):
            if when <= at and kind(before) in ("won", "lost") and kind(after) == "open":
                found = when
        return found

    def first_stage(deal: Deal, _: datetime) -> bool:
        return is_open(deal) and place(deal)[0] == 1

    def late(deal: Deal) -> bool:
        number, count = place(deal)
        return number * 2 > count

    def days(start: datetime, count: int) -> datetime:
        local = start.astimezone(ZONE) + timedelta(days=count)
        return local.astimezone(start.tzinfo)

    def last(at: datetime) -> datetime:
        return max([*talks(at), born])

    return [
        (
            "deal-left-in-first-stage",
            first_stage,
            lambda d, _held, _at: after_days(d.stage_entered_at, 1),
        ),
        ("deal-too-old", lambda d, _: is_open(d), lambda _d, _held, at: days(reopened(at), 90)),
        (
            "deal-no-amount",
            lambda d, _: is_open(d) and late(d) and not d.amount,
            lambda _d, held, _at: after_work(held, 3600),
        ),
        (
            "deal-won-without-amount",
            lambda d, _: kind(d) == "won" and not d.amount,
            lambda d, held, _at: after_work(max(d.closed_at or held, held), 3600),
        ),
        (
            "deal-too-few-attempts",
            lambda d, at: is_open(d) and not talks(at) and attempts(at) < 3,
            lambda _d, _held, _at: after_days(born, 1),
        ),
        (
            "deal-lost-untouched",
            lambda d, at: (
                kind(d) == "lost"
                and not talks(at)
                and attempts(at) < 3
                and not _is_spam(history, d)
            ),
            lambda d, held, _at: after_work(d.closed_at or held, 3600),
        ),
        ("deal-no-contact", lambda d, _: is_open(d), lambda _d, _held, at: days(last(at), 7)),
    ]


def _is_spam(history: "History", deal: Deal) -> bool:
    name = history.book.loss_reasons.get(deal.loss_reason_id or 0, "").lower()
    return any(word in name for word in ("спам", "дубль", "нецелев", "тест"))
