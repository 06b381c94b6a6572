"""Contribution parts that are kept in another way than the rest."""

from service.domain.steps import APART

UNROLLED = frozenset({"cycle"})
"""In no rollup: values that are ranked, steps between stages. They bear the slot `APART`."""

DEAL_LEVELS: frozenset[str] = frozenset()
"""Levels whose steps are deals' own, each deal's adding up to nothing once it is closed."""

CORRECTED: frozenset[str] = frozenset()
"""Parts whose undoing can be dated back (`reopen=restate`): see `restated`."""

RANKED = frozenset({"cycle"})
"""Values that are ranked: a 0 is a value too."""

AGED = frozenset({"calls_unreturned"})
"""Cohort parts: what became of a member after `age` seconds, dated at the cohort's instant."""


def restated(part: str) -> str:
    """The part that moves corrections back: -1 where the correction lies, +1 at its origin."""
    return f"{part}_restated"


__all__ = ["AGED", "APART", "CORRECTED", "DEAL_LEVELS", "RANKED", "UNROLLED", "restated"]
