"""Names of the database handles, for packages that pass them on without writing SQL."""

from sqlalchemy import Connection, Engine

__all__ = ["Connection", "Engine"]
