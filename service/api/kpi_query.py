"""A KPI query as asked, checked, answered: the same for the GET and the POST form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from service.api.conditional import tag_of, use_tag
from service.api.deps import Call
from service.api.flat_csv import Form
from service.api.names import Names, visible_names
from service.api.problems import bad_body, bad_parameter, problem, unknown_name
from service.domain.config import Config
from service.domain.instant import Instant, iso
from service.domain.money import exponent, major_units
from service.domain.period import Grain, local_date
from service.errors import ApiError
from service.kpi import compare, planfact
from service.kpi import query as kpi
from service.kpi.metrics import DIMENSIONS, METRICS, Metric
from service.kpi.question import Question
from service.kpi.terms import notes_of
from service.store.handles import Connection
from service.store.reads.versions import versions

MOST_METRICS, MOST_DIMENSIONS, MOST_ROWS, MOST_CELLS = 20, 4, 10_000, 100_000
LONGEST_DAYS = {"day": 5 * 366, "week": 5 * 366}
LONGEST = 25 * 366
FILTERED = (*DIMENSIONS[:7], "rule", "severity")
NAMED = ("account", "seller", "team", "pipeline", "stage", "reason")


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
    )  # fmt: skip
    with call.read() as connection:
        _tag(call, connection, asked)
        names = visible_names(call, connection)
        configs = {account: found.config for account, found in names.items()}
        document = _document(call, connection, question, asked, names, configs)
    return form.answer(document, "kpis", [column["name"] for column in document["columns"]])


def _tag(call: Call, connection: Connection, asked: Asked) -> None:
    """Equal queries have equal tags in both forms; an unfinished span lives for a minute."""
    seen = [row for row in versions(connection) if call.caller.sees(row[0])]
    told = [str(getattr(asked, name)) for name in Asked.__dataclass_fields__ if name != "by_body"]
    minute = call.now // 60 if asked.as_of is None else 0
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
    if len(table.rows) * len(question.metrics) > MOST_CELLS or len(table.rows) > MOST_ROWS:
        raise problem("too_many_cells", f"More than {MOST_CELLS} cells; ask for a shorter span.")
    builder = _Builder(question, asked, names, configs, call.lang)
    before = _compared(connection, question, asked, configs, call.now)
    plans = _plans(connection, question, asked, configs)
    rows = [builder.row(row, before, plans) for row in table.rows]
    rows = builder.sorted(rows)
    if len(rows) > asked.limit:
        raise problem("too_many_rows", f"{len(rows)} rows; limit is {asked.limit}.")
    document: dict[str, Any] = {"data": rows}
    if asked.totals:
        document["totals"] = [builder.total(total) for total in table.totals]
    document |= {"columns": builder.columns(), "meta": _meta(question, asked, names, configs, call)}
    return document | {"next_cursor": None, "next": None}


Before = Mapping[tuple[int, tuple[Any, ...], str | None], Mapping[str, Any]] | None


def _compared(
    connection: Connection,
    question: Question,
    asked: Asked,
    configs: Mapping[str, Config],
    now: Instant,
) -> Before:
    if asked.compare is None or not configs:
        return None
    config = next(iter(configs.values()))
    moved = compare.shifted(question, asked.compare, config, now)
    table = kpi.answer(connection, configs, moved)
    numbers = {span[0]: number for number, span in enumerate(moved.spans())}
    return {
        (
            numbers.get(row.get("period", moved.first), 0),
            tuple(row[d] for d in question.dimensions),
            row["currency"],
        ): row["values"]
        for row in table.rows
    }


def _plans(
    connection: Connection, question: Question, asked: Asked, configs: Mapping[str, Config]
) -> Mapping[tuple[str, date, str | None], int] | None:
    if "plan" not in asked.include:
        return None
    return planfact.plans_of_spans(connection, configs, question)


class _Builder:
    """Rows on the wire: flat, one key per column."""

    def __init__(
        self,
        question: Question,
        asked: Asked,
        names: Mapping[str, Names],
        configs: Mapping[str, Config],
        lang: str,
    ) -> None:
        self._no_reason = "Без причины" if lang == "ru" else "No reason"
        self._question = question
        self._asked = asked
        self._names = names
        spans = question.spans()
        self._number = {span[0]: number for number, span in enumerate(spans)}
        config = next(iter(configs.values()), None)
        today = local_date(question.as_of, config.timezone) if config else question.last
        self._partial = compare.partial(spans, question.grain, today)

    def row(
        self,
        row: Mapping[str, Any],
        before: Before,
        plans: Mapping[tuple[str, date, str | None], int] | None,
    ) -> dict[str, Any]:
        """One row with what was asked for beside the figures."""
        shown: dict[str, Any] = {}
        number = 0
        if self._question.grain is not None:
            number = self._number[row["period"]]
            shown["period"] = row["period"].isoformat()
            shown["period_end"] = row["period_end"].isoformat()
            shown["partial"] = self._partial[number]
        for dimension in self._question.dimensions:
            shown[dimension] = row[dimension]
            if dimension in NAMED:
                shown[f"{dimension}_name"] = self._name(dimension, row[dimension])
        currency = row["currency"]
        shown["currency"] = currency
        then = None
        if before is not None:
            group = tuple(row[d] for d in self._question.dimensions)
            then = before.get((number, group, currency), {})
        for metric in self._question.metrics:
            value = row["values"][metric.slug]
            shown |= self._figure(metric, row)
            if then is not None:
                old = then.get(metric.slug)
                shown[f"{metric.slug}__previous"] = self._money(metric, old, currency)
                shown[f"{metric.slug}__change"] = compare.change(metric, value, old)
            if plans is not None:
                self._plan(shown, metric, row, value, plans)
        return shown

    def _plan(
        self,
        shown: dict[str, Any],
        metric: Metric,
        row: Mapping[str, Any],
        value: float | None,
        plans: Mapping[tuple[str, date, str | None], int],
    ) -> None:
        groups = [row[d] for d in ("seller", "team", "account") if d in row]
        first = row.get("period", self._question.first)
        planned = plans.get((metric.slug, first, groups[0] if groups else None))
        shown[f"{metric.slug}__plan"] = self._money(metric, planned, row["currency"])
        measured = None if value is None else value * metric.plan_scale
        percent = None if not planned or measured is None else round(measured / planned, 6)
        shown[f"{metric.slug}__percent"] = percent

    def total(self, total: Mapping[str, Any]) -> dict[str, Any]:
        """One row of totals."""
        currency = total["currency"]
        shown: dict[str, Any] = {"currency": currency}
        for metric in self._question.metrics:
            shown |= self._figure(metric, total)
        return shown

    def _figure(self, metric: Metric, row: Mapping[str, Any]) -> dict[str, Any]:
        """A figure with what stands beside it, and on demand both sums of a ratio."""
        slug, currency = metric.slug, row["currency"]
        shown = {slug: self._money(metric, row["values"][slug], currency)}
        for name, value in row["notes"][slug].items():
            unit = note_unit(metric, name)
            shown[f"{slug}__{name}"] = self._money(unit, value, currency)
        if "parts" in self._asked.include and metric.kind == "ratio":
            above, below = row["sums"][slug]
            numerator = METRICS[metric.numerator]
            shown[f"{slug}__num"] = self._money(numerator, above, currency)
            shown[f"{slug}__den"] = self._money(METRICS[metric.denominator[0]], below, currency)
        return shown

    def _money(self, metric: Metric | None, value: float | None, currency: str | None) -> Any:
        """Money in the units that were asked for. `metric` None: a plain number."""
        major = metric is not None and metric.unit == "money" and self._asked.money == "major"
        if value is None or not major or currency is None:
            return value
        exact: Decimal = major_units(int(value), currency)
        return float(exact)

    def _name(self, dimension: str, value: str | None) -> str | None:
        if value is None:
            return self._no_reason if dimension == "reason" else None
        if dimension == "team":
            teams = [n.config.teams[value] for n in self._names.values() if value in n.config.teams]
            return teams[0].name if teams else None
        account, _, own = value.partition(".")
        names_of = self._names.get(account)
        if names_of is None or dimension == "account":
            return names_of.account.name if names_of is not None else None
        if dimension == "seller":
            return names_of.config.seller_name(own)
        if dimension == "stage":
            pipeline, _, stage = own.partition(".")
            return names_of.config.stage_name(pipeline, stage)
        directory = names_of.config.directory
        if dimension == "reason":
            return next((r.name for r in directory.loss_reasons if r.id == own), own)
        found = directory.pipeline(own)
        return found.name if found else None

    def sorted(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """By the asked columns, nulls last; else by period and group."""
        for name in reversed(self._asked.sort):
            column = name.removeprefix("-")
            if rows and column not in rows[0]:
                raise self._asked.stranger("sort", column, list(rows[0]), "column")
            down = name.startswith("-")
            known = [row for row in rows if row[column] is not None]
            none = [row for row in rows if row[column] is None]
            rows = sorted(known, key=lambda r, c=column: r[c], reverse=down) + none  # type: ignore[misc]
        return rows

    def columns(self) -> list[dict[str, Any]]:
        """What the columns are."""
        found: list[dict[str, Any]] = []
        if self._question.grain is not None:
            found.append({"name": "period", "role": "time", "type": "date"})
        found += [
            {"name": d, "role": "dimension", "type": "string"} for d in self._question.dimensions
        ]
        found.append({"name": "currency", "role": "dimension", "type": "string"})
        for metric in self._question.metrics:
            found.append(_column(metric.slug, "metric", metric))
            for name in notes_of(metric, self._question):
                unit = note_unit(metric, name)
                found.append(_column(f"{metric.slug}__{name}", "companion", unit))
            if "parts" in self._asked.include and metric.kind == "ratio":
                for end, slug in (("num", metric.numerator), ("den", metric.denominator[0])):
                    found.append(_column(f"{metric.slug}__{end}", "companion", METRICS[slug]))
        return found


def note_unit(metric: Metric, name: str) -> Metric | None:
    """The figure whose unit a companion has; None = it is a count."""
    if name in {"count", "immature", "stages_by_mean"}:
        return None
    if name == "plan_left":
        return METRICS["receipts"]
    return METRICS.get(dict(metric.beside).get(name, name), metric)


def _column(name: str, role: str, metric: Metric | None) -> dict[str, Any]:
    unit = "count" if metric is None else metric.unit
    exact = metric is None or unit in {"count", "money", "seconds"}
    column = {"name": name, "role": role, "type": "integer" if exact else "number", "unit": unit}
    return column | ({"exponent": exponent("RUB")} if unit == "money" else {})


def _meta(
    question: Question,
    asked: Asked,
    names: Mapping[str, Names],
    configs: Mapping[str, Config],
    call: Call,
) -> dict[str, Any]:
    known = [n.account.last_event_at for n in names.values() if n.account.last_event_at]
    meta: dict[str, Any] = {
        "as_of": iso(question.as_of),
        "data_through": iso(min(known)) if known else None,
        "timezones": sorted({str(config.timezone) for config in configs.values()}),
        "compare": None,
    }
    if asked.compare is not None and configs:
        moved = compare.shifted(question, asked.compare, next(iter(configs.values())), call.now)
        meta["compare"] = {
            "from": moved.first.isoformat(),
            "to": moved.last.isoformat(),
            "rule": asked.compare,
        }
    return meta
