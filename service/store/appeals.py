"""Comments on violations, appeals against them and their decisions, with the whole history.

An appeal is open until somebody decides it. One that is granted mutes rule and subject, so that it
is counted apart from then on; one that is denied leaves everything as it was. Nothing is deleted.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, or_, select

from service.domain.instant import Instant
from service.store import remarks
from service.store.locks import lock
from service.store.records import Remark
from service.store.remarks import Author, Row, Said

_R = Remark.__table__  # type: ignore[attr-defined]
APPEAL, GRANTED, DENIED, COMMENT = "appeal", "granted", "denied", "comment"
_SILENT_DAYS = 90


class AppealRefused(Exception):  # noqa: N818 - what it is, in the words of the API
    """It cannot be appealed or decided; the text says what stands against it."""


@dataclass(frozen=True, slots=True)
class Appeal:
    """An appeal and what became of it. `state`: open, granted or denied."""

    state: str
    said: Said
    decided: Said | None


def comment(connection: Connection, row: Row, author: Author, text: str, now: Instant) -> None:
    """Say something about a violation; every comment stays."""
    remarks.say(connection, row, author, COMMENT, text, now)


def appeal(connection: Connection, row: Row, author: Author, reason: str, now: Instant) -> None:
    """Dispute a violation.

    Raises:
        AppealRefused: it is disputed already, or was decided.
    """
    lock(connection, row["account_id"])
    known = appeal_of(history(connection, row))
    if known is not None:
        state = "was decided" if known.decided else "is open"
        raise AppealRefused(f"An appeal against this violation {state}.")
    remarks.say(connection, row, author, APPEAL, reason, now)


def decide(
    connection: Connection,
    row: Row,
    author: Author,
    text: str,
    now: Instant,
    *,
    granted: bool,
) -> None:
    """Grant an open appeal (rule and subject are muted) or deny it.

    Raises:
        AppealRefused: there is no open appeal.
    """
    lock(connection, row["account_id"])
    known = appeal_of(history(connection, row))
    if known is None or known.decided is not None:
        raise AppealRefused("There is no open appeal to decide.")
    remarks.say(connection, row, author, GRANTED if granted else DENIED, text, now)
    over = row["resolved_at"] is not None and row["resolved_at"] <= now
    if granted and not over:
        reason = text or known.said.text
        remarks.mute(connection, row, author, now + _SILENT_DAYS * 86_400, reason, now)


def history(connection: Connection, row: Row) -> list[Said]:
    """All that was said about this violation, oldest first. Index: ix_remark_subject.

    What was said of another id of the same breach (the rule judged it anew) belongs to it too.
    """
    resolved = row["resolved_at"]
    inside = [_R.c.at >= row["breach_at"]] + ([_R.c.at < resolved] if resolved is not None else [])
    query = (
        select(_R)
        .where(_R.c.account_id == row["account_id"], _R.c.rule == row["rule"])
        .where(
            _R.c.subject_kind == row["subject_kind"], _R.c.subject_id == row["subject_id"],
            or_(_R.c.violation_id == row["id"], and_(*inside)),
        )
        .order_by(_R.c.at, _R.c.id)
    )  # fmt: skip
    return [remarks.read(found) for found in connection.execute(query)]


def appeal_of(said: list[Said]) -> Appeal | None:
    """The appeal in a history, with its decision."""
    opened = next((one for one in said if one.action == APPEAL), None)
    if opened is None:
        return None
    decided = next((one for one in said if one.action in {GRANTED, DENIED}), None)
    return Appeal(decided.action if decided else "open", opened, decided)
