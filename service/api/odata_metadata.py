"""`$metadata`: the tables as CSDL 4.0 XML."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from service.store.bi.scene import PRECISION, SCALE
from service.store.bi.tables import Column, Table

_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"


def csdl(tables: Sequence[Table]) -> str:
    """The document of these tables."""
    types = "".join(_entity(table) for table in tables)
    sets = "".join(
        f'<EntitySet Name="{table.name}" EntityType="Dozor.{table.name}"/>' for table in tables
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<edmx:Edmx Version="4.0" xmlns:edmx="{_EDMX}"><edmx:DataServices>'
        f'<Schema Namespace="Dozor" xmlns="{_EDM}">{types}'
        f'<EntityContainer Name="Container">{sets}</EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    )


def _entity(table: Table) -> str:
    columns = "".join(_property(column) for column in table.columns)
    key = '<Key><PropertyRef Name="id"/></Key>'
    return f'<EntityType Name="{table.name}">{key}{columns}</EntityType>'


def _property(column: Column) -> str:
    more = f' Precision="{PRECISION}" Scale="{SCALE}"' if column.kind == "Decimal" else ""
    if column.name in ("id", "account_id"):
        more += ' Nullable="false"'
    title = quoteattr(column.title)
    note = f'<Annotation Term="Org.OData.Core.V1.Description" String={title}/>'
    return f'<Property Name="{column.name}" Type="Edm.{column.kind}"{more}>{note}</Property>'
