"""`format=csv` of answers that are rows (api.md 3.11): KPI query, plan-fact, summary.

Columns are the members of the rows; references and other nested members are flattened with `_`
(`seller_id`, `forecast_low`). Numbers are those of the JSON form.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from service.api.bi_values import csv_cell, csv_text, ru_cell
from service.api.conditional import vary_tag
from service.api.deps import json_answer

MEDIA_TYPE = "text/csv; charset=utf-8"
Dialect = Literal["rfc4180", "excel_ru"]


class Form:
    """How rows are answered: `format` wins over `Accept`."""

    def __init__(
        self,
        request: Request,
        form: Annotated[
            Literal["json", "csv"] | None, Query(alias="format", description="default json")
        ] = None,
        dialect: Dialect = "rfc4180",
    ) -> None:
        self._zone = ZoneInfo(request.app.state.services.settings.timezone)
        self.csv = form == "csv" if form is not None else _wants_csv(request)
        self.russian = dialect == "excel_ru"
        if self.csv:
            vary_tag(request, f"csv-{dialect}")

    def answer(
        self, document: Mapping[str, Any], name: str, columns: Sequence[str] = ()
    ) -> Response:
        """The document as JSON, or its `data` as CSV.

        Args:
            document: the answer.
            name: of the file.
            columns: the head of a file without rows.
        """
        if not self.csv:
            return json_answer(document)
        rows = [dict(_flat(row)) for row in document["data"]]
        head = list(rows[0]) if rows else list(columns)
        mark = ";" if self.russian else ","
        text = csv_text([head, *([self._cell(row[key]) for key in head] for row in rows)], mark)
        headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
        content = (f"\ufeff{text}" if self.russian else text).encode()
        return Response(content, headers=headers, media_type=MEDIA_TYPE)

    def _cell(self, value: Any) -> str:
        if not self.russian:
            return csv_cell(value)
        if isinstance(value, float):
            return ru_cell(Decimal(repr(value)), "Decimal", self._zone)
        if isinstance(value, str) and value[:4].isdigit() and value[4:5] == "-":
            kind = "DateTimeOffset" if value.endswith("Z") else "Date"
            try:
                told = date.fromisoformat(value) if kind == "Date" else value
                return ru_cell(told, kind, self._zone)
            except ValueError:
                pass
        return ru_cell(value, "String", self._zone)


FormDep = Annotated[Form, Depends(Form)]


def _wants_csv(request: Request) -> bool:
    """Whether `Accept` names CSV and prefers it to JSON."""
    weights = {"text/csv": 0.0, "application/json": 0.0}
    for part in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind in weights:
            weights[kind] = _weight(parameters)
    return weights["text/csv"] > weights["application/json"]


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _flat(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in _REFERENCES and not isinstance(value, Mapping):
            value = dict.fromkeys(("id", "name"), None) if value is None else value  # noqa: PLW2901
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}_")
        elif isinstance(value, list):
            yield f"{before}{name}", ", ".join(_in_a_cell(one) for one in value)
        else:
            yield f"{before}{name}", value


def _in_a_cell(one: Any) -> str:
    return ": ".join(map(str, one.values())) if isinstance(one, Mapping) else str(one)


_REFERENCES = ("seller", "team")
