"""Rules in force and the check of a rule file (api.md 3.10)."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import accepts, safe
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, rules_of, visible_names, windows_of
from service.api.paging import PageDep, page_of
from service.api.params import LangParam
from service.api.problems import bad_body, not_found
from service.api.router import Router
from service.api.rule_check import refuse, verdict
from service.api.schemas import Instant, Listed, Wire
from service.api.settings_document import YAML_TYPES
from service.api.yaml_bodies import read_text
from service.domain.account import RuleSettings
from service.domain.instant import iso
from service.errors import ConfigError
from service.rules.book import Rule, Window
from service.rules.loading import builtin_rules, parse_rules
from service.rules.schema import RuleModel
from service.rules.words import advice, rule_name, span_text
from service.store import health
from service.store.handles import Connection
from service.store.reads.violations import moved_at, open_by_rule

router = Router(prefix="/v1", tags=["Rules"])
FILE_BYTES = 256 * 1024
AccountParam = Annotated[str | None, Query(description="as this account has them")]


class StageParams(Wire):
    """The numbers of a rule at one stage of a pipeline."""

    pipeline: str
    stage: str
    params: dict[str, Any]


class RuleShown(Wire):
    """A rule as it holds for the accounts that the key sees."""

    id: str = Field(examples=["task-overdue"])
    on: str = Field(description="deal, task, call, lead, seller, team, account")
    form: str = Field(description="state, answer, level, norm, pair")
    when: str
    since: list[str]
    for_: str = Field(
        alias="for",
        description="with the account's own changes; after the default those by stage or kind",
        examples=["5wd"],
    )
    params: dict[str, Any] = Field(description="its numbers, with the account's own changes")
    params_by_stage: list[StageParams] = Field(description="where they are others")
    level: str | None = Field(description="form level: what is summed")
    above: str | None = Field(description="form level: what must not be exceeded")
    share: int | None = Field(description="form level: per cent of it that are allowed")
    counts: str | None = Field(description="form norm: what is counted each working day")
    below: str | None = Field(description="form norm: what must be reached")
    row: int | None = Field(description="form norm: working days in a row")
    join: str = Field(description="gaps shorter than this do not end a violation")
    severity: str
    critical_when: str | None = Field(description="what makes it critical, at the breach")
    info_when: str | None = Field(description="what makes it info, at the breach")
    needs: list[str] = Field(description="facts that must be connected")
    notice: bool = Field(description="no debt: shown for a working day")
    silences: list[str] = Field(description='rules that it speaks for; "*": all others')
    to: str = Field(description="head, ops: who is told")
    title: str
    advice: str
    enabled: bool
    source: str = Field(description="builtin, installation, account: who says it so")
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
def list_rules(
    call: CallDep, page: PageDep, account: AccountParam = None, lang: LangParam = None
) -> Response:
    """All rules; `enabled` if on in some account that the key sees.

    With `account` as that account has them, its own among them.
    """
    walk = page.walk(call)
    with call.read() as connection:
        names = _names(call, connection, account)
        known = _in_books(call, names, account)
        rows = _rules(call, connection, names, sorted(known.values(), key=lambda m: m.id))
    total = len(rows) if walk.count else None
    piece = page_of(walk, rows, lambda row: [row["id"]])
    return walk.answer(piece, lambda row: [row["id"]], lambda row: row, total)


@router.get(
    "/rules/{rule_id}", response_model=RuleShown, dependencies=[Depends(require("violations:read"))]
)
def get_rule(
    call: CallDep, rule_id: str, account: AccountParam = None, lang: LangParam = None
) -> Response:
    """One rule."""
    with call.read() as connection:
        names = _names(call, connection, account)
        model = _in_books(call, names, account).get(rule_id)
        if model is None:
            raise not_found()
        rows = _rules(call, connection, names, [model])
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
    """What would change if this became the account's own rule file; nobody is alerted.

    Its stored facts are judged by the rules in force and by those of the file; nothing is stored.
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
        raise refuse(faults)
    try:
        return call.services.try_rules(account, parse_rules(read_text(body), "body"))
    except ConfigError as error:
        raise bad_body("#", str(error)) from None


# --- what a rule is -------------------------------------------------------------------------------


def _names(call: Call, connection: Connection, account: str | None) -> dict[str, Names]:
    found = visible_names(call, connection)
    return {id_: own for id_, own in found.items() if account is None or id_ == account}


