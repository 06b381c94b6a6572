"""The SQL views of PostgreSQL: the same rows as the exports, for the accounts granted, no more."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlmodel import SQLModel

from service.errors import ConfigError
from service.kpi import views
from service.kpi.tables import TABLES
from service.pipeline.reference import Reference
from service.store.bi import grants
from service.store.engine import transaction
from service.store.records import Plan
from service.store.tables import Contribution, Deal
from tests.api.conftest import Api, at
from tests.api.test_exports import CORRECTIONS, ODD_MONEY, figures, moved, table
from tests.conftest import PostgresServer
from tests.world import MOSCOW, make_office

ROLE, GROUP = "anna_bi", "bi_people"
Rows = list[dict[str, Any]]
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def roles(postgres: PostgresServer, database_url: str) -> Iterator[psycopg.Connection]:
    """The administrator; two roles are there, and gone afterwards."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        for role in (ROLE, GROUP):
            admin.execute(f"CREATE ROLE {role} LOGIN")
        yield admin
        for role in (ROLE, GROUP):
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


def ask(url: str, query: str, role: str = ROLE) -> Rows:
    address = url.replace("postgres@", f"{role}@")
    with psycopg.connect(address, row_factory=dict_row, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def filled(both: Api, database_url: str) -> None:
    """Figures, plans of every grain, reference rows as the worker keeps them."""
    both.clock.instant = int(time.time())  # a view looks at the real clock
    figures(both)
    for period in ("2026", "2026-Q3", "2026-W53", "2026-12-31", "2027-01", "2024-02", "2026-W01"):
        row = {"metric": "deals_won", "period": period, "team": "5", "seller": "", "value": 7}
        more = {"currency": "", "at": at("2026-11-01T00:00:00Z"), "author": "tests"}
        both.insert(Plan, {"account_id": "romashka", **row, **more})
    office = make_office(database_url, f"{datetime.now(MOSCOW):%Y-%m-%d %H:%M}")
    reference = Reference(office)
    assert reference.refresh() > 10
    assert reference.refresh() == 0
    assert Reference(office).refresh() == 0  # another worker finds all as it should be
    office.close()


def give(both: Api, role: str, *accounts: str) -> None:
    with transaction(both.engine) as connection:
        grants.grant(connection, role, accounts or ("*",), views.NAMES)


def as_told(value: Any) -> Any:
    """A value of the database as the export tells it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


JOINED = """
SELECT k.date, t.team_id FROM bi_kpi_daily k JOIN bi_seller_team t
ON t.seller_id = k.seller_id AND k.date BETWEEN t.first_date AND t.last_date
WHERE k.account_id = 'romashka'
"""


def test_views_hold_what_exports_hold(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    both.insert(Deal, *ODD_MONEY)
    both.insert(Contribution, *CORRECTIONS)
    moved(both)
    filled(both, database_url)
    give(both, ROLE)
    client = both.client()
    for name, bi_table in TABLES.items():
        told = table(client, name)
        found = ask(database_url, f"SELECT * FROM bi_{name}")
        columns = [column.name for column in bi_table.columns]
        assert all(list(row) == columns for row in found)
        shown = {row["id"]: {key: as_told(value) for key, value in row.items()} for row in found}
        assert len(shown) == len(found) > 0, name
        assert shown == {row["id"]: row for row in told}, name
    teams = {row["date"].day: row["team_id"] for row in ask(database_url, JOINED)}
    assert teams == {10: "Север", 23: "Юг"}
    titles = roles.execute(
        "SELECT col_description('bi_deals'::regclass, 1), obj_description('bi_deals'::regclass)"
    ).fetchone()
    assert titles == ("id", "deals as they are now")


def test_a_role_reads_its_accounts_and_nothing_else(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    filled(both, database_url)
    give(both, ROLE, "vasilek")
    for name in TABLES:
        rows = ask(database_url, f"SELECT account_id FROM bi_{name}")
        assert {row["account_id"] for row in rows} == {"vasilek"}, name
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(database_url, f"SELECT 1 FROM bi_{name}", GROUP)
    for each in SQLModel.metadata.sorted_tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(database_url, f'SELECT 1 FROM "{each.name}" LIMIT 1')
    for attempt in (
        "DELETE FROM bi_metrics", "UPDATE bi_deals SET name = 'x'", "CREATE TABLE x (y int)",
        "INSERT INTO bi_grant VALUES ('*', 'anna_bi')",
    ):  # fmt: skip
        with pytest.raises(psycopg.Error):
            ask(database_url, f"SET default_transaction_read_only = off; {attempt}")
    assert ask(database_url, "SHOW statement_timeout") == [{"statement_timeout": "1min"}]
    assert ask(database_url, "SHOW default_transaction_read_only") == [
        {"default_transaction_read_only": "on"}
    ]


def test_a_function_of_the_reader_never_meets_foreign_rows(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    """A cheap function in WHERE would see them if it ran first: the views are barriers."""
    give(both, ROLE, "vasilek")
    spy = (
        "CREATE FUNCTION pg_temp.spy(text) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS "
        "$$ BEGIN IF $1 LIKE 'romashka%' THEN RAISE 'seen'; END IF; RETURN true; END $$; "
    )
    roles.execute(
        f"GRANT TEMP ON DATABASE {database_url.split('/')[3].split('?', maxsplit=1)[0]} TO {ROLE}"
    )
    with psycopg.connect(database_url.replace("postgres@", f"{ROLE}@")) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        connection.execute(spy)
        found = connection.execute("SELECT count(*) FROM bi_deals WHERE pg_temp.spy(id)").fetchone()
    assert found == (1,)


def test_grants_come_through_a_group_and_are_taken_away(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    give(both, GROUP, "romashka")
    roles.execute(f"GRANT {GROUP} TO {ROLE}")
    query = "SELECT DISTINCT account_id FROM bi_deals"
    assert ask(database_url, query) == [{"account_id": "romashka"}]
    give(both, GROUP, "vasilek")
    assert ask(database_url, query) == [{"account_id": "vasilek"}]
    with transaction(both.engine) as connection:
        grants.revoke(connection, GROUP, views.NAMES)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(database_url, query)
    for role in ("nobody_at_all", 'x"; DROP TABLE deal; --'):
        with pytest.raises(ConfigError), transaction(both.engine) as connection:
            grants.grant(connection, role, ("*",), views.NAMES)


def test_views_made_anew_keep_their_readers(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    give(both, ROLE)
    roles.execute("DROP VIEW bi_accounts; CREATE VIEW bi_accounts AS SELECT 1 AS gone")
    with transaction(both.engine) as connection:
        views.make(connection)
    assert ask(database_url, "SELECT id FROM bi_accounts") == []  # no reference rows yet
    assert len(ask(database_url, "SELECT id FROM bi_deals")) == 3


def test_the_script_is_what_the_command_prints(database_url: str) -> None:
    script = (Path(__file__).parents[2] / "deploy" / "bi" / "grant.sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("--")]
    printed = [f"{one};" for one in grants.statements("dozor_bi", ["*"], views.NAMES)]
    assert lines == ["CREATE ROLE \"dozor_bi\" LOGIN PASSWORD 'CHANGE_ME';", *printed]
