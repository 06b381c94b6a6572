"""How one attribute changed over time, from the versions that told it.

Sparse versions, in their order, give a list of changes. A correction (a change undone by the same
person within ten minutes, rules.md 1.2) is taken out: both facts stay stored but count for no rule.
"""

from typing import Any, NamedTuple

from service.domain.instant import Instant

CORRECTION_SECONDS = 600


class Change(NamedTuple):
    """From `at` on the attribute has `value`; `author` None = unknown."""

    at: Instant
    value: Any
    author: str | None


def settle(changes: list[Change]) -> list[Change]:
    """Drop repetitions and corrections; the result has no two equal neighbours."""
    kept: list[Change] = []
    for change in _last_of_each(changes):
        if kept and kept[-1].value == change.value:
            continue
        if len(kept) >= 2 and _undoes(kept[-2], kept[-1], change):
            kept.pop()
            continue
        kept.append(change)
    return kept


def _last_of_each(changes: list[Change]) -> list[Change]:
    """Of each instant the last telling (it outranks the others), by whoever is known to tell it."""
    found: list[Change] = []
    for change in changes:
        if found and found[-1].at == change.at:
            same = found.pop()
            if same.value == change.value and same.author is not None:
                found.append(same)
                continue
        found.append(change)
    return found


def _undoes(before: Change, wrong: Change, back: Change) -> bool:
    return (
        before.value == back.value
        and back.at - wrong.at <= CORRECTION_SECONDS
        and wrong.author == back.author
    )
