"""The rows of a KPI query on the wire: flat, one key per column, and what the columns are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.api.names import Names, split_id
from service.domain.config import Config
from service.domain.money import exponent, major_units
from service.domain.period import local_date
from service.kpi import compare, planfact
from service.kpi.away import is_away
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.planspans import SpanPlans
from service.kpi.question import Question
from service.kpi.terms import notes_of
from service.rules.schema import RuleModel
from service.rules.words import rule_name

NAMED = ("account", "seller", "team", "person", "pipeline", "stage", "reason", "rule")
Row = Mapping[str, Any]
Then = Mapping[tuple[int, tuple[Any, ...], str | None], Mapping[str, Any]]


@dataclass(frozen=True)
class Beside:
    """What is shown beside the figures, as far as it is asked for. `then`: those compared with."""

    then: Then | None = None
    plans: SpanPlans | None = None
    parts: bool = False
    major: bool = False


class Builder:
    """Rows on the wire. `rules`: those whose names are shown."""

    def __init__(
        self,
        question: Question,
        names: Mapping[str, Names],
        beside: Beside,
        rules: Mapping[str, RuleModel],
        lang: str,
    ) -> None:
        self._question = question
        self._names = names
        self._beside = beside
        self._rules = rules
        self._lang = lang
        spans = question.spans()
        self._number = {span[0]: number for number, span in enumerate(spans)}
        config = next((own.config for own in names.values()), None)
        today = local_date(question.as_of, config.timezone) if config else question.last
        self._partial = compare.partial(spans, question.grain, today)

    def row(self, row: Row) -> dict[str, Any]:
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
            if dimension == "seller":
                shown["absent"] = self._is_away(row["seller"], number)
        shown |= self._currency(row)
        then = None
        if self._beside.then is not None:
            group = tuple(row[d] for d in self._question.dimensions)
            then = self._beside.then.get((number, group, row["currency"]), {})
        for metric in self._question.metrics:
            shown |= self._figure(metric, row)
            if then is not None:
                shown |= self._compared(metric, row, then.get(metric.slug))
            if self._beside.plans is not None:
                shown |= self._planned(metric, row, self._beside.plans)
        return shown

    def total(self, total: Row) -> dict[str, Any]:
        """One row of totals."""
        shown = self._currency(total)
        for metric in self._question.metrics:
            shown |= self._figure(metric, total)
        return shown

    def _is_away(self, seller: str | None, number: int) -> bool:
        """Whether a seller was absent on all working days of a period."""
        account, _, own = (seller or "").partition(".")
        known = self._names.get(account)
        return known is not None and is_away(known.config, own, *self._question.spans()[number])

    def _currency(self, row: Row) -> dict[str, Any]:
        """The currency; where a wish to convert was told, whether money of others is in."""
        shown: dict[str, Any] = {"currency": row["currency"]}
        return shown | {"converted": row["converted"]} if self._question.convert else shown

    # --- figures ------------------------------------------------------------------------------

    def _figure(self, metric: Metric, row: Row) -> dict[str, Any]:
        """A figure with what stands beside it, and on demand both sums of a ratio."""
        slug, currency = metric.slug, row["currency"]
        shown = {slug: self._money(metric, row["values"][slug], currency)}
        for name, value in row["notes"][slug].items():
            shown[f"{slug}__{name}"] = self._money(note_unit(metric, name), value, currency)
        if self._beside.parts and metric.kind == "ratio":
            sums = zip(("num", "den"), _parts_of(metric), row["sums"][slug], strict=True)
            for end, part, value in sums:
                shown[f"{slug}__{end}"] = self._money(part, value, currency)
        return shown

    def _compared(self, metric: Metric, row: Row, old: float | None) -> dict[str, Any]:
        change = compare.change(metric, row["values"][metric.slug], old)
        return {
            f"{metric.slug}__previous": self._money(metric, old, row["currency"]),
            f"{metric.slug}__change": change,
        }

    def _planned(self, metric: Metric, row: Row, plans: SpanPlans) -> dict[str, Any]:
        slug, planned = metric.slug, plans.of(metric, row)
        measured = planfact.measured_of(metric, row["values"][slug], row["exact"][slug])
        return {
            f"{slug}__plan": self._money(metric, planned, row["currency"]),
            f"{slug}__percent": planfact.percent(measured, planned),
        }

    def _money(self, metric: Metric | None, value: float | None, currency: str | None) -> Any:
        """Money in the units that were asked for. `metric` None: a plain number."""
        is_money = metric is not None and metric.unit == "money"
        if value is None or not (is_money and self._beside.major) or currency is None:
            return value
        exact: Decimal = major_units(int(value), currency)
        return float(exact)

    # --- names --------------------------------------------------------------------------------

    def _name(self, dimension: str, value: str | None) -> str | None:
        if value is None:
            no_reason = "Без причины" if self._lang == "ru" else "No reason"
            return no_reason if dimension == "reason" else None
        if dimension == "rule":
            return rule_name(self._rules.get(value), value, self._lang)
        if dimension == "person" and split_id(value) is None:
            return value
        if dimension == "team":
            teams = [n.config.teams[value] for n in self._names.values() if value in n.config.teams]
            return teams[0].name if teams else None
        account, _, own = value.partition(".")
        names_of = self._names.get(account)
        if names_of is None or dimension == "account":
            return names_of.account.name if names_of is not None else None
        return _own_name(names_of.config, dimension, own)

    # --- columns ------------------------------------------------------------------------------

    def columns(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """What the columns are, in the order of the rows' members."""
        found: list[dict[str, Any]] = []
        if self._question.grain is not None:
            found.append(_column("period", "time", "date"))
            found.append(_column("period_end", "companion", "date"))
            found.append(_column("partial", "companion", "boolean"))
        for dimension in self._question.dimensions:
            found.append(_column(dimension, "dimension", "string"))
            if dimension in NAMED:
                found.append(_column(f"{dimension}_name", "companion", "string"))
            if dimension == "seller":
                found.append(_column("absent", "companion", "boolean"))
        found.append(_column("currency", "dimension", "string"))
        if self._question.convert:
            found.append(_column("converted", "companion", "boolean"))
        digits = self._digits(rows)
        for metric in self._question.metrics:
            for name, unit in self._of_metric(metric):
                role = "metric" if name == metric.slug else "companion"
                column = self._of_number(name, role, unit, digits)
                found.append(column | {"source": self._source(metric, name)})
        return found

    def _source(self, metric: Metric, name: str) -> str | None:
        """What receipts are in these accounts, of a figure that is made of them."""
        if name != metric.slug or "receipts" not in {metric.slug, *metric.components}:
            return None
        asked = set(self._names)
        for dimension, sign, ids in self._question.filters:
            if dimension == "account":
                asked = asked.intersection(ids) if sign == "eq" else asked.difference(ids)
        told = {self._names[account].config.receipts_source for account in asked}
        return told.pop() if len(told) == 1 else "mixed" if told else None

    def _of_metric(self, metric: Metric) -> Iterator[tuple[str, Metric | str | None]]:
        """Columns of a figure: name; the figure whose unit it has, or a unit; None = a count."""
        slug = metric.slug
        yield slug, metric
        for name in notes_of(metric, self._question):
            yield f"{slug}__{name}", note_unit(metric, name)
        if self._beside.parts and metric.kind == "ratio":
            for end, part in zip(("num", "den"), _parts_of(metric), strict=True):
                yield f"{slug}__{end}", part
        if self._beside.then is not None:
            yield f"{slug}__previous", metric
            yield f"{slug}__change", "points" if metric.unit == "points" else "ratio"
        if self._beside.plans is not None:
            yield f"{slug}__plan", "percent" if metric.plan_scale != 1 else metric
            yield f"{slug}__percent", "ratio"

    def _of_number(
        self, name: str, role: str, unit: Metric | str | None, digits: int | None
    ) -> dict[str, Any]:
        told = unit.unit if isinstance(unit, Metric) else unit or "count"
        whole = told in {"count", "seconds", "percent"} or (
            told == "money" and not self._beside.major
        )
        column = _column(name, role, "integer" if whole else "number")
        return column | {"unit": told, "exponent": digits if told == "money" else None}

    def _digits(self, rows: Sequence[Row]) -> int | None:
        """Digits of the minor unit, if all money has as many."""
        told = {row["currency"] for row in rows} - {None}
        known = {exponent(one) for one in told or self._currencies()}
        return known.pop() if len(known) == 1 else None

    def _currencies(self) -> set[str]:
        return {own.config.currency for own in self._names.values()}


def note_unit(metric: Metric, name: str) -> Metric | None:
    """The figure whose unit a companion has; None = it is a count."""
    if name in {"count", "immature", "stages_by_mean"}:
        return None
    if name == "plan_left":
        return METRICS["receipts"]
    return METRICS.get(dict(metric.beside).get(name, name), metric)


def _parts_of(metric: Metric) -> tuple[Metric, Metric]:
    """What stands above and below the line of a ratio."""
    return METRICS[metric.numerator], METRICS[metric.denominator[0]]


def _own_name(config: Config, dimension: str, own: str) -> str | None:
    """The name of a seller, stage, loss reason or pipeline of an account."""
    if dimension in {"seller", "person"}:
        return config.seller_name(own)
    if dimension == "stage":
        pipeline, _, stage = own.partition(".")
        return config.stage_name(pipeline, stage)
    if dimension == "reason":
        return next((r.name for r in config.directory.loss_reasons if r.id == own), own)
    found = config.directory.pipeline(own)
    return found.name if found else None


def _column(name: str, role: str, kind: str) -> dict[str, Any]:
    plain = {"unit": None, "exponent": None, "source": None}
    return {"name": name, "role": role, "type": kind, **plain}
