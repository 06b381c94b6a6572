"""The one dictionary of BI tables: names, columns with type, title and source, scope.

Exports, OData and papers are made from it. `key`: the columns that rows are told apart and walked
by; `when`: the column that `from` and `to` cut (a date); `keyed`: how a row is found by its id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sqlalchemy import and_, case, func, literal, null, or_, select

from service.store.bi.counts import Count, count_violations, open_violations
from service.store.bi.scene import Element, Kind, Scene, major
from service.store.bulks import is_bulk
from service.store.reads.violations import is_marked, last_said
from service.store.tables import Deal, Task, Violation

_D: Any = Deal.__table__  # type: ignore[attr-defined]
_T: Any = Task.__table__  # type: ignore[attr-defined]
_V: Any = Violation.__table__  # type: ignore[attr-defined]
_N: Any = _D.alias("named_deal")
Make = Callable[[Scene], Element]
Fields = dict[str, Kind]


@dataclass(frozen=True)
class Column:
    """One column. `scale`: of money, the expression that gives the currency of its minor units."""

    name: str
    kind: Kind
    title: str
    make: Make
    joins: tuple[str, ...] = ()
    scale: Make | None = None
    shown: str = ""  # made when a row is shown: the value is a CRM id; nothing filters by it
    found: tuple[str, str] | None = None  # (reference, its field): a name that is looked up
    raw: bool = False  # what the reference does not know is shown as it is
    counted: Count | None = None  # the same for many rows at a time, by the columns of the key

    def compared(self, scene: Scene) -> Element:
        """What filters and sorts look at."""
        made = self.make(scene)
        return made if self.scale is None else major(made, self.scale(scene))


@dataclass(frozen=True)
class Join:
    """A table to look names up in, and by what: (its column, what it equals).

    `day`: a local day on which what is looked up has to hold (`first` to `last`), if it changes.
    """

    table: Callable[[Scene], Any]
    keys: Callable[[Scene], Sequence[tuple[str, Element]]]
    day: Callable[[Scene], Element] | None = None

    def on(self, scene: Scene, table: Any) -> Element:
        """The condition of the join."""
        found = [table.c[name] == value for name, value in self.keys(scene)]
        if self.day is not None:
            found.append(self.day(scene).between(table.c.first, table.c.last))
        return and_(*found)


@dataclass(frozen=True)
class Table:
    """One table. `base`: what is selected from; `where`: which of its rows are the table's."""

    name: str
    title: str
    scope: str
    columns: tuple[Column, ...]
    base: Callable[[Scene], Any]
    key: Callable[[Scene], Sequence[Element]]
    where: Callable[[Scene], Sequence[Element]]
    when: str = ""
    keyed: Literal["whole", "after_account", "by_value"] = "by_value"  # the last column of `key`
    joins: tuple[tuple[str, Join], ...] = ()

    def column(self, name: str) -> Column | None:
        """A column by name."""
        return next((column for column in self.columns if column.name == name), None)


def _text(name: str, title: str, element: Element, *joins: str) -> Column:
    return Column(name, "String", title, lambda _: element, joins)


def _moment(name: str, title: str, element: Element) -> Column:
    return Column(name, "DateTimeOffset", title, lambda _: element)


def _day(name: str, title: str, account: Element, element: Element) -> Column:
    return Column(name, "Date", title, lambda scene: scene.local_day(account, element))


def _whole(name: str, title: str, element: Element) -> Column:
    return Column(name, "Int32", title, lambda _: element)


def full_id(account: Element, *parts: Element) -> Element:
    """`account.part.part`; null where a part is empty."""
    whole = account
    for part in parts:
        whole = whole.concat(literal(".")).concat(part)
    return case((or_(*(func.coalesce(part, "") == "" for part in parts)), null()), else_=whole)


def _found(name: str, title: str, ref: str, column: str) -> Column:
    """A name that is looked up; what changes by day is looked up by the database."""
    fields = REFS[ref]
    make = partial(_field, ref, fields, column)
    return Column(
        name, "String", title, make, (ref,), found=None if "last" in fields else (ref, column)
    )


def _field(ref: str, fields: Fields, column: str, scene: Scene) -> Element:
    found: Element = scene.ref(ref, fields).c[column]
    return found


