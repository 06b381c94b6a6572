"""Mutes of a scope: any combination of rule, deal, seller, pipeline and stage, for a while.

One subject of one rule is muted at its violation (`violation_actions`).
"""

from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import check_if_match, fresh, tag_of
from service.api.deps import Call, CallDep, json_answer
from service.api.mute_schemas import ScopeMute, ScopeMuteBody, ScopeMuteList
from service.api.names import Names, chosen, rules_of, split_id, visible_names
from service.api.paging import PageDep
from service.api.params import Choice, Filters, FilterSet, LangParam, ids, value_of, without
from service.api.problems import bad_body, not_found, unknown_name
from service.api.router import Router
from service.api.violation_actions import read_until
from service.domain.instant import iso
from service.rules.words import rule_name
from service.store import mutes as store
from service.store.handles import Connection
from service.store.reads import mutes as reads
from service.store.reads.subjects import deal_names

router = Router(prefix="/v1", tags=["Violations"])
FILTERS = FilterSet(ids("account"), ids("rule"), ids("seller"), ids("deal"))
_READ, _WRITE = [Depends(require("violations:read"))], [Depends(require("violations:write"))]
StateParam = Annotated[
    tuple[str, ...] | None,
    Choice(reads.STATES, "state"),
    Query(description="active, ended; default both"),
]
Row = dict[str, Any]


@router.get("/mutes", response_model=ScopeMuteList, dependencies=_READ)
def list_mutes(
    call: CallDep,
    page: PageDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    state: StateParam = None,
    lang: LangParam = None,
) -> Response:
    """Mutes, the newest first, with who ended them and when."""
    walk = page.walk(call)
    with call.read() as connection:
        names = visible_names(call, connection)
        for op in ("eq", "ne"):
            for rule in value_of(filters, "rule", op) or ():
                known = rules_of(call, names)
                if rule not in known:
                    raise unknown_name(rule, known, "rule", parameter="rule")
        fresh(call, connection, reads.last_end(connection, list(names), call.now))
        asked = reads.Chosen(
            list(chosen(names, filters)),
            walk.as_of,
            state or reads.STATES,
            without(filters, "account"),
        )
        rows = reads.mutes(connection, asked, walk.after, walk.limit + 1)
        total = reads.count(connection, asked) if walk.count else None
        deals = deal_names(connection, [(row["account_id"], row["deal"]) for row in rows])
    return walk.answer(
        rows, reads.position, lambda row: _shown(call, names[row["account_id"]], row, deals), total
    )


@router.get("/mutes/{mute_id}", response_model=ScopeMute, dependencies=_READ)
def get_mute(call: CallDep, mute_id: str, lang: LangParam = None) -> Response:
    """One mute, also after it has ended."""
    with call.read() as connection:
        return json_answer(_found(call, connection, mute_id)[1])


@router.post("/mutes", response_model=ScopeMute, status_code=201, dependencies=_WRITE)
def create_mute(call: CallDep, body: ScopeMuteBody, lang: LangParam = None) -> Response:
    """Say nothing of all violations of a scope from now on until an instant; they stay listed."""
    until = read_until(body.until, call.now)
    if not body.reason.strip():
        raise bad_body("#/reason", "reason must say something.")
    with call.write() as connection:
        names = visible_names(call, connection)
        if body.account not in names:
            raise bad_body("#/account", f"There is no account {body.account!r}.")
        scope = _Reader(call, connection, names[body.account], body).scope()
        said = (body.reason.strip(), call.caller.key_id)
        mute_id = store.add(connection, body.account, scope, until, said, call.now)
        row, document = _found(call, connection, mute_id)
        _note(call, connection, "mute.created", row)
    return json_answer(document, 201, {"location": f"/v1/mutes/{mute_id}"})


@router.delete("/mutes/{mute_id}", response_model=ScopeMute, dependencies=_WRITE)
def end_mute(call: CallDep, mute_id: str, lang: LangParam = None) -> Response:
    """End it now; it stays in the list. One that has ended stays as it is."""
    with call.write() as connection:
        row, document = _found(call, connection, mute_id)
        check_if_match(call.request, tag_of(document))
        if row["ends_at"] > call.now:
            store.end(connection, row, call.caller.key_id, call.now)
            row, document = _found(call, connection, mute_id)
            _note(call, connection, "mute.ended", row)
    return json_answer(document)


