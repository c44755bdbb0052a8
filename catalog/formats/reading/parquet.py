"""Read Parquet; what the columns mean comes from the VOTable in its footer, if it has one (VOParquet 1.0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.parquet import CONTENT_KEY
from catalog.formats.reading.fields import MAX_CELL_BYTES, Field, distinct_names, parse_field, rows_at_once
from catalog.formats.reading.votable import read_fields
from catalog.vo.table import Column, Table, TableStream

__all__ = ["read_parquet"]

_MAX_UNPACKED = 2**30
_STRING_LIMIT = 16 * 2**20
_BATCH_BYTES = 32 * 2**20
_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4}  # of a text its length alone
_TIME = "%Y-%m-%dT%H:%M:%S"
_NUMBERS = {
    pa.bool_(): "boolean",
    pa.uint8(): "unsignedByte",
    pa.int8(): "short",
    pa.int16(): "short",
    pa.uint16(): "int",
    pa.int32(): "int",
    pa.uint32(): "long",
    pa.int64(): "long",
    pa.uint64(): "long",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
}
_LISTS = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
_TEXTS = pa.types.is_string, pa.types.is_large_string, pa.types.is_null, pa.types.is_time


def read_parquet(file: IO[bytes], *, max_columns: int) -> TableStream:
    """The rows of a Parquet file.

    Args:
        file: Seekable.
        max_columns: Columns that the table may have.

    Raises:
        UsageError: The content is no Parquet file, or a column has a type that a VOTable has not.
        ResourceLimitError: Too many columns, too long a text, or too many bytes when unpacked.
    """
    try:
        parquet = _opened(file)
        parquet = _opened(file, _texts(parquet.schema))
        schema = parquet.schema_arrow
    except (pa.ArrowException, OSError, ValueError):
        raise UsageError("the content cannot be read as a Parquet file") from None
    if len(schema) > max_columns:
        raise ResourceLimitError(f"the table has more than {max_columns} columns")
    footer = parquet.metadata
    unpacked = sum(_unpacked_bytes(footer.row_group(number)) for number in range(footer.num_row_groups))
    if unpacked > _MAX_UNPACKED:
        raise ResourceLimitError(f"the Parquet file holds more than {_MAX_UNPACKED:,} bytes when unpacked")
    fields = _described(schema, footer.metadata or {}, max_columns)
    table = Table("upload", tuple(field.column for field in fields))
    return TableStream(table, _batches(parquet, fields, table.arrow_schema))


def _opened(file: IO[bytes], texts: Sequence[str] = ()) -> pq.ParquetFile:
    """The file; of these columns each text is held once, however often it stands there."""
    return pq.ParquetFile(
        file,
        read_dictionary=list(texts),
        thrift_string_size_limit=_STRING_LIMIT,
        thrift_container_size_limit=1_000_000,
        pre_buffer=False,
    )


def _texts(schema: pq.ParquetSchema) -> list[str]:
    """Paths of the columns of text; those in lists are left out."""
    columns = (schema.column(number) for number in range(len(schema)))
    return [each.path for each in columns if each.logical_type.type == "STRING" and not each.max_repetition_level]


def _unpacked_bytes(group: pq.RowGroupMetaData) -> int:
    """What the footer says of a group: of its pages, and of its values, of which a page holds equal ones once."""
    chunks = (group.column(number) for number in range(group.num_columns))
    values = sum(int(each.num_values) * _VALUE_BYTES.get(each.physical_type, 8) for each in chunks)
    return max(int(group.total_byte_size), values)


def _batches(parquet: pq.ParquetFile, fields: Sequence[Field], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        for batch in parquet.iter_batches(batch_size=rows_at_once(fields), use_threads=False):
            for part in _parts(batch):
                arrays = [_converted(array, field.column) for array, field in zip(part.columns, fields, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    except (pa.ArrowException, OSError):
        raise UsageError("the Parquet file is damaged") from None


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in halves while its texts, written out, are too much at once."""
    if sum(map(_text_bytes, batch.columns)) > _BATCH_BYTES and batch.num_rows > 1:
        middle = batch.num_rows // 2
        yield from _parts(batch.slice(0, middle))
        yield from _parts(batch.slice(middle))
    else:
        yield batch


def _text_bytes(array: pa.Array) -> int:
    """Bytes of the texts of a column, each as often as it stands there."""
    if not pa.types.is_dictionary(array.type) or pa.types.is_primitive(array.type.value_type):
        return 0
    lengths = pc.binary_length(array.dictionary)
    if (pc.max(lengths).as_py() or 0) > MAX_CELL_BYTES:
        raise ResourceLimitError(f"the Parquet file holds a text of more than {MAX_CELL_BYTES:,} bytes")
    return int(pc.sum(lengths.cast(pa.int64()).take(array.indices)).as_py() or 0)


def _described(schema: pa.Schema, metadata: dict[bytes, bytes], max_columns: int) -> tuple[Field, ...]:
    """The fields that the footer describes, where they are of the types that the columns have."""
    plain = [_field(field) for field in schema]
    document = metadata.get(CONTENT_KEY.encode())
    if document is None:
        return distinct_names(plain)
    try:
        described = read_fields(document, max_columns=max_columns)
    except UsageError as fault:
        raise UsageError(f"the VOTable in the footer of the Parquet file: {fault.message}") from None
    if [field.column.name for field in described] != [field.name for field in schema]:
        raise UsageError("the VOTable in the footer of the Parquet file describes other columns than the file has")
    chosen = (
        stated if _is_alike(stated.column, own.column) else own for stated, own in zip(described, plain, strict=True)
    )
    return distinct_names(chosen)


def _is_alike(stated: Column, own: Column) -> bool:
    if stated.datatype.is_text or own.datatype.is_text:
        return stated.datatype.is_text and own.datatype.is_text
    return stated.datatype.arrow == own.datatype.arrow and stated.is_array == own.is_array


def _field(field: pa.Field) -> Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if any(check(kind) for check in _LISTS):
        datatype = _NUMBERS.get(kind.value_type)
        if datatype is not None:
            size = str(kind.list_size) if pa.types.is_fixed_size_list(kind) and kind.list_size else "*"
            return parse_field(field.name, datatype, f"{size}x1" if size == "1" else size)
    elif kind in _NUMBERS:
        return parse_field(field.name, _NUMBERS[kind], None)
    elif pa.types.is_decimal(kind):
        return parse_field(field.name, "double", None)
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return parse_field(field.name, "char", "*", xtype="timestamp")
    elif any(check(kind) for check in _TEXTS):
        return parse_field(field.name, "char", "*")
    raise UsageError(f"column {field.name[:80]}: the type {str(kind)[:80]} has no equivalent in a VOTable")


def _converted(array: pa.Array, column: Column) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type):
        array = pc.strftime(array.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")), format=_TIME)
    try:
        array.validate(full=True)  # text in Parquet need not be UTF-8
        return array.cast(column.arrow_type, safe=not column.datatype.is_float)
    except pa.ArrowException:
        kind = column.datatype.votable
        raise UsageError(f"column {column.name[:80]}: a value is no {kind}, or of another length") from None
