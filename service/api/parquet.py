"""A table as Parquet, a row group at a time: no temporary file, memory of one group.

pyarrow takes 165 MB of an installation, so it is the extra `dozor[parquet]`; without it the answer
says so.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.api.problems import problem
from service.store.bi.scene import PRECISION, SCALE
from service.store.bi.tables import Column

MEDIA_TYPE = "application/vnd.apache.parquet"
GROUP_ROWS = 10_000


class Outlet(io.RawIOBase):
    """A file that is only written to; what came is taken out in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Keep a piece."""
        piece = bytes(data)
        self._parts.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Bytes written since the beginning."""
        return self._size

    def take(self) -> bytes:
        """What came since the last time."""
        found, self._parts = b"".join(self._parts), []
        return found


def arrow() -> Any:
    """The module `pyarrow` with its part `parquet`.

    Raises:
        ApiError: not_implemented, it is not installed here.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        detail = "Parquet needs pyarrow on the server: pip install 'dozor[parquet]'."
        raise problem("not_implemented", detail) from None
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # its own keeps what was given back
    return pyarrow


def parquet_file(
    pa: Any, columns: Sequence[Column], blocks: Iterable[Sequence[Sequence[Any]]]
) -> Iterator[bytes]:
    """The file in pieces.

    Args:
        pa: what `arrow` gave.
        columns: of the table.
        blocks: rows in blocks, column by column; dates as `date`, instants as seconds, money as
            Decimal.
    """
    schema = _schema(pa, columns)
    outlet = Outlet()
    writer = pa.parquet.ParquetWriter(
        pa.PythonFile(outlet, mode="w"), schema, compression="zstd", store_schema=True
    )
    with writer:
        group: list[Any] = []
        for block in blocks:
            group.append(_batch(pa, schema, columns, block))
            if sum(batch.num_rows for batch in group) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(group))
                yield outlet.take()
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))
            yield outlet.take()
    yield outlet.take()


def _schema(pa: Any, columns: Sequence[Column]) -> Any:
    types = {
        "String": pa.string(),
        "Int32": pa.int32(),
        "Boolean": pa.bool_(),
        "Date": pa.date32(),
        "DateTimeOffset": pa.timestamp("ms", tz="UTC"),
        "Decimal": pa.decimal128(PRECISION, SCALE),
    }
    return pa.schema(
        [
            pa.field(
                column.name,
                types[column.kind],
                nullable=column.name not in ("id", "account_id"),
                metadata={"description": column.title},
            )
            for column in columns
        ]
    )


def _batch(pa: Any, schema: Any, columns: Sequence[Column], block: Sequence[Sequence[Any]]) -> Any:
    arrays = []
    for column, field, values in zip(columns, schema, block, strict=True):
        if column.kind == "DateTimeOffset":  # seconds, counted in milliseconds
            milliseconds = [None if value is None else value * 1000 for value in values]
            arrays.append(pa.array(milliseconds, pa.int64()).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.record_batch(arrays, schema=schema)
