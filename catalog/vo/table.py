"""Descriptions of tables and columns, and the stream of rows that they describe.

`Table` and `Column` say what the data mean; `TableStream` pairs a `Table` with Arrow record batches. Everything
tabular in the toolkit is one of these (VOTable 1.4 section 4, TAP 1.1 section 4, VODataService 1.2 section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from catalog.closing import Closing
from catalog.errors import CatalogError
from catalog.vo.types import Datatype

__all__ = ["Column", "ForeignKey", "Info", "Service", "Table", "TableStream"]


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds; written as FIELD, as a row of TAP_SCHEMA.columns, as a VODataService column."""

    name: str
    """As a query spells it, without quotes."""

    datatype: Datatype
    arraysize: str | None = None
    """VOTable syntax (``*``, ``16*``, ``2``); None for a scalar. Text without a stated length is ``*``."""

    unit: str | None = None
    """VOUnits 1.1."""

    ucd: str | None = None
    utype: str | None = None
    xtype: str | None = None
    """DALI 1.1 section 3.3: ``timestamp``, ``point``, ``circle``, ``polygon`` …"""

    description: str | None = None
    principal: bool = False
    indexed: bool = False
    std: bool = False
    ref: str | None = None
    """ID of the COOSYS or TIMESYS that the values are counted in."""

    @property
    def is_array(self) -> bool:
        """Whether a cell holds several numbers, as a complex one also does; text is not an array."""
        return (self.arraysize is not None and not self.datatype.is_text) or self.datatype.is_complex

    @property
    def arrow_type(self) -> pa.DataType:
        """Arrow type of the column: scalar, string, or list of scalars."""
        if not self.is_array:
            return self.datatype.arrow
        if self.arraysize is None or self.arraysize.isdigit():
            return pa.list_(self.datatype.arrow, int(self.arraysize or 1) * self.datatype.parts)
        return pa.list_(self.datatype.arrow)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A join that a table offers (TAP_SCHEMA.keys)."""

    target_table: str
    columns: tuple[tuple[str, str], ...]
    """Pairs of (column here, column there)."""

    description: str | None = None
    utype: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service that takes the values of a column of a result (DataLink 1.1 section 4)."""

    name: str
    """An XML name, one of its own among the services of a result."""

    description: str
    standard_id: str
    access_url: str
    content_type: str
    parameter: str
    """Parameter of the service that takes the value."""

    column: str
    """Name of the column."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table, view or query result holds."""

    name: str
    """Qualified with its schema, as a query spells it: ``ivoa.obscore``. Results of queries are called ``result``."""

    columns: tuple[Column, ...]
    description: str | None = None
    title: str | None = None
    utype: str | None = None
    table_type: str = "table"
    """``table`` or ``view`` (TAP 1.1 section 4.2)."""

    foreign_keys: tuple[ForeignKey, ...] = ()
    protected: bool = False
    """Whether rows are subject to the access rule."""

    nrows: int | None = None
    services: tuple[Service, ...] = ()
    """Services that take values of the rows; VOTables describe them."""

    extra: dict[str, object] = field(default_factory=dict, compare=False)
    """Facts for other floors, such as the spatial index that translation may use; never published."""

    def column(self, name: str) -> Column:
        """The column of this name, whatever the case.

        Raises:
            KeyError: There is none.
        """
        folded = name.lower()
        for column in self.columns:
            if column.name.lower() == folded:
                return column
        raise KeyError(name)

    def select(self, names: Iterable[str]) -> Table:
        """The same table with only these columns, in this order."""
        return replace(self, columns=tuple(self.column(name) for name in names))

    @property
    def arrow_schema(self) -> pa.Schema:
        """Arrow schema of the batches that carry rows of this table."""
        return pa.schema([pa.field(c.name, c.arrow_type) for c in self.columns])


@dataclass(frozen=True, slots=True)
class Info:
    """An INFO element: a statement about a result (VOTable 1.4 section 4.9; Data Origin note)."""

    name: str
    value: str
    content: str | None = None


class TableStream(Closing):
    """Rows on their way: a `Table`, an iterator of Arrow record batches, and whether they were cut.

    Iterate once. Whoever opens a stream closes it: use ``with``. The batches' columns equal
    ``table.arrow_schema`` in number, order and type.

    Args:
        table: What the columns mean.
        batches: Record batches; may raise `catalog.errors.CatalogError` midway.
        maxrec: Pass at most this many rows on and note that more were there (DALI 1.1 section 3.4.4.1).
            None passes everything.
        close: Called once when the stream is closed, finished or not.
        truncated: The source itself was cut before it came here.
    """

    def __init__(
        self,
        table: Table,
        batches: Iterable[pa.RecordBatch],
        *,
        maxrec: int | None = None,
        close: Callable[[], None] | None = None,
        truncated: bool = False,
    ) -> None:
        self.table = table
        self.rows = 0
        """Rows handed out so far."""
        self.truncated = truncated
        """Whether rows were held back; final once the iteration has ended."""
        self.fault: CatalogError | None = None
        """What broke the rows midway. Formats with a tail write it down and end as if nothing had happened."""
        self._batches = iter(batches)
        self._maxrec = maxrec
        self._close = close

    @classmethod
    def from_pylist(cls, table: Table, rows: Iterable[dict[str, object]]) -> TableStream:
        """A stream of one batch from Python rows; for small things and tests."""
        batch = pa.RecordBatch.from_pylist(list(rows), schema=table.arrow_schema)
        return cls(table, [batch])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches, never more than ``maxrec`` rows together, never an empty one."""
        try:
            yield from self._passed_on()
        except CatalogError as error:
            self.fault = error
            raise

    def _passed_on(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            if self._maxrec is not None and self.rows + batch.num_rows > self._maxrec:
                self.truncated = True
                batch = batch.slice(0, self._maxrec - self.rows)
            if batch.num_rows:
                self.rows += batch.num_rows
                yield batch
            if self.truncated and self._maxrec is not None and self.rows >= self._maxrec:
                return

    def read_all(self) -> pa.Table:
        """All rows as one Arrow table, closing the stream; for results known to be small."""
        with self:
            return pa.Table.from_batches(list(self), schema=self.table.arrow_schema)

    def close(self) -> None:
        """Release what the stream holds: the query is cancelled if it still runs. Safe to repeat, from any thread."""
        source, self._batches = self._batches, iter(())
        closer = getattr(source, "close", None)
        if closer is not None:
            closer()
        close, self._close = self._close, None
        if close is not None:
            close()
