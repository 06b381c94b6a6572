"""Which breaches a graver one speaks for: told to nobody, shown all the same (rules.md 1.3, 5).

A rule `silences` others: on its own subject, on the deal that both belong to, or of the same
seller. What is silenced is claimed and kept as suppressed; other systems hear of it as ever. A
muted breach speaks for nobody; of two that would speak for each other the graver one does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.instant import Instant
from service.domain.violation import SEVERITIES
from service.rules.book import RuleBook
from service.store.handles import Connection
from service.store.reads.violations import open_of

Row = Mapping[str, Any]


def silenced(
    connection: Connection, account_id: str, book: RuleBook, rows: Sequence[Row], now: Instant
) -> dict[str, str]:
    """Violation id -> the rule that speaks for it."""
    loud = {model.id: model.silences for model in book.models.values() if model.silences}
    wanted = {name for names in loud.values() for name in names}
    concerned = [row for row in rows if "*" in wanted or row["rule"] in wanted]
    if not concerned:
        return {}
    others = open_of(connection, account_id, sorted(loud), now)
    found: dict[str, str] = {}
    for row in concerned:
        for other in others:
            if _speaks(other, row, loud) and _belongs(row, other):
                found[row["id"]] = other["rule"]
                break
    return found


def _speaks(one: Row, other: Row, loud: Mapping[str, Sequence[str]]) -> bool:
    """Whether a breach would silence another one, wherever that lies."""
    if not _names(loud, one["rule"], other["rule"]):
        return False
    both = _names(loud, other["rule"], one["rule"])
    return not both or _gravity(one) > _gravity(other)


def _names(loud: Mapping[str, Sequence[str]], rule: str, other: str) -> bool:
    names = loud.get(rule, ())
    return other in names or ("*" in names and rule != other)


def _gravity(row: Row) -> tuple[int, str]:
    return SEVERITIES.index(row["severity"]), row["rule"]


def _belongs(row: Row, other: Row) -> bool:
    if other["subject_kind"] == "account":
        return True
    if other["subject_kind"] == "deal":
        return bool(row["deal"]) and row["deal"] == other["deal"]
    if row["subject_kind"] == other["subject_kind"] == "seller":
        return str(row["seller"]) == str(other["seller"])
    return (row["subject_kind"], row["subject_id"]) == (other["subject_kind"], other["subject_id"])
