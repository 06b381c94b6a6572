"""Acknowledge, mute, comment and dispute violations (api.md 3.4)."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import check_if_match
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_names
from service.api.params import LangParam, read_instant
from service.api.problems import bad_body, problem
from service.api.router import Router
from service.api.violation_schemas import (
    AckBody,
    AppealBody,
    CommentBody,
    DecisionBody,
    MuteBody,
    ViolationDetail,
)
from service.api.violation_views import status_at
from service.api.violations import detail, found, tag_of_one
from service.domain.instant import Instant
from service.store import appeals, remarks
from service.store.handles import Connection
from service.store.remarks import Author

router = Router(prefix="/v1", tags=["Violations"])
MOST_MUTE_SECONDS = 90 * 86_400
_WRITE = [Depends(require("violations:write"))]
Change = Callable[[Connection, Mapping[str, Any], Author], None]


@router.post("/violations/{violation_id}/ack", response_model=ViolationDetail, dependencies=_WRITE)
def acknowledge_violation(
    call: CallDep, violation_id: str, body: AckBody | None = None, lang: LangParam = None
) -> Response:
    """Somebody takes care of it. A second acknowledgement keeps the first author."""
    comment = body.comment if body else ""

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.ack(connection, row, author, comment, call.now)

    return _changed(call, violation_id, change)


@router.delete(
    "/violations/{violation_id}/ack", response_model=ViolationDetail, dependencies=_WRITE
)
def take_back_acknowledgement(call: CallDep, violation_id: str, lang: LangParam = None) -> Response:
    """Take an acknowledgement back."""

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.unack(connection, row, author, call.now)

    return _changed(call, violation_id, change)


@router.post("/violations/{violation_id}/mute", response_model=ViolationDetail, dependencies=_WRITE)
def mute_violation(
    call: CallDep, violation_id: str, body: MuteBody, lang: LangParam = None
) -> Response:
    """Say nothing of this rule and subject until an instant; it stays listed."""
    until = read_until(body.until, call.now)
    if not body.reason.strip():
        raise bad_body("#/reason", "reason must say something.")

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.mute(connection, row, author, until, body.reason, call.now)

    return _changed(call, violation_id, change)


@router.delete(
    "/violations/{violation_id}/mute", response_model=ViolationDetail, dependencies=_WRITE
)
def unmute_violation(call: CallDep, violation_id: str, lang: LangParam = None) -> Response:
    """End its own mute now; one of a wider scope (`mute.id`) ends at `/v1/mutes/{id}`."""

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.unmute(connection, row, author, call.now)

    return _changed(call, violation_id, change)


@router.post(
    "/violations/{violation_id}/comments", response_model=ViolationDetail, dependencies=_WRITE
)
def comment_violation(
    call: CallDep, violation_id: str, body: CommentBody, lang: LangParam = None
) -> Response:
    """Say something about it; every comment stays in its history."""
    text = _said(body.text, "text")

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        appeals.comment(connection, row, author, text, call.now)

    return _changed(call, violation_id, change, also_over=True)


@router.post(
    "/violations/{violation_id}/appeal", response_model=ViolationDetail, dependencies=_WRITE
)
def dispute_violation(
    call: CallDep, violation_id: str, body: AppealBody, lang: LangParam = None
) -> Response:
    """Dispute it: it counts until the head decides. 409 if it is disputed or decided already."""
    reason = _said(body.reason, "reason")

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        try:
            appeals.appeal(connection, row, author, reason, call.now)
        except appeals.AppealRefused as error:
            raise problem("conflict", str(error)) from None

    return _changed(call, violation_id, change, also_over=True)


@router.post(
    "/violations/{violation_id}/appeal/decision",
    response_model=ViolationDetail,
    dependencies=[Depends(require("rules:write"))],
)
def decide_appeal(
    call: CallDep, violation_id: str, body: DecisionBody, lang: LangParam = None
) -> Response:
    """Grant an appeal (rule and subject are muted for 90 days) or deny it. 409 if none is open."""

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        try:
            appeals.decide(
                connection, row, author, body.comment.strip(), call.now, granted=body.granted
            )
        except appeals.AppealRefused as error:
            raise problem("conflict", str(error)) from None

    return _changed(call, violation_id, change, also_over=True)


def _said(text: str, field: str) -> str:
    if not text.strip():
        raise bad_body(f"#/{field}", f"{field} must say something.")
    return text.strip()


def _changed(call: Call, violation_id: str, change: Change, *, also_over: bool = False) -> Response:
    """Apply a change to a violation (`also_over`: to a resolved one too); answer the violation.

    Raises:
        ApiError: not_found, already_resolved, precondition_failed.
    """
    author = Author(call.caller.key_id, call.request_id, call.address)
    with call.write() as connection:
        names = visible_names(call, connection)
        row, status = found(connection, names, violation_id)
        over = status_at(row, call.now) == "resolved" and not also_over
        if status == "void" or over:
            raise problem("already_resolved", "This violation is over.")
        before = detail(call, connection, names, row)
        check_if_match(call.request, tag_of_one(before))
        change(connection, row, author)
        return json_answer(detail(call, connection, names, row))


def read_until(text: str, now: Instant) -> Instant:
    """The end of a mute.

    Raises:
        ApiError: invalid_body.
    """
    from pydantic_core import PydanticCustomError

    try:
        until = read_instant(text)
    except PydanticCustomError as error:
        raise bad_body("#/until", error.message()) from None
    if not now < until <= now + MOST_MUTE_SECONDS:
        raise bad_body("#/until", "until must lie in the future, at most 90 days ahead.")
    return int(until)