def _in_books(
    call: Call, names: Mapping[str, Names], account: str | None
) -> Mapping[str, RuleModel]:
    """The rules that these accounts have; without any account the installation's."""
    if account is not None and not names:
        return {}
    there = {rule_id for own in names.values() for rule_id in own.book.models}
    there |= set() if account is not None else call.book.models.keys()
    return {rule_id: m for rule_id, m in rules_of(call, names).items() if rule_id in there}


def _rules(
    call: Call, connection: Connection, names: Mapping[str, Names], models: Sequence[RuleModel]
) -> list[dict[str, Any]]:
    fresh(call, connection, moved_at(connection, list(names), call.now))
    counts = open_by_rule(connection, list(names), call.now)
    troubles: dict[str, Mapping[str, Any]] = {}
    for account in names:
        troubles |= health.failing(connection, account)
    past = _Past(call, connection)
    return [
        _shown(call, past, names, model, troubles.get(model.id), counts.get(model.id, 0))
        for model in models
    ]


class _Past:
    """Windows of accounts, read when first asked for."""

    def __init__(self, call: Call, connection: Connection) -> None:
        self._call = call
        self._connection = connection
        self._known: dict[str, list[Window]] = {}

    def of(self, account: str) -> list[Window]:
        """The windows of one account, oldest first."""
        if account not in self._known:
            self._known[account] = windows_of(self._call, self._connection, account)
        return self._known[account]


def _shown(
    call: Call,
    past: _Past,
    names: Mapping[str, Names],
    model: RuleModel,
    trouble: Mapping[str, Any] | None,
    open_count: int,
) -> dict[str, Any]:
    found = _in_force(past, names, model.id)
    own, rule, effective = found or (RuleSettings.model_construct(), None, 0)
    return {
        "id": model.id,
        "on": model.on,
        "form": model.form,
        "when": model.when,
        "since": [model.since] if isinstance(model.since, str) else model.since,
        "for": span_text(model, own),
        "params": rule.params if rule else model.params,
        "params_by_stage": _by_stage(rule),
        "level": model.level,
        "above": model.above or ("param.limit" if model.form == "level" else None),
        "share": model.share if model.form == "level" else None,
        "counts": model.counts,
        "below": model.below,
        "row": model.row if model.form == "norm" else None,
        "join": model.join,
        "severity": rule.severity if rule else model.severity,
        "critical_when": None if _severity_is_own(model, rule) else model.critical_when,
        "info_when": None if _severity_is_own(model, rule) else model.info_when,
        "needs": model.needs,
        "notice": model.notice,
        "silences": model.silences,
        "to": model.to,
        "title": rule_name(model, model.id, call.lang),
        "advice": advice(model, call.lang),
        "enabled": rule is not None or (not names and model.enabled),
        "source": _source(call, model),
        "version": rule.version if rule else None,
        "effective_from": iso(effective) if effective > 0 else None,
        "state": "failing" if trouble else "ok",
        "last_error": str(trouble["error"]) if trouble else None,
        "open_count": open_count,
    }


def _by_stage(rule: Rule | None) -> list[dict[str, Any]]:
    places = rule.params_by_place if rule else {}
    return [
        {"pipeline": pipeline, "stage": stage, "params": params}
        for (pipeline, stage), params in sorted(places.items())
    ]


def _severity_is_own(model: RuleModel, rule: Rule | None) -> bool:
    """Whether the account has set a severity of its own: that one holds."""
    known = (rule.critical, rule.mild) if rule is not None else (model,)
    return known == (None, None)


def _source(call: Call, model: RuleModel) -> str:
    if call.book.models.get(model.id) != model:
        return "account"
    return "builtin" if _builtin().get(model.id) == model else "installation"


def _in_force(
    past: _Past, names: Mapping[str, Names], rule_id: str
) -> tuple[RuleSettings, Rule, int] | None:
    """The first account (by id) where the rule is on: what it changes, the rule, since when so."""
    for account, own in names.items():
        current = _rule(own.book.in_force(own.config), rule_id)
        if current is None:
            continue
        since = 0
        version: str | None = None
        for window in past.of(account):
            rule = _rule(window.rules, rule_id)
            if rule is None or rule.version != version:
                since = window.start
            version = rule.version if rule else None
        changes = own.config.document.rules.get(rule_id)
        return changes or RuleSettings.model_construct(), current, since
    return None


def _rule(rules: Sequence[Rule], rule_id: str) -> Rule | None:
    return next((rule for rule in rules if rule.id == rule_id), None)


@cache
def _builtin() -> dict[str, RuleModel]:
    return {model.id: model for model in builtin_rules()}
