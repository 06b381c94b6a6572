"""What the BI tables are read with: the reference rows of the accounts that a caller sees."""

from collections.abc import Mapping

from service.api.deps import Call
from service.api.names import Names
from service.kpi.bi_rows import KINDS, Origin, Row, plan_row, rows_of
from service.rules.words import rule_name
from service.store import plans
from service.store.bi.reader import first_instant
from service.store.bi.scene import Scene
from service.store.engine import is_sqlite
from service.store.handles import Connection

_SELDOM = ("metrics", "calendar", "places")  # only their own tables need them


def scene_of(call: Call, connection: Connection, names: Mapping[str, Names], table: str) -> Scene:
    """What a BI table of these accounts is read with."""
    refs: dict[str, list[Row]] = {}
    for kind in KINDS:
        if kind in _SELDOM and kind != table:
            continue
        refs[kind] = []
        for own in names.values():
            oldest = first_instant(connection, own.id) if kind == "calendar" else None
            refs[kind] += rows_of(kind, _origin(own, call.lang), call.now, call.lang, oldest)
    if table == "plans":
        rows = plans.plans(connection, list(names)) if names else []
        refs["plans"] = [plan_row(row) for row in rows]
    zones = {account: own.config.timezone for account, own in names.items()}
    return Scene(list(names), call.now, zones, refs, is_sqlite(connection))


def _origin(own: Names, lang: str) -> Origin:
    titles = [(name, rule_name(own.book.model(name), name, lang)) for name in own.book.names]
    return Origin(own.config, own.account, titles, None)
