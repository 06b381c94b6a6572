"""Query parameters: instants, dates, lists, numbers, and filter families `field[gte]`.

Single ones are annotated types (`since: InstantParam = None`); a list endpoint declares its filters
once: `DEALS = FilterSet(ids("seller"), choice("status", ...), number("amount"), ...)` and takes
`filters: Annotated[Filters, Depends(DEALS)]`.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BeforeValidator, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from service.api.problems import near, shown
from service.domain.instant import Instant, from_datetime
from service.domain.period import Period
from service.store.reads.filters import Filter

MOST_VALUES = 200
MOST_NUMBER = 1 << 60
FIRST_YEAR, LAST_YEAR = 1969, 9000  # exclusive
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BLANK_ZONE = re.compile(r"\d \d{2}:?\d{2}$")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
Filters = tuple[Filter, ...]


def refused(detail: str, code: str = "invalid_parameter", hints: Sequence[str] = ()) -> Exception:
    """What a validator raises: the sentence, the code, the near names."""
    context = {"detail": detail, "hints": list(hints)}
    return PydanticCustomError(code, "{detail}", context)


# --- single values --------------------------------------------------------------------------------


def read_instant(text: Any) -> Any:
    """RFC 3339 with an offset -> seconds. A naive time, or a blank for `+`, is refused."""
    if not isinstance(text, str):
        return text
    if _BLANK_ZONE.search(text):
        raise refused(f"{shown(text)}: a + in an address must be written %2B.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or "T" not in text.upper():
        raise refused(f"{shown(text)} is no instant; write 2026-11-23T07:00:00Z.")
    if moment.tzinfo is None:
        raise refused(f"{shown(text)} has no time zone; write 2026-11-23T07:00:00Z.")
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise refused(f"{shown(text)} is out of range.")
    return from_datetime(moment)


def read_date(text: Any) -> Any:
    """`2026-11-23` -> date."""
    if not isinstance(text, str):
        return text
    period = period_of(text) if _DATE.fullmatch(text) else None
    if period is None:
        raise refused(f"{shown(text)} is no date; write 2026-11-23.")
    return period.first


def read_period(text: Any) -> Any:
    """`2026`, `2026-Q4`, `2026-11`, `2026-W48`, `2026-11-23`, as it is."""
    if isinstance(text, str) and period_of(text) is None:
        forms = "2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23"
        raise refused(f"{shown(text)} is no period; write {forms}.")
    return text


def period_of(text: str) -> Period | None:
    """The period that a text names; None: it names none within our years."""
    try:
        period = Period.parse(text)
    except ValueError:
        return None
    return period if FIRST_YEAR < period.first.year < LAST_YEAR else None


def read_number(text: Any) -> Any:
    """A whole number that a database can hold."""
    if not isinstance(text, str):
        return text
    if not re.fullmatch(r"[+-]?\d{1,18}", text.strip()) or abs(int(text)) > MOST_NUMBER:
        raise refused(f"{shown(text)} is no whole number.")
    return int(text)


def read_flag(text: Any) -> Any:
    """`true` or `false`."""
    if not isinstance(text, str):
        return text
    if text not in ("true", "false"):
        raise refused(f"{shown(text)} is neither true nor false.")
    return text == "true"


def read_list(value: Any) -> Any:
    """`a,b` -> ("a", "b"); at most 200 values, none empty."""
    if not isinstance(value, str | list):
        return value
    text = value if isinstance(value, str) else ",".join(value)
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(parts):
        raise refused("A list must not have empty values.")
    if len(parts) > MOST_VALUES:
        raise refused(f"At most {MOST_VALUES} values in one list.")
    return parts


def choices(known: Sequence[str], what: str = "value") -> Callable[[Any], Any]:
    """A validator of lists: all values are among `known`."""

    def read(value: Any) -> Any:
        parts = read_list(value)
        for part in parts if isinstance(parts, tuple) else ():
            if part not in known:
                hints = near(part, known)
                detail = f"There is no {what} {shown(part)}; there are {', '.join(known)}."
                raise refused(detail, "unknown_name", hints)
        return parts

    return read


def is_id(text: str) -> bool:
    """Whether a text has the form of an id; others exist nowhere."""
    return _ID.fullmatch(text) is not None


def _schema(form: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": form})


_LIST_SCHEMA = WithJsonSchema({"type": "array", "items": {"type": "string"}})
_FLAG_SCHEMA = WithJsonSchema({"type": "boolean"})
_INSTANT = (BeforeValidator(read_instant), _schema("date-time"))
_NUMBER = (BeforeValidator(read_number), WithJsonSchema({"type": "integer"}))

InstantParam = Annotated[Instant | None, *_INSTANT, Query()]
DateParam = Annotated[date | None, BeforeValidator(read_date), _schema("date"), Query()]
PeriodParam = Annotated[
    str | None,  # FastAPI takes no parameter of a type of ours
    BeforeValidator(read_period),
    WithJsonSchema({"type": "string", "examples": ["2026-11"]}),
    Query(description="2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23"),
]
NumberParam = Annotated[int | None, *_NUMBER, Query()]
FlagParam = Annotated[bool | None, BeforeValidator(read_flag), _FLAG_SCHEMA, Query()]
ListParam = Annotated[tuple[str, ...] | None, BeforeValidator(read_list), _LIST_SCHEMA, Query()]
LangParam = Annotated[Literal["ru", "en"] | None, Query(description="language of texts for people")]
AsOf = Annotated[
    Instant | None, *_INSTANT, Query(description="as known now of this instant; default now")
]


@dataclass(frozen=True)
class Choice:
    """Metadata of a list parameter: its values are among `known`.

    `status: Annotated[tuple[str, ...] | None, Choice(STATUSES, "status"), Query()] = None`
    """

    known: Sequence[str]
    what: str = "value"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check before the type is."""
        read = choices(self.known, self.what)
        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        """What OpenAPI says of it."""
        return {"type": "array", "items": {"type": "string", "enum": list(self.known)}}


