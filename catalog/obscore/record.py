"""Records: one package as an object, and as a VOTable and a JSON document beside it.

A record is the row of ivoa.obscore together with that of ivoa.obscore_radio, as a TAP query would give it. The same row
makes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.db import Database
from catalog.errors import NotFoundError
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.obscore.files import make_folder, written_files
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, published_table
from catalog.obscore.published import RECORD_QUERY, RowRule, read_published
from catalog.opsdb.publication import Withdrawals, read_withdrawals
from catalog.vo.table import Table, TableStream

__all__ = ["ObsCoreRecord", "read_record", "read_records", "render_document", "write_record", "write_records"]

Progress = Callable[[int, int | None], None]

_SLICE_ROWS = 1_000  # turned into text at once
_ENDING = 2  # digits of the id by which a million records are spread over folders; the first may be a clock's


@dataclass(frozen=True, slots=True)
class ObsCoreRecord:
    """One package as ObsCore and its radio extension describe it; each column is an attribute."""

    table: Table
    """What the columns mean."""

    values: tuple[object, ...]
    """Python values in the order of the columns; times as DALI text, None for NULL."""

    def __getattr__(self, name: str) -> Any:
        """The value of a column.

        Raises:
            AttributeError: There is no such column.
        """
        for column, value in zip(self.table.columns, self.values, strict=True):
            if column.name == name:
                return value
        raise AttributeError(f"a record has no column '{name}'")

    def as_dict(self) -> dict[str, object]:
        """Values by column, in the order of the columns."""
        return {column.name: value for column, value in zip(self.table.columns, self.values, strict=True)}


def read_record(
    database: Database, did: str, *, rule: RowRule | None = None, withdrawals: Withdrawals | None = None
) -> ObsCoreRecord:
    """The record of one package.

    Args:
        database: Read through its read-only connection.
        did: obs_publisher_did.
        rule: Which rows may be seen; None for all.
        withdrawals: Knows the packages that are published no more; the database does, if None.

    Raises:
        NotFoundError: No published package has this identifier; says so when it was withdrawn.
    """
    with _one(database, did, rule) as stream:
        found = [record for batch in stream for record in _records(stream.table, batch)]
    if not found:
        raise _missing(database, did, withdrawals)
    return found[0]


def read_records(database: Database, *, rule: RowRule | None = None) -> Iterator[ObsCoreRecord]:
    """The records of all published packages, in the order of their identifiers, as they are read."""
    with _all(database, rule) as stream:
        for batch in stream:
            yield from _records(stream.table, batch)


def write_record(record: ObsCoreRecord, folder: Path) -> tuple[Path, Path]:
    """Write ``<package id>.vot`` and ``<package id>.json`` into a folder, replacing older ones; both or none.

    Args:
        record: What to write.
        folder: Where to.

    Returns:
        Both paths.

    Raises:
        UsageError: The folder is absent or may not be written to, or the disk is full.
    """
    (votable,) = _votables(record.table, pa.RecordBatch.from_pylist([record.as_dict()], record.table.arrow_schema))
    return _write(record, votable, folder, durable=True)


def write_records(
    database: Database,
    folder: Path,
    *,
    dids: Iterable[str] | None = None,
    rule: RowRule | None = None,
    progress: Progress | None = None,
    withdrawals: Withdrawals | None = None,
) -> int:
    """Write the records of packages into a folder, which is made if it is absent.

    The records of named packages lie side by side. Those of all packages lie in 256 folders, named by the last two
    digits of the package's id: there may be millions.

    Args:
        database: Read through its read-only connection.
        folder: Where to.
        dids: Which packages; None for all, as they are read.
        rule: Which rows may be seen; None for all.
        progress: Told how many are written.
        withdrawals: Knows the packages that are published no more; the database does, if None.

    Returns:
        How many records were written.

    Raises:
        NotFoundError: A package is not published.
        UsageError: The folder may not be written to, or the disk is full.
    """
    make_folder(folder)
    count = 0
    for count, (record, votable) in enumerate(_wanted(database, dids, rule, withdrawals), start=1):
        part = folder if dids is not None else folder / _package_id(record)[-_ENDING:]
        make_folder(part)
        _write(record, votable, part, durable=dids is not None)
        if progress is not None:
            progress(count, None)
    return count


def render_document(record: ObsCoreRecord) -> str:
    """The record as a JSON document: values of both tables, and the unit of each column that has one."""
    values = record.as_dict()
    names = {name: [column.name for column in published_table(name).columns] for name in (TABLE, RADIO_TABLE)}
    document: dict[str, object] = {
        "obs_publisher_did": values["obs_publisher_did"],
        **{table: {name: values[name] for name in columns} for table, columns in names.items()},
        "units": {column.name: column.unit for column in record.table.columns if column.unit},
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _wanted(
    database: Database, dids: Iterable[str] | None, rule: RowRule | None, withdrawals: Withdrawals | None
) -> Iterator[tuple[ObsCoreRecord, bytes]]:
    """Records with their VOTables: of the packages named, else of all."""
    if dids is None:
        yield from _with_votables(_all(database, rule))
        return
    for did in dids:
        found = list(_with_votables(_one(database, did, rule)))
        if not found:
            raise _missing(database, did, withdrawals)
        yield from found


def _all(database: Database, rule: RowRule | None) -> TableStream:
    return read_published(database, f"{RECORD_QUERY} ORDER BY obs_publisher_did", rule=rule)


def _one(database: Database, did: str, rule: RowRule | None) -> TableStream:
    literal = did.replace("'", "''")
    return read_published(database, f"{RECORD_QUERY} WHERE obs_publisher_did = '{literal}'", rule=rule)


def _with_votables(stream: TableStream) -> Iterator[tuple[ObsCoreRecord, bytes]]:
    with stream:
        for batch in stream:
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                some = batch.slice(start, _SLICE_ROWS)
                yield from zip(_records(stream.table, some), _votables(stream.table, some), strict=True)


def _records(table: Table, batch: pa.RecordBatch) -> Iterator[ObsCoreRecord]:
    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield ObsCoreRecord(table, row)


def _votables(table: Table, batch: pa.RecordBatch) -> Iterator[bytes]:
    """A VOTable for each row. They are written as one and cut up: text cannot hold a tag, since it is escaped."""
    document = b"".join(encode(TableStream(table, [batch]), parse_format("votable/td")))
    head, _, rest = document.partition(b"<TR>")
    rows, _, tail = rest.rpartition(b"</TR>\n")
    for row in rows.split(b"</TR>\n<TR>"):
        yield b"".join((head, b"<TR>", row, b"</TR>\n", tail))


def _write(record: ObsCoreRecord, votable: bytes, folder: Path, *, durable: bool) -> tuple[Path, Path]:
    name = _package_id(record)
    paths = folder / f"{name}.vot", folder / f"{name}.json"
    with written_files(*paths, durable=durable) as (one, other):
        one.write(votable)
        other.write(render_document(record).encode())
    return paths


def _package_id(record: ObsCoreRecord) -> str:
    return str(record.obs_publisher_did).rpartition("?")[2]


def _missing(database: Database, did: str, withdrawals: Withdrawals | None) -> NotFoundError:
    if withdrawals is None:
        with database.engine.connect() as connection:
            withdrawn: Mapping[str, str] = read_withdrawals(connection, [did])
    else:
        withdrawn = withdrawals([did])
    return NotFoundError(withdrawn.get(did, f"no published package has the identifier {did}"))
