"""The SQL views `bi_*` of PostgreSQL, one for each table of the BI dictionary."""

from typing import Any

from sqlalchemy import Connection

from service.kpi.metrics import METRICS
from service.kpi.tables import TABLES
from service.store.bi import views
from service.store.engine import is_sqlite
from service.store.records import Plan

_PLAN: Any = Plan.__table__  # type: ignore[attr-defined]
MONEY_METRICS = tuple(sorted(m.slug for m in METRICS.values() if m.unit == "money"))
NAMES = tuple(views.PREFIX + name for name in TABLES)


def make(connection: Connection) -> None:
    """Make the views as the dictionary says; rights on them stay (nothing on SQLite)."""
    if is_sqlite(connection):
        return
    special = {"plans": lambda: views.plan_rows(_PLAN, MONEY_METRICS)}
    for table in TABLES.values():
        views.replace(connection, views.PREFIX + table.name, views.create(table, special))


def drop(connection: Connection) -> None:
    """Take the views away."""
    if is_sqlite(connection):
        return
    for name in NAMES:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