def _or_raw(name: str, title: str, ref: str, raw: Element) -> Column:
    """A name that is looked up; what the directory does not know stays an id."""

    def make(scene: Scene) -> Element:
        return func.nullif(func.coalesce(scene.ref(ref, REFS[ref]).c.name, raw), "")

    return Column(name, "String", title, make, (ref,), found=(ref, "name"), raw=True)


def _ref(ref: str, account: Element, column: str, value: Element, *more: Any) -> tuple[str, Join]:
    keys = (("account_id", account), (column, value), *more)
    return ref, Join(lambda scene: scene.ref(ref, REFS[ref]), lambda _: keys)


def team_on(account: Element, seller: Element, day: Callable[[Scene], Element]) -> tuple[str, Join]:
    """The team of a seller on the local day of a row."""
    keys = (("account_id", account), ("crm_id", seller))
    return "stays", Join(lambda scene: scene.ref("stays", REFS["stays"]), lambda _: keys, day)


REFS: dict[str, Fields] = {
    "accounts": {
        "id": "String", "account_id": "String", "name": "String", "crm": "String",
        "base_url": "String", "timezone": "String", "currency": "String", "status": "String",
        "last_event_at": "DateTimeOffset",
    },
    "sellers": {
        "id": "String", "account_id": "String", "crm_id": "String", "name": "String",
        "team_id": "String", "team_name": "String", "person": "String", "active": "Boolean",
        "timezone": "String", "open_deals_limit": "Int32",
    },
    "stays": {
        "id": "String", "account_id": "String", "crm_id": "String", "seller_id": "String",
        "seller_name": "String", "team_id": "String", "team_name": "String", "first": "Int32",
        "last": "Int32", "valid_from": "DateTimeOffset", "valid_to": "DateTimeOffset",
    },
    "pipelines": {
        "id": "String", "account_id": "String", "crm_id": "String", "name": "String",
    },
    "stages": {
        "id": "String", "account_id": "String", "crm_id": "String", "name": "String",
        "pipeline_id": "String", "pipeline_name": "String", "pipeline_crm_id": "String",
        "sort": "Int32", "kind": "String",
    },
    "metrics": {
        "id": "String", "account_id": "String", "metric": "String", "title": "String",
        "kind": "String", "unit": "String", "formula": "String", "direction": "String",
        "numerator": "String", "denominator": "String", "part": "String",
    },
    "calendar": {
        "id": "String", "account_id": "String", "date": "Date", "year": "Int32",
        "quarter": "Int32", "month": "Int32", "month_name": "String", "week": "Int32",
        "weekday": "Int32", "is_working": "Boolean", "working_seconds": "Int32",
    },
    "plans": {
        "id": "String", "account_id": "String", "metric": "String", "period_start": "Date",
        "period_end": "Date", "grain": "String", "team_id": "String", "seller_id": "String",
        "value": "Decimal", "currency": "String", "status": "String",
        "updated_at": "DateTimeOffset", "scale": "String",
    },
    "rules": {"account_id": "String", "id": "String", "title": "String"},
    "loss_reasons": {"account_id": "String", "id": "String", "name": "String"},
    "task_kinds": {"account_id": "String", "id": "String", "name": "String"},
}  # fmt: skip
_HIDDEN = {"pipeline_crm_id", "scale"}


def plain(name: str, title: str, scope: str, when: str = "") -> Table:
    """A table that is a list of reference rows."""
    fields = REFS[name]

    def get(column: str) -> Make:
        return lambda scene: scene.ref(name, fields).c[column]

    columns = tuple(
        Column(
            field, kind, field.replace("_", " "), get(field),
            scale=get("scale") if kind == "Decimal" else None,
        )
        for field, kind in fields.items()
        if field not in _HIDDEN
    )  # fmt: skip
    return Table(
        name, title, scope, columns,
        base=lambda scene: scene.ref(name, fields),
        key=lambda scene: [scene.ref(name, fields).c.account_id, scene.ref(name, fields).c.id],
        where=lambda scene: [scene.ref(name, fields).c.account_id.in_(scene.accounts)],
        when=when,
        keyed="whole",
    )  # fmt: skip


