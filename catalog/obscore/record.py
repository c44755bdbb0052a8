"""Records: one package as an object, and as a VOTable and a JSON document beside it.

A record is the row of ivoa.obscore together with that of ivoa.obscore_radio, as a TAP query would give it. The same row
makes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import NotFoundError
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.obscore.files import written_file
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, published_table
from catalog.obscore.published import RECORD_QUERY, RowRule, read_published
from catalog.opsdb.models import PackagePublication
from catalog.vo.table import Table, TableStream

__all__ = ["ObsCoreRecord", "read_record", "read_records", "write_record", "write_records"]

Progress = Callable[[int, int | None], None]


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


def read_record(database: Database, did: str, *, rule: RowRule | None = None) -> ObsCoreRecord:
    """The record of one package.

    Args:
        database: Read through its read-only connection.
        did: obs_publisher_did.
        rule: Which rows may be seen; None for all.

    Raises:
        NotFoundError: No published package has this identifier; says so when it was withdrawn, and why.
    """
    literal = did.replace("'", "''")
    query = f"{RECORD_QUERY} WHERE obs_publisher_did = '{literal}'"
    found = list(_records(read_published(database, query, rule=rule)))
    if not found:
        raise _missing(database, did)
    return found[0]


def read_records(database: Database, *, rule: RowRule | None = None) -> Iterator[ObsCoreRecord]:
    """The records of all published packages, in the order of their identifiers, as they are read."""
    return _records(read_published(database, f"{RECORD_QUERY} ORDER BY obs_publisher_did", rule=rule))


def write_record(record: ObsCoreRecord, folder: Path) -> tuple[Path, Path]:
    """Write ``<package id>.vot`` and ``<package id>.json`` into a folder, replacing older ones.

    Returns:
        Both paths.
    """
    name = str(record.obs_publisher_did).rpartition("?")[2]
    votable, document = folder / f"{name}.vot", folder / f"{name}.json"
    with written_file(votable) as file:
        for piece in encode(TableStream.from_pylist(record.table, [record.as_dict()]), parse_format("votable/td")):
            file.write(piece)
    with written_file(document) as file:
        file.write(render_document(record).encode())
    return votable, document


def write_records(
    database: Database,
    folder: Path,
    *,
    dids: Iterable[str] | None = None,
    rule: RowRule | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the records of packages into a folder, which is made if it is absent.

    Args:
        database: Read through its read-only connection.
        folder: Where to.
        dids: Which packages; None for all, as they are read.
        rule: Which rows may be seen; None for all.
        progress: Told how many are written.

    Returns:
        How many records were written.

    Raises:
        NotFoundError: A package is not published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = read_records(database, rule=rule) if dids is None else (read_record(database, d, rule=rule) for d in dids)
    count = 0
    for count, record in enumerate(records, start=1):
        write_record(record, folder)
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


def _records(stream: TableStream) -> Iterator[ObsCoreRecord]:
    with stream:
        for batch in stream:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield ObsCoreRecord(stream.table, row)


def _missing(database: Database, did: str) -> NotFoundError:
    query = sa.select(PackagePublication.withdrawn_at, PackagePublication.withdrawn_reason)
    with database.engine.connect() as connection:
        found = connection.execute(query.where(PackagePublication.obs_publisher_did == did)).first()
    if found is not None and found.withdrawn_at is not None:
        when = found.withdrawn_at.date().isoformat()
        return NotFoundError(f"the package {did} was withdrawn on {when}: {found.withdrawn_reason}")
    return NotFoundError(f"no published package has the identifier {did}")
