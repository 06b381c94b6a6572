"""Rules in force and the check of a rule file (api.md 3.10)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Depends, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import accepts, safe
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, visible_names
from service.api.paging import PageDep, page_of
from service.api.params import LangParam
from service.api.problems import bad_body, not_found
from service.api.router import Router
from service.api.rule_check import verdict
from service.api.rule_texts import advice, rule_name, span_text
from service.api.schemas import Instant, Listed, Wire
from service.api.settings_document import YAML_TYPES
from service.api.yaml_bodies import read_text
from service.domain.instant import iso
from service.errors import ConfigError
from service.rules.book import Rule, builtin_rules, parse_rules
from service.rules.schema import RuleModel
from service.store import health
from service.store.accounts import load_configs
from service.store.handles import Connection
from service.store.reads.violations import moved_at, open_by_rule

router = Router(prefix="/v1", tags=["Rules"])
FILE_BYTES = 256 * 1024


class RuleShown(Wire):
    """A rule as it holds for the accounts that the key sees."""

    id: str = Field(examples=["task-overdue"])
    on: str = Field(description="deal, task, call, lead, seller, team, account")
    when: str
    since: list[str]
    for_: str = Field(alias="for", examples=["5wd"])
    severity: str
    title: str
    advice: str
    enabled: bool
    source: str = Field(description="builtin, account")
    version: str | None
    effective_from: Instant | None = Field(description="null: since ever")
    state: str = Field(description="ok, failing")
    last_error: str | None
    open_count: int


class RuleList(Listed):
    """All rules."""

    data: list[RuleShown]


class RuleFault(Wire):
    """A fault of a rule file and where it stands."""

    line: int | None
    column: int | None
    path: str | None
    code: str
    detail: str
    did_you_mean: list[str]


class Verdict(Wire):
    """Whether a rule file can be used."""

    valid: bool
    errors: list[RuleFault]


@router.get("/rules", response_model=RuleList, dependencies=[Depends(require("violations:read"))])
def list_rules(call: CallDep, page: PageDep, lang: LangParam = None) -> Response:
    """All rules; `enabled` if on in some account that the key sees."""
    walk = page.walk(call)
    with call.read() as connection:
        rows = _rules(call, connection, sorted(call.book.models.values(), key=lambda m: m.id))
    total = len(rows) if walk.count else None
    piece = page_of(walk, rows, lambda row: [row["id"]])
    return walk.answer(piece, lambda row: [row["id"]], lambda row: row, total)


@router.get(
    "/rules/{rule_id}", response_model=RuleShown, dependencies=[Depends(require("violations:read"))]
)
def get_rule(call: CallDep, rule_id: str, lang: LangParam = None) -> Response:
    """One rule."""
    model = call.book.models.get(rule_id)
    if model is None:
        raise not_found()
    with call.read() as connection:
        rows = _rules(call, connection, [model])
    return json_answer(rows[0])


@router.post(
    "/rules/validate", response_model=Verdict, dependencies=[Depends(require("rules:write"))]
)
@safe
@accepts(*YAML_TYPES, "application/json", most_bytes=FILE_BYTES)
async def validate_rules(request: Request) -> Response:
    """Load and type-check a rule file; nothing is stored. 200 also when it cannot be used."""
    body = await request.body()
    return json_answer(await run_in_threadpool(verdict, body))


class TriedRow(Wire):
    """A violation that would open or close."""

    rule: str
    subject: str = Field(examples=["deal:4815162"])
    deal: str | None
    seller: dict[str, str]
    breach_at: Instant


class TriedFailure(Wire):
    """A rule that had no answer for a subject."""

    rule: str
    subject: str
    error: str


class Tried(Wire):
    """What a rule file would change for an account, on the facts stored now."""

    changed: list[str] = Field(description="rules that mean something else, are new or are gone")
    timelines: int
    stays_open: int
    opens: list[TriedRow]
    closes: list[TriedRow]
    failures: list[TriedFailure]


@router.post("/rules/try", response_model=Tried, dependencies=[Depends(require("rules:write"))])
@safe
@accepts(*YAML_TYPES, "application/json", most_bytes=FILE_BYTES)
async def try_rules(call: CallDep, request: Request, account: str) -> Response:
    """Judge the account's stored facts by a rule file; nothing is stored, nobody is alerted.

    It reads all timelines of the account: seconds for a thousand deals, minutes for a hundred
    thousand.
    """
    body = await request.body()
    return json_answer(await run_in_threadpool(_tried, call, body, account))


def _tried(call: Call, body: bytes, account: str) -> dict[str, Any]:
    with call.read() as connection:
        if account not in visible_names(call, connection):
            raise not_found()
    faults = verdict(body)["errors"]
    if faults:
        first = faults[0]
        where = f"line {first['line']}, column {first['column']}: " if first["line"] else ""
        raise bad_body(first["path"] or "#", f"{where}{first['detail']}")
    try:
        return call.services.try_rules(account, parse_rules(read_text(body), "body"))
    except ConfigError as error:
        raise bad_body("#", str(error)) from None


# --- what a rule is -------------------------------------------------------------------------------


def _rules(call: Call, connection: Connection, models: list[RuleModel]) -> list[dict[str, Any]]:
    names = visible_names(call, connection)
    fresh(call, connection, moved_at(connection, list(names), call.now))
    counts = open_by_rule(connection, list(names), call.now)
    troubles: dict[str, Mapping[str, Any]] = {}
    for account in names:
        troubles |= health.failing(connection, account)
    return [
        _shown(call, connection, names, model, troubles.get(model.id), counts.get(model.id, 0))
        for model in models
    ]


def _shown(
    call: Call,
    connection: Connection,
    names: Mapping[str, Names],
    model: RuleModel,
    trouble: Mapping[str, Any] | None,
    open_count: int,
) -> dict[str, Any]:
    found = _in_force(call, connection, names, model.id)
    rule, effective = found or (None, 0)
    return {
        "id": model.id,
        "on": model.on,
        "when": model.when,
        "since": [model.since] if isinstance(model.since, str) else model.since,
        "for": span_text(model),
        "severity": rule.severity if rule else model.severity,
        "title": rule_name(model, model.id, call.lang),
        "advice": advice(model, call.lang),
        "enabled": rule is not None or (not names and model.enabled),
        "source": "builtin" if _builtin().get(model.id) == model else "account",
        "version": rule.version if rule else None,
        "effective_from": iso(effective) if effective > 0 else None,
        "state": "failing" if trouble else "ok",
        "last_error": str(trouble["error"]) if trouble else None,
        "open_count": open_count,
    }


def _in_force(
    call: Call, connection: Connection, names: Mapping[str, Names], rule_id: str
) -> tuple[Rule, int] | None:
    """The rule in the first account (by id) where it is on, and since when in this version."""
    for account, own in names.items():
        current = _rule(call, own.config, rule_id)
        if current is None:
            continue
        since = 0
        version: str | None = None
        for at, config in load_configs(connection, account, call.lang):
            rule = _rule(call, config, rule_id)
            if rule is None or rule.version != version:
                since = at
            version = rule.version if rule else None
        return current, since
    return None


def _rule(call: Call, config: Any, rule_id: str) -> Rule | None:
    return next((rule for rule in call.book.in_force(config) if rule.id == rule_id), None)


@cache
def _builtin() -> dict[str, RuleModel]:
    return {model.id: model for model in builtin_rules()}
