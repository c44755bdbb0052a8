"""CSV (RFC 4180) and TSV (IANA text/tab-separated-values), both UTF-8 with a header line.

CSV tells a null (nothing) from text of no length (``""``). TSV has no quotes: tabs and line breaks inside a
cell become blanks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.cells import PLAIN_SPELLING, cell_text, text_bytes, text_data
from catalog.vo.table import TableStream

__all__ = ["encode_csv", "encode_tsv"]


_QUOTED = r'[",\r\n]|^[ \t]|[ \t]$|^$'  # what a reader would otherwise cut, trim or take for a null
_BREAKS = np.zeros(256, np.bool_)
_BREAKS[[ord("\t"), ord("\n"), ord("\r")]] = True


def encode_csv(stream: TableStream, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """A header line and a line per row; cells are quoted where they must be."""
    columns = stream.table.columns
    yield _csv_lines([pa.array([column.name]) for column in columns])
    for batch in batches:
        cells = [cell_text(array, c, PLAIN_SPELLING) for c, array in zip(columns, batch.columns, strict=True)]
        if len(cells) == 1:
            cells = [cells[0].fill_null("")]  # an empty line is no row to most readers
        yield _csv_lines(cells)


def encode_tsv(stream: TableStream, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """A header line and a line per row; no quotes."""
    columns = stream.table.columns
    yield _lines([_unbroken(pa.array([column.name])) for column in columns], "\t", "\n")
    for batch in batches:
        cells = [cell_text(array, c, PLAIN_SPELLING) for c, array in zip(columns, batch.columns, strict=True)]
        yield _lines([_unbroken(cell) for cell in cells], "\t", "\n")


def _csv_lines(cells: list[pa.Array]) -> bytes:
    return _lines([_quoted(cell) for cell in cells], ",", "\r\n")


def _lines(cells: list[pa.Array], separator: str, ending: str) -> bytes:
    joined = pc.binary_join_element_wise(*cells, separator, null_handling="replace", null_replacement="")
    return text_bytes(pc.binary_join_element_wise(joined, ending, ""))


def _quoted(cells: pa.Array) -> pa.Array:
    wanted = pc.match_substring_regex(cells, _QUOTED)
    if not pc.any(wanted).as_py():
        return cells
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(cells, '"', '""'), '"', "")
    return pc.if_else(wanted, quoted, cells)


def _unbroken(cells: pa.Array) -> pa.Array:
    if not _BREAKS[text_data(cells)].any():
        return cells
    return pc.replace_substring_regex(cells, r"\r\n|[\t\r\n]", " ")
