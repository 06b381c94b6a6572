"""Absences: who is away on which days, and who stands in.

They act from their own first day, also when they are entered after the fact; what that opens before
they were entered alerts nobody. Absences of the settings document are listed beside those that were
entered here, each with its `origin`; they are changed where they stand.
"""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.api.absence_rows import of_settings
from service.api.auth import require
from service.api.conditional import check_if_match, fresh, tag_of
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, chosen, full_id, split_id, visible_names
from service.api.paging import PageDep, page_of
from service.api.params import Filters, FilterSet, FlagParam, choice, ids, read_date, value_of
from service.api.problems import bad_body, not_found, problem
from service.api.router import Router
from service.api.schemas import Instant, Listed, LocalDate, Ref, Wire
from service.domain.account import LONGEST_ABSENCE
from service.domain.instant import iso
from service.domain.period import to_date
from service.kpi.planwrite import before_absence
from service.store import absences as store
from service.store.accounts import bump, load_config
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Directory"])
ORIGINS = ("api", "settings", "crm")
FILTERS = FilterSet(ids("account"), ids("seller"), choice("origin", ORIGINS, "origin"))
_READ, _WRITE = [Depends(require("crm:read"))], [Depends(require("rules:write"))]
Row = dict[str, Any]


class Absence(Wire):
    """Days, both inclusive, on which a seller is away. `removed_at`: it was taken back then."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    id: str
    account: str
    seller: Ref
    from_: LocalDate = Field(alias="from")
    to: LocalDate
    kind: str = Field(description="vacation, sick, other")
    origin: str = Field(
        description="api: entered here; settings: of the settings document, changed there; crm: "
        "told by the CRM (no CRM tells any yet)"
    )
    deputy: Ref | None
    by: str
    at: Instant
    removed_by: str | None
    removed_at: Instant | None


class AbsenceList(Listed):
    """A page of absences, the latest days first."""

    data: list[Absence]


class AbsenceBody(BaseModel):
    """Who is away, and when."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    account: str
    seller: str = Field(examples=["romashka.7"])
    from_: str = Field(alias="from", examples=["2026-12-21"], json_schema_extra={"format": "date"})
    to: str = Field(examples=["2026-12-30"], json_schema_extra={"format": "date"})
    kind: Literal["vacation", "sick", "other"]
    deputy: str | None = Field(None, examples=["romashka.9"])


@router.get("/absences", response_model=AbsenceList, dependencies=_READ)
def list_absences(
    call: CallDep,
    page: PageDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    removed: FlagParam = None,
) -> Response:
    """Absences that hold; with `removed=true` those that were taken back."""
    walk = page.walk(call)
    with call.read() as connection:
        fresh(call, connection)
        names = chosen(visible_names(call, connection), filters)
        rows = store.absences(connection, list(names), removed=bool(removed))
        if not removed:
            rows += [row for own in names.values() for row in of_settings(connection, own)]
    origins = value_of(filters, "origin")
    wanted, refused = value_of(filters, "seller"), value_of(filters, "seller", "ne") or ()
    rows = [
        row
        for row in rows
        for seller in [full_id(row["account_id"], row["seller"])]
        if (wanted is None or seller in wanted) and seller not in refused
        if origins is None or row.get("origin", "api") in origins
        if row.get("origin", "api") not in (value_of(filters, "origin", "ne") or ())
    ]
    ordered = sorted(rows, key=_position)
    total = len(ordered) if walk.count else None
    piece = page_of(walk, ordered, _position)
    return walk.answer(
        piece, _position, lambda row: _shown(names[row["account_id"]], row), total
    )  # fmt: skip


def _position(row: Row) -> list[Any]:
    return [-row["last"], row["account_id"], row["id"]]


@router.get("/absences/{absence_id}", response_model=Absence, dependencies=_READ)
def get_absence(call: CallDep, absence_id: str) -> Response:
    """One absence, also one that was taken back."""
    with call.read() as connection:
        return json_answer(_found(call, connection, absence_id)[1])


