"""Tables behind what other systems are served: the change feed and the BI views."""

from typing import Any

from sqlmodel import Index, SQLModel

from service.store.columns import (
    account_column,
    instant,
    json_column,
    key_column,
    number,
    number_key,
)


class Gone(SQLModel, table=True):
    """A row that is there no more, for the change feed; forgotten after a month."""

    __tablename__ = "gone"
    account_id: str = account_column()
    type: str = key_column(16)  # deal | task | violation | plan | kpi_day
    id: str = key_column(200)
    revision: int = number()
    __table_args__ = (Index("ix_gone_revision", "account_id", "revision", "type", "id"),)


class RevisionMark(SQLModel, table=True):
    """How far an account's data version had come on a day: what is older can be told."""

    __tablename__ = "revision_mark"
    account_id: str = account_column()
    day: int = number_key()  # since 1970
    revision: int = number()


class BiRef(SQLModel, table=True):
    """Reference rows of the BI views: names, calendars, rules of an account as one document."""

    __tablename__ = "bi_ref"
    account_id: str = account_column()
    kind: str = key_column(16)
    rows: Any = json_column()
    at: int = instant()


class BiGrant(SQLModel, table=True):
    """Which accounts a database role sees through the BI views; `*` = all."""

    __tablename__ = "bi_grant"
    account_id: str = account_column()
    role: str = key_column(63)
