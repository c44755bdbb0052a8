"""Read a table in any format that is read: the one that its first bytes show, else the one that it is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import IO

from catalog.errors import UsageError
from catalog.formats.reading.csv import read_csv
from catalog.formats.reading.fits import read_fits
from catalog.formats.reading.parquet import read_parquet
from catalog.formats.reading.votable import read_votable
from catalog.vo.table import TableStream

__all__ = ["READABLE_TYPES", "read_table"]

Reader = Callable[..., TableStream]

_FORMATS = "VOTable, CSV, TSV, FITS or Parquet"
_HEAD = 1024
_BEFORE_XML = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"

READABLE_TYPES: dict[str, Reader] = {
    "application/x-votable+xml": read_votable,
    "text/xml": read_votable,
    "application/xml": read_votable,
    "text/x-votable+xml": read_votable,
    "text/csv": read_csv,
    "text/tab-separated-values": partial(read_csv, delimiter="\t"),
    "application/fits": read_fits,
    "image/fits": read_fits,
    "application/x-fits": read_fits,
    "application/vnd.apache.parquet": read_parquet,
    "application/x-parquet": read_parquet,
}
"""Media types of the formats that are read."""


def read_table(file: IO[bytes], content_type: str, *, max_columns: int) -> TableStream:
    """The rows of a table.

    Args:
        file: With a file descriptor, seekable, at its beginning.
        content_type: What the sender calls it; believed where the content does not show what it is.
        max_columns: Columns that the table may have.

    Raises:
        UsageError: The format is not known, or the content is wrong.
        ResourceLimitError: The table has too many columns, or parts that are too large.
    """
    head = file.read(_HEAD)
    file.seek(0)
    reader = _shown(head) or _called(content_type)
    if reader is None and _is_text(head):
        reader = read_csv
    if reader is None:
        raise UsageError(f"the format of the content is not known; expected {_FORMATS}")
    return reader(file, max_columns=max_columns)


def _shown(head: bytes) -> Reader | None:
    if head.startswith(b"PAR1"):
        return read_parquet
    if head.startswith(b"SIMPLE  ="):
        return read_fits
    return read_votable if head.lstrip(_BEFORE_XML).startswith(b"<") else None


def _called(content_type: str) -> Reader | None:
    name, *parameters = (part.strip().lower() for part in content_type.split(";"))
    reader = READABLE_TYPES.get(name)
    if reader is read_csv and any(part.replace(" ", "") == "header=absent" for part in parameters):
        return partial(read_csv, has_header=False)
    return reader


def _is_text(head: bytes) -> bool:
    """Whether the content may be text: UTF-8 without control characters, cut off somewhere."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
    return bool(head.strip()) and not any(byte < 0x20 and byte not in b"\t\r\n" for byte in head)
