"""What people said of a violation, as the API shows it."""

from typing import Any

from service.domain.instant import iso
from service.store.appeals import Appeal
from service.store.remarks import Said


def show_remark(said: Said) -> dict[str, Any]:
    """One line of the history."""
    return {
        "action": said.action,
        "by": said.author,
        "at": iso(said.at),
        "until": iso(said.until),
        "text": said.text,
    }


def show_appeal(appeal: Appeal | None) -> dict[str, Any] | None:
    """The appeal with its decision."""
    if appeal is None:
        return None
    decided = appeal.decided
    return {
        "state": appeal.state,
        "by": appeal.said.author,
        "at": iso(appeal.said.at),
        "reason": appeal.said.text,
        "decided_by": decided.author if decided else None,
        "decided_at": iso(decided.at) if decided else None,
        "decision": decided.text if decided else None,
    }
