"""Plain text in columns, for people: names, units, a rule, the rows, and in the last line how it ended.

Widths follow the first batch; a cell that is wider later, or very wide, pushes the rest of its line to the right.
Nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.cells import PLAIN_SPELLING, cell_text, text_bytes
from catalog.formats.ending import ending, until_fault
from catalog.vo.table import Column, TableStream

__all__ = ["encode_plain"]

_WIDEST = 200  # characters to which a column is filled up
_AT_ONCE = 1_000  # rows that are filled up together
_GAP = "  "
_CONTROLS = r"[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]"  # what would break a line, or drive a terminal


def encode_plain(stream: TableStream, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Lines of text; a `CatalogError` among the batches is told in the last."""
    columns = stream.table.columns
    widths: list[int] = []
    for batch in until_fault(batches):
        cells = [_cells(array, column) for column, array in zip(columns, batch.columns, strict=True)]
        head = b""
        if not widths:
            widths = [_width(column, texts) for column, texts in zip(columns, cells, strict=True)]
            head = _head(columns, widths)
        for start in range(0, batch.num_rows, _AT_ONCE):
            some = [texts.slice(start, _AT_ONCE) for texts in cells]
            yield head + _lines(columns, some, widths)
            head = b""
    head = b"" if widths else _head(columns, [_width(column, pa.array([], pa.string())) for column in columns])
    yield head + f"# {_one_line(ending(stream))}\n".encode()


def _cells(array: pa.Array, column: Column) -> pa.Array:
    """Cells as text on one line; a null is an empty one."""
    text = cell_text(array, column, PLAIN_SPELLING).fill_null("")
    return pc.replace_substring_regex(text, _CONTROLS, " ") if column.datatype.is_text else text


def _width(column: Column, cells: pa.Array) -> int:
    longest = pc.max(pc.utf8_length(cells)).as_py() or 0
    return min(max(longest, len(_name(column)), len(_unit(column))), _WIDEST)


def _head(columns: Sequence[Column], widths: Sequence[int]) -> bytes:
    lines = [[_name(column) for column in columns], ["-" * width for width in widths]]
    if any(column.unit for column in columns):
        lines.insert(1, [_unit(column) for column in columns])
    return b"".join(_lines(columns, [pa.array([text]) for text in line], widths) for line in lines)


def _lines(columns: Sequence[Column], cells: Sequence[pa.Array], widths: Sequence[int]) -> bytes:
    """Numbers to the right, everything else to the left."""
    padded = [
        pc.utf8_lpad(texts, width) if column.datatype.is_numeric and not column.is_array else pc.utf8_rpad(texts, width)
        for column, texts, width in zip(columns, cells, widths, strict=True)
    ]
    joined = pc.utf8_rtrim(pc.binary_join_element_wise(*padded, _GAP), " ")
    return text_bytes(pc.binary_join_element_wise(joined, "\n", ""))


def _name(column: Column) -> str:
    return _one_line(column.name)


def _unit(column: Column) -> str:
    return f"[{_one_line(column.unit)}]" if column.unit else ""


def _one_line(text: str) -> str:
    result: str = pc.replace_substring_regex(pa.scalar(text), _CONTROLS, " ").as_py()
    return result
