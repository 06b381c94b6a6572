"""Plans (api.md 3.7). Writing is all or nothing; every change is a version with who, when, why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.alerts.plan_events import tell_approved
from service.api import plan_tags
from service.api.auth import require
from service.api.conditional import use_tag
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, full_id, visible_names
from service.api.params import Choice, ListParam, period_of
from service.api.plan_schemas import PlanList, PlansWritten
from service.api.problems import bad_body, bad_parameter, fault, problem, unknown_name
from service.api.router import Router
from service.domain.period import GRAINS, Period
from service.errors import ApiError
from service.kpi.metrics import METRICS
from service.kpi.plantree import PlanBook, names_within
from service.kpi.planwrite import Refused, Writer, book_of
from service.store import plans as store
from service.store.accounts import bump
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Plans"])
READ, WRITE = [Depends(require("kpi:read"))], [Depends(require("plans:write"))]
MOST_ROWS, MOST_VALUE = 5000, 10**15
StatusParam = Annotated[
    tuple[str, ...] | None, Choice(("draft", "approved", "closed"), "status"), Query()
]
GrainParam = Annotated[tuple[str, ...] | None, Choice(GRAINS, "grain"), Query()]


class PlanRow(BaseModel):
    """One planned figure; `value` null removes it; `locked` null: changed by hand = locked."""

    model_config = ConfigDict(extra="forbid")
    account: str
    metric: str
    period: str = Field(examples=["2026-12"])
    team: str | None = None
    seller: str | None = None
    value: int | None = Field(ge=0, le=MOST_VALUE)
    currency: str | None = None
    locked: bool | None = None


class PlanRows(BaseModel):
    """Rows to write, all or nothing; `status` null: as they are, new ones are drafts."""

    model_config = ConfigDict(extra="forbid")
    status: Literal["draft", "approved"] | None = None
    reason: str = Field("", max_length=1000)
    rows: list[PlanRow] = Field(min_length=1, max_length=MOST_ROWS)


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row on the wire."""
    return {
        "account": row["account_id"],
        "metric": row["metric"],
        "period": row["period"],
        "team": row["team"] or None,
        "seller": full_id(row["account_id"], row["seller"]),
        "value": row["value"],
        "currency": row["currency"] or None,
        "status": row["status"],
        "locked": bool(row["locked"]),
        "version": row["version"],
    }


@router.get("/plans", response_model=PlanList, dependencies=READ)
def list_plans(
    call: CallDep,
    account: ListParam = None,
    metric: ListParam = None,
    period: ListParam = None,
    grain: GrainParam = None,
    team: ListParam = None,
    seller: ListParam = None,
    status: StatusParam = None,
) -> Response:
    """Plans as they stand; a week, quarter or year that is asked for is the sum of its parts."""
    check_metrics(metric, "metric")
    spans = [_span(name) for name in period or ()]
    with call.read() as connection:
        visible = visible_names(call, connection)
        names = {a: n for a, n in visible.items() if account is None or a in account}
        use_tag(call.request, plan_tags.tag(connection, names))
        equal = {"metric": metric, "period": period}
        chosen = {name: values for name, values in equal.items() if values is not None}
        rows = store.plans(connection, list(names), **chosen) if names else []
        for span in spans:
            for found in names.values() if span.grain in ("week", "quarter", "year") else ():
                rows += _summed(connection, found, span, metric)
    wanted = {"team": team, "status": status}
    kept = [
        row
        for row in (shown(row) for row in rows)
        if all(values is None or row[name] in values for name, values in wanted.items())
        and (seller is None or row["seller"] in seller)
        and (grain is None or Period.parse(row["period"]).grain in grain)
    ]
    return json_answer({"data": kept, "next_cursor": None, "next": None})


def check_metrics(names: Sequence[str] | None, parameter: str) -> None:
    """Refuse figures that there are not.

    Raises:
        ApiError: unknown_name.
    """
    for name in names or ():
        if name not in METRICS:
            raise unknown_name(name, METRICS, "metric", parameter=parameter)


def _span(name: str) -> Period:
    found = period_of(name)
    if found is None:
        raise bad_parameter("period", f"{name!r} is no period; write for example 2026-11.")
    return found


