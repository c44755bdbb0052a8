"""Read which identifiers are wanted: from a list with one in each line, or from a column of a table."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from catalog.errors import UsageError
from catalog.formats.reading.table import read_table

__all__ = ["read_dids"]

_HEAD = 4096
_MOST_COLUMNS = 2_000
_NAMES = ("obs_publisher_did", "publisher_did", "publisherdid", "pubdid", "did", "id")
_UTYPE = "curation.publisherdid"
_MEDIA_TYPES = {".tsv": "text/tab-separated-values", ".csv": "text/csv"}


def read_dids(source: Path | IO[bytes]) -> list[str]:
    """The identifiers that a file names, each once, in its order.

    Args:
        source: Lines, where the first is an identifier; else a table (VOTable, CSV, TSV, FITS, Parquet) with a column
            whose utype or name says that it holds identifiers of publishers.

    Raises:
        UsageError: It cannot be read, or has no such column.
    """
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                return _read(file, _MEDIA_TYPES.get(source.suffix.lower(), ""))
        except OSError as error:
            raise UsageError(f"{source} cannot be read: {error.strerror}") from None
    with tempfile.TemporaryFile(prefix="catalog-dids-") as kept:
        shutil.copyfileobj(source, kept)
        kept.seek(0)
        return _read(kept, "")


def _read(file: IO[bytes], media_type: str) -> list[str]:
    head = file.read(_HEAD).lstrip()
    file.seek(0)
    if not head:
        return []
    found = _lines(file) if head[:6].lower() == b"ivo://" else _column(file, media_type)
    return list(dict.fromkeys(found))


def _lines(file: IO[bytes]) -> Iterator[str]:
    for line in file:
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError("the list of identifiers is no text in UTF-8") from None
        if text:
            yield text


def _column(file: IO[bytes], media_type: str) -> Iterator[str]:
    with read_table(file, media_type, max_columns=_MOST_COLUMNS) as table:
        by_name = {column.name.lower(): column.name for column in reversed(table.table.columns)}
        marked = [column.name for column in table.table.columns if (column.utype or "").lower().endswith(_UTYPE)]
        named = [by_name[name] for name in _NAMES if name in by_name]
        chosen = next(iter([*marked, *named]), None)
        if chosen is None:
            raise UsageError("the table has no column obs_publisher_did, and none that is marked as such")
        index = [column.name for column in table.table.columns].index(chosen)
        for batch in table:
            for value in batch.column(index).to_pylist():
                if isinstance(value, str) and value.strip():
                    yield value.strip()
