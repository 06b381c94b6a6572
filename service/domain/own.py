"""What Dozor wrote into a CRM itself: signed, so that it is known again wherever it comes back.

The mark is part of the text, so facts alone tell it: after a rebuild, from a backfill, in another
process. What is signed is no work of a seller: it is no next step, no trace after a talk, and
nobody is late with it.
"""

import re
from typing import Any

_MARK = re.compile(r"Dozor #[0-9a-z]{8}\b")


def mark(violation_id: str) -> str:
    """The mark of what is written because of a violation."""
    return f"Dozor #{violation_id[-8:].lower()}"


def sign(text: str, violation_id: str) -> str:
    """A text with the mark at its end."""
    return f"{text} · {mark(violation_id)}"


def is_own(text: Any) -> bool:
    """Whether a text of a task or note is one of ours."""
    return isinstance(text, str) and "Dozor #" in text and _MARK.search(text) is not None