def _summed(
    connection: Connection, names: Names, span: Period, metric: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The plans of a long period: sums of what is stored inside it."""
    slugs = {m for m, one in METRICS.items() if one.kind == "sum" and one.plannable}
    chosen = slugs if metric is None else slugs & set(metric)
    book = book_of(connection, names.config, chosen, {span.name})
    groups: dict[tuple[str, tuple[str, str]], list[Mapping[str, Any]]] = {}
    for row in book.rows.values():
        if row["metric"] in chosen:
            groups.setdefault((row["metric"], (row["team"], row["seller"])), []).append(row)
    found = []
    for (slug, scope), rows in sorted(groups.items()):
        states = {row["status"] for row in rows}
        found.append({
            **rows[0], "period": span.name, "value": book.total(slug, span, scope),
            "status": states.pop() if len(states) == 1 else "draft",
            "locked": all(row["locked"] for row in rows),
            "version": max(row["version"] for row in rows),
        })  # fmt: skip
    return found


@router.put("/plans", response_model=PlansWritten, dependencies=WRITE)
def put_plans(call: CallDep, body: PlanRows) -> Response:
    """Write rows; the same again changes nothing and makes no version."""
    with call.write() as connection:
        names = visible_names(call, connection)
        rows = checked(names, body)
        touched = {row["account_id"] for row in rows}
        plan_tags.check(call.request, connection, {a: names[a] for a in touched})
        results = write_rows(call, connection, names, rows, body.reason)
        counts = counted(results)
        if counts["unchanged"] < len(rows):
            note(call, connection, touched, "plans.written", counts)
            if body.status == "approved":
                _tell_approved(call, connection, rows, results)
        data = [_stored(connection, row) for row in rows]
    return json_answer({**counts, "data": data})


def _tell_approved(
    call: Call, connection: Connection, rows: Sequence[Mapping[str, Any]], results: Sequence[str]
) -> None:
    groups: dict[tuple[str, str], set[str]] = {}
    for row, result in zip(rows, results, strict=True):
        if result in ("created", "updated"):
            groups.setdefault((row["account_id"], row["period"]), set()).add(row["metric"])
    told = store.revisions_of(connection, sorted({account for account, _ in groups}))
    for (account, period), metrics in sorted(groups.items()):
        tell_approved(
            connection, account, period, sorted(metrics), told[account], call.caller.key_id,
            call.now,
        )  # fmt: skip


def counted(results: Sequence[str]) -> dict[str, int]:
    """How many rows became what."""
    return {word: results.count(word) for word in ("created", "updated", "unchanged", "removed")}


def _stored(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is now; a period that is kept in parts, as it was asked for."""
    known = store.plan(connection, {name: row[name] for name in store.KEY})
    asked = {**row, "version": None, "status": row["status"] or "draft"}
    return shown(known if known is not None else asked)


def write_rows(
    call: Call,
    connection: Connection,
    names: Mapping[str, Names],
    rows: Sequence[Mapping[str, Any]],
    reason: str,
) -> list[str]:
    """Write checked rows; what became of each.

    Raises:
        ApiError: the first row that cannot stand.
    """
    results = [""] * len(rows)
    for account in sorted({row["account_id"] for row in rows}):
        places = [i for i, row in enumerate(rows) if row["account_id"] == account]
        config = names[account].config
        writer = Writer(connection, config, call.caller.key_id, reason, call.now)
        try:
            found = writer.write([dict(rows[i]) for i in places])
        except Refused as error:
            raise refusal(error, places[error.index]) from None
        for place, result in zip(places, found, strict=True):
            results[place] = result
    return results


def refusal(error: Refused, index: int) -> ApiError:
    """A row that cannot stand, as a problem."""
    pointer = "#/reason" if error.member == "reason" else f"#/rows/{index}/{error.member}"
    entry = fault(error.code, error.detail, pointer=pointer)
    return problem(error.code, error.detail, errors=[entry])


def note(
    call: Call, connection: Connection, accounts: Iterable[str], what: str, after: Any
) -> None:
    """Say that plans changed: in the data version and in the audit log."""
    for account in sorted(accounts):
        bump(connection, account)
        call.note(connection, what, account, after=after)


def checked(names: Mapping[str, Names], body: PlanRows) -> list[dict[str, Any]]:
    """Rows as the table wants them; all faults at once."""
    faults: list[dict[str, Any]] = []
    rows = [_row(f"#/rows/{i}", row, names, body, faults) for i, row in enumerate(body.rows)]
    if faults:
        raise problem(faults[0]["code"], faults[0]["detail"], errors=faults[:100])
    seen = set()
    for index, row in enumerate(rows):
        key = tuple(row[name] for name in store.KEY)
        if key in seen:
            raise bad_body(f"#/rows/{index}", "The same plan stands twice in the rows.")
        seen.add(key)
    return rows


def _row(
    place: str,
    row: PlanRow,
    names: Mapping[str, Names],
    body: PlanRows,
    faults: list[dict[str, Any]],
) -> dict[str, Any]:
    found = names.get(row.account)
    if found is None:
        faults.append(_fault(f"{place}/account", f"There is no account {row.account!r}."))
        return {}
    metric = METRICS.get(row.metric)
    if metric is None:
        faults.append(_fault(f"{place}/metric", f"There is no metric {row.metric!r}.",
                             "unknown_name"))  # fmt: skip
    elif not metric.plannable:
        faults.append(_fault(f"{place}/metric", f"{row.metric} cannot be planned."))
    if period_of(row.period) is None:
        detail = f"{row.period[:40]!r} is no period; write for example 2026-12."
        faults.append(_fault(f"{place}/period", detail))
    account, _, seller = (row.seller or "").partition(".")
    if row.seller and (account != row.account or found.config.seller_name(seller) is None):
        faults.append(_fault(f"{place}/seller", f"There is no seller {row.seller!r}."))
    if row.team and row.team not in found.config.teams:
        faults.append(_fault(f"{place}/team", f"There is no team {row.team!r}."))
    if row.team and row.seller:
        faults.append(_fault(f"{place}/team", "A plan is of a team or of a seller, not of both."))
    money = metric is not None and metric.unit == "money"
    if money and row.currency not in (None, "", found.config.currency):
        detail = f"Plans of {row.account} are in {found.config.currency}."
        faults.append(_fault(f"{place}/currency", detail))
    return {
        "account_id": row.account, "metric": row.metric, "period": row.period,
        "team": row.team or "", "seller": seller, "value": row.value,
        "currency": found.config.currency if money else "",
        "status": body.status, "locked": row.locked,
    }  # fmt: skip


def _fault(pointer: str, detail: str, code: str = "invalid_body") -> dict[str, Any]:
    return fault(code, detail, pointer=pointer)


def read_period_of(text: str, pointer: str) -> Period:
    """A period in a body."""
    found = period_of(text)
    if found is None:
        raise bad_body(pointer, f"{text[:40]!r} is no period; write for example 2026-12.")
    return found


def book_around(connection: Connection, names: Names, metric: str, period: Period) -> PlanBook:
    """The book of one metric around a period."""
    rows = store.plans(connection, [names.id], metric=[metric], period=names_within(period))
    return PlanBook.of(names.config, rows)
