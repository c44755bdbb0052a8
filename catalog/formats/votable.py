"""The VOTable round the rows: header, tail, service descriptors, error document (VOTable 1.4, DALI 1.1 section 4.4).

The order inside RESOURCE matters to the schema: INFO, then COOSYS and TIMESYS, then TABLE, then INFO again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Protocol

import pyarrow as pa

from catalog.errors import CatalogError
from catalog.formats.ending import until_fault
from catalog.vo.table import Column, Info, Service, Table, TableStream

__all__ = [
    "NAMESPACE",
    "VERSION",
    "Body",
    "encode_votable",
    "error_document",
    "metadata_document",
    "votable_head",
    "votable_tail",
]

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
_XML_NAME = re.compile("[A-Za-z_][A-Za-z0-9_.-]*")
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
    stream: TableStream,
    batches: Iterable[pa.RecordBatch],
    infos: Sequence[Info],
    body: Body,
    *,
    nulls: Sequence[int | None] = (),
) -> Iterator[bytes]:
    """A VOTable with the rows of `batches`; `stream` says what they mean and whether rows were held back.

    A `CatalogError` among the batches ends the table and is reported after it, as DALI's QUERY_STATUS ERROR.

    Args:
        stream: Its table and its end; the rows come from `batches`.
        batches: The rows.
        infos: Statements about the result.
        body: The serialization.
        nulls: The value that means null, column by column, where the serialization has no other mark.
    """
    yield votable_head(stream.table, infos, nulls) + body.opening
    for batch in until_fault(batches):
        yield body.rows(batch)
    yield body.end() + body.closing + votable_tail(stream)


def votable_head(table: Table, infos: Sequence[Info], nulls: Sequence[int | None] = ()) -> bytes:
    """Everything before the rows; `nulls` as for `encode_votable`."""
    return "".join([*_opening(infos, "OK"), *_table_opening(table, nulls), "<DATA>\n"]).encode()


def votable_tail(stream: TableStream) -> bytes:
    """Everything after the rows; says whether some were held back, or that something broke."""
    outcome = _outcome(stream.fault, truncated=stream.truncated)
    return "".join(["</DATA>\n</TABLE>\n", *outcome, *_closing(stream.table)]).encode()


def metadata_document(table: Table, *, infos: Sequence[Info] = (), truncated: bool = False) -> bytes:
    """A VOTable that describes `table` and holds no rows, as VOParquet 1.0 keeps in the footer."""
    parts = [*_opening(infos, "OK"), *_table_opening(table), "</TABLE>\n"]
    return "".join([*parts, *_outcome(None, truncated=truncated), *_closing(table)]).encode()


def error_document(message: str, *, infos: Sequence[Info] = (), first: Sequence[Info] = ()) -> bytes:
    """A VOTable that says QUERY_STATUS ERROR and holds no table (DALI 1.1 section 4.4.2).

    Args:
        message: What the user reads; line breaks are kept.
        infos: Further statements about the answer.
        first: Statements in front of the RESOURCE, where protocols older than DALI have them.
    """
    return "".join([*_opening(infos, "ERROR", message, first), "</RESOURCE>\n", "</VOTABLE>\n"]).encode()


def _opening(
    infos: Sequence[Info], status: str, message: str | None = None, first: Sequence[Info] = ()
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<VOTABLE version="{VERSION}" xmlns="{NAMESPACE}">\n'
    for info in first:
        yield _info(info)
    yield '<RESOURCE type="results">\n'
    yield _info(Info("QUERY_STATUS", status, message))
    for info in infos:
        yield _info(info)


def _closing(table: Table) -> Iterator[str]:
    yield "</RESOURCE>\n"
    for service in table.services:
        yield from _service_descriptor(service)
    yield "</VOTABLE>\n"


def _service_descriptor(service: Service) -> Iterator[str]:
    """A service that takes the values of a column (DataLink 1.1 section 4)."""
    yield f'<RESOURCE type="meta" utype="adhoc:service"{_attributes(name=service.name)}>\n'
    yield f"<DESCRIPTION>{_text(service.description)}</DESCRIPTION>\n"
    stated = {"standardID": service.standard_id, "accessURL": service.access_url, "contentType": service.content_type}
    for name, value in stated.items():
        yield _param(name, value)
    yield '<GROUP name="inputParams">\n'
    yield _param(service.parameter, "", ref=_field_id(service))
    yield "</GROUP>\n</RESOURCE>\n"


def _field_id(service: Service) -> str:
    """XML ID of the column that a service takes its values from: its name, which astropy reads from the ID."""
    is_free = _XML_NAME.fullmatch(service.column) and service.column not in _SYSTEMS
    return service.column if is_free else f"{service.name}_input"


def _table_opening(table: Table, nulls: Sequence[int | None] = ()) -> Iterator[str]:
    referenced = {column.ref for column in table.columns}
    for identifier, element in _SYSTEMS.items():
        if identifier in referenced:
            yield f"{element}\n"
    yield f"<TABLE{_attributes(name=table.name, utype=table.utype)}>\n"
    if table.description:
        yield f"<DESCRIPTION>{_text(table.description)}</DESCRIPTION>\n"
    identifiers = {service.column: _field_id(service) for service in table.services}
    for column, null in zip_longest(table.columns, nulls):
        yield _field(column, identifiers.get(column.name), null)


def _field(column: Column, identifier: str | None, null: int | None) -> str:
    """FIELD of a column; an arraysize of one is left out, as the standard wants of a scalar (section 4.1)."""
    arraysize = column.arraysize
    if column.datatype.is_text and arraysize is None:
        arraysize = "*"
    attributes = _attributes(
        ID=identifier,
        name=column.name,
        datatype=column.datatype.votable,
        arraysize=None if arraysize == "1" else arraysize,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        xtype=column.xtype,
        ref=column.ref if column.ref in _SYSTEMS else None,
    )
    content = f"<DESCRIPTION>{_text(column.description)}</DESCRIPTION>\n" if column.description else ""
    if null is not None:
        content += f'<VALUES null="{null}"/>\n'
    return f"<FIELD{attributes}>\n{content}</FIELD>\n" if content else f"<FIELD{attributes}/>\n"


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


def _param(name: str, value: str, ref: str | None = None) -> str:
    reference = _attributes(ref=ref)
    return f'<PARAM{_attributes(name=name)} datatype="char" arraysize="*" value="{_attribute(value)}"{reference}/>\n'


def _attributes(**values: str | None) -> str:
    return "".join(f' {name}="{_attribute(value)}"' for name, value in values.items() if value)


def _attribute(value: str) -> str:
    return _ILLEGAL.sub("", value).translate(_ATTRIBUTE)


def _text(value: str) -> str:
    return _ILLEGAL.sub("", value).translate(_TEXT)