_DA = _D.c.account_id
DEALS = Table(
    "deals", "deals as they are now", "crm:read",
    (
        _text("id", "id", full_id(_DA, _D.c.id)),
        _text("account_id", "account", _DA),
        _text("name", "name", _D.c.name),
        Column("url", "String", "page in the CRM", lambda _: _D.c.id, shown="deal"),
        _text("pipeline_id", "pipeline", full_id(_DA, _D.c.pipeline)),
        _found("pipeline_name", "name of the pipeline", "stages", "pipeline_name"),
        _text("stage_id", "stage", full_id(_DA, _D.c.pipeline, _D.c.stage)),
        _found("stage_name", "name of the stage", "stages", "name"),
        _found("stage_kind", "incoming, open, won or lost", "stages", "kind"),
        _text("status", "open, won, lost or incoming", _D.c.status),
        _text("seller_id", "responsible seller", full_id(_DA, _D.c.seller)),
        _found("seller_name", "name of the seller", "sellers", "name"),
        _found("team_id", "team of the seller now", "sellers", "team_id"),
        _found("team_name", "name of the team", "sellers", "team_name"),
        _text("source", "source", _D.c.source),
        Column("amount", "Decimal", "amount", lambda _: _D.c.amount, scale=lambda _: _D.c.currency),
        _text("currency", "ISO 4217", _D.c.currency),
        _moment("created_at", "created", _D.c.created_at),
        _day("created_date", "local day of creation", _DA, _D.c.created_at),
        _moment("updated_at", "last changed", _D.c.updated_at),
        _moment("closed_at", "won or lost", _D.c.closed_at),
        _day("closed_date", "local day of closing", _DA, _D.c.closed_at),
        _moment("stage_since", "in the stage since", _D.c.stage_since),
        _or_raw("loss_reason", "why it was lost", "loss_reasons", _D.c.loss_reason),
        _whole("open_tasks", "open tasks", _D.c.open_tasks),
        _moment("next_task_at", "deadline of the next task", _D.c.next_task_at),
        _moment("last_touch_at", "last touch", _D.c.last_touch_at),
        Column(
            "violations_open", "Int32", "open violations", open_violations,
            counted=count_violations,
        ),
        Column(
            "counted", "Boolean", "counts in figures: no excluded pipeline, no test tag",
            lambda _: _D.c.wins.is_not(None),
        ),
    ),
    base=lambda _: _D,
    key=lambda _: [_DA, _D.c.id],
    keyed="after_account",
    where=lambda scene: [_DA.in_(scene.accounts), _D.c.deleted.is_(False)],
    when="created_date",
    joins=(
        _ref("stages", _DA, "crm_id", _D.c.stage, ("pipeline_crm_id", _D.c.pipeline)),
        _ref("sellers", _DA, "crm_id", _D.c.seller),
        _ref("loss_reasons", _DA, "id", _D.c.loss_reason),
    ),
)  # fmt: skip


def _overdue(scene: Scene) -> Element:
    return and_(_T.c.is_open, _T.c.due_at.is_not(None), _T.c.due_at <= scene.at)


_TA = _T.c.account_id
TASKS = Table(
    "tasks", "tasks as they are now", "crm:read",
    (
        _text("id", "id", full_id(_TA, _T.c.id)),
        _text("account_id", "account", _TA),
        _text("deal_id", "deal", full_id(_TA, _T.c.deal)),
        _text("seller_id", "responsible seller", full_id(_TA, _T.c.seller)),
        _found("seller_name", "name of the seller", "sellers", "name"),
        _or_raw("kind", "kind of the task", "task_kinds", _T.c.task_kind),
        _text("title", "title", _T.c.title),
        _text("status", "open or done", case((_T.c.is_open, "open"), else_="done")),
        _moment("due_at", "deadline", _T.c.due_at),
        _day("due_date", "local day of the deadline", _TA, _T.c.due_at),
        _moment("created_at", "created", _T.c.created_at),
        _day("created_date", "local day of creation", _TA, _T.c.created_at),
        _moment("updated_at", "last changed", _T.c.updated_at),
        _moment("done_at", "done", _T.c.done_at),
        _day("done_date", "local day of completion", _TA, _T.c.done_at),
        Column("overdue", "Boolean", "open and past its deadline", _overdue),
        Column("has_result", "Boolean", "has a result", lambda _: _T.c.has_result),
        _whole("moves", "times the deadline was moved", _T.c.moves),
    ),
    base=lambda _: _T,
    key=lambda _: [_TA, _T.c.id],
    keyed="after_account",
    where=lambda scene: [_TA.in_(scene.accounts)],
    when="created_date",
    joins=(
        _ref("sellers", _TA, "crm_id", _T.c.seller),
        _ref("task_kinds", _TA, "id", _T.c.task_kind),
    ),
)  # fmt: skip


