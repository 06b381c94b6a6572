"""What the department says of itself over `/_control/truth`, as plain JSON."""

from datetime import UTC, datetime
from typing import Any

from service.portal import figures, truth
from service.portal.book import Book
from service.portal.worktime import NEVER


def report(book: Book, params: dict[str, str]) -> dict[str, Any]:
    """`until` (ISO instant): nothing later counts. `at` (several, by commas): levels then.

    Raises:
        ValueError: an instant that is none.
    """
    until = _instant(params.get("until") or "9998-01-01T00:00:00Z")
    instants = [_instant(text) for text in (params.get("at") or "").split(",") if text]
    return {
        "rules": sorted(truth.SEVERITY),  # what the department keeps its own books of
        "violations": [
            {
                "rule": v.rule,
                "kind": v.kind,
                "subject": v.subject,
                "seller": v.seller,
                "severity": truth.SEVERITY[v.rule],
                "breach_at": _text(v.breach_at),
                "resolved_at": _text(v.resolved_at) if v.resolved_at else None,
            }
            for v in truth.intervals(book)
            if v.breach_at < NEVER
        ],
        "days": {
            day.isoformat(): _cells(cells) for day, cells in figures.by_day(book, until).items()
        },
        "levels": {_text(at): _cells(figures.levels(book, at)) for at in instants},
        "sellers": {str(user.id): user.name for user in book.users.values()},
    }


def _cells(cells: figures.Figures) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "seller": None if seller is None else str(seller), "value": value}
        for (metric, seller), value in sorted(cells.items(), key=str)
        if value
    ]


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{text!r} has no time zone; write for example 2026-03-02T07:00:00Z"
        raise ValueError(msg)
    return found.astimezone(UTC)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
