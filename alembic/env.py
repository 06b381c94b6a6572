"""Alembic's environment: always on the connection that `service.store.schema` hands over."""

from alembic import context
from sqlalchemy import inspect
from sqlmodel import SQLModel

from service.kpi import views
from service.store import records, served, summed, tables

_ = (records, served, summed, tables)

connection = context.config.attributes.get("connection")
if connection is None:
    from service.settings import load_settings
    from service.store.engine import open_engine

    connection = open_engine(load_settings().effective_database_url).connect()

context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
    if inspect(connection).has_table("bi_grant"):  # not after the way down
        views.make(connection)
