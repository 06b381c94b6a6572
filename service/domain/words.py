"""When a text says something (rules.md 1.2, decisions.md 10)."""

import re
from functools import lru_cache

NOTE_MIN_LETTERS = 10
STOP_TEXTS = frozenset(
    {"ок", "ok", "перезвонить", "звонок", "тест", "test", "связаться", ".", "-", "+", "123"}
)

OTHER_REASONS = frozenset({
    "другое", "другая", "другая причина", "прочее", "прочие", "прочие причины", "иное",
    "иная причина", "other", "other reason",
})  # fmt: skip

_MEETING = re.compile(r"встреч|визит|meeting|visit", re.IGNORECASE)


def letters(text: str) -> int:
    """How many letters a text has."""
    return sum(map(str.isalpha, text))


def is_note(text: str) -> bool:
    """Whether a note counts as a trace: at least ten letters."""
    return letters(text) >= NOTE_MIN_LETTERS


def means_meeting(kind: str, kind_name: str | None) -> bool:
    """Whether a kind of tasks is one to meet the client, by its id or name."""
    return bool(_MEETING.search(kind) or (kind_name and _MEETING.search(kind_name)))


@lru_cache(maxsize=65_536)
def is_meaningful(text: str, kind_name: str | None = None) -> bool:
    """Whether a task's text says what to do."""
    trimmed = text.strip()
    words = {word.casefold() for word in trimmed.split() if any(map(str.isalnum, word))}
    if letters(trimmed) < NOTE_MIN_LETTERS or len(words) < 2:
        return False
    lowered = trimmed.casefold()
    return lowered not in STOP_TEXTS and lowered != (kind_name or "").casefold()
