"""Plans from CSV and XLSX files, and into them (api.md 3.7)."""

import re
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import accepts
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_configs
from service.api.params import FlagParam, PeriodParam
from service.api.plan_schemas import PlansImported
from service.api.plans import note
from service.api.problems import bad_body, bad_parameter, problem
from service.api.router import Router
from service.domain.period import Period
from service.errors import ConfigError
from service.kpi.planfile import read_plans, table_of
from service.kpi.planimport import Imported, Importer, LookedOnly
from service.kpi.plansheet import read, write_csv, write_xlsx
from service.kpi.planstates import rows_within
from service.store import plans as store

router = Router(prefix="/v1", tags=["Plans"])
READ, WRITE = [Depends(require("kpi:read"))], [Depends(require("plans:write"))]
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORM = "multipart/form-data"
MOST_BYTES = 10 * 1024 * 1024
_A_FILE = {"schema": {"type": "string", "format": "binary"}}
_BOUNDARY = re.compile(r'boundary="?([^";]{1,200})"?', re.IGNORECASE)
_NAME = re.compile(rb'name="([^"]{0,200})"')


@router.post("/plans/import", response_model=PlansImported, dependencies=WRITE)
@accepts(FORM, CSV, XLSX, "application/octet-stream", most_bytes=MOST_BYTES)
async def import_plans(
    call: CallDep,
    request: Request,
    account: str | None = None,
    dry_run: FlagParam = None,
    partial: FlagParam = None,
    reason: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    """Write the plans of a file; a rejected row stops all, unless `partial`.

    `account`: of rows that name none (not needed by a key of one account). Dates that are all first
    days of months mean months.
    """
    data = _file_of(await request.body(), request.headers.get("content-type", ""))
    found = await run_in_threadpool(
        _import, call, data, account, dry_run=bool(dry_run), partial=bool(partial), reason=reason
    )
    document = found.document() | {"dry_run": bool(dry_run)}
    return json_answer(document)


def _import(
    call: Call, data: bytes, account: str | None, *, dry_run: bool, partial: bool, reason: str
) -> Imported:
    found = Imported()
    try:
        with call.write() as connection:
            configs = visible_configs(call, connection)
            if account is not None and account not in configs:
                raise bad_parameter("account", f"There is no account {account[:40]!r}.")
            sheet = read_plans(read(data), configs, account)
            importer = Importer(connection, configs, call.caller.key_id, reason, call.now)
            found = importer.write(sheet, partial=partial)
            found.settle(dry_run=dry_run)
            if found.accounts:
                note(call, connection, found.accounts, "plans.imported", found.document())
    except LookedOnly:
        pass
    except ConfigError as error:
        raise bad_body("#/file", f"{error}.") from None
    return found


def _file_of(body: bytes, content_type: str) -> bytes:
    """The file in a body: the body itself, or the part `file` of a form."""
    if not content_type.lower().startswith(FORM):
        return body
    boundary = _BOUNDARY.search(content_type)
    mark = b"--" + (boundary[1].encode() if boundary else b"")
    for part in body.split(mark)[1:] if boundary else ():
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if blank and name is not None and name[1] == b"file":
            return content.removesuffix(b"\r\n")
    raise bad_body("#/file", "The form has no part named file.")


@router.get(
    "/plans/export.csv", dependencies=READ, response_class=Response,
    responses={200: {"description": "the file", "content": {CSV: _A_FILE}}},
)  # fmt: skip
def plans_as_csv(
    call: CallDep,
    account: str | None = None,
    period: PeriodParam = None,
    dialect: Literal["excel_ru"] | None = None,
) -> Response:
    """Plans as CSV; what is imported again is unchanged."""
    rows = _table(call, account, period)
    body = write_csv(rows, excel_ru=dialect == "excel_ru")
    return _file(body, f"{CSV}; charset=utf-8", period, "csv")


@router.get(
    "/plans/export.xlsx", dependencies=READ, response_class=Response,
    responses={200: {"description": "the file", "content": {XLSX: _A_FILE}}},
)  # fmt: skip
def plans_as_xlsx(
    call: CallDep,
    account: str | None = None,
    period: PeriodParam = None,
    dialect: Literal["excel_ru"] | None = None,
) -> Response:
    """Plans as XLSX with real numbers."""
    return _file(write_xlsx(_table(call, account, period)), XLSX, period, "xlsx")


def _table(call: Call, account: str | None, period: str | None) -> list[list[Any]]:
    with call.read() as connection:
        fresh(call, connection)  # a workbook tells when it was made: its bytes are no tag
        visible = [a for a in visible_configs(call, connection) if account in (None, a)]
        rows: list[dict[str, Any]] = []
        for name in visible:
            if period is None:
                rows += store.plans(connection, [name])
            else:
                rows += rows_within(connection, name, Period.parse(period), None)
    if len(rows) > 1_000_000:
        raise problem("too_many_rows", "More than 1,000,000 rows; name a period.")
    return table_of(rows)


def _file(body: bytes, kind: str, period: str | None, ending: str) -> Response:
    name = f"plans-{period}.{ending}" if period else f"plans.{ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=headers, media_type=kind)
