"""A KPI query as asked, checked, answered: the same for the GET and the POST form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from service.api.conditional import tag_of, use_tag
from service.api.deps import Call
from service.api.flat_csv import Form
from service.api.kpi_rows import Beside, Builder, Then
from service.api.names import Names, rules_of, visible_names
from service.api.problems import bad_body, bad_parameter, problem, unknown_name
from service.domain.config import Config
from service.domain.instant import Instant, iso
from service.domain.period import Grain
from service.errors import ApiError
from service.kpi import compare, convert
from service.kpi import query as kpi
from service.kpi.metrics import DIMENSIONS, METRICS, Metric
from service.kpi.planspans import SpanPlans
from service.kpi.question import Question
from service.store.handles import Connection
from service.store.reads.versions import versions

MOST_METRICS, MOST_DIMENSIONS, MOST_ROWS, MOST_CELLS = 20, 4, 10_000, 100_000
LONGEST_DAYS = {"day": 5 * 366, "week": 5 * 366}
LONGEST = 25 * 366
FILTERED = tuple(name for name in DIMENSIONS if name not in {"weekday", "currency"})
PARTS = ("parts", "plan")


@dataclass(frozen=True)
class Asked:
    """What the caller asks for. `by_body`: faults are told with pointers, not parameters."""

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    grain: Grain | None
    first: date
    last: date
    filters: tuple[tuple[str, str, tuple[str, ...]], ...]
    compare: str | None
    include: tuple[str, ...]
    as_of: Instant | None
    totals: bool
    sort: tuple[str, ...]
    money: str
    limit: int
    reopen: str = "net"
    within: int = 0
    strict: bool = False
    convert: str = ""
    by_body: bool = False

    def refuse(self, name: str, detail: str, code: str = "") -> ApiError:
        """A fault of one member."""
        if self.by_body:
            return bad_body(f"#/{name}", detail, code or "invalid_body")
        return bad_parameter(name, detail, code or "invalid_parameter")

    def stranger(self, place: str, name: str, known: Sequence[str], what: str) -> ApiError:
        """An unknown name, with the near ones."""
        if self.by_body:
            return unknown_name(name, known, what, pointer=f"#/{place}")
        return unknown_name(name, known, what, parameter=place)


def check(asked: Asked) -> tuple[Metric, ...]:
    """The metrics of a query that is within the limits.

    Raises:
        ApiError: names the member and the limit.
    """
    _check_names(asked)
    if not 1 <= len(asked.metrics) <= MOST_METRICS:
        raise asked.refuse("metrics", f"1 to {MOST_METRICS} metrics in one query.")
    if len(asked.dimensions) > MOST_DIMENSIONS:
        raise asked.refuse("dimensions", f"At most {MOST_DIMENSIONS} dimensions in one query.")
    if asked.first > asked.last:
        raise asked.refuse("from", "from must not lie after to.")
    longest = LONGEST_DAYS.get(asked.grain or "", LONGEST)
    if (asked.last - asked.first).days > longest:
        detail = f"At most {longest // 366} years by {asked.grain or 'span'} in one query."
        raise problem("range_too_long", detail)
    return tuple(METRICS[name] for name in dict.fromkeys(asked.metrics))


def _check_names(asked: Asked) -> None:
    for place, names, known, what in (
        ("metrics", asked.metrics, tuple(METRICS), "metric"),
        ("dimensions", asked.dimensions, DIMENSIONS, "dimension"),
        ("filters", tuple(name for name, _, _ in asked.filters), FILTERED, "filter"),
        ("include", asked.include, PARTS, "part"),
    ):
        for name in names:
            if name not in known:
                raise asked.stranger(place, name, known, what)
    for slug in asked.metrics:
        for place, names in (
            ("dimensions", asked.dimensions),
            ("filters", tuple(name for name, _, _ in asked.filters)),
        ):
            for name in names:
                if name not in (*METRICS[slug].dimensions, "currency"):
                    raise asked.refuse(place, f"{slug} is not known by {name}.")


def answer(call: Call, asked: Asked, form: Form) -> Any:
    """The whole answer as a response."""
    metrics = check(asked)
    as_of = min(asked.as_of if asked.as_of is not None else call.now, call.now)
    dimensions = tuple(d for d in dict.fromkeys(asked.dimensions) if d != "currency")
    question = Question(
        metrics, dimensions, asked.first, asked.last, asked.grain, asked.filters, as_of,
        as_of >= call.now, asked.reopen == "restate", asked.within, asked.strict,
        currencies="currency" in asked.dimensions, parts="parts" in asked.include,
        convert=asked.convert,
    )  # fmt: skip
    _check_kinds(asked, question)
    with call.read() as connection:
        _tag(call, connection, asked)
        names = visible_names(call, connection)
        configs = {account: found.config for account, found in names.items()}
        if asked.convert and not convert.can(configs, asked.convert):
            detail = f"No account has a rate of {asked.convert}: its settings give `rates`."
            raise asked.refuse("convert", detail)
        document = _document(call, connection, question, asked, names, configs)
    return form.answer(document, "kpis", [column["name"] for column in document["columns"]])


def _check_kinds(asked: Asked, question: Question) -> None:
    """Only what is added up or divided can be converted.

    Raises:
        ApiError: names the figure that is neither.
    """
    for metric in question.needed if asked.convert else ():
        if metric.kind not in convert.KINDS:
            detail = f"{metric.slug} cannot be converted; ask for it without convert."
            raise asked.refuse("convert", detail)


def _tag(call: Call, connection: Connection, asked: Asked) -> None:
    """Equal queries have equal tags in both forms; an unfinished span lives for a minute."""
    seen = [row for row in versions(connection) if call.caller.sees(row[0])]
    told = [str(getattr(asked, name)) for name in Asked.__dataclass_fields__ if name != "by_body"]
    moves = asked.as_of is None or asked.as_of > call.now
    minute = call.now // 60 if moves else 0
    use_tag(call.request, tag_of(["kpis", told, call.lang, call.caller.accounts, seen, minute]))


def _document(
    call: Call,
    connection: Connection,
    question: Question,
    asked: Asked,
    names: Mapping[str, Names],
    configs: Mapping[str, Config],
) -> dict[str, Any]:
    table = kpi.answer(connection, configs, question)
    _check_size(table, question)
    compared = _shifted(question, asked, configs, call.now)
    beside = Beside(
        _then(connection, configs, compared),
        SpanPlans.read(connection, configs, question) if "plan" in asked.include else None,
        parts="parts" in asked.include,
        major=asked.money == "major",
    )
    rules = rules_of(call, names) if "rule" in question.dimensions else {}
    builder = Builder(question, names, beside, rules, call.lang)
    columns = builder.columns(table.rows)
    rows = _sorted([builder.row(row) for row in table.rows], asked, columns)
    if len(rows) > asked.limit:
        raise problem("too_many_rows", f"{len(rows)} rows; limit is {asked.limit}.")
    document: dict[str, Any] = {"data": rows}
    if asked.totals:
        document["totals"] = [builder.total(total) for total in table.totals]
    document |= {"columns": columns, "meta": _meta(question, names, configs, compared)}
    return document | {"next_cursor": None, "next": None}


def _check_size(table: kpi.Table, question: Question) -> None:
    """Refuse what is too large to be answered.

    Raises:
        ApiError: too_many_rows, too_many_cells.
    """
    if len(table.rows) > MOST_ROWS:
        raise problem("too_many_rows", f"More than {MOST_ROWS} rows; ask for a shorter span.")
    if len(table.rows) * len(question.metrics) > MOST_CELLS:
        raise problem("too_many_cells", f"More than {MOST_CELLS} cells; ask for a shorter span.")


def _shifted(
    question: Question, asked: Asked, configs: Mapping[str, Config], now: Instant
) -> compare.Shifted | None:
    """What is compared with; by the calendar of the first account."""
    if asked.compare is None or not configs:
        return None
    return compare.shifted(question, asked.compare, next(iter(configs.values())), now)


def _then(
    connection: Connection, configs: Mapping[str, Config], compared: compare.Shifted | None
) -> Then | None:
    """Figures that are compared with, by the number of their period, group, currency."""
    if compared is None:
        return None
    moved = compared.question
    table = kpi.answer(connection, configs, moved)
    numbers = {span[0]: number for number, span in enumerate(moved.spans())}
    return {
        (
            numbers.get(row.get("period", moved.first), 0),
            tuple(row[d] for d in moved.dimensions),
            row["currency"],
        ): row["values"]
        for row in table.rows
    }


def _sorted(
    rows: list[dict[str, Any]], asked: Asked, columns: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """By the asked columns, nulls last; else by period and group.

    Raises:
        ApiError: there is no such column.
    """
    known = [column["name"] for column in columns]
    for name in reversed(asked.sort):
        column = name.removeprefix("-")
        if column not in known:
            raise asked.stranger("sort", column, known, "column")
        told = [row for row in rows if row[column] is not None]
        none = [row for row in rows if row[column] is None]
        told.sort(key=lambda row, c=column: row[c], reverse=name.startswith("-"))  # type: ignore[misc]
        rows = told + none
    return rows


def _meta(
    question: Question,
    names: Mapping[str, Names],
    configs: Mapping[str, Config],
    compared: compare.Shifted | None,
) -> dict[str, Any]:
    known = [n.account.last_event_at for n in names.values() if n.account.last_event_at]
    meta: dict[str, Any] = {
        "as_of": iso(question.as_of),
        "data_through": iso(min(known)) if known else None,
        "timezones": sorted({str(config.timezone) for config in configs.values()}),
        "compare": None,
        "receipts_from": {
            account: config.document.receipts_from for account, config in sorted(configs.items())
        },
    }
    if compared is not None:
        meta["compare"] = {
            "from": compared.question.first.isoformat(),
            "to": compared.question.last.isoformat(),
            "rule": compared.rule,
        }
    return meta
