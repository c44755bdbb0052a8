from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from catalog.formats.bigendian import utf16_parts
from catalog.formats.cells import array_length, list_parts, text_bytes, text_parts
from catalog.vo.table import Column
from catalog.vo.types import Datatype


@pytest.mark.parametrize(
    ("arraysize", "length"),
    [(None, None), ("*", None), ("3", 3), ("3*", None), ("2x3", 6), ("2x3x4", 24), ("2x*", None), ("1", 1)],
)
def test_array_length_is_the_product_of_fixed_dimensions(arraysize: str | None, length: int | None) -> None:
    assert array_length(Column("x", Datatype.INT, arraysize)) == length


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("values", [["a", "bc", "", "𝄞é"], ["a", None, "c", None], [None] * 4, [""] * 4])
def test_text_parts_of_a_slice(values: list[str | None], start: int) -> None:
    array = pa.array(values, pa.string()).slice(start)
    offsets, data = text_parts(array)
    raw = data.tobytes()
    cells = [raw[a:b].decode() for a, b in pairwise(offsets)]
    assert cells == [value or "" for value in values[start:]]
    assert text_bytes(array).decode() == "".join(cells)


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("kind", [pa.list_(pa.int16()), pa.list_(pa.int16(), 2)])
def test_list_parts_of_a_slice(kind: pa.DataType, start: int) -> None:
    values = [[1, 2], None, [3, 4], [5, None]]
    offsets, elements = list_parts(pa.array(values, kind).slice(start))
    found = elements.to_pylist()
    assert [found[a:b] for a, b in pairwise(offsets)] == [v or [] for v in values[start:]]


@pytest.mark.parametrize("values", [["abc", ""], ["é𝄞", "x", "€€", ""], ["\U0010ffff", "\x00", "ÿ"]])
def test_utf16_parts_are_what_python_encodes(values: list[str]) -> None:
    offsets, data = utf16_parts(*text_parts(pa.array(values)))
    raw = data.tobytes()
    assert [raw[a:b].decode("utf-16-be") for a, b in pairwise(offsets)] == values
