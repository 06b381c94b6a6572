"""The tables of the rollups: sums of contributions by local day, month and year."""

from sqlalchemy import Column, Index, Integer
from sqlmodel import Field, SQLModel

from service.store.columns import account_column, key_column, number


class RollupDay(SQLModel, table=True):
    """Sums of contributions by local day (derived, kept by the same deltas)."""

    __tablename__ = "rollup_day"
    account_id: str = account_column()
    metric: str = key_column(32)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    currency: str = key_column(3)  # before the seller: totals by period are read in key order
    seller: str = key_column()
    pipeline: str = key_column()
    value: int = number()
    n: int = number()
    moment: int = number(default=0)  # sum of value x age: what integrals of levels need
    revision: int = number(default=0)
    __table_args__ = (
        Index("ix_rollup_day_revision", "account_id", "revision", "day", "metric", "seller"),
        Index("ix_rollup_day_seller", "account_id", "seller", "metric", "day"),
        {"sqlite_with_rowid": False},
    )


class RollupTotal(SQLModel, table=True):
    """Sums of contributions of the whole account by local day, kept by the same deltas."""

    __tablename__ = "rollup_total"
    account_id: str = account_column()
    metric: str = key_column(32)
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    currency: str = key_column(3)
    value: int = number()
    n: int = number()
    __table_args__ = ({"sqlite_with_rowid": False},)


class RollupMonth(SQLModel, table=True):
    """Sums of contributions by local month (`month` = yyyymm), kept by the same deltas."""

    __tablename__ = "rollup_month"
    account_id: str = account_column()
    metric: str = key_column(32)
    month: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    currency: str = key_column(3)  # before the seller: totals by period are read in key order
    seller: str = key_column()
    pipeline: str = key_column()
    value: int = number()
    n: int = number()
    moment: int = number(default=0)  # as that of days
    __table_args__ = ({"sqlite_with_rowid": False},)


class RollupYear(SQLModel, table=True):
    """Sums of contributions by local year: what stood before a period is soon added up."""

    __tablename__ = "rollup_year"
    account_id: str = account_column()
    metric: str = key_column(32)
    year: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    currency: str = key_column(3)
    seller: str = key_column()
    pipeline: str = key_column()
    value: int = number()
    n: int = number()
    __table_args__ = ({"sqlite_with_rowid": False},)
