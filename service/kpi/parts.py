"""Contribution parts that are kept in another way than the rest."""

from service.domain.steps import APART

_DAY = 86_400
STAYS = {"stay_7": 7 * _DAY, "stay_31": 31 * _DAY, "stay_92": 92 * _DAY, "stay_long": 0}
"""Stays of open deals in a place, each dated at its end, by how long they are at most (0 = longer).

`value` is the deal's age at the end, `age` the length: so whoever was there at an instant is found
among those that end so soon after it.
"""
STANDING = "stay_open"
"""Stays that have not ended, dated at their beginnings; `value` is the deal's age then."""

RANKED = frozenset({"cycle", "check_value", "response", "time_in_stage", STANDING, *STAYS})
"""Values that are ranked: a 0 is a value too."""

BRIEF = "hygiene_brief"
"""Stays of a deal with a seller for under a working hour, dated at their ends; in no rollup."""

STAGE_OPEN = "stage_open"
"""Open deals, where stages or sources are told apart: what `STAYS` count, step by step."""

DEAL_LEVELS = frozenset({STAGE_OPEN, "pipeline_value"})
"""Levels whose steps are deals' own, each deal's adding up to nothing once it is closed."""

UNROLLED = (
    RANKED
    | {
        STAGE_OPEN, "response_due", "stage_entered", "stage_skipped", "stage_passed",
        "stage_lost", "stage_late", "stage_late_passed", "stage_late_lost",
    }
)  # fmt: skip
"""In no rollup: values that are ranked, steps between stages, what is known of the future.

They bear the slot `APART`.
"""

CORRECTED = frozenset(
    {
        "deals_won",
        "deals_lost",
        "lost_target",
        "won_with_amount",
        "receipts",
        "value_won_shift",
        "inquiries_left",
    }
)
"""Parts whose undoing can be dated back (`reopen=restate`): see `restated`."""


def restated(part: str) -> str:
    """The part that moves corrections back: out of their own instant, into their origin's."""
    return f"{part}_restated"


_SALES = frozenset(
    {
        "value_lost", "peak_amount", "amount_given_up", "repeat_sales", "repeat_receipts",
        "touches_won", "talk_seconds_won", "proposals_won",
    }
) | CORRECTED  # fmt: skip
CORRECTING = _SALES | {restated(part) for part in _SALES}
"""Parts with corrections, for the team of what they correct (`contribution.corrects`)."""

AGED = frozenset(
    {
        "cohort_won", "cohort_lost", "created_spam", "inquiry_no_deal", "inquiry_won",
        "inquiry_qualified", "inquiries_answered", "response", "response_due", "response_in_norm",
        "stage_passed", "stage_lost", "stage_late_passed", "stage_late_lost",
        "calls_unreturned",
    }
    | {restated(part) for part in CORRECTED}
)  # fmt: skip
"""Parts dated at a beginning that say by `age` when it came to that (and not before)."""

NOT_DAILY = UNROLLED | {"calls_unreturned"}
"""Parts that no flat table of days has: what they count grows by the passing of time."""

__all__ = [
    "AGED",
    "APART",
    "BRIEF",
    "CORRECTED",
    "CORRECTING",
    "DEAL_LEVELS",
    "NOT_DAILY",
    "RANKED",
    "STAGE_OPEN",
    "STANDING",
    "STAYS",
    "UNROLLED",
    "restated",
]
