"""The VOTable round the rows: header, tail, error document (VOTable 1.4, DALI 1.1 section 4.4).

The order inside RESOURCE matters to the schema: INFO, then COOSYS and TIMESYS, then TABLE, then INFO again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from catalog.errors import CatalogError
from catalog.vo.table import Column, Info, Table, TableStream

__all__ = ["NAMESPACE", "VERSION", "Body", "encode_votable", "error_document", "metadata_document"]

VERSION = "1.4"
"""Version written. Validators in use reject 1.5."""

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
"""Of every version from 1.3 on."""

_SYSTEMS = {
    "icrs": '<COOSYS ID="icrs" system="ICRS"/>',
    "utc": '<TIMESYS ID="utc" timescale="UTC" refposition="TOPOCENTER"/>',
    "utc_mjd": '<TIMESYS ID="utc_mjd" timescale="UTC" refposition="TOPOCENTER" timeorigin="MJD-origin"/>',
}
"""The systems that `Column.ref` may name; each is declared when a column refers to it."""

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2
_TEXT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
_ATTRIBUTE = _TEXT | {ord('"'): "&quot;", ord("\t"): "&#9;", ord("\n"): "&#10;"}


class Body(Protocol):
    """One serialization of the rows."""

    opening: bytes
    closing: bytes

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """Bytes of a batch."""
        ...

    def end(self) -> bytes:
        """Bytes kept back."""
        ...


def encode_votable(
    stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info], body: Body
) -> Iterator[bytes]:
    """A VOTable with the rows of `batches`; `stream` says what they mean and whether rows were held back.

    A `CatalogError` among the batches ends the table and is reported after it, as DALI's QUERY_STATUS ERROR.
    """
    header = [*_opening(infos, "OK"), *_table_opening(stream.table), "<DATA>\n"]
    yield "".join(header).encode() + body.opening
    fault: CatalogError | None = None
    rows = iter(batches)
    while True:
        try:
            batch = next(rows, None)
        except CatalogError as error:
            fault = error
            break
        if batch is None:
            break
        yield body.rows(batch)
    tail = ["</DATA>\n</TABLE>\n", *_outcome(fault, truncated=stream.truncated), "</RESOURCE>\n</VOTABLE>\n"]
    yield body.end() + body.closing + "".join(tail).encode()


def metadata_document(table: Table, *, infos: Sequence[Info] = (), truncated: bool = False) -> bytes:
    """A VOTable that describes `table` and holds no rows, as VOParquet 1.0 keeps in the footer."""
    parts = [*_opening(infos, "OK"), *_table_opening(table), "</TABLE>\n"]
    parts += [*_outcome(None, truncated=truncated), "</RESOURCE>\n</VOTABLE>\n"]
    return "".join(parts).encode()


def error_document(message: str, *, infos: Sequence[Info] = ()) -> bytes:
    """A VOTable that says QUERY_STATUS ERROR and holds no table (DALI 1.1 section 4.4.2).

    Args:
        message: What the user reads; line breaks are kept.
        infos: Further statements about the answer.
    """
    return "".join([*_opening(infos, "ERROR", message), "</RESOURCE>\n</VOTABLE>\n"]).encode()


def _opening(infos: Sequence[Info], status: str, message: str | None = None) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<VOTABLE version="{VERSION}" xmlns="{NAMESPACE}">\n'
    yield '<RESOURCE type="results">\n'
    yield _info(Info("QUERY_STATUS", status, message))
    for info in infos:
        yield _info(info)


def _table_opening(table: Table) -> Iterator[str]:
    referenced = {column.ref for column in table.columns}
    for identifier, element in _SYSTEMS.items():
        if identifier in referenced:
            yield f"{element}\n"
    yield f"<TABLE{_attributes(name=table.name, utype=table.utype)}>\n"
    if table.description:
        yield f"<DESCRIPTION>{_text(table.description)}</DESCRIPTION>\n"
    for column in table.columns:
        yield _field(column)


def _field(column: Column) -> str:
    """FIELD of a column; an arraysize of one is left out, as the standard wants of a scalar (section 4.1)."""
    arraysize = column.arraysize
    if column.datatype.is_text and arraysize is None:
        arraysize = "*"
    attributes = _attributes(
        name=column.name,
        datatype=column.datatype.votable,
        arraysize=None if arraysize == "1" else arraysize,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        xtype=column.xtype,
        ref=column.ref if column.ref in _SYSTEMS else None,
    )
    if not column.description:
        return f"<FIELD{attributes}/>\n"
    return f"<FIELD{attributes}>\n<DESCRIPTION>{_text(column.description)}</DESCRIPTION>\n</FIELD>\n"


def _outcome(fault: CatalogError | None, *, truncated: bool) -> Iterator[str]:
    """What is said after the table, if anything has to be."""
    if fault is not None:
        yield _info(Info("QUERY_STATUS", "ERROR", fault.message))
    elif truncated:
        yield _info(Info("QUERY_STATUS", "OVERFLOW"))


def _info(info: Info) -> str:
    attributes = _attributes(name=info.name) + f' value="{_attribute(info.value)}"'
    if info.content is None:
        return f"<INFO{attributes}/>\n"
    return f"<INFO{attributes}>{_text(info.content)}</INFO>\n"


def _attributes(**values: str | None) -> str:
    return "".join(f' {name}="{_attribute(value)}"' for name, value in values.items() if value)


def _attribute(value: str) -> str:
    return _ILLEGAL.sub("", value).translate(_ATTRIBUTE)


def _text(value: str) -> str:
    return _ILLEGAL.sub("", value).translate(_TEXT)
