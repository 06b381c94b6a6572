"""Acknowledge and mute violations (api.md 3.4)."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import check_if_match, tag_of
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_names
from service.api.params import LangParam, read_instant
from service.api.problems import bad_body, problem
from service.api.router import Router
from service.api.violation_schemas import AckBody, MuteBody, ViolationDetail
from service.api.violation_views import status_at
from service.api.violations import detail, found
from service.domain.instant import Instant
from service.store import remarks
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
    until = _until(body.until, call.now)
    if not body.reason.strip():
        raise bad_body("#/reason", "reason must say something.")

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.mute(connection, row, author, until, body.reason, call.now)

    return _changed(call, violation_id, change)


@router.delete(
    "/violations/{violation_id}/mute", response_model=ViolationDetail, dependencies=_WRITE
)
def unmute_violation(call: CallDep, violation_id: str, lang: LangParam = None) -> Response:
    """End a mute now."""

    def change(connection: Connection, row: Mapping[str, Any], author: Author) -> None:
        remarks.unmute(connection, row, author, call.now)

    return _changed(call, violation_id, change)


def _changed(call: Call, violation_id: str, change: Change) -> Response:
    """Apply a change to a violation that is not resolved; answer the violation.

    Raises:
        ApiError: not_found, already_resolved, precondition_failed.
    """
    author = Author(call.caller.key_id, call.request_id, call.address)
    with call.write() as connection:
        names = visible_names(call, connection)
        row, status = found(connection, names, violation_id)
        if status == "void" or status_at(row, call.now) == "resolved":
            raise problem("already_resolved", "This violation is over.")
        before = detail(call, connection, names, row)
        check_if_match(call.request, tag_of(before))
        change(connection, row, author)
        return json_answer(detail(call, connection, names, row))


def _until(text: str, now: Instant) -> Instant:
    from pydantic_core import PydanticCustomError

    try:
        until = read_instant(text)
    except PydanticCustomError as error:
        raise bad_body("#/until", error.message()) from None
    if not now < until <= now + MOST_MUTE_SECONDS:
        raise bad_body("#/until", "until must lie in the future, at most 90 days ahead.")
    return int(until)
