"""Write ivoa.obscore to a file in any format, with a manifest beside it that says what the file holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from catalog.adql.diagnostics import fault_at
from catalog.adql.lexer import tokenize
from catalog.db import Database
from catalog.errors import CatalogError, QueryError
from catalog.formats.encoder import encode
from catalog.formats.media import Format, format_for_path, parse_format
from catalog.obscore.files import written_files
from catalog.obscore.package_obscore import TABLE, package_obscore
from catalog.obscore.published import RowRule, read_published
from catalog.vo.table import Info, Table, TableStream
from catalog.vo.time import format_timestamp

__all__ = ["Manifest", "export_obscore", "export_stream", "manifest_path"]

Progress = Callable[[int, int | None], None]

_OPENING, _CLOSING, _ORDER = f"SELECT * FROM {TABLE} WHERE (\n", "\n)", " ORDER BY obs_publisher_did"


@dataclass(frozen=True, slots=True)
class ManifestColumn:
    """A column of an exported file."""

    name: str
    datatype: str
    arraysize: str | None
    unit: str | None
    ucd: str | None
    utype: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported file holds."""

    file: str
    """Name of the file, without its folder."""

    format: str
    media_type: str
    query: str
    """The ADQL whose result it is."""

    exported_at: str
    """When the export ended, UTC."""

    rows: int
    bytes: int
    sha256: str
    columns: tuple[ManifestColumn, ...]

    def as_dict(self) -> dict[str, object]:
        """As it stands in the manifest's JSON."""
        return asdict(self)


def export_obscore(
    database: Database,
    path: Path,
    *,
    fmt: str | None = None,
    where: str | None = None,
    rule: RowRule | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write ivoa.obscore, or a part of it, to a file, in the order of the identifiers.

    The file gets its name when it is whole, together with the manifest ``<file>.manifest.json``; memory does not grow
    with the number of rows.

    Args:
        database: Read through its read-only connection.
        path: The file; its ending says the format unless ``fmt`` does.
        fmt: A format's short name or media type.
        where: ADQL condition on the columns of ivoa.obscore.
        rule: Which rows may be seen; None for all.
        progress: Told how many rows are written, and how many there are when all are wanted.

    Raises:
        ParameterError: The format is unknown.
        QueryError: The condition is not valid; positions count within it.
        UsageError: The file cannot be written.
    """
    chosen = format_for_path(path) if fmt is None else parse_format(fmt)
    query = f"SELECT * FROM {TABLE}" if where is None else f"{_OPENING}{_closed(where)}{_CLOSING}"
    try:
        stream = read_published(database, f"{query}{_ORDER}", rule=rule)
    except QueryError as fault:
        raise fault if where is None else _within_condition(fault, where) from None
    total = None
    if progress is not None and where is None:
        with database.engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(package_obscore()))
    return export_stream(stream, path, chosen, query=query, total=total, progress=progress)


def export_stream(
    stream: TableStream,
    path: Path,
    fmt: Format,
    *,
    query: str,
    total: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write a stream to a file and say so in a manifest beside it; see `export_obscore`.

    Args:
        stream: The rows; it is closed.
        path: The file.
        fmt: How to write it.
        query: The ADQL that asked for the rows.
        total: How many rows there are, if that is known.
        progress: Told how many rows are written.

    Raises:
        CatalogError: The rows broke off; no file is left, also in formats that could say so at their end.
        UsageError: The file cannot be written.
    """
    watched = _Watched(stream, total, progress)
    digest, size = hashlib.sha256(), 0
    rows = TableStream(stream.table, watched.batches(), close=stream.close)
    with rows, written_files(path, manifest_path(path)) as (file, beside):
        for piece in encode(rows, fmt, infos=[Info("QUERY", query)]):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        if watched.fault is not None:
            raise watched.fault
        manifest = Manifest(
            file=path.name,
            format=fmt.name,
            media_type=fmt.content_type,
            query=query,
            exported_at=format_timestamp(datetime.now(UTC), digits=3),
            rows=rows.rows,
            bytes=size,
            sha256=digest.hexdigest(),
            columns=_columns(stream.table),
        )
        beside.write((json.dumps(manifest.as_dict(), ensure_ascii=False, indent=1) + "\n").encode())
    return manifest


def manifest_path(path: Path) -> Path:
    """Where the manifest of an exported file lies."""
    return path.with_name(f"{path.name}.manifest.json")


class _Watched:
    """Passes the batches of a stream on, tells the progress, and remembers how it broke."""

    def __init__(self, stream: TableStream, total: int | None, progress: Progress | None) -> None:
        self.fault: CatalogError | None = None
        self._stream = stream
        self._total = total
        self._progress = progress

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._stream:
                yield batch
                if self._progress is not None:
                    self._progress(self._stream.rows, self._total)
        except CatalogError as fault:
            self.fault = fault
            raise


def _columns(table: Table) -> tuple[ManifestColumn, ...]:
    return tuple(
        ManifestColumn(c.name, c.datatype.votable, c.arraysize, c.unit, c.ucd, c.utype, c.description)
        for c in table.columns
    )


def _closed(where: str) -> str:
    """The condition, if it stays within the parentheses that it is put into.

    Raises:
        QueryError: It closes more of them than it opens, so that it would be more than a condition; or it is empty.
    """
    tokens = tokenize(where)
    if not tokens:
        raise QueryError("the condition is empty", hint="leave it out to have all rows")
    depth = 0
    for token in tokens:
        depth += {"_LPAR": 1, "_RPAR": -1}.get(token.type, 0)
        if depth < 0:
            raise fault_at(where, token.start_pos or 0, "this parenthesis closes none that is open")
    return where


def _within_condition(fault: QueryError, where: str) -> QueryError:
    """The same fault with its place counted within the condition, which begins on the query's second line.

    What is found wrong only where the condition ends lies one character behind it.
    """
    line, column, lines = fault.line, fault.column, where.split("\n")
    if line is not None:
        line -= 1
        if line > len(lines):
            line, column = len(lines), len(lines[-1]) + 1
    proposal = fault.proposal
    if proposal is not None:
        begins, ends = proposal.startswith(_OPENING), proposal.endswith(_CLOSING + _ORDER)
        proposal = proposal[len(_OPENING) : -len(_CLOSING + _ORDER)] if begins and ends else None
    return QueryError(
        fault.message,
        code=fault.code,
        line=line,
        column=column,
        length=fault.length,
        hint=fault.hint,
        proposal=proposal,
    )
