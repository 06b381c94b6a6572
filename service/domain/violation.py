"""A violation: the interval in which a subject broke a rule, with what proves it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from service.domain.instant import FOREVER, Instant

SEVERITIES = ("info", "warning", "critical")
SECOND_KINDS = ("seller", "team", "account")
"""Subjects whose verdicts rest on those of others (the second layer)."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(slots=True)
class Found:
    """A violation interval `[breach_at, resolved_at)`; `resolved_at` None = nothing ends it yet."""

    rule: str
    rule_version: str
    severity: str
    notice: bool
    subject_kind: str
    subject_id: str
    deal: str
    pipeline: str
    stage: str
    seller: str
    owner: str
    amount: int
    currency: str
    since: Instant
    held_since: Instant
    effective_from: Instant
    breach_at: Instant
    resolved_at: Instant | None
    resolution: str | None
    values: dict[str, Any] = field(default_factory=dict)
    ordinal: int = 0
    muted: tuple[tuple[Instant, Instant], ...] = ()  # when somebody had muted it, inside itself

    def loud(self) -> Iterator[tuple[Instant, Instant]]:
        """The stretches in which nobody had muted it; an open end is `FOREVER`."""
        end = FOREVER if self.resolved_at is None else self.resolved_at
        return unmuted(self.breach_at, end, self.muted)

    def violation_id(self, account_id: str) -> str:
        """Derived from account, rule, subject and `held_since` (and its number since then)."""
        return _identity(
            account_id, self.rule, self.subject_kind, self.subject_id, self.held_since, self.ordinal
        )


def unmuted(
    start: Instant, end: Instant, muted: Iterable[Sequence[Instant]]
) -> Iterator[tuple[Instant, Instant]]:
    """What is left of `[start, end)` between pieces that are in order."""
    for left, right in muted:
        if start < left:
            yield start, left
        start = max(start, right)
    if start < end:
        yield start, end


@lru_cache(maxsize=65_536)
def _identity(
    account_id: str, rule: str, kind: str, subject: str, held_since: Instant, ordinal: int
) -> str:
    parts = [account_id, rule, kind, subject, str(held_since)]
    if ordinal:
        parts.append(str(ordinal))
    number = int.from_bytes(sha256("\x00".join(parts).encode()).digest()[:17], "big")
    digits = [_ALPHABET[number >> (5 * i) & 31] for i in range(26)]
    return "vio_" + "".join(reversed(digits))
