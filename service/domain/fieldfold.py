"""Custom fields of a deal over time: whole sets (`fields`), and single ones (`fields_changed`).

A whole set says of every field what it is. A single one says it of itself alone: the others stay
as they were. Of a field nothing is known before it is told first; that value was there from the
beginning. So a deal whose image came late is undone backwards field by field.
"""

from collections.abc import Iterator, Mapping, Sequence

from service.domain.facts import Fact
from service.domain.history import Change
from service.domain.instant import Instant

Fields = dict[str, str]


def pictures(versions: Sequence[Fact], start: Instant) -> list[Change]:
    """All fields from `start` on and after each telling; nothing without a whole set."""
    told = [fact for fact in versions if _tells(fact)]
    begun = beginning(told)
    if begun is None:
        return []
    found = [Change(start, begun, told[0].body.get("author"))]
    for fact, fields in zip(told, after_each(told), strict=True):
        found.append(Change(fact.at, fields, fact.body.get("author")))
    return found


def after_each(versions: Sequence[Fact]) -> Iterator[Fields | None]:
    """All fields after each version; None throughout: no version tells a whole set."""
    fields = beginning(versions)
    for fact in versions:
        if fields is not None and _tells(fact):
            whole = fact.body.get("fields", fields) or {}
            fields = _filled(whole | fact.body.get("fields_changed", {}))
        yield fields


def beginning(versions: Sequence[Fact]) -> Fields | None:
    """Each field as it is told first; None: no version tells a whole set."""
    first: Fields = {}
    for fact in versions:
        first = fact.body.get("fields_changed", {}) | first
        if "fields" in fact.body:
            return _filled((fact.body["fields"] or {}) | first)
    return None


def tellings(versions: Sequence[Fact], field: str) -> Iterator[tuple[Instant, str | None]]:
    """(instant, value) of one field whenever it is told; a move to a stage tells it again."""
    known = False
    value: str | None = None
    for fact in versions:
        body = fact.body
        if "fields" in body:
            known, value = True, (body["fields"] or {}).get(field)
        elif field in body.get("fields_changed", {}):
            known, value = True, body["fields_changed"][field] or None
        elif not known or body.get("stage") is None:
            continue
        yield fact.at, value


def _tells(fact: Fact) -> bool:
    return "fields" in fact.body or "fields_changed" in fact.body


def _filled(fields: Mapping[str, str]) -> Fields:
    return {field: value for field, value in fields.items() if value}
