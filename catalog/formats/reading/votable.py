"""Read a VOTable as it comes, whatever its serialization (VOTable 1.0 to 1.5).

The parser is expat, which builds no tree. Entities and the internal subset of a DTD are refused, an external one is
never fetched; nesting is bounded. The first TABLE that is in no RESOURCE of type ``meta`` is read, to the end of its
RESOURCE: what follows the rows may say that some are missing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

import pyarrow as pa

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.reading.binary import BinaryRows
from catalog.formats.reading.bodies import Attributes, FitsBody, StreamBody, TableDataBody, local_name
from catalog.formats.reading.fields import Field, distinct_names, parse_field
from catalog.formats.reading.fits import read_rows
from catalog.vo.table import Table, TableStream

__all__ = ["read_fields", "read_votable"]

_PIECE = 64 * 1024
_MAX_TOKEN = 16 * _PIECE  # expat looks at an unfinished tag or comment anew with every piece
_MAX_DEPTH = 50
_MAX_NAME = 1000
_MAX_DESCRIPTION = 10_000
_MARKS = ("unit", "ucd", "utype", "xtype")


def read_votable(file: IO[bytes], *, max_columns: int) -> TableStream:
    """The rows of the first table.

    Args:
        file: Read from where it is, once.
        max_columns: Columns that the table may have.

    Raises:
        UsageError: The document is not well-formed, holds no table, or a FIELD is wrong; while rows are read, also
            that a cell is. Says the line, or the row and column.
        ResourceLimitError: Too many columns, too deep a nesting, too large a cell or tag.
    """
    reading = _Reading(file, max_columns)
    try:
        reading.to_fields()
    except BaseException:
        reading.close()
        raise
    return TableStream(reading.table, reading.batches(), close=reading.close)


def read_fields(document: bytes, *, max_columns: int) -> tuple[Field, ...]:
    """The FIELDs of the first table of a document; raises what `read_votable` raises."""
    reading = _Reading(io.BytesIO(document), max_columns)
    try:
        reading.to_fields()
    finally:
        reading.close()
    return reading.fields


class _Reading:
    """One document on its way through the parser."""

    def __init__(self, file: IO[bytes], max_columns: int) -> None:
        self._file = file
        self._parsed = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = _PIECE
        self._parser.StartDoctypeDeclHandler = _no_subset
        self._parser.EntityDeclHandler = _no_entities
        self._parser.SkippedEntityHandler = _no_entities
        self._document = _Document(self._parser, max_columns)

    @property
    def fields(self) -> tuple[Field, ...]:
        return self._document.fields

    @property
    def table(self) -> Table:
        columns = tuple(field.column for field in self.fields)
        return Table("upload", columns, description=self._document.description)

    def to_fields(self) -> None:
        """Read until all fields are known."""
        while not self._document.has_fields:
            if not self._advance():
                raise UsageError("the VOTable holds no table")

    def batches(self) -> Iterator[pa.RecordBatch]:
        schema = self.table.arrow_schema
        while True:
            more = self._advance()
            body = self._document.body
            if isinstance(body, FitsBody):
                if not more:
                    yield from read_rows(body.file, self.fields, extension=body.extension)
            elif body is not None:
                for columns in body.taken():
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)
            if not more:
                return

    def close(self) -> None:
        """Let go of what was kept for the rows."""
        if isinstance(self._document.body, FitsBody):
            self._document.body.file.close()

    def _advance(self) -> bool:
        """Parse the next piece; False at the end of what matters."""
        if self._document.is_complete:
            return False
        piece = self._file.read(_PIECE)
        try:
            self._parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise UsageError(f"line {error.lineno}: the document is no well-formed XML: {reason}") from None
        except (ValueError, LookupError):  # an encoding that Python does not know
            raise UsageError("the document is in an encoding that is not known; expected UTF-8") from None
        except UsageError as fault:
            if fault.message.startswith("row "):
                raise
            raise UsageError(f"line {self._parser.CurrentLineNumber}: {fault.message}") from None
        self._parsed += len(piece)
        if self._parsed - self._parser.CurrentByteIndex > _MAX_TOKEN:
            raise ResourceLimitError(
                f"line {self._parser.CurrentLineNumber}: a tag or a comment is longer than {_MAX_TOKEN:,} bytes"
            )
        return bool(piece)


def _no_subset(name: str, system: str | None, public: str | None, has_subset: int) -> None:
    if has_subset:
        raise UsageError("the document has a DTD of its own, which is not read; expected none")


def _no_entities(*_: object) -> None:
    raise UsageError("the document has entities of its own, which are not read; expected none")


class _Document:
    """What the elements mean, up to the end of the RESOURCE of the first table."""

    def __init__(self, parser: expat.XMLParserType, max_columns: int) -> None:
        self.fields: tuple[Field, ...] = ()
        self.description: str | None = None
        self.has_fields = False
        """Whether `fields` is final."""
        self.is_complete = False
        """Whether nothing that follows matters."""
        self.body: TableDataBody | StreamBody | FitsBody | None = None
        self._parser = parser
        self._max_columns = max_columns
        self._path: list[str] = []
        self._meta: int | None = None  # depth of the RESOURCE of type meta that we are in
        self._in_table = False
        self._found: list[Field] = []
        self._field: Attributes | None = None
        self._text: list[str] | None = None
        self.listen()

    def listen(self) -> None:
        """Take the parser's events; a body that has had them is over."""
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def _start(self, name: str, attributes: Attributes) -> None:
        local = local_name(name)
        parent = self._path[-1] if self._path else ""
        self._path.append(local)
        if len(self._path) > _MAX_DEPTH:
            raise ResourceLimitError(f"the VOTable nests deeper than {_MAX_DEPTH} elements")
        if not parent and local != "VOTABLE":
            raise UsageError(f"the document is <{local[:40]}>; expected <VOTABLE>")
        if local == "RESOURCE" and attributes.get("type") == "meta" and self._meta is None:
            self._meta = len(self._path)
        elif local == "TABLE" and self._meta is None and not self.has_fields:
            if "ref" in attributes:
                raise UsageError("the TABLE refers to another; expected one with FIELDs of its own")
            self._in_table = True
        elif local == "INFO" and self.has_fields and not self._in_table:
            if attributes.get("name") == "QUERY_STATUS" and attributes.get("value") == "ERROR":
                raise UsageError("the table is not complete: its QUERY_STATUS says ERROR after the rows")
        elif self._in_table:
            self._within(local, parent, attributes)

    def _within(self, local: str, parent: str, attributes: Attributes) -> None:
        """What stands in the table."""
        if local == "FIELD" and parent == "TABLE":
            if len(self._found) >= self._max_columns:
                raise ResourceLimitError(f"the table has more than {self._max_columns} columns")
            self._field = attributes
        elif local == "VALUES" and parent == "FIELD" and self._field is not None and "null" in attributes:
            self._field["null"] = attributes["null"]
        elif local == "DESCRIPTION" and parent in ("FIELD", "TABLE"):
            self._text = []
        elif local == "DATA" and parent == "TABLE":
            self._settle()
        elif parent == "DATA":
            self._enter(local, attributes)

    def _enter(self, local: str, attributes: Attributes) -> None:
        if local == "TABLEDATA":
            self.body = TableDataBody(self.fields, self._leave)
        elif local in ("BINARY", "BINARY2"):
            self.body = StreamBody(local, BinaryRows(self.fields, has_flags=local == "BINARY2"), self._leave)
        elif local == "FITS":
            self.body = FitsBody(attributes.get("extnum"), self._leave)
        else:
            raise UsageError(f"<{local[:40]}> is no serialization; expected TABLEDATA, BINARY, BINARY2 or FITS")
        self.body.listen(self._parser)

    def _leave(self) -> None:
        self._path.pop()
        self.listen()

    def _end(self, name: str) -> None:
        local = self._path.pop()
        if local == "DESCRIPTION" and self._text is not None:
            self._describe("".join(self._text)[:_MAX_DESCRIPTION])
            self._text = None
        elif local == "FIELD" and self._field is not None:
            self._found.append(_field(self._field))
            self._field = None
        elif local == "TABLE" and self._in_table:
            self._settle()
            self._in_table = False
        elif local == "RESOURCE" and self._meta == len(self._path) + 1:
            self._meta = None
        elif (local == "RESOURCE" or not self._path) and self.has_fields:
            self.is_complete = True

    def _describe(self, text: str) -> None:
        if self._field is not None:
            self._field["description"] = text
        else:
            self.description = " ".join(text.split()) or None

    def _characters(self, text: str) -> None:
        if self._text is not None and len(self._text) < _MAX_DESCRIPTION:
            self._text.append(text)

    def _settle(self) -> None:
        if self.has_fields:
            return
        if not self._found:
            raise UsageError("the TABLE has no FIELD")
        self.fields = distinct_names(self._found)
        self.has_fields = True


def _field(attributes: Attributes) -> Field:
    name = attributes.get("name", attributes.get("ID", ""))
    if len(name) > _MAX_NAME:
        raise ResourceLimitError(f"the name of a column is longer than {_MAX_NAME} characters")
    datatype = attributes.get("datatype")
    if datatype is None:
        raise UsageError(f"column {name[:80]}: the FIELD has no datatype")
    marks = {mark: attributes.get(mark) for mark in _MARKS}
    return parse_field(
        name,
        datatype,
        attributes.get("arraysize"),
        null=attributes.get("null"),
        description=attributes.get("description"),
        **marks,
    )
