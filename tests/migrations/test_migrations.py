"""The migrations make exactly the tables that the code declares, on both databases."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from service.errors import ConfigError
from service.store import records, schema, summed, tables
from service.store.engine import open_engine

ROOT = Path(__file__).parents[2]
TABLES = (tables, records, summed)


def test_migrated_schema_equals_the_declared_one(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_partial_indexes_are_partial_in_the_database(engine: Engine) -> None:
    """`alembic check` does not notice when an index stops being partial."""
    found = inspect(engine)
    for table in SQLModel.metadata.sorted_tables:
        stored = {index["name"]: index for index in found.get_indexes(table.name)}
        for index in table.indexes:
            declared = index.dialect_options[engine.dialect.name].get("where")
            options = stored[str(index.name)].get("dialect_options", {})
            where = options.get(f"{engine.dialect.name}_where")
            assert (declared is None) == (where is None), index.name


def test_account_is_the_first_column_of_every_key_of_tenant_data() -> None:
    shared = {"api_key", "subscription", "idempotency", "audit", "setting", "portal_budget"}
    for table in SQLModel.metadata.sorted_tables:
        if table.name in shared:
            assert "account_id" not in table.primary_key.columns
            continue
        assert next(iter(table.primary_key.columns)).name == "account_id", table.name
        for index in table.indexes:
            if index.name != "ix_account_hook_hash":
                assert next(iter(index.columns)).name == "account_id", index.name


def test_old_schema_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(ConfigError, match="dozor migrate"):
        schema.require(engine, make_if_empty=False)
    schema.require(engine, make_if_empty=True)
    assert schema.current(engine) == schema.head()
    schema.require(engine, make_if_empty=False)
    engine.dispose()


def test_alembic_folder_does_not_shadow_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_one_head_and_numbered_revisions() -> None:
    names = sorted(path.name for path in (ROOT / "alembic" / "versions").glob("*.py"))
    assert all(re.match(r"\d{4}_", name) for name in names)
    assert schema.head() == names[-1][:4]