# --- filter families ------------------------------------------------------------------------------

_COMPARE = ("gte", "gt", "lte", "lt")


@dataclass(frozen=True)
class Family:
    """The parameters of one filter field: operator -> annotated type."""

    name: str
    kinds: dict[str, Any]


def ids(name: str, *, null: bool = False) -> Family:
    """`name=a,b`, `name[ne]=a`; with `null` also `name[null]=true`."""
    kinds: dict[str, Any] = {"eq": ListParam, "ne": ListParam}
    return Family(name, kinds | ({"null": FlagParam} if null else {}))


def choice(name: str, known: Sequence[str], what: str = "value") -> Family:
    """Like `ids`, of a fixed set of names."""
    kind = Annotated[tuple[str, ...] | None, Choice(known, what), Query()]
    return Family(name, {"eq": kind, "ne": kind})


def number(name: str) -> Family:
    """`name=5`, `name[gte]=5`, ... of a whole number (money: minor units)."""
    return Family(name, {"eq": NumberParam} | dict.fromkeys(_COMPARE, NumberParam))


def instant(name: str, *, null: bool = False) -> Family:
    """`name[gte]=2026-11-23T07:00:00Z`, ..."""
    kinds: dict[str, Any] = dict.fromkeys(_COMPARE, InstantParam)
    return Family(name, kinds | ({"null": FlagParam} if null else {}))


def flag(name: str) -> Family:
    """`name=true`."""
    return Family(name, {"eq": FlagParam})


class FilterSet:
    """The filters of a list endpoint: a dependency that gives `Filters`."""

    def __init__(self, *families: Family) -> None:
        self._places: dict[str, tuple[str, str]] = {}
        parameters = []
        for family in families:
            for op, kind in family.kinds.items():
                alias = family.name if op == "eq" else f"{family.name}[{op}]"
                python = f"{family.name}__{op}"
                self._places[python] = (family.name, op)
                parameters.append(_parameter(python, alias, kind))
        self.__signature__ = inspect.Signature(parameters)

    async def __call__(self, **values: Any) -> Filters:
        """The conditions that the address names, in the order of declaration."""
        found = []
        for python, (name, op) in self._places.items():
            value = values.get(python)
            if value is None:
                continue
            several = op in ("eq", "ne") and not isinstance(value, tuple)
            found.append(Filter(name, op, (value,) if several else value))
        return tuple(found)


def _parameter(python: str, alias: str, kind: Any) -> inspect.Parameter:
    """A keyword parameter with the same annotation under another name in the address."""
    kept = tuple(entry for entry in kind.__metadata__ if not isinstance(entry, type(Query())))
    form: Any = Annotated  # a form that is filled at run time
    annotation = form[(kind.__origin__, *kept, Query(alias=alias))]
    return inspect.Parameter(
        python, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def value_of(filters: Filters, name: str, op: str = "eq") -> Any:
    """The value of one condition; None = it was not given."""
    return next((f.value for f in filters if f.field == name and f.op == op), None)


def without(filters: Filters, *names: str) -> Filters:
    """The conditions on other fields."""
    return tuple(f for f in filters if f.field not in names)
