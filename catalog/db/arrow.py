"""Bring what an engine returns to the Arrow types that a `Table` promises."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from math import prod

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import InternalError, QueryError
from catalog.vo.table import Column, Table

__all__ = ["BATCH_ROWS", "batch_from_arrow", "batch_from_rows", "rows_at_once"]

BATCH_ROWS = 16_384
"""Rows of one batch: large enough to work in columns, small enough to begin soon."""

_BATCH_BYTES = 32 * 2**20

_log = logging.getLogger(__name__)
_NULL_ELEMENT = "?"  # in the text of an array
_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S"


def rows_at_once(table: Table) -> int:
    """Rows of one batch of a table: fewer where cells of a stated length are large, which take their room when null."""
    width = sum(_stated_bytes(column) for column in table.columns)
    return max(1, min(BATCH_ROWS, _BATCH_BYTES // max(1, width)))


def _stated_bytes(column: Column) -> int:
    if column.arraysize is None or column.arraysize.endswith("*"):
        return 8
    return 8 * column.datatype.parts * prod(map(int, column.arraysize.split("x")))


def batch_from_rows(table: Table, rows: Sequence[Sequence[object]]) -> pa.RecordBatch:
    """Rows of a driver as one batch with exactly ``table.arrow_schema``.

    Raises:
        InternalError: The rows have another number of columns, or values that no rule converts.
        QueryError: A number does not fit into its column's type.
    """
    _check_width(table, len(rows[0]) if rows else len(table.columns))
    cells = zip(*rows, strict=True) if rows else [()] * len(table.columns)
    arrays = [
        _fit(column, _array(values, column.arrow_type)) for column, values in zip(table.columns, cells, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema)


def batch_from_arrow(table: Table, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A driver's batch as batches of at most `BATCH_ROWS` rows with exactly ``table.arrow_schema``.

    Raises:
        InternalError: The batch has another number of columns, or values that no rule converts.
        QueryError: A number does not fit into its column's type.
    """
    _check_width(table, batch.num_columns)
    for start in range(0, batch.num_rows, BATCH_ROWS):
        piece = batch.slice(start, BATCH_ROWS)
        arrays = [_fit(c, a) for c, a in zip(table.columns, piece.columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema)


def _check_width(table: Table, width: int) -> None:
    if width != len(table.columns):
        _log.error("%s describes %d columns, the query returned %d", table.name, len(table.columns), width)
        raise InternalError("the result of the query does not have the columns that its description says")


def _array(values: Sequence[object], target: pa.DataType) -> pa.Array:
    """Python values as Arrow; of the target type when that is possible at once."""
    if pa.types.is_boolean(target) or pa.types.is_nested(target):
        return _inferred(values)
    try:
        return pa.array(values, type=target)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return _inferred(values)


def _inferred(values: Sequence[object]) -> pa.Array:
    """Python values whose kinds may be mixed, as SQLite stores them: numbers as numbers, else all as text."""
    for kind in (None, pa.float64()):
        try:
            return pa.array(values, type=kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            continue
    return pa.array([None if value is None else _text(value) for value in values], type=pa.string())


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fit(column: Column, values: pa.Array) -> pa.Array:
    """Convert one array to the type of its column."""
    target = column.arrow_type
    if values.type == target:
        return values
    try:
        return _convert(values, target)
    except pa.ArrowInvalid as error:
        _log.warning("column %s: %s", column.name, error)
        if column.datatype.is_numeric and not column.is_array and _is_number(values.type):
            raise QueryError(
                f"a value of column {column.name} lies outside the range of its type {column.datatype.votable}",
                code="out-of-range",
                hint="CAST the expression to a wider type.",
            ) from None
        raise _unfit(column) from None
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        _log.error("column %s of type %s does not become %s: %s", column.name, values.type, target, error)
        raise _unfit(column) from None


def _unfit(column: Column) -> InternalError:
    return InternalError(f"the values of column {column.name} are not of the type that its description says")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _convert(values: pa.Array, target: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        values = _plain(values)
    source = values.type
    if pa.types.is_null(source):
        return pa.nulls(len(values), target)
    if pa.types.is_list(target) or pa.types.is_fixed_size_list(target):
        return _lists(values, target)
    if pa.types.is_string(target):
        return _strings(values)
    if pa.types.is_boolean(target):
        return pc.not_equal(values, 0) if _is_number(source) else values.cast(target)
    if pa.types.is_integer(target):
        return _integers(values, target)
    if pa.types.is_string(source):
        return values.cast(pa.float64()).cast(target, safe=False)
    return values.cast(target, safe=False)  # to a floating-point number: the nearest one is meant


def _integers(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Whole numbers; a fraction is cut off, as ADQL 2.1 section 4.7 has it, a number out of range refused."""
    if pa.types.is_string(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type):
        values = pc.trunc(values)
    return values.cast(target)


def _strings(values: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        # Arrow writes the fraction that the unit has: the driver's is the microsecond.
        moments = values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        return pc.strftime(moments, format=_TIMESTAMP_FORMAT)
    return values.cast(pa.string())


def _lists(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Lists from the text of blank-separated numbers, or from the driver's own lists."""
    if pa.types.is_string(values.type):
        words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(values))
        empty = pc.equal(pc.utf8_trim_whitespace(values), "")
        if pc.any(empty).as_py():
            nothing = pa.scalar([], type=words.type)
            words = pc.if_else(empty, nothing, words)
        if pc.any(pc.match_substring(values, _NULL_ELEMENT)).as_py():
            elements = pc.if_else(pc.equal(words.values, _NULL_ELEMENT), pa.scalar(None, pa.string()), words.values)
            mask = words.is_null() if words.null_count else None
            words = pa.ListArray.from_arrays(words.offsets, elements, mask=mask)
        values = words
    return values.cast(target)


def _plain(values: pa.ExtensionArray) -> pa.Array:
    """The text of PostgreSQL's ``numeric`` and ``uuid``, which arrive as extension types."""
    storage = values.storage
    if not pa.types.is_fixed_size_binary(storage.type):
        return storage
    digits = [None if cell is None else cell.hex() for cell in storage.to_pylist()]
    return pa.array([d and f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits], type=pa.string())
