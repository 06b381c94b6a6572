"""`GET` and `PUT /v1/accounts/{id}/settings`: the account's document (design 8.2a), scope admin."""

from typing import Any

import yaml
from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import accepts, faults_of, pointer
from service.api.conditional import check_if_match, tag_of, use_tag
from service.api.deps import Call, CallDep, json_answer
from service.api.names import book_of, visible_accounts
from service.api.problems import bad_body, from_faults, not_found
from service.api.router import Router
from service.api.yaml_bodies import read_document
from service.domain.account import AccountDocument
from service.domain.named import check_nudges
from service.domain.resolving import resolve
from service.errors import ApiError, ConfigError
from service.kpi import teammoves
from service.kpi.planwrite import before_settings
from service.store import accounts
from service.store.accounts import AccountRow
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Administration"])
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
_ADMIN = [Depends(require("admin"))]
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}
}


@router.get(
    "/accounts/{account_id}/settings",
    response_model=AccountDocument,
    responses=_CONTENT,
    dependencies=_ADMIN,
)
def get_settings(call: CallDep, account_id: str) -> Response:
    """The settings in force with every default; YAML if `Accept` asks for it."""
    with call.read() as connection:
        row = _account(call, connection, account_id)
        use_tag(call.request, _tag(connection, row))
        document = accounts.document(connection, account_id)
    return _shown(call.request, document)


@router.put(
    "/accounts/{account_id}/settings",
    response_model=AccountDocument,
    responses=_CONTENT,
    dependencies=_ADMIN,
)
@accepts("application/json", *YAML_TYPES)
async def put_settings(call: CallDep, account_id: str, request: Request) -> Response:
    """Replace the settings; what is left out has its default. All is judged again."""
    body = await request.body()
    kind = request.headers.get("content-type", "")
    return await run_in_threadpool(_put, call, account_id, body, kind)


def _put(call: Call, account_id: str, body: bytes, kind: str) -> Response:
    document = _parse(read_document(body, kind))
    if document.account not in (None, account_id):
        raise bad_body("#/account", f"account must be {account_id!r} here, or be left out.")
    with call.write() as connection:
        row = _account(call, connection, account_id)
        check_if_match(call.request, _tag(connection, row))
        before = accounts.document(connection, account_id)
        _save(call, connection, row, document)
        _note(call, connection, account_id, before, document)
        tag = _tag(connection, row)
    answer = _shown(call.request, document)
    answer.headers["etag"] = tag
    return answer


def _parse(raw: Any) -> AccountDocument:
    if raw is None:  # a client's slip must not take all settings away
        raise bad_body("#", "The body says nothing; settings that are all default are {}.")
    try:
        return AccountDocument.model_validate(raw)
    except ValidationError as error:
        errors = [
            {**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_url=False)
        ]
        raise from_faults(faults_of(errors, AccountDocument), "invalid_body") from None


def _save(call: Call, connection: Connection, row: AccountRow, document: AccountDocument) -> None:
    """Store it, if every name in it means something.

    Raises:
        ApiError: invalid_body; its pointer leads to the name.
    """
    author = call.caller.key_id
    try:
        known = accounts.directory(connection, row.account_id)
        zone = call.settings.timezone
        config = resolve(row.account_id, row.crm, known, document, default_zone=zone)
        config.check_hours()
        adapter = call.services.adapters.get(row.crm)
        check_nudges(document, row.crm, adapter.nudges if adapter else ())
        if known.pipelines or known.sellers:
            config.check()
        book_of(call, connection, row).check(config)
        before = teammoves.begin(connection, row.account_id, call.lang)
        if known.sellers:
            before_settings(connection, before, document, author, call.now)
        accounts.save_settings(connection, row.account_id, document, author, call.now)
        teammoves.follow(connection, before, author, call.now)
    except ConfigError as error:
        raise _as_problem(str(error)) from None


def _note(
    call: Call,
    connection: Connection,
    account_id: str,
    before: AccountDocument,
    after: AccountDocument,
) -> None:
    if before != after:
        told = {"before": _plain(before), "after": _plain(after)}
        call.note(connection, "settings.saved", account_id, **told)


def _as_problem(sentence: str) -> ApiError:
    """`rules.deal-stuck.for.КП: no pipeline ...` points to `#/rules/deal-stuck/for/КП`."""
    place, _, text = sentence.partition(": ")
    path = place.split(".") if text and " " not in place else []
    return bad_body(pointer(path), sentence if sentence.endswith(".") else f"{sentence}.")


def _account(call: Call, connection: Connection, account_id: str) -> AccountRow:
    found = visible_accounts(call, connection)
    row = next((row for row in found if row.account_id == account_id), None)
    if row is None:
        raise not_found()
    return row


def _tag(connection: Connection, row: AccountRow) -> str:
    history = accounts.settings_history(connection, row.account_id)
    return tag_of([row.account_id, history[-1]["version"] if history else 0])


def _plain(document: AccountDocument) -> dict[str, Any]:
    return document.model_dump(mode="json", by_alias=True)


def _shown(request: Request, document: AccountDocument) -> Response:
    plain = _plain(document)
    if not any(kind in request.headers.get("accept", "") for kind in YAML_TYPES):
        return json_answer(plain)
    text = yaml.safe_dump(plain, allow_unicode=True, sort_keys=False)
    return Response(text, media_type="application/yaml")
