"""BI tables as SQL views of PostgreSQL, made from the dictionary that exports and OData read.

What a request knows, a view has to look up: which accounts, the present instant, zones, names. The
reference rows lie in `bi_ref` (one JSON document for each account and kind, kept by the worker).
Which accounts a database role sees stands in `bi_grant`: a role without a row there sees nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    Float,
    Integer,
    Numeric,
    String,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import ProgrammingError

from service.domain.money import ODD, USUAL
from service.store.bi import grants
from service.store.bi.scene import PLAIN, PRECISION, SCALE, Element, Kind, Scene, typed
from service.store.bi.tables import Column, Table
from service.store.served import BiGrant, BiRef
from service.store.tables import Account

PREFIX = "bi_"
_REF: Any = BiRef.__table__  # type: ignore[attr-defined]
_GRANT: Any = BiGrant.__table__  # type: ignore[attr-defined]
_ACCOUNT: Any = Account.__table__  # type: ignore[attr-defined]
_PLACES: Mapping[str, Kind] = {"account_id": "String", "timezone": "String", "deal_url": "String"}
_NOW = literal_column("CAST(floor(extract(epoch FROM now())) AS bigint)", BigInteger)
_EPOCH = literal_column("DATE '1970-01-01'", Date)
Special = Callable[[], Any]
"""A reference table that is selected from the database itself."""


class ViewScene(Scene):
    """A reading that goes on: whoever looks, whenever."""

    def __init__(self, special: Mapping[str, Special]) -> None:
        accounts: Any = select(_seen().c.account_id)
        at: Any = _NOW
        super().__init__(accounts, at, {}, {}, sqlite=False)
        self._special = special

    def _ref(self, name: str, fields: Mapping[str, Kind]) -> Any:
        if name in self._special:
            return self._special[name]().subquery(f"ref_{name}")
        rows: Any = func.jsonb_array_elements(cast(_REF.c.rows, JSONB)).table_valued("value")

        def read(key: str) -> Element:
            return func.jsonb_extract_path_text(cast(rows.c.value, JSONB), key)

        columns = [typed(read(key), kind).label(key) for key, kind in fields.items()]
        if name == "accounts":  # what moves with every hook is read where it is
            fresh = {"status": _ACCOUNT.c.status, "last_event_at": _ACCOUNT.c.last_event_at}
            columns = [fresh.get(one.name, one).label(one.name) for one in columns]
        source = _REF.join(_ACCOUNT, _ACCOUNT.c.account_id == _REF.c.account_id)
        query = select(*columns).select_from(source.join(rows, literal(True)))
        return query.where(_REF.c.kind == name).subquery(f"ref_{name}")

    @property
    def places(self) -> Any:
        """Zone and address of the account of a row; joined to every table."""
        return self.ref("places", _PLACES)

    def local_day(self, account: Element, instant: Element) -> Element:
        """The local date of an instant as days since 1970."""
        moment = func.to_timestamp(cast(instant, Float))
        local = func.timezone(func.coalesce(self.places.c.timezone, "UTC"), moment)
        return cast(cast(local, Date) - _EPOCH, BigInteger)


def _seen() -> Any:
    """Accounts that the role which asks was granted, itself or through a role it is in."""
    roles = table("pg_roles", column("oid"), column("rolname"), schema="pg_catalog")
    member = func.pg_has_role(literal_column("current_user"), roles.c.oid, "USAGE")
    granted = (
        select(literal(1))
        .select_from(_GRANT.join(roles, roles.c.rolname == _GRANT.c.role))
        .where(_GRANT.c.account_id.in_((_ACCOUNT.c.account_id, "*")), member)
        .correlate(_ACCOUNT)
        .exists()
    )
    return select(_ACCOUNT.c.account_id).where(granted).subquery("seen")


def create(bi_table: Table, special: Mapping[str, Special]) -> list[str]:
    """The statements that make the view of a table, with comments on its columns."""
    scene = ViewScene(special)
    source = bi_table.base(scene)
    account = bi_table.key(scene)[0]
    source = source.outerjoin(scene.places, scene.places.c.account_id == account)
    for _, join in bi_table.joins:
        other = join.table(scene)
        source = source.outerjoin(other, join.on(scene, other))
    columns = [_shown(scene, one).label(one.name) for one in bi_table.columns]
    query = select(*columns).select_from(source).where(*bi_table.where(scene))
    compiled = query.compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )
    name = PREFIX + bi_table.name
    made = [f"CREATE OR REPLACE VIEW {name} WITH (security_barrier) AS {compiled}"]
    made.append(f"COMMENT ON VIEW {name} IS {_quoted(bi_table.title)}")
    made += [
        f"COMMENT ON COLUMN {name}.{one.name} IS {_quoted(one.title)}" for one in bi_table.columns
    ]
    return made


def replace(connection: Connection, name: str, statements: Sequence[str]) -> None:
    """Make a view as it should be; rights on it stay.

    PostgreSQL replaces a view only if columns are added at its end; else it is made anew, and the
    roles of `bi_grant` get their right again.
    """
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statements[0])
    except ProgrammingError:
        connection.exec_driver_sql(f"DROP VIEW {name}")
        connection.exec_driver_sql(statements[0])
        for role in grants.living_roles(connection):
            connection.exec_driver_sql(f"GRANT SELECT ON {name} TO {grants.quoted(role)}")
    for statement in statements[1:]:
        connection.exec_driver_sql(statement)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def _shown(scene: ViewScene, one: Column) -> Element:
    """A column as the database's own type: timestamptz, date, numeric(18,3), boolean, text."""
    made = one.make(scene)
    if one.shown == "deal":
        found: Element = func.replace(scene.places.c.deal_url, "{id}", made)
        return found
    if one.kind == "DateTimeOffset":
        return func.to_timestamp(cast(made, Float))
    if one.kind == "Date":
        return cast(_EPOCH + cast(made, Integer), Date)
    if one.kind == "Decimal":
        return _money(made, one.scale(scene) if one.scale is not None else literal(PLAIN))
    if one.kind == "Int32":
        return cast(made, Integer)
    return cast(made, Text) if one.kind == "String" else made