def _found(call: Call, connection: Connection, mute_id: str) -> tuple[Row, Row]:
    """A mute as stored and as shown.

    Raises:
        ApiError: not_found.
    """
    names = visible_names(call, connection)
    row = store.mute(connection, list(names), mute_id)
    if row is None:
        raise not_found()
    deals = deal_names(connection, [(row["account_id"], row["deal"])])
    return row, _shown(call, names[row["account_id"]], row, deals)


def _note(call: Call, connection: Connection, what: str, row: Row) -> None:
    after = {name: row[name] for name in ("id", "until", "ends_at", "reason")}
    call.note(connection, what, row["account_id"], after={**store.scope_of(row), **after})


def _shown(call: Call, names: Names, row: Row, deals: dict[tuple[str, str], str]) -> Row:
    over = row["ends_at"] <= call.now
    rule = row["rule"]
    title = rule_name(names.book.model(rule), rule, call.lang)
    return {
        "id": row["id"],
        "account": names.id,
        "rule": {"id": rule, "title": title} if rule else None,
        "deal": names.deal(row["deal"], deals.get((names.id, row["deal"]))),
        "seller": names.seller(row["seller"]),
        "pipeline": names.pipeline(row["pipeline"]),
        "stage": names.stage(row["pipeline"], row["stage"]),
        "at": iso(row["at"]),
        "until": iso(row["until"]),
        "reason": row["reason"],
        "by": row["author"],
        "state": "ended" if over else "active",
        "ended_at": iso(row["ends_at"]) if over else None,
        "ended_by": row["ended_by"],
    }


class _Reader:
    """Reads a scope, by CRM ids; each name must be one that the account knows."""

    def __init__(
        self, call: Call, connection: Connection, names: Names, body: ScopeMuteBody
    ) -> None:
        self._call = call
        self._connection = connection
        self._names = names
        self._body = body

    def scope(self) -> dict[str, str]:
        """What must be equal.

        Raises:
            ApiError: unknown_name (a rule), invalid_body (names the field).
        """
        body = self._body
        found: dict[str, str] = {}
        if body.rule is not None:
            known = rules_of(self._call, {self._names.id: self._names})
            if body.rule not in known:
                raise unknown_name(body.rule, known, "rule", pointer="#/rule")
            found["rule"] = body.rule
        if body.deal is not None:
            found["deal"] = self._deal(body.deal)
        if body.seller is not None:
            found["seller"] = self._crm_id("seller", body.seller)
            if self._names.config.seller_name(found["seller"]) is None:
                raise self._unknown("seller", body.seller)
        if body.pipeline is not None:
            found["pipeline"] = self._pipeline("pipeline", body.pipeline)
        if body.stage is not None:
            found |= self._stage(body.stage, found.get("pipeline"))
        if not found:
            raise bad_body("#", "Give at least one of rule, deal, seller, pipeline, stage.")
        return found

    def _deal(self, text: str) -> str:
        deal = self._crm_id("deal", text)
        if not deal_names(self._connection, [(self._names.id, deal)]):
            raise self._unknown("deal", text)
        return deal

    def _pipeline(self, field: str, text: str) -> str:
        pipeline = self._crm_id(field, text)
        if self._names.config.directory.pipeline(pipeline) is None:
            raise self._unknown(field, text)
        return pipeline

    def _stage(self, text: str, pipeline: str | None) -> dict[str, str]:
        own, _, stage = self._crm_id("stage", text).partition(".")
        if not stage or self._names.config.stage_name(own, stage) is None:
            raise self._unknown("stage", text)
        if pipeline not in {None, own}:
            raise bad_body("#/stage", "stage must be one of the pipeline.")
        return {"pipeline": own, "stage": stage}

    def _crm_id(self, field: str, text: str) -> str:
        parts = split_id(text)
        if parts is None or parts[0] != self._names.id:
            raise self._unknown(field, text)
        return parts[1]

    @staticmethod
    def _unknown(field: str, text: str) -> Exception:
        return bad_body(f"#/{field}", f"There is no {field} {text!r}.")
