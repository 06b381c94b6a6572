"""`GET /v1/violations`, its summary, one with its proof (api.md 3.4)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh, tag_of, use_tag
from service.api.deps import Call, CallDep, json_answer
from service.api.flat_csv import FormDep
from service.api.names import Names, chosen, rules_of, team_members, visible_names
from service.api.paging import PageDep, SortParam, read_sort
from service.api.params import (
    AsOf,
    Choice,
    Filters,
    FilterSet,
    InstantParam,
    LangParam,
    ListParam,
    choice,
    flag,
    ids,
    instant,
    value_of,
    without,
)
from service.api.problems import bad_parameter, not_found, unknown_name
from service.api.router import Router
from service.api.violation_said import show_appeal, show_remark
from service.api.violation_schemas import Summary, ViolationDetail, ViolationList
from service.api.violation_summary import MOST_GROUPS, rows_by
from service.api.violation_views import viewer
from service.api.violation_why import why
from service.domain.instant import Instant, iso
from service.domain.violation import SEVERITIES
from service.store import appeals
from service.store.handles import Connection
from service.store.reads.violations import (
    SORTS,
    STATUSES,
    Question,
    announced,
    count,
    moved_at,
    violation,
    violations,
)

router = Router(prefix="/v1", tags=["Violations"])
KINDS = ("deal", "task", "lead", "call", "seller", "team", "account")
DIMENSIONS = ("rule", "severity", "seller", "team", "pipeline", "account")
FILTERS = FilterSet(
    ids("account"),
    ids("rule"),
    choice("severity", SEVERITIES, "severity"),
    ids("seller"),
    ids("team"),
    ids("pipeline"),
    ids("subject"),
    choice("subject_kind", KINDS, "kind of subjects"),
    instant("breach_at"),
    instant("resolved_at", null=True),
    flag("acked"),
    flag("muted"),
    flag("bulk"),
)
StatusParam = Annotated[
    tuple[str, ...] | None,
    Choice((*STATUSES, "all"), "status"),
    Query(description="open, upcoming, resolved, all; lists allowed; default open"),
]
UntilParam = Annotated[InstantParam, Query(description="cuts `upcoming`: breaches up to here")]
FilterDep = Annotated[Filters, Depends(FILTERS)]
_READ = [Depends(require("violations:read"))]


def chosen_statuses(status: tuple[str, ...] | None) -> tuple[str, ...]:
    """The statuses asked for; by default the open ones."""
    wanted = status or ("open",)
    return STATUSES if "all" in wanted else tuple(wanted)


def question_of(
    call: Call,
    names: Mapping[str, Names],
    filters: Filters,
    at: Instant,
    status: tuple[str, ...] | None,
    until: Instant | None,
) -> Question:
    """What is asked, limited to the accounts that exist for the caller.

    Raises:
        ApiError: unknown_name (a rule), invalid_parameter (a subject).
    """
    for op in ("eq", "ne"):
        for rule in value_of(filters, "rule", op) or ():
            known = rules_of(call, names)
            if rule not in known:
                raise unknown_name(rule, known, "rule", parameter="rule")
        for subject in value_of(filters, "subject", op) or ():
            if subject.partition(":")[0] not in KINDS:
                detail = "subject must be a kind and an id: deal:romashka.4815162."
                raise bad_parameter("subject", detail)
    return Question(
        list(chosen(names, filters)),
        at,
        chosen_statuses(status),
        until,
        without(filters, "account"),
        team_members(names, filters),
    )


@router.get("/violations", response_model=ViolationList, dependencies=_READ)
def list_violations(
    call: CallDep,
    page: PageDep,
    filters: FilterDep,
    status: StatusParam = None,
    as_of: AsOf = None,
    until: UntilParam = None,
    sort: SortParam = None,
    lang: LangParam = None,
) -> Response:
    """Violations at an instant, past or future.

    At T: open `breach_at <= T < resolved_at`; upcoming `breach_at > T` and not resolved before it;
    resolved `resolved_at <= T`.
    """
    order = [(key.field, key.down) for key in read_sort(sort, list(SORTS), "breach_at")]
    walk = page.walk(call, as_of)
    with call.read() as connection:
        names = visible_names(call, connection)
        question = question_of(call, names, filters, walk.as_of, status, until)
        _fresh(call, connection, names, moving=as_of is None and page.cursor is None)
        rows = violations(connection, question, order, after_row=walk.after, limit=walk.limit + 1)
        total = count(connection, question) if walk.count else None
        view = viewer(call, connection, names, rows[: walk.limit], walk.as_of)
        return walk.answer(rows, lambda row: list(row["position"]), view.show, total)


@router.get("/violations/summary", response_model=Summary, dependencies=_READ)
def summarize_violations(
    call: CallDep,
    filters: FilterDep,
    form: FormDep,
    by: ListParam = None,
    status: StatusParam = None,
    as_of: AsOf = None,
    until: UntilParam = None,
    lang: LangParam = None,
) -> Response:
    """Counts by up to three of rule, severity, seller, team, pipeline, account (default rule).

    Counts add up to the list's `total`; amounts of different currencies stand in separate rows.
    """
    groups = by or ("rule",)
    for name in groups:
        if name not in DIMENSIONS:
            raise unknown_name(name, DIMENSIONS, "dimension", parameter="by")
    if len(groups) > MOST_GROUPS:
        raise bad_parameter("by", f"At most {MOST_GROUPS} dimensions in by.")
    at = call.now if as_of is None else as_of
    with call.read() as connection:
        names = visible_names(call, connection)
        question = question_of(call, names, filters, at, status, until)
        _fresh(call, connection, names, moving=as_of is None)
        rows = rows_by(call, connection, names, question, groups)
    meta = {"as_of": iso(at)}
    document = {"data": rows, "meta": meta, "next_cursor": None, "next": None}
    return form.answer(document, "violations", (*groups, "count", "amount", "currency"))


@router.get("/violations/{violation_id}", response_model=ViolationDetail, dependencies=_READ)
def get_violation(call: CallDep, violation_id: str, lang: LangParam = None) -> Response:
    """One violation with its proof; one that late facts disproved after it was told is `void`."""
    with call.read() as connection:
        names = visible_names(call, connection)
        row, status = found(connection, names, violation_id)
        document = detail(call, connection, names, row, status)
    use_tag(call.request, tag_of_one(document))
    return json_answer(document)


def tag_of_one(document: Mapping[str, Any]) -> str:
    """The tag of a violation; seconds that pass while it is muted do not change it."""
    return tag_of({name: value for name, value in document.items() if name != "muted_seconds"})


def found(
    connection: Connection, names: Mapping[str, Names], violation_id: str
) -> tuple[dict[str, Any], str | None]:
    """(row, `void` or None) of a violation that the caller may see.

    Raises:
        ApiError: not_found.
    """
    accounts = list(names)
    row = violation(connection, accounts, violation_id)
    if row is not None:
        return row, None
    row = announced(connection, accounts, violation_id)
    if row is None:
        raise not_found()
    return row, "void"


def detail(
    call: Call,
    connection: Connection,
    names: Mapping[str, Names],
    row: dict[str, Any],
    status: str | None = None,
) -> dict[str, Any]:
    """A violation alone, as it stands now."""
    view = viewer(call, connection, names, [row], call.now)
    alerting = view.alerting_of(row)
    said = appeals.history(connection, row)
    return {
        **view.show(row, status),
        "why": why(view, row),
        "alerting": alerting.state if alerting else None,
        "bulk_change": view.bulk_change(row),
        "appeal": show_appeal(appeals.appeal_of(said)),
        "history": [show_remark(one) for one in said],
    }


def _fresh(call: Call, connection: Connection, names: Mapping[str, Names], *, moving: bool) -> None:
    """The answer changes with the data and, without `as_of`, when a breach instant passes."""
    moved = moved_at(connection, list(names), call.now) if moving else []
    fresh(call, connection, moved)