def _money(minor: Element, currency: Element) -> Element:
    """Minor units in major ones, exact."""
    ways = [(currency == name, literal(10**digits, Integer)) for name, digits in ODD.items()]
    usual = literal(10**USUAL, Integer)
    by: Element = case(*ways, (currency == PLAIN, literal(1, Integer)), else_=usual)
    return cast(cast(minor, Numeric) / by, Numeric(PRECISION, SCALE))


def plan_rows(plan: Any, money_metrics: tuple[str, ...]) -> Any:
    """The rows of `plan` as reference rows (`kpi.bi_rows.plan_row` in SQL).

    Periods are told apart by their length: 2026, 2026-11, 2026-Q4, 2026-W48, 2026-11-23.
    """
    text = plan.c.period
    year = cast(func.substr(text, 1, 4), Integer)
    quarter = func.substr(text, 6, 1) == "Q"
    grain = case(
        (func.length(text) == 4, "year"),
        (func.length(text) == 10, "day"),
        (func.length(text) == 8, "week"),
        (quarter, "quarter"),
        else_="month",
    )
    month = case(
        (grain == "quarter", cast(func.substr(text, 7, 1), Integer) * 3 - 2),
        else_=cast(func.substr(text, 6, 2), Integer),
    )
    first = case(
        (grain == "year", func.make_date(year, 1, 1)),
        (grain == "day", func.to_date(text, "YYYY-MM-DD")),
        (grain == "week", func.to_date(text, 'IYYY"-W"IW')),
        else_=func.make_date(year, month, 1),
    )
    length = case(
        (grain == "year", literal_column("INTERVAL '1 year'")),
        (grain == "quarter", literal_column("INTERVAL '3 months'")),
        (grain == "month", literal_column("INTERVAL '1 month'")),
        (grain == "week", literal_column("INTERVAL '7 days'")),
        else_=literal_column("INTERVAL '1 day'"),
    )
    last = cast(first + length, Date) - 1
    key = (plan.c.account_id, plan.c.metric, text, plan.c.team, plan.c.seller)
    whole: Element = key[0]
    for part in key[1:]:
        whole = whole.concat(".").concat(part)
    seller = plan.c.account_id.concat(".").concat(plan.c.seller)
    return select(
        whole.label("id"),
        plan.c.account_id,
        plan.c.metric,
        cast(cast(first, Date) - _EPOCH, Integer).label("period_start"),
        cast(last - _EPOCH, Integer).label("period_end"),
        cast(grain, String).label("grain"),
        func.nullif(plan.c.team, "").label("team_id"),
        case((plan.c.seller == "", None), else_=seller).label("seller_id"),
        plan.c.value,
        func.nullif(plan.c.currency, "").label("currency"),
        plan.c.status,
        plan.c.at.label("updated_at"),
        case((plan.c.metric.in_(money_metrics), plan.c.currency), else_=PLAIN).label("scale"),
    )