@router.post("/absences", response_model=Absence, status_code=201, dependencies=_WRITE)
def create_absence(call: CallDep, body: AbsenceBody) -> Response:
    """Enter an absence; all is judged again in the background."""
    with call.write() as connection:
        names = visible_names(call, connection).get(body.account)
        if names is None:
            raise bad_body("#/account", f"There is no account {body.account!r}.")
        seller, deputy = _seller(names, "seller", body.seller), ""
        if body.deputy is not None:
            deputy = _seller(names, "deputy", body.deputy)
            if deputy == seller:
                raise bad_body("#/deputy", "Nobody stands in for himself.")
        days = _days(body)
        before_absence(connection, names.config, days, call.caller.key_id, call.now)
        absence_id = store.add(
            connection, body.account, seller, days, (body.kind, deputy),
            call.caller.key_id, call.now,
        )  # fmt: skip
        bump(connection, body.account, config=True)
        row, document = _found(call, connection, absence_id)
        _note(call, connection, "absence.entered", row)
    return json_answer(document, 201, {"location": f"/v1/absences/{absence_id}"})


@router.delete("/absences/{absence_id}", response_model=Absence, dependencies=_WRITE)
def remove_absence(call: CallDep, absence_id: str) -> Response:
    """Take it back, as if it had never been; the history keeps it. All is judged again."""
    with call.write() as connection:
        row, document = _found(call, connection, absence_id)
        if document["origin"] != "api":
            where = "It stands in the settings document of the account: change it there."
            raise problem("conflict", where)
        check_if_match(call.request, tag_of(document))
        if row["removed_at"] is None:
            before = load_config(connection, row["account_id"], call.lang)
            days = (to_date(row["first"]), to_date(row["last"]))
            before_absence(connection, before, days, call.caller.key_id, call.now)
            store.remove(connection, row, call.caller.key_id, call.now)
            bump(connection, row["account_id"], config=True)
            row, document = _found(call, connection, absence_id)
            _note(call, connection, "absence.removed", row)
    return json_answer(document)


def _found(call: Call, connection: Connection, absence_id: str) -> tuple[Row, Row]:
    """An absence as stored and as shown.

    Raises:
        ApiError: not_found.
    """
    names = visible_names(call, connection)
    row = store.absence(connection, list(names), absence_id)
    if row is None:
        written = (one for own in names.values() for one in of_settings(connection, own))
        row = next((one for one in written if one["id"] == absence_id), None)
    if row is None:
        raise not_found()
    return row, _shown(names[row["account_id"]], row)


def _note(call: Call, connection: Connection, what: str, row: Row) -> None:
    told = ("id", "seller", "first", "last", "kind", "deputy", "removed_at")
    call.note(connection, what, row["account_id"], after={name: row[name] for name in told})


def _shown(names: Names, row: Row) -> Row:
    return {
        "id": row["id"],
        "account": names.id,
        "seller": names.seller(row["seller"]),
        "from": to_date(row["first"]).isoformat(),
        "to": to_date(row["last"]).isoformat(),
        "kind": row["kind"],
        "origin": row.get("origin", "api"),
        "deputy": names.seller(row["deputy"]),
        "by": row["author"],
        "at": iso(row["at"]),
        "removed_by": row["removed_by"],
        "removed_at": iso(row["removed_at"]),
    }


def _seller(names: Names, field: str, text: str) -> str:
    """The CRM id of a seller whom the account knows.

    Raises:
        ApiError: invalid_body.
    """
    parts = split_id(text)
    if parts is None or parts[0] != names.id or names.config.seller_name(parts[1]) is None:
        raise bad_body(f"#/{field}", f"There is no seller {text!r}.")
    return parts[1]


def _days(body: AbsenceBody) -> tuple[date, date]:
    """The first and the last day.

    Raises:
        ApiError: invalid_body.
    """
    first, last = _date("from", body.from_), _date("to", body.to)
    if last < first:
        raise bad_body("#/to", "to must not lie before from.")
    if last - first >= LONGEST_ABSENCE:
        raise bad_body("#/to", f"An absence lasts at most {LONGEST_ABSENCE.days} days.")
    return first, last


def _date(field: str, text: str) -> date:
    from pydantic_core import PydanticCustomError

    try:
        found: date = read_date(text)
    except PydanticCustomError as error:
        raise bad_body(f"#/{field}", error.message()) from None
    return found