def _status(scene: Scene) -> Element:
    return case(
        (_V.c.resolved_at <= scene.at, "resolved"),
        (_V.c.breach_at <= scene.at, "open"),
        else_="upcoming",
    )


def _subject_name(scene: Scene) -> Element:
    deal = select(_N.c.name).where(
        _N.c.account_id == _VA, _N.c.id == _V.c.subject_id
    ).correlate(_V).scalar_subquery()  # fmt: skip
    task = select(_T.c.title).where(
        _TA == _VA, _T.c.id == _V.c.subject_id
    ).correlate(_V).scalar_subquery()  # fmt: skip
    seller = scene.ref("sellers", REFS["sellers"]).c.name
    kind = _V.c.subject_kind
    return case((kind == "deal", deal), (kind == "task", task), (kind == "seller", seller))


def _changed(scene: Scene) -> Element:
    """The latest of: its status, what was said of it, mutes that began or ended."""
    at = scene.at
    status = case(
        (_V.c.resolved_at <= at, _V.c.resolved_at),
        (_V.c.breach_at <= at, _V.c.breach_at),
        else_=_V.c.held_since,
    )
    ways = [status, *(func.coalesce(one, 0) for one in last_said(at))]
    return func.max(*ways) if scene.sqlite else func.greatest(*ways)


_VA = _V.c.account_id
_MONEY = case((_V.c.currency == "", null()), else_=_V.c.amount)
VIOLATIONS = Table(
    "violations", "violations: open, upcoming, resolved", "violations:read",
    (
        _text("id", "id", _V.c.id),
        _text("account_id", "account", _VA),
        _text("rule_id", "rule", _V.c.rule),
        _found("rule_title", "name of the rule", "rules", "title"),
        _text("severity", "critical, warning or info", _V.c.severity),
        Column("status", "String", "open, upcoming or resolved", _status),
        _text("subject_kind", "kind of the subject", _V.c.subject_kind),
        _text("subject_id", "subject", full_id(_VA, _V.c.subject_id)),
        Column("subject_name", "String", "name of the subject", _subject_name, ("sellers",)),
        _text("deal_id", "deal", full_id(_VA, _V.c.deal)),
        _text("seller_id", "responsible at the breach", full_id(_VA, _V.c.seller)),
        _found("seller_name", "name of the seller", "sellers", "name"),
        _found("team_id", "team of the seller at the breach", "stays", "team_id"),
        _found("team_name", "name of the team", "stays", "team_name"),
        Column("amount", "Decimal", "amount", lambda _: _MONEY, scale=lambda _: _V.c.currency),
        _text("currency", "ISO 4217", func.nullif(_V.c.currency, "")),
        _moment("since", "counted from", _V.c.since),
        _moment("held_since", "true since", _V.c.held_since),
        _moment("breach_at", "broken at", _V.c.breach_at),
        _day("breach_date", "local day of the breach", _VA, _V.c.breach_at),
        _moment("resolved_at", "ended at", _V.c.resolved_at),
        _day("resolved_date", "local day of the end", _VA, _V.c.resolved_at),
        Column("updated_at", "DateTimeOffset", "last change, said or of status", _changed),
        Column("muted", "Boolean", "muted now", lambda scene: is_marked("mute", scene.at)),
        Column("bulk", "Boolean", "begun by a bulk change", lambda _: is_bulk()),
        Column("acked", "Boolean", "acknowledged", lambda scene: is_marked("ack", scene.at)),
    ),
    base=lambda _: _V,
    key=lambda _: [_VA, _V.c.id],
    keyed="whole",
    where=lambda scene: [
        _VA.in_(scene.accounts),
        or_(
            _V.c.breach_at <= scene.at,
            _V.c.resolved_at.is_(None),
            _V.c.resolved_at > _V.c.breach_at,
        ),
    ],
    when="breach_date",
    joins=(
        _ref("sellers", _VA, "crm_id", _V.c.seller),
        team_on(_VA, _V.c.seller, lambda scene: scene.local_day(_VA, _V.c.breach_at)),
        _ref("rules", _VA, "id", _V.c.rule),
    ),
)  # fmt: skip
