"""The schema's version: migrating, and refusing to start on an old one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from service.errors import ConfigError


def _scripts() -> Path:
    """The folder of migrations: beside the package in a checkout, inside it when installed."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here.parent / "alembic", here / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigError("the folder of migrations (alembic) is missing from this installation")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str:
    """The newest schema version that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(engine: Engine) -> str:
    """The schema version of a database ("" = none yet)."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def is_empty(engine: Engine) -> bool:
    """Whether the database has no tables at all."""
    return not inspect(engine).get_table_names()


def migrate(engine: Engine) -> tuple[str, str]:
    """Upgrade to the newest schema; (before, after)."""
    before = current(engine)
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    return before, current(engine)


def require(engine: Engine, *, make_if_empty: bool) -> None:
    """Stop if the schema is not the newest; an empty embedded database is made.

    Raises:
        ConfigError: says which command mends it.
    """
    if make_if_empty and is_empty(engine):
        migrate(engine)
        return
    found = current(engine)
    if found != head():
        raise ConfigError(
            f"the database has schema {found or 'none'}, this version needs {head()}; "
            "run: dozor migrate"
        )
