"""One JSON object: ``infos``, ``columns``, ``data`` as rows, then ``nrows`` and ``status`` (RFC 8259).

JSON has no NaN and no infinities: they are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, which
JavaScript's Number() and Python's float() read. ``status`` comes last: OK, OVERFLOW, or ERROR with a
``message``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.cells import Spelling, cell_text, text_bytes, text_data
from catalog.formats.ending import until_fault
from catalog.vo.table import Column, Info, TableStream

__all__ = ["encode_json"]

_SPELLING = Spelling(
    true="true",
    false="false",
    nan='"NaN"',
    positive_infinity='"Infinity"',
    negative_infinity='"-Infinity"',
    missing_integer="null",
    missing_float="null",
    missing_boolean="null",
    separator=",",
    opening="[",
    closing="]",
)


def encode_json(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """The whole object; a `CatalogError` among the batches becomes ``"status": "ERROR"`` at the end."""
    columns = stream.table.columns
    head = {
        "infos": [_statement(info) for info in infos],
        "columns": [_description(column) for column in columns],
    }
    yield (_dumps(head)[:-1] + ', "data": [').encode()
    separator = b"\n"
    for batch in until_fault(batches):
        yield separator + _rows(columns, batch)
        separator = b",\n"
    yield ("\n], " + _dumps(_outcome(stream))[1:] + "\n").encode()


def _statement(info: Info) -> dict[str, str]:
    stated = {"name": info.name, "value": info.value}
    return stated if info.content is None else stated | {"content": info.content}


def _description(column: Column) -> dict[str, str]:
    stated = {
        "name": column.name,
        "datatype": column.datatype.votable,
        "arraysize": column.arraysize or ("*" if column.datatype.is_text else None),
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": column.utype,
        "xtype": column.xtype,
        "description": column.description,
    }
    return {key: value for key, value in stated.items() if value}


def _outcome(stream: TableStream) -> dict[str, object]:
    if stream.fault is not None:
        return {"nrows": stream.rows, "status": "ERROR", "message": stream.fault.message}
    return {"nrows": stream.rows, "status": "OVERFLOW" if stream.truncated else "OK"}


def _rows(columns: Sequence[Column], batch: pa.RecordBatch) -> bytes:
    cells = [
        _quoted(array) if column.datatype.is_text else cell_text(array, column, _SPELLING)
        for column, array in zip(columns, batch.columns, strict=True)
    ]
    joined = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="null")
    return text_bytes(pc.binary_join_element_wise("[", joined, "],\n", ""))[:-2]


def _quoted(array: pa.Array) -> pa.Array:
    """Text between quotes, with what RFC 8259 section 7 wants escaped."""
    present = np.bincount(text_data(array), minlength=256).astype(np.bool_)
    for code in (ord("\\"), ord('"'), *range(0x20)):
        if present[code]:
            character = chr(code)
            array = pc.replace_substring(array, character, _dumps(character)[1:-1])
    return pc.binary_join_element_wise('"', array, '"', "")


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
