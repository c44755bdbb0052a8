from __future__ import annotations

import base64

import pyarrow as pa
import pytest

from catalog.errors import InternalError
from catalog.formats.binary2 import Binary2, binary2_rows
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype


def stream_of(column: Column, *values: object) -> bytes:
    batch = pa.RecordBatch.from_pylist(
        [{column.name: value} for value in values], schema=Table("t", (column,)).arrow_schema
    )
    return binary2_rows([column], batch)


@pytest.mark.parametrize(
    ("datatype", "arraysize", "value", "cell"),
    [
        (Datatype.BOOLEAN, None, True, b"T"),
        (Datatype.BOOLEAN, None, False, b"F"),
        (Datatype.UNSIGNED_BYTE, None, 254, b"\xfe"),
        (Datatype.SHORT, None, -2, b"\xff\xfe"),
        (Datatype.INT, None, 258, b"\0\0\x01\x02"),
        (Datatype.LONG, None, -1, b"\xff" * 8),
        (Datatype.FLOAT, None, 1.0, b"\x3f\x80\0\0"),
        (Datatype.DOUBLE, None, 1.0, b"\x3f\xf0" + b"\0" * 6),
        (Datatype.CHAR, "*", "abc", b"\0\0\0\x03abc"),
        (Datatype.CHAR, None, "", b"\0\0\0\0"),
        (Datatype.CHAR, "5", "abc", b"abc\0\0"),
        (Datatype.CHAR, "1", "a", b"a"),
        (Datatype.CHAR, "9*", "abc", b"\0\0\0\x03abc"),
        (Datatype.UNICODE_CHAR, "*", "aΩ", b"\0\0\0\x02\0a\x03\xa9"),
        (Datatype.UNICODE_CHAR, "*", "𝄞", b"\0\0\0\x02\xd8\x34\xdd\x1e"),
        (Datatype.UNICODE_CHAR, "2", "a", b"\0a\0\0"),
        (Datatype.SHORT, "2", [1, -1], b"\0\x01\xff\xff"),
        (Datatype.SHORT, "*", [1, -1], b"\0\0\0\x02\0\x01\xff\xff"),
        (Datatype.BOOLEAN, "*", [True, None], b"\0\0\0\x02T?"),
    ],
)
def test_cell_is_written_as_the_standard_says(
    datatype: Datatype, arraysize: str | None, value: object, cell: bytes
) -> None:
    assert stream_of(Column("x", datatype, arraysize), value) == b"\0" + cell


@pytest.mark.parametrize(
    ("datatype", "arraysize", "cell"),
    [
        (Datatype.BOOLEAN, None, b"?"),
        (Datatype.INT, None, bytes(4)),
        (Datatype.FLOAT, None, b"\x7f\xc0\0\0"),
        (Datatype.CHAR, "*", bytes(4)),
        (Datatype.CHAR, "3", bytes(3)),
        (Datatype.UNICODE_CHAR, "*", bytes(4)),
        (Datatype.DOUBLE, "2", (b"\x7f\xf8" + bytes(6)) * 2),
        (Datatype.DOUBLE, "*", bytes(4)),
    ],
)
def test_null_is_flagged_and_takes_its_place(datatype: Datatype, arraysize: str | None, cell: bytes) -> None:
    assert stream_of(Column("x", datatype, arraysize), None) == b"\x80" + cell


def test_flags_begin_with_the_first_column_at_the_highest_bit() -> None:
    columns = tuple(Column(f"c{i}", Datatype.UNSIGNED_BYTE) for i in range(10))
    row = {f"c{i}": None if i in (0, 3, 8) else i for i in range(10)}
    batch = pa.RecordBatch.from_pylist([row], schema=Table("t", columns).arrow_schema)
    assert binary2_rows(columns, batch)[:2] == bytes([0b10010000, 0b10000000])


def test_text_longer_than_a_fixed_width_is_cut_between_characters() -> None:
    assert stream_of(Column("x", Datatype.CHAR, "2"), "abc", "d") == b"\0ab\0d\0"
    assert stream_of(Column("x", Datatype.UNICODE_CHAR, "2"), "a𝄞", "b") == b"\0\0a\0\0" + b"\0\0b\0\0"


def test_null_lists_that_hide_elements_are_empty() -> None:
    column = Column("x", Datatype.SHORT, "*")
    hidden = pa.ListArray.from_arrays(
        pa.array([0, 2, 4], pa.int32()), pa.array([1, 2, 3, 4], pa.int16()), mask=pa.array([True, False])
    )
    batch = pa.RecordBatch.from_arrays([hidden], schema=Table("t", (column,)).arrow_schema)
    assert binary2_rows([column], batch) == b"\x80\0\0\0\0" + b"\0\0\0\0\x02\0\x03\0\x04"


def test_array_of_another_length_than_declared_is_refused() -> None:
    with pytest.raises(InternalError, match="column m: a cell holds 5 values, its arraysize says 6"):
        stream_of(Column("m", Datatype.INT, "2x3"), [1] * 6, None, [1] * 5)


def test_base64_of_several_batches_is_one_base64() -> None:
    column = Column("x", Datatype.CHAR, "*")
    table = Table("t", (column,))
    batches = [pa.RecordBatch.from_pylist([{"x": "a" * n}], schema=table.arrow_schema) for n in range(7)]
    body = Binary2([column])
    text = b"".join([*(body.rows(batch) for batch in batches), body.end()])
    assert base64.b64decode(text, validate=True) == b"".join(binary2_rows([column], batch) for batch in batches)
    assert b"=" not in text[:-2]
