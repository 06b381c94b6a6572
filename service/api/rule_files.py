"""An account's own rule file: read, replaced, its versions, and the way back (api.md 3.10)."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import accepts
from service.api.conditional import check_if_match, tag_of, use_tag
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_accounts, visible_configs
from service.api.paging import PageDep, page_of
from service.api.params import read_instant
from service.api.problems import bad_body, bad_parameter, not_found
from service.api.router import Router
from service.api.rule_check import refuse, verdict
from service.api.rules import FILE_BYTES
from service.api.schemas import Instant, Listed, Wire
from service.api.settings_document import YAML_TYPES
from service.api.yaml_bodies import read_text
from service.domain.config import Config
from service.domain.instant import iso
from service.errors import ConfigError
from service.store import rule_files
from service.store.handles import Connection
from service.store.rule_files import FileVersion, NewFile

router = Router(prefix="/v1", tags=["Rules"])
BEGINNING = "beginning"
_READ, _WRITE = [Depends(require("violations:read"))], [Depends(require("rules:write"))]
_YAML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}
}


def _read_since(text: Any) -> Any:
    return 0 if text == BEGINNING else read_instant(text)


SinceParam = Annotated[
    int | None,
    BeforeValidator(_read_since),
    WithJsonSchema({"type": "string"}),
    Query(description="`beginning` or an earlier instant; default: new rules hold since ever, "
          "changed ones from now on"),
]  # fmt: skip
WhoseParam = Annotated[
    str | None, Query(description="whose rules; may be left out by a key that sees one account")
]
ReasonParam = Annotated[str, Query(max_length=500, description="why, for the history")]


class RuleFileSaved(Wire):
    """The version that is in force now."""

    account: str = Field(examples=["romashka"])
    version: int
    changed: list[str] = Field(description="rules that this version changed, added or took away")


class RuleFileVersion(Wire):
    """A version of an account's rule file."""

    version: int
    at: Instant
    author: str = Field(description="key id, or cli")
    reason: str
    effective_from: str | None = Field(description="null: as usual; `beginning`, or an instant")
    changed: list[str] = Field(description="rules that it changed, added or took away")


class RuleFileVersions(Listed):
    """All versions, oldest first."""

    data: list[RuleFileVersion]


class Rollback(BaseModel):
    """Which version is to be in force again."""

    model_config = ConfigDict(extra="forbid")
    account: str
    version: int = Field(ge=1, le=1 << 31)
    reason: str = Field("", max_length=500)


@router.get(
    "/rules/file", response_class=Response, responses=_YAML, dependencies=_READ
)  # before /rules/{rule_id}
def rule_file(call: CallDep, account: WhoseParam = None) -> Response:
    """The account's own rules in force, as they were given (YAML)."""
    with call.read() as connection:
        owner = whose_rules(call, connection, account)
        versions = rule_files.history(connection, owner)
    use_tag(call.request, _tag(owner, versions))
    text = versions[-1].text if versions else rule_files.NONE
    return Response(text, media_type="application/yaml")


@router.get("/rules/versions", response_model=RuleFileVersions, dependencies=_READ)
def rule_versions(call: CallDep, page: PageDep, account: WhoseParam = None) -> Response:
    """Who changed the account's own rules, when, why, and which."""
    walk = page.walk(call)
    with call.read() as connection:
        versions = rule_files.history(connection, whose_rules(call, connection, account))
    changed = call.services.shelf.changed(versions)
    rows = [_shown(one, names) for one, names in zip(versions, changed, strict=True)]
    total = len(rows) if walk.count else None
    piece = page_of(walk, rows, _position)
    return walk.answer(piece, _position, lambda row: row, total)


@router.put("/rules", response_model=RuleFileSaved, dependencies=_WRITE)
@accepts(*YAML_TYPES, "application/json", most_bytes=FILE_BYTES)
async def put_rules(
    call: CallDep,
    request: Request,
    account: str,
    reason: ReasonParam = "",
    effective_from: SinceParam = None,
) -> Response:
    """Replace the account's own rules; what it has not itself is the installation's.

    Everything is judged again in the background. Breaches from before the change are told in one
    digest.
    """
    body = await request.body()
    return await run_in_threadpool(_put, call, body, account, reason, effective_from)


def _put(call: Call, body: bytes, account: str, reason: str, since: int | None) -> Response:
    if since is not None and since > call.now:
        detail = "effective_from must not lie ahead; a change holds from now on at the latest."
        raise bad_parameter("effective_from", detail)
    with call.write() as connection:
        config = _config(call, connection, account)
        versions = rule_files.history(connection, account)
        check_if_match(call.request, _tag(account, versions))
        if faults := verdict(body)["errors"]:
            raise refuse(faults)
        new = NewFile(read_text(body), call.caller.key_id, reason, since)
        return _save(call, connection, config, new, "rules.saved")


@router.post("/rules/rollback", response_model=RuleFileSaved, dependencies=_WRITE)
def rollback_rules(call: CallDep, body: Rollback) -> Response:
    """Put an older version in force again, as a new one; nothing is lost."""
    with call.write() as connection:
        config = visible_configs(call, connection, [body.account]).get(body.account)
        if config is None:
            raise bad_body("#/account", f"There is no account {body.account[:64]!r}.")
        versions = rule_files.history(connection, body.account)
        chosen = {one.version: one.text for one in versions}
        if body.version not in chosen:
            known = ", ".join(str(number) for number in chosen) or "none"
            detail = f"There is no version {body.version}; there are: {known}."
            raise bad_body("#/version", detail)
        reason = body.reason or f"back to {body.version}"
        new = NewFile(chosen[body.version], call.caller.key_id, reason)
        return _save(call, connection, config, new, "rules.rolled_back")


def _save(call: Call, connection: Connection, config: Config, new: NewFile, what: str) -> Response:
    account, shelf = config.account_id, call.services.shelf
    before = rule_files.history(connection, account)
    try:
        shelf.admit(new.text, "body", before, config)
    except ConfigError as error:
        raise bad_body("#", f"{error}.") from None
    version = rule_files.save(connection, account, new, call.now)
    after = rule_files.history(connection, account)
    changed = shelf.changed(after)[-1]
    if len(after) > len(before):
        told = {"version": version, "changed": changed, "reason": new.reason}
        call.note(connection, what, account, before={"version": version - 1}, after=told)
    answer = {"account": account, "version": version, "changed": changed}
    return json_answer(answer, headers={"etag": _tag(account, after)})


def whose_rules(call: Call, connection: Connection, account: str | None) -> str:
    """The account that is asked for, or the only one that the key sees.

    Raises:
        ApiError: not_found; invalid_parameter.
    """
    if account is not None:
        return _config(call, connection, account).account_id
    found = visible_accounts(call, connection)
    if len(found) != 1:
        raise bad_parameter("account", "The key does not see just one account: say which.")
    return found[0].account_id


def _config(call: Call, connection: Connection, account: str) -> Config:
    found = visible_configs(call, connection, [account]).get(account)
    if found is None:
        raise not_found()
    return found


def _tag(account: str, versions: list[FileVersion]) -> str:
    return tag_of([account, "rules", versions[-1].version if versions else 0])


def _shown(one: FileVersion, changed: list[str]) -> dict[str, Any]:
    since = one.effective_from
    return {
        "version": one.version,
        "at": iso(one.at),
        "author": one.author,
        "reason": one.reason,
        "effective_from": BEGINNING if since == 0 else iso(since),
        "changed": changed,
    }


def _position(row: dict[str, Any]) -> list[Any]:
    return [row["version"]]
