"""What the tests inside rule files may say: facts by their names, and what is to come out."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from service.domain.facts import (
    CallBody,
    ContactBody,
    DealBody,
    LeadBody,
    MessageBody,
    NoteBody,
    TaskBody,
)

_BODIES: Mapping[str, Any] = {
    "deal": DealBody, "task": TaskBody, "call": CallBody, "note": NoteBody, "lead": LeadBody,
    "contact": ContactBody, "message": MessageBody,
}  # fmt: skip
_KNOWN: Mapping[str, frozenset[str]] = {
    **{kind: frozenset({"id", *body.__annotations__}) for kind, body in _BODIES.items()},
    "heard": frozenset(),
    "plan": frozenset({"seller", "month", "value"}),
}
_EXPECTED = frozenset({"breach_at", "resolved_at", "subject", "resolution", "severity"})


def near_of(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest known name, or all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def checked_given(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The facts of a test.

    Raises:
        ValueError: which line, and what is wrong with it.
    """
    for number, line in enumerate(lines, 1):
        _check_time(line, "at", number)
        kinds = [name for name in line if name != "at"]
        wrong = _wrong(kinds[0], line[kinds[0]]) if len(kinds) == 1 else "must be `at` and one fact"
        if wrong:
            msg = f"line {number}: {wrong}"
            raise ValueError(msg)
    return lines


def _wrong(kind: str, body: Any) -> str:
    """What is wrong with a fact; "" = nothing."""
    if kind not in _KNOWN:
        return f"there is no {kind[:40]!r} here{near_of(kind, _KNOWN)}"
    if not isinstance(body, dict):
        return f"{kind} must be a map"
    return _stranger(body, _KNOWN[kind], kind)


def checked_expect(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The intervals of a test.

    Raises:
        ValueError: which line, and what is wrong with it.
    """
    for number, line in enumerate(lines, 1):
        if wrong := _stranger(line, _EXPECTED, "an interval"):
            msg = f"line {number}: {wrong}"
            raise ValueError(msg)
        _check_time(line, "breach_at", number)
        if line.get("resolved_at") is not None:
            _check_time(line, "resolved_at", number)
    return lines


def _stranger(body: Iterable[Any], known: frozenset[str], what: str) -> str:
    """The first name that nobody knows, in a sentence."""
    for name in body:
        if name not in known:
            hint = near_of(str(name), known) if known else ""
            return f"{what} has no {str(name)[:40]!r}{hint}"
    return ""


def _check_time(line: Mapping[str, Any], name: str, number: int) -> None:
    value = line.get(name)
    if isinstance(value, date):  # YAML reads some of them; a datetime is one
        return
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        said = "is missing" if value is None else f"{str(value)[:40]!r} is no instant"
        msg = f"line {number}: {name} {said}; write for example 2026-03-02 10:00"
        raise ValueError(msg) from None
